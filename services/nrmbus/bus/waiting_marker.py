"""Mark of a service that waits, for its turn or for the broker: a file with the reason, as new as the broker's last answer.

A service that waits has no page to ask. So others on this machine read here that it waits, and since when it has heard
nothing of the broker: a service that stands by and hangs would not take over, and leaves the file as old as that.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nrmbus.bus.private_files import write_private


class Waits(NamedTuple):
    """Service that waits: the reason in a *sentence*, and the seconds since the broker last answered it, or since it first asked."""

    sentence: str
    silence: float


@dataclass(frozen=True, slots=True)
class WaitingMarker:
    """Mark of one service, at *path*."""

    path: Path

    def write(self, sentence: str) -> None:
        """Say from now on that the service waits, and why."""
        write_private(self.path, sentence.encode())

    def heard(self) -> None:
        """Note that the broker answered just now; without a mark, do nothing."""
        with suppress(FileNotFoundError):
            os.utime(self.path)

    def remove(self) -> None:
        """Say that the service no longer waits."""
        self.path.unlink(missing_ok=True)

    def read(self) -> Waits | None:
        """Return for what the service waits; None if it does not."""
        with suppress(FileNotFoundError):
            silence = time.time() - self.path.stat().st_mtime
            return Waits(self.path.read_text(encoding="utf-8"), silence)
        return None
