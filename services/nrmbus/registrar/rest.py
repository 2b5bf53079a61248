"""Rest of a registrar that was silent and lost its partitions: for a while it takes none over from a registrar that is silent.

On a machine without enough processor, two registrars would each be silent for longer than a session now and then, and take
over from one another for ever. A rest lets the one that works come back.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from nrmbus.bus.periodic import doubled
from nrmbus.bus.private_files import write_json

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 16.0
"""Rests after the first silence, and at most; each is twice as long as the one before."""
FORGET_SECONDS: Final = 300.0
"""Seconds without a silence after which the next one counts as the first."""


class Rest:
    """Silences of one registrar. They are kept at *path*, since a registrar that is fenced in a transaction ends its process."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Read the silences at *path*; an unreadable file has none."""
        self._path, self._clock, self._chance = path, clock, chance
        self._count, self._last = 0, 0.0
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_bytes())
            self._count, self._last = int(kept["count"]), float(kept["last"])
        self._until = self._last + self._seconds() if self._count else 0.0

    def begin(self) -> None:
        """Rest from now on: this registrar was silent, and another one has its partitions."""
        now = self._clock()
        self._count = self._count + 1 if 0 <= now - self._last < FORGET_SECONDS else 1
        self._last = now
        self._until = now + self._seconds()
        with suppress(OSError):  # a full disk: the rest is forgotten with this process
            write_json(self._path, {"count": self._count, "last": self._last})

    def end(self) -> None:
        """Rest no more. The next silence is counted with those before."""
        self._until = 0.0

    def _seconds(self) -> float:
        return doubled(FIRST_SECONDS, self._count - 1, LONGEST_SECONDS) * self._chance(0.5, 1.0)

    @property
    def left(self) -> float:
        """Return the seconds until the rest ends; 0 without one. A clock that was put back makes no rest longer than the longest."""
        left = self._until - self._clock()
        return left if 0 < left <= LONGEST_SECONDS else 0.0

    async def over(self) -> None:
        """Wait until no rest is left; another silence makes it longer."""
        for left in iter(lambda: self.left, 0.0):
            await asyncio.sleep(left)
