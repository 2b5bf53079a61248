"""Verified history: an entry for every record of ``nrm.cases``, and folds of a case as of any moment.

`Verifier` and `History` are pure: records in, entries out. `HistoryReader` reads from Kafka, `audited` reads a whole bus.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, Self

from aiokafka import TopicPartition

from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import Where
from nrmbus.directory import Directory
from nrmbus.directory.admission import read_directory
from nrmbus.events.model import Event, Fact
from nrmbus.rules import Agency, Rules, View, ends_keeping, load_profile
from nrmbus.wire.envelope import Signed
from nrmbus.wire.history import Chain, FaultCode, HistoryFault, check_signature, known_event, read, unspelled
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.names import CASES, REGISTRAR
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, Registration

PATIENCE_SECONDS: Final = 30.0
"""How long reading may go on without progress while records are missing."""

Signatures = Literal["all", "last"]
"""Signatures to verify: every one, or the registrar's on the last registration of each partition.

Through the chain of digests the last signature covers all registrations before it, and each registration covers its
envelope and audience. "last" trusts the registrar to have verified each sender's signature.
"""

HistoryCode = Literal[
    "unreadable", "signature_invalid", "foreign", "chain_broken", "envelope_altered", "audience_altered", "envelope_missing",
]  # fmt: skip
"""Reasons why a record does not verify: no registration, or an envelope that cannot be read; a wrong signature; another bus
or partition; out of order; another envelope, or audience, than the registered one; no envelope of a registered event."""

_CODES: Final[Mapping[FaultCode, HistoryCode]] = {
    "unreadable": "unreadable", "signature_invalid": "signature_invalid", "foreign": "foreign", "gap": "chain_broken",
    "duplicate": "chain_broken", "chain_broken": "chain_broken", "audience_missing": "unreadable",
    "audience_altered": "audience_altered", "envelope_missing": "envelope_missing", "envelope_unreadable": "unreadable",
    "envelope_altered": "envelope_altered",
}  # fmt: skip
_LOOK: Final = "look whether the bus runs and its broker answers: nrmbus topics check"


class HistoryError(BusError):
    """Raised when a record does not verify; ``code`` says why, and the record is named by its place alone."""

    def __init__(self, partition: int, number: int, code: HistoryCode) -> None:
        super().__init__(
            f"The history does not verify at number {number} of partition {partition} ({code}): "
            "keep the broker's data as they are, and ask the bus's operator."
        )
        self.partition, self.number = partition, number
        self.code: HistoryCode = code


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration with its audience and, unless it is a refusal, its event.

    ``said`` is the signed envelope, None for a refusal. ``event`` is read from the envelope, and None also if this release
    does not know the type or version: the history is complete without it, a fold of the case is not. ``signed`` is the
    registrar's statement as in the topic.
    """

    registration: Registration
    said: Signed | None
    event: Event | None
    audience: Audience
    signed: bytes

    @property
    def fact(self) -> Fact | None:
        """The registered event as a fold takes it; None for a refusal, and for an event that this release cannot read."""
        if self.event is None:
            return None
        return Fact.of(self.event, self.audience.recipients, self.registration.time, self.registration.number)

    def concerns(self, agency: str) -> bool:
        """Return whether *agency* sent or received the event."""
        return agency == self.registration.source or (
            self.registration.verdict == "registered" and agency in self.audience.recipients
        )


class Verifier:
    """Verifier of the records of each partition, in order.

    For every record it verifies the registrar's statement and its place in the chain, envelope and audience, and, by
    *signatures*, the signatures. The steps are those of `nrmbus.wire.history`.
    """

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self._directory, self._all = directory, signatures == "all"
        self._chains: dict[int, Chain] = {}
        self._unverified: dict[int, bytes] = {}
        """The signed registration that `check_last` has yet to verify, by partition."""

    def number(self, partition: int) -> int:
        """Return the last number taken of *partition*, 0 before the first."""
        chain = self._chains.get(partition)
        return chain.number if chain else 0

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*.

        Raises:
            HistoryError: the record is not the next one, or not as it was registered.
        """
        chain = self._chains.get(partition)
        if chain is None:
            chain = self._chains[partition] = Chain(self._directory.bus, partition)
        entry = None
        code: HistoryCode = "unreadable"
        try:
            entry = self._entry(record, chain)
        except HistoryFault as fault:
            code = _CODES[fault.code]
        if entry is None:
            raise HistoryError(partition, chain.number + 1, code)
        return entry

    def check_last(self) -> None:
        """Verify the registrar's signature on the last registration of each partition, unless `take` has done so.

        Raises:
            HistoryError: the registrar of this bus did not sign it.
        """
        for partition in list(self._unverified):
            found = None
            try:
                check_signature(self._unverified[partition], self._registrar_key)
                del self._unverified[partition]
            except HistoryFault as fault:
                found = fault.code
            if found is not None:
                raise HistoryError(partition, self.number(partition), _CODES[found])

    def _registrar_key(self, kid: str) -> VerifyKey:
        return self._directory.any_verify_key(REGISTRAR, kid)

    def _entry(self, record: Record, chain: Chain) -> Entry:
        if self._all:
            found = read(record, Registration.parse, self._registrar_key)
        else:
            found = read(record, partial(unspelled, Registration))
        chain.check(found)
        found.check_commitments()
        said = event = None
        if found.registration.verdict == "registered":
            said = found.opened(self._directory.any_verify_key if self._all else None)
            event = known_event(said)
        told = found.told(Audience.parse if self._all else partial(unspelled, Audience))
        chain.take(found)
        if not self._all:
            self._unverified[chain.partition] = found.signed
        return Entry(found.registration, said, event, told, found.signed)


class History:
    """Verified entries read so far, in memory; `take` adds a record."""

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self.verifier: Final = Verifier(directory, signatures=signatures)
        self.entries: list[Entry] = []
        """All entries; those of a partition are in the order of their numbers."""
        self._by_subject: dict[str, list[Entry]] = {}

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*, and add its entry; raises as `Verifier.take`."""
        entry = self.verifier.take(record, partition)
        self.entries.append(entry)
        self._by_subject.setdefault(entry.registration.subject, []).append(entry)
        return entry

    def spoken_of(self) -> tuple[str, ...]:
        """Return every case and incident with a registration or refusal, in the order in which they appear."""
        return tuple(self._by_subject)

    def subjects(self) -> tuple[str, ...]:
        """Return every case and incident with a registered event that this release can read."""
        return tuple(each for each, entries in self._by_subject.items() if any(entry.event for entry in entries))

    def about(self, subject: str, as_of: datetime | None = None) -> list[Entry]:
        """Return the registrations and refusals of a case, up to *as_of*."""
        entries = self._by_subject.get(subject, [])
        return [entry for entry in entries if as_of is None or entry.registration.time <= as_of]

    def over(self, subject: str) -> Entry | None:
        """Return the entry that ended the retention period of *subject*, or None while the case is kept."""
        entries = self._by_subject.get(subject, ())
        return next((each for each in entries if each.event and ends_keeping(each.event)), None)

    def facts(self, subject: str) -> Iterator[Fact]:
        """Return the registered events of a case, in number order."""
        return (fact for entry in self._by_subject.get(subject, ()) if (fact := entry.fact) is not None)

    def of(self, agency: str, subject: str) -> Iterator[Fact]:
        """Yield the events of a case that *agency* sent or received, in the order of its inbox."""
        by_id = {fact.event.id: fact for fact in self.facts(subject)}
        for entry in self._by_subject.get(subject, ()):
            fact = entry.fact
            if fact is None:
                continue
            for earlier in entry.audience.earlier.get(agency, ()):
                if earlier in by_id:  # this release may not know its type
                    yield by_id[earlier]
            if agency in (fact.event.source, *fact.recipients):
                yield fact


class HistoryReader:
    """Reader of ``nrm.cases`` from the start into a `History`; use as an async context manager."""

    def __init__(self, where: Where, partitions: int, history: History) -> None:
        self.history = history
        self._reader = TopicReader(where, "nrm-history")
        self._partitions = [TopicPartition(CASES, number) for number in range(partitions)]

    async def start(self) -> None:
        """Begin to read."""
        await self._reader.start()
        self._reader.join(dict.fromkeys(self._partitions, 0))

    async def stop(self) -> None:
        """Read no more."""
        await self._reader.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def catch_up(
        self,
        numbers: Mapping[str, int] | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read all that is in the topic now, or up to *numbers* of each partition, if the caller knows them.

        *progress* is called after each batch with the number of records taken and their total, in offsets if no numbers are
        known.

        Raises:
            HistoryError: a record does not verify.
            BusError: nothing came for *patience* seconds, though more is there.
        """
        loop = asyncio.get_running_loop()
        ends = {} if numbers is not None else await self._reader.ends(self._partitions)
        left = before = total = await self._left(numbers, ends)
        until = loop.time() + patience
        while left:
            if left < before:
                before, until = left, loop.time() + patience
            elif loop.time() > until:
                raise BusError(f"What is left of the history did not come within {patience:.0f} s: {_LOOK}")
            await self._read()
            left = await self._left(numbers, ends)
            if progress:
                progress(total - left, total)
        self.history.verifier.check_last()

    async def _left(self, numbers: Mapping[str, int] | None, ends: Mapping[TopicPartition, int]) -> int:
        if numbers is None:
            return await self._reader.left(ends)
        return sum(max(0, end - self.history.verifier.number(int(each))) for each, end in numbers.items())

    async def _read(self) -> None:
        for partition, records in (await self._reader.take(200)).items():
            for each in records:
                self.history.take(each, partition.partition)


def rules_of(directory: Directory, policy: str) -> Rules:
    """Return the Rules under *policy* for the agencies of *directory*."""
    agencies = {name: Agency(name, entry.role, entry.supervisor) for name, entry in directory.entries.items()}
    return Rules(load_profile(policy), agencies)


def fold(rules: Rules, subject: str, facts: Iterable[Fact]) -> View:
    """Return the view after *facts*."""
    view = rules.start(subject)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


@dataclass(frozen=True, slots=True)
class Audited:
    """Verified history of a bus, with the directory that verified it and the Rules of its policy."""

    history: History
    directory: Directory
    rules: Rules
    partitions: int

    def view(self, subject: str, entries: Iterable[Entry]) -> View:
        """Return the view of the case after *entries*, as far as this release can read them."""
        return fold(self.rules, subject, (fact for entry in entries if (fact := entry.fact) is not None))


async def audited(
    folder: BusFolder, *, signatures: Signatures = "all", progress: Callable[[int, int], None] | None = None
) -> Audited:
    """Read and verify the history of the bus in *folder* up to now; *progress* as in `HistoryReader.catch_up`.

    Raises:
        HistoryError: a record does not verify.
        BusError: no bus was made there, or it does not run.
    """
    directory, settings = await read_directory(folder), folder.settings
    history = History(directory, signatures=signatures)
    async with HistoryReader(folder.as_operator, settings.partitions, history) as reader:
        await reader.catch_up(progress=progress)
    return Audited(history, directory, rules_of(directory, settings.policy), settings.partitions)
