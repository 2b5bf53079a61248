"""Run types and tests in two halves, side by side: ``make test``.

Tests with a broker mostly wait for it; types and the other tests only compute, and have the turn whenever those wait.
In front: what needs a broker, and what holds a time (``timed``). Behind, at the lowest priority: mypy, all the rest, and
the files with a broker that only wait for things to come out (`_PATIENT`); its output is shown when the front has ended.
The exit code is 0 only if everything passed.
"""

import os
import subprocess
import sys
import tempfile
from typing import Final

_FRONT: Final = "broker or timed"
_PYTEST: Final = (sys.executable, "-m", "pytest")
_PATIENT: Final = (
    "tests/auditor/test_live.py",
    "tests/contract/test_readme.py",
    "tests/cli/test_export.py",
    "tests/desk/test_live_erasing.py",
    "tests/desk/test_live_withdrawal.py",
    "tests/play/test_canaries.py",
    "tests/play/test_generations.py",
)
"""No line of them holds a time, and together they take a quarter of the whole."""
_BEHIND: Final = (
    ("Types: mypy", (sys.executable, "-m", "mypy")),
    ("Tests without a broker", (*_PYTEST, "-p", "no:cacheprovider", "-m", f"not ({_FRONT})")),
    ("Tests with a broker that can wait", (*_PYTEST, "-p", "no:cacheprovider", "-m", "broker", *_PATIENT)),
)


def _behind() -> int:
    """Do one after the other what is computing only; 1 if anything failed."""
    os.nice(19)
    failed = 0
    for name, command in _BEHIND:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        failed |= subprocess.call(command) != 0
    return failed


def main() -> int:
    """Run both halves; 1 if anything failed."""
    with tempfile.TemporaryFile() as output:
        behind = subprocess.Popen((sys.executable, __file__, "behind"), stdout=output, stderr=output)
        try:
            sys.stdout.write("== Tests with a broker; types and the other tests run behind them, and are shown after\n")
            sys.stdout.flush()
            failed = subprocess.call((*_PYTEST, "-m", _FRONT, *(f"--ignore={each}" for each in _PATIENT))) != 0
            failed |= behind.wait() != 0
        finally:
            behind.kill()
            behind.wait()
            output.seek(0)
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(_behind() if sys.argv[1:] == ["behind"] else main())
