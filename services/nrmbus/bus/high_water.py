"""High-water mark: how far a topic went when this machine last read or wrote it, in one file.

A broker's folder that is restored from a backup is whole in itself: numbers, chains and signatures fit. Only what is
remembered outside the broker shows that the topic went back. A person who knows better removes the file.
"""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from nrmbus.bus.errors import MarkDamaged
from nrmbus.bus.private_files import write_private

LATE: Final = 1.0
"""Seconds until a mark is on disk that may come late: a restored backup is older than that."""

_MARK: Final = re.compile(r"(\d{1,18}) ([0-9a-f]{64})\n?", re.ASCII)


class Mark(NamedTuple):
    """The last entry of a topic: its number, and its digest in hex."""

    number: int
    digest: str


class HighWater:
    """The mark in the file *path*, which only ever rises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due: Mark | None = None
        self._timer: asyncio.TimerHandle | None = None

    def read(self) -> Mark | None:
        """Return the mark on disk; None if there is no file.

        Raises:
            MarkDamaged: the file is no mark, or cannot be read.
        """
        try:
            found = _MARK.fullmatch(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise MarkDamaged(self._path) from error
        if found is None:
            raise MarkDamaged(self._path)
        return Mark(int(found[1]), found[2])

    def raise_to(self, mark: Mark) -> None:
        """Write *mark*, unless another process wrote a higher one. On a full disk the mark before stays, which is still true.

        Raises:
            MarkDamaged: the file is no mark, or cannot be read.
        """
        before = self.read()
        if before is None or before.number < mark.number:
            with suppress(OSError):
                write_private(self._path, f"{mark.number} {mark.digest}\n".encode())

    def raise_soon(self, mark: Mark) -> None:
        """Write *mark* within `LATE` seconds, so that many marks cost one writing."""
        self._due = mark
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATE, self.flush)

    def flush(self) -> None:
        """Write now the mark that is still to be written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due is not None:
            self.raise_to(self._due)
            self._due = None
