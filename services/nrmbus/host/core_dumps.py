"""Core files: none of a process that holds keys or open letters."""

import contextlib
import resource


def leave_no_picture() -> None:
    """Have the system write no core file of this process or of those that it starts: keys and open letters are in it."""
    # 1, since Linux heeds no other limit where core files go to a program (core(5)); who may not raise it from 0 keeps 0.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
