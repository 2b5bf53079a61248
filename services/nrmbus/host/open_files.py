"""Room for open files: a full door must leave a process enough of them for its ledger and its broker."""

import contextlib
import resource
from typing import Final

LEAST: Final = 1024
"""Open files that a process may have by default on Linux, and for which the doors' limits of connections are made. On macOS
the default is 256, fewer than the connections that one door accepts from anybody."""


def make_room() -> None:
    """Raise this process's limit of open files to `LEAST`, or to the most that the system allows; never lower it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = LEAST if hard == resource.RLIM_INFINITY else min(LEAST, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
