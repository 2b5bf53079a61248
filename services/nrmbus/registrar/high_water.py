"""How far the history of each partition went when this machine last wrote it: an older one is not gone on from.

A broker's folder that is restored from a backup is whole in itself: its numbers, its chain and its offsets fit. What a
person refused or took back since, and what a court decided, would be forgotten by the one who judges.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from nrmbus.bus.folder import write_private

LATE: Final = 1.0
"""Seconds after a commit by which it is noted: what is restored is older than that."""


class Noted:
    """A file a partition in *folder*, with number and digest of its last registration. Who knows better removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._due: dict[int, tuple[int, str]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def of(self, partition: int) -> tuple[int, str] | None:
        """What was noted of *partition*."""
        with suppress(OSError, ValueError):
            number, digest = self._path(partition).read_text(encoding="ascii").split()
            return int(number), digest
        return None

    def note(self, partition: int, number: int, digest: str) -> None:
        """Have it on disk in a moment that *partition* goes as far as registration *number*, which has *digest*."""
        self._due[partition] = number, digest
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATE, self.write)

    def write(self) -> None:
        """Have on disk now what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with suppress(OSError):  # a full disk: what was noted before is still true
            for partition, (number, digest) in self._due.items():
                write_private(self._path(partition), f"{number} {digest}\n".encode())
            self._due = {}

    def _path(self, partition: int) -> Path:
        return self._folder / f"{partition}"
