"""How far the directory went when it was last read here: an older one that is put in its place is noticed.

The operator's head covers what stands in the topic. Where a broker's folder is restored from before an entry, so does the
next head, and a key that was lost, or an agency that was suspended, would be good again for whoever starts after that.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from nrmbus.bus.folder import write_private
from nrmbus.directory.directory import Directory

FILE: Final = "directory"


class Seen:
    """What who lives in *home* has seen: number and digest of the last entry, in a file there. Who knows better removes it."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._noted: tuple[int, str] | None = None

    def load(self) -> None:
        """Remember what was seen; to be called before the topic is read, since others may see more meanwhile."""
        self._noted = self._written()

    def _written(self) -> tuple[int, str] | None:
        with suppress(OSError, ValueError):
            number, digest = self._path.read_text(encoding="ascii").split()
            return int(number), digest
        return None

    def hold(self, directory: Directory) -> None:
        """See that *directory* goes on from what was seen, and note how far it goes now, unless somebody here saw more meanwhile.

        Raises:
            DirectoryError: ``went_back``.
        """
        if self._noted is not None:
            directory.see_that_it_has(*self._noted)
        now = directory.number, directory.digest
        if now == self._noted:
            return
        further = self._written()
        if further is None or further[0] < directory.number:
            with suppress(OSError):  # a full disk: what was noted before is still true
                write_private(self._path, f"{directory.number} {directory.digest}\n".encode())
        self._noted = now
