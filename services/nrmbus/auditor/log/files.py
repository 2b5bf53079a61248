"""Files that are complete or absent, even if the process is killed or the power fails.

A file is written beside its place, synced, and renamed; after `settle`, which syncs the folders, the file is durable.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from nrmbus.wire.disk import flush, sync

TEMPORARY: Final = "tmp"


class Files:
    """Files of one folder, by their paths below the folder; one process at a time may use the folder."""

    def __init__(self, folder: Path) -> None:
        """Lock *folder*, or make it. Raises BlockingIOError while another process has the lock."""
        self.folder = folder
        self._unsettled: set[Path] = set()
        self._make(folder)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a lock of the system: a killed process holds none
        except BlockingIOError:
            os.close(self._lock)
            raise
        self._make(folder / TEMPORARY)
        for left in (folder / TEMPORARY).iterdir():
            left.unlink()

    def close(self) -> None:
        """Release the folder for other processes. Unsettled files stay as they are."""
        os.close(self._lock)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of the file at *path*, or None if it does not exist."""
        with suppress(FileNotFoundError):
            return (self.folder / path).read_bytes()
        return None

    def put(self, path: str, raw: bytes) -> None:
        """Write *raw* to *path*, completely or not at all; durable after `settle`."""
        target = self.folder / path
        temporary = self.folder / TEMPORARY / path.replace("/", "-")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            flush(file.fileno())
        self._make(target.parent)
        os.replace(temporary, target)  # noqa: PTH105 - the call that is atomic, by its own name
        self._unsettled.add(target.parent)

    def settle(self) -> None:
        """Make all written files durable."""
        for folder in sorted(self._unsettled):
            sync(folder)
        self._unsettled.clear()

    def remove(self, path: str) -> None:
        """Remove the file at *path*, and folders that become empty. After a power failure the file may be back."""
        target = self.folder / path
        target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self.folder or any(folder.iterdir()):
                break
            folder.rmdir()
            self._unsettled.discard(folder)

    def sizes(self, below: str) -> dict[str, int]:
        """Return the size in bytes of each file below the folder *below*, by its path."""
        found = {}
        for at, _, names in os.walk(self.folder / below):
            where = PurePosixPath(Path(at).relative_to(self.folder).as_posix())
            found.update({str(where / name): (Path(at) / name).stat().st_size for name in names})
        return found

    def set_aside(self, *paths: str) -> str:
        """Move the files and folders at *paths* into a new folder, and return its name."""
        number = 1
        while (self.folder / f"damaged-{number}").exists():
            number += 1
        aside = self.folder / f"damaged-{number}"
        self._make(aside)
        for path in paths:
            with suppress(FileNotFoundError):
                os.replace(self.folder / path, aside / path)  # noqa: PTH105 - as above
        self._unsettled |= {self.folder, aside}
        self.settle()
        return aside.name

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._unsettled.add(folder.parent)
