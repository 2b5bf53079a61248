"""The history with everything checked that its reader can check: whose word it is, and that no number is missing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.admission import read_directory
from nrmbus.events.errors import EventError
from nrmbus.play.history import Entry, History, fold, rules_of
from nrmbus.rules import Rules, View
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import Record
from nrmbus.wire.registration import NOTHING_BEFORE

_ALTERED: Final = "keep the broker's data as they are, and ask the bus's operator."


class AuditedHistory(History):
    """The history; of each event the sender's signature is verified too, and that it is the one that was registered."""

    def _entry(self, record: Record) -> Entry:
        entry = super()._entry(record)
        registration = entry.registration
        if registration.audience != entry.audience.commitment():
            raise WireError("signature_invalid")
        if (signed := entry.said) is not None:
            if signed.digest != registration.envelope or signed.id != registration.id:
                raise WireError("signature_invalid")
            signed.verify(self._directory.any_verify_key(signed.source, signed.kid))
        return entry


@dataclass(frozen=True, slots=True)
class Audited:
    """The whole history of a bus, verified, and the Rules that it was judged by."""

    history: History
    rules: Rules
    partitions: int

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every case and incident, in the order in which they appear."""
        return tuple(dict.fromkeys(entry.registration.subject for entry in self.history.entries))

    def of(self, subject: str, as_of: datetime | None) -> list[Entry]:
        """What was registered and refused of a case, up to *as_of*."""
        return [
            entry
            for entry in self.history.entries
            if entry.registration.subject == subject and (as_of is None or entry.registration.time <= as_of)
        ]

    def view(self, subject: str, entries: Iterable[Entry]) -> View:
        """Where the case stands after *entries*, as far as this release can read them."""
        return fold(self.rules, subject, (fact for entry in entries if (fact := entry.fact) is not None))


async def audited(folder: BusFolder) -> Audited:
    """Read and verify the history of the bus in *folder*.

    Raises:
        BusError: no bus was made or runs there, or something in its history does not verify.
    """
    directory = await read_directory(folder)
    settings = folder.settings
    history = AuditedHistory(folder.bootstrap, settings.partitions, directory)
    await history.start()
    holds = True
    try:
        await history.catch_up()
    except (WireError, EventError, KeyError):
        holds = False
    finally:
        await history.stop()
    if not holds:
        raise BusError(f"A record after the first {len(history.entries)} of the history does not verify: {_ALTERED}")
    for partition, number in broken_links(history.entries):
        raise BusError(f"The history's chain does not hold at number {number} of partition {partition}: {_ALTERED}")
    return Audited(history, rules_of(directory, settings.policy), settings.partitions)


def broken_links(entries: Iterable[Entry]) -> Iterator[tuple[int, int]]:
    """Partition and number of each registration that is not the next, or does not name the digest of the one before it."""
    in_partitions = sorted((entry.registration for entry in entries), key=lambda each: each.partition)
    for partition, registrations in groupby(in_partitions, key=lambda each: each.partition):
        number, previous = 0, NOTHING_BEFORE
        for registration in registrations:
            if (registration.number, registration.previous) != (number + 1, previous):
                yield partition, registration.number
            number, previous = registration.number, registration.digest
