"""Run types and tests in five parts, side by side: ``make test``.

Tests with a broker mostly wait for it; types and the other tests only compute, and have the turn whenever those wait.
In front: what needs a broker, and what holds a time (``timed``). Behind, at the lowest priority: mypy and all the rest, in two
parts; and beside them the files with a broker that only wait for things to come out (`_PATIENT`, `_IDLE`). What they print is shown when
the front has ended. The exit code is 0 only if everything passed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

_FRONT: Final = "broker or timed"
_PYTEST: Final = (sys.executable, "-m", "pytest")
_PATIENT: Final = (
    "tests/auditor/test_live.py",
    "tests/bad_input/test_insiders.py",
    "tests/cli/test_export.py",
    "tests/cli/test_on_record.py",
    "tests/cli/test_others_cluster.py",
    "tests/contract/test_readme.py",
    "tests/desk/test_live_erasing.py",
    "tests/desk/test_live_withdrawal.py",
    "tests/play/test_canaries.py",
    "tests/play/test_generations.py",
    "tests/play/test_taken_back.py",
)
"""No line of them holds a time, and together they take as long as those in front."""
_IDLE: Final = (
    "tests/auditor/test_trail.py",
    "tests/bad_input/test_absent.py",
    "tests/bad_input/test_bombs.py",
    "tests/bus/test_topics.py",
    "tests/cli/test_agency.py",
    "tests/cli/test_closed_agency.py",
    "tests/cli/test_retention.py",
    "tests/cli/test_sealed_at_rest.py",
    "tests/desk/test_live_directory.py",
    "tests/desk/test_live_witness.py",
    "tests/directory/test_answering.py",
    "tests/directory/test_rotation.py",
    "tests/registrar/test_askings.py",
    "tests/registrar/test_noted.py",
    "tests/telemetry/test_one_trace.py",
)
"""Nor do these, which need the processor less."""
_LARGE: Final = ("tests/auditor", "tests/desk")
"""Half of what only computes."""
_BEHIND: Final = {
    "computing": (
        (
            "Tests without a broker: auditor and desk",
            (*_PYTEST, "-p", "no:cacheprovider", "-m", f"not ({_FRONT})", *_LARGE),
        ),
    ),
    "the rest": (
        ("Types: mypy", (sys.executable, "-m", "mypy")),
        (
            "Tests without a broker: the others",
            (*_PYTEST, "-p", "no:cacheprovider", "-m", f"not ({_FRONT})", *(f"--ignore={each}" for each in _LARGE)),
        ),
    ),
    "waiting": (
        ("Tests with a broker that can wait", (*_PYTEST, "-p", "no:cacheprovider", "-m", "broker", *_PATIENT)),
    ),
    "idle": (("Tests with a broker that do little", (*_PYTEST, "-p", "no:cacheprovider", "-m", "broker", *_IDLE)),),
}


def _call(command: Sequence[str]) -> bool:
    """Run *command*, its temporary files in a folder of its own; whether it failed.

    pytest clears away what earlier runs left, and stumbles where another one does so at the same moment.
    """
    with tempfile.TemporaryDirectory(prefix="nrmbus-tests-", ignore_cleanup_errors=True) as home:
        return subprocess.call(command, env=os.environ | {"PYTEST_DEBUG_TEMPROOT": home}) != 0


def _behind(part: str) -> int:
    """Do one after the other what is behind; 1 if anything failed."""
    os.nice(19)
    failed = False
    for name, command in _BEHIND[part]:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        failed |= _call(command)
    return int(failed)


def main() -> int:
    """Run all parts; 1 if anything failed."""
    with ExitStack() as stack:
        outputs = {part: stack.enter_context(tempfile.TemporaryFile()) for part in _BEHIND}
        behind = {
            part: subprocess.Popen((sys.executable, __file__, part), stdout=output, stderr=output)
            for part, output in outputs.items()
        }
        try:
            sys.stdout.write("== Tests with a broker; types and the other tests run beside them, and are shown after\n")
            sys.stdout.flush()
            failed = _call((*_PYTEST, "-m", _FRONT, *(f"--ignore={each}" for each in (*_PATIENT, *_IDLE))))
            for each in behind.values():
                failed |= each.wait() != 0
        finally:
            for part, output in outputs.items():
                behind[part].kill()
                behind[part].wait()
                output.seek(0)
                sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(_behind(sys.argv[1]) if sys.argv[1:] else main())
