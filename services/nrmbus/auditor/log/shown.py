"""Checkpoints in ``nrm.checkpoints``: read once, stored beside the logs, and found there at the next start.

The stored offset is a hint: a start believes the file only if the record before the offset is the newest checkpoint that
the file has of that log, and if the log signed all checkpoints there. Else it reads the topic from its beginning.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nrmbus.auditor.log.cosignatures import FILE, Cosigned
from nrmbus.auditor.log.publisher import published
from nrmbus.directory import Directory, Published
from nrmbus.wire.errors import ProofError
from nrmbus.wire.names import CHECKPOINTS
from nrmbus.wire.record import Record


class Shown:
    """Checkpoints of all logs of a bus, as far as the topic was read."""

    def __init__(self, home: Path, directory: Directory) -> None:
        """Open the file below *home*, or make it."""
        self._cosigned, self._directory = Cosigned(home / FILE), directory

    @property
    def offset(self) -> int:
        """The offset up to which the topic was read."""
        return self._cosigned.offset(CHECKPOINTS)

    def begin(self, records: Iterable[Record]) -> int:
        """Return the offset from which the topic is read now; *records* begin before `offset`, and are none if it is shorter."""
        first = next(iter(records), None)
        last = self._believed(first) if first else None
        with suppress(ProofError):
            if last is not None and last.note in {each.note for each in self.newest()}:
                return self.offset
        self._cosigned.read_again()
        return 0

    def take(self, records: Iterable[Record], offset: int) -> None:
        """Store the checkpoints in *records*, which end before *offset*."""
        found = [each for record in records if (each := self._believed(record))]
        self._cosigned.publish([(each.checkpoint, each.note) for each in found], offset)

    def newest(self) -> list[Published]:
        """Return the newest checkpoint of each log in the topic. Raises ProofError if the file has what no log signed."""
        keys = self._directory.log_keys()
        return [Published.read(note, self._directory.bus, keys) for note in self._cosigned.shown()]

    def _believed(self, record: Record) -> Published | None:
        return published(record.value, self._directory.bus, self._directory.log_keys())
