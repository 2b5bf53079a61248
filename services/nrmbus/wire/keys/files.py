"""Safe reading of files that another person may have placed: plain files only, up to a limit."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

_PIECE: Final = 1024 * 1024


class NotPlainError(OSError):
    """Raised for a folder, a pipe, a device or a socket."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "it is no plain file")


def read(path: Path, limit: int) -> tuple[bytes, int]:
    """Return at most the first *limit* bytes of the plain file at *path*, and its mode.

    A pipe without a writer would never answer, and a device would never end: neither is read. The mode is read from the
    open descriptor, so that a swapped file cannot spoof it.

    Raises:
        NotPlainError: it is no plain file.
        OSError: it is not there, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotPlainError
        found, left = [], limit
        while left > 0 and (piece := os.read(descriptor, min(left, _PIECE))):
            found.append(piece)
            left -= len(piece)
        return b"".join(found), mode
    finally:
        os.close(descriptor)
