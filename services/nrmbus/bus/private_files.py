"""Files and folders for their owner only: written whole or not at all, and locked by one process at a time."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from nrmbus.wire.disk import flush

PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600


def make_private(folder: Path) -> Path:
    """Make *folder* and its missing parents, for the owner only; return *folder*."""
    # With `parents`, `mkdir` would use the mode for the last folder only, so each parent is made here.
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write *content* whole or not at all, for the owner only: a reader, or a power cut, never finds half a file."""
    write_private_lines(path, (content,))


def write_private_lines(path: Path, lines: Iterable[bytes]) -> int:
    """Write *lines* as `write_private`, none of them if making one raises; return their number."""
    make_private(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    written = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            for line in lines:
                file.write(line)
                written += 1
            file.flush()
            flush(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return written


def write_json(path: Path, body: Any) -> None:
    """Write *body* as JSON, like `write_private`."""
    write_private(path, json_lines(body))


def json_lines(body: Any) -> bytes:
    """Return *body* as JSON, as `write_json` writes it."""
    return json.dumps(body, indent=1, sort_keys=True).encode() + b"\n"


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """Open the file *path* to be locked, and close it after the block; the system releases the lock of a killed process."""
    descriptor = os.open(make_private(path.parent) / path.name, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock on the file *path* until the end of the block; wait while another process holds it."""
    with lock_file(path) as descriptor:
        fcntl.flock(descriptor, how)
        yield


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock on *folder* itself, as `locked`, where a lock file would be in the way; a missing folder is made."""
    descriptor = os.open(make_private(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
