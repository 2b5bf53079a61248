"""Run types and tests in two halves, side by side: ``make test``.

Tests with a broker mostly wait for it; types and the other tests only compute, and have the turn whenever those wait.
In front: what needs a broker, and what holds a time (``timed``). Behind, at the lowest priority: mypy, and all the rest;
its output is shown when the front has ended. The exit code is 0 only if everything passed.
"""

import os
import subprocess
import sys
import tempfile
from typing import Final

_FRONT: Final = "broker or timed"
_PYTEST: Final = (sys.executable, "-m", "pytest")
_BEHIND: Final = (
    ("Types: mypy", (sys.executable, "-m", "mypy")),
    ("Tests without a broker", (*_PYTEST, "-p", "no:cacheprovider", "-m", f"not ({_FRONT})")),
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
            failed = subprocess.call((*_PYTEST, "-m", _FRONT)) != 0
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
