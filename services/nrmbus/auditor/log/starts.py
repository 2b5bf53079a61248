"""Places in the topic from which a start of the auditor may read: behind a checkpoint that witnesses co-signed.

A place is an offset and the size that the log had there. The file with the places is a hint and nothing more: a start uses
a place only if the checkpoint of its size has the signatures of the log and of more than half of the witnesses, if the
log's own tree has that root, and if the record before the offset is the registration of that number (decision 0042).
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.log import Log
from nrmbus.bus.private_files import write_json
from nrmbus.directory import Directory
from nrmbus.wire.errors import ProofError
from nrmbus.wire.history import HistoryFault, plain, read
from nrmbus.wire.log.checkpoint import Believed, Policy
from nrmbus.wire.record import Record

KEPT: Final = 8
"""Places that are kept: the newest may wait for its witnesses."""
FILE_LIMIT: Final = 4096

RefusalCode = Literal["unreadable", "not_cosigned", "root_differs", "history_shorter", "history_differs"]
"""Every reason why a place is not used, and the history is read from the place before or from its beginning.

``unreadable``: the file is not of its form. ``not_cosigned``: signatures of the log or of its witnesses are missing or
wrong. ``root_differs``: the log is another than the co-signed one, or shorter. ``history_shorter``: the topic ends before
the place. ``history_differs``: another record stands there.
"""


class StartRefused(Exception):
    """Raised when a place does not fit; ``code`` is of the closed list `RefusalCode`."""

    def __init__(self, code: RefusalCode) -> None:
        """Name the *code*."""
        self.code: RefusalCode = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Place:
    """The offset behind the registration *number*."""

    number: int
    offset: int


class Places:
    """Places of one log, in a file."""

    def __init__(self, path: Path, origin: str) -> None:
        """Name the file *path* of the log *origin*."""
        self._path, self._origin = path, origin

    def read(self) -> list[Place]:
        """Return the places, the newest first; raises StartRefused, ``unreadable``."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            raw = file.read(FILE_LIMIT + 1)
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                said: dict[str, Any] = json.loads(raw) if len(raw) <= FILE_LIMIT else {}
                found = {int(number): offset for number, offset in said["places"].items()}
                sound = all(type(offset) is int and 0 < number <= offset for number, offset in found.items())
                if said["origin"] == self._origin and sound and said.keys() == {"origin", "places"}:
                    return [Place(*each) for each in sorted(found.items(), reverse=True)]
            raise StartRefused("unreadable")
        return []

    def add(self, place: Place) -> None:
        """Keep *place*, beside the newest of those before."""
        known: list[Place] = []
        with suppress(StartRefused):
            known = [each for each in self.read() if each.number < place.number]
        kept = {str(each.number): each.offset for each in [place, *known][:KEPT]}
        write_json(self._path, {"origin": self._origin, "places": kept})


def check_cosigned(place: Place, log: Log, cosigned: Cosigned, directory: Directory) -> None:
    """Check that the auditor signed the log up to *place*, and that more than half of the witnesses co-signed it.

    Raises:
        StartRefused: ``not_cosigned`` or ``root_differs``. A bus without witnesses has no such place.
    """
    believed = _believed(cosigned.note(log.origin, place.number), log.origin, directory)
    if believed is None or believed.checkpoint.size != place.number:
        raise StartRefused("not_cosigned")
    if not log.begins_with(believed.checkpoint):
        raise StartRefused("root_differs")


def _believed(note: bytes | None, origin: str, directory: Directory) -> Believed | None:
    witnesses = directory.witnesses()
    quorum = len({each.name for each in witnesses}) // 2 + 1
    for keys in reversed(directory.log_keys()) if note and witnesses else ():
        with suppress(ProofError):
            return Policy(keys.verifiers(origin), witnesses, quorum).believe(note or b"")
    return None


def check_record(place: Place, log: Log, records: Iterable[Record]) -> None:
    """Check that the first of *records*, which stands before the place, is the registration of its number.

    Raises:
        StartRefused: ``history_shorter`` or ``history_differs``.
    """
    first = next(iter(records), None)
    if first is None:
        raise StartRefused("history_shorter")
    with suppress(HistoryFault):
        if log.holds(place.number, read(first, plain).body):
            return
    raise StartRefused("history_differs")
