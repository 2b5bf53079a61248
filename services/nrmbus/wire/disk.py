"""Durable writing: what was flushed is on the disk, and a power cut cannot take it back."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

SQLITE: Final = "fullfsync=ON"
"""Pragma for each connection that writes, or that may be the last to close and then empties the write-ahead file. With it
SQLite flushes as `flush` does; without it, macOS leaves each commit in the drive's cache. Linux needs no pragma."""


def flush(descriptor: int) -> None:
    """Make the content of the open file, or folder, *descriptor* durable.

    On macOS fsync(2) moves the bytes only as far as the drive's cache, which loses them with the power, or writes them in
    another order. F_FULLFSYNC empties that cache as well; other systems have no such command, because their fsync does so.

    Raises:
        OSError: the disk is full, or fails.
    """
    os.fsync(descriptor)
    with suppress(ImportError):
        import fcntl  # noqa: PLC0415 - Windows has none, and the client shall be importable there

        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is not None:
            try:
                fcntl.fcntl(descriptor, full)
            except OSError as error:
                # Any other error means that the file is on a share of another machine, which has no such command.
                if error.errno == errno.EIO:
                    raise


def sync(path: Path) -> None:
    """Make the content of the file at *path* durable, or the names in the folder at *path*."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)
