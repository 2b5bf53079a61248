"""The history as an auditor reads it: every record of ``nrm.cases``, verified, and folds of it as of any moment.

`Verifier` and `History` are pure: records in, entries out. `HistoryReader` reads them from Kafka, `audited` a whole bus.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Literal, Self

from aiokafka import TopicPartition

from nrmbus.auditor.history.follower import Following
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
"""How long nothing may come of what is known to be in the topic."""

Signatures = Literal["all", "last"]
"""Which signatures are verified: every one, or the registrar's on the last registration of each partition.

By the chain of digests, the last one answers for all registrations before it, and each registration for its envelope
and audience. What "last" takes on trust is that the registrar verified each sender's signature when it registered.
"""

HistoryCode = Literal[
    "unreadable", "signature_invalid", "foreign", "chain_broken", "envelope_altered", "audience_altered", "envelope_missing",
]  # fmt: skip
"""Why a record does not verify: no registration or not its event; a signature; another bus or partition; out of its turn;
an envelope, or an audience, that was not registered; no envelope of a registered event."""

_CODES: Final[Mapping[FaultCode, HistoryCode]] = {
    "unreadable": "unreadable", "signature_invalid": "signature_invalid", "foreign": "foreign", "gap": "chain_broken",
    "duplicate": "chain_broken", "chain_broken": "chain_broken", "audience_missing": "unreadable",
    "audience_altered": "audience_altered", "envelope_missing": "envelope_missing", "envelope_unreadable": "unreadable",
    "envelope_altered": "envelope_altered",
}  # fmt: skip
_LOOK: Final = "look whether the bus runs and its broker answers: nrmbus topics check"


class HistoryError(BusError):
    """Raised when a record is not what it must be; ``code`` says why, the record is named by its place alone."""

    def __init__(self, partition: int, number: int, code: HistoryCode) -> None:
        super().__init__(
            f"The history does not verify at number {number} of partition {partition} ({code}): "
            "keep the broker's data as they are, and ask the bus's operator."
        )
        self.partition, self.number = partition, number
        self.code: HistoryCode = code


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration, what was said if it was registered, and who was told.

    ``said`` is the signed envelope, None of a refusal; ``event`` is read from it, and is None also where this release does
    not know its type or version: the history is whole without it, a fold of the case is not. ``signed`` is the
    registrar's statement as it lies in the topic.
    """

    registration: Registration
    said: Signed | None
    event: Event | None
    audience: Audience
    signed: bytes

    @property
    def fact(self) -> Fact | None:
        """The registered event as a folder meets it; None of a refusal, and of what this release cannot read."""
        if self.event is None:
            return None
        return Fact.of(self.event, self.audience.recipients, self.registration.time, self.registration.number)

    def concerns(self, agency: str) -> bool:
        """Whether *agency* said it or was told."""
        return agency == self.registration.source or (
            self.registration.verdict == "registered" and agency in self.audience.recipients
        )


class Verifier:
    """Takes the records of each partition in order, and lets nothing pass that is not what it must be.

    Of every record: the registrar's statement and its place in the chain, that envelope and audience are those that were
    registered, and, by *signatures*, who signed. The steps are those of `nrmbus.wire.history`.
    """

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self._directory, self._all = directory, signatures == "all"
        self._chains: dict[int, Chain] = {}
        self._unverified: dict[int, bytes] = {}
        """By partition, the signed registration that `check_last` has yet to verify."""

    def number(self, partition: int) -> int:
        """The last number taken of *partition*; 0 before the first."""
        chain = self._chains.get(partition)
        return chain.number if chain else 0

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*.

        Raises:
            HistoryError: it is not the next one, or not what was registered.
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
        """Verify who signed the last registration of each partition, where `take` did not.

        Raises:
            HistoryError: the registrar of this bus did not.
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
    """What was read so far, all of it verified; records come by `take`."""

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self.verifier: Final = Verifier(directory, signatures=signatures)
        self.entries: list[Entry] = []
        """Everything so far; the numbers of a partition in order."""
        self._by_subject: dict[str, list[Entry]] = {}

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*, and keep it; raises as `Verifier.take`."""
        entry = self.verifier.take(record, partition)
        self.entries.append(entry)
        self._by_subject.setdefault(entry.registration.subject, []).append(entry)
        return entry

    def spoken_of(self) -> tuple[str, ...]:
        """Every case and incident of which something was registered or refused, in the order in which they appear."""
        return tuple(self._by_subject)

    def subjects(self) -> tuple[str, ...]:
        """Every case and incident of which something was registered that this release can read."""
        return tuple(each for each, entries in self._by_subject.items() if any(entry.event for entry in entries))

    def about(self, subject: str, as_of: datetime | None = None) -> list[Entry]:
        """What was registered and refused of a case, up to *as_of*."""
        entries = self._by_subject.get(subject, [])
        return [entry for entry in entries if as_of is None or entry.registration.time <= as_of]

    def over(self, subject: str) -> Entry | None:
        """Return the entry that says that the time of *subject* is over, or None while the case is kept."""
        entries = self._by_subject.get(subject, ())
        return next((each for each in entries if each.event and ends_keeping(each.event)), None)

    def facts(self, subject: str) -> Iterator[Fact]:
        """The registered events of a case, in number order."""
        return (fact for entry in self._by_subject.get(subject, ()) if (fact := entry.fact) is not None)

    def of(self, agency: str, subject: str) -> Iterator[Fact]:
        """The events of a case that *agency* sent or received, in the order of its inbox."""
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
    """Reads ``nrm.cases`` from the start into a `History`. Use as an async context manager."""

    def __init__(self, where: Where, partitions: int, history: History) -> None:
        self.history = history
        self._following = Following(where, "nrm-history")
        self._partitions = [TopicPartition(CASES, number) for number in range(partitions)]

    async def start(self) -> None:
        """Begin to read."""
        await self._following.start()
        self._following.join(dict.fromkeys(self._partitions, 0))

    async def stop(self) -> None:
        """Read no more."""
        await self._following.stop()

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
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read what stands in the topic now: up to *numbers* of each partition, where the caller knows them.

        *told* hears after each batch how many records were taken, and of how many; in offsets, where no number is known.

        Raises:
            HistoryError: something does not verify.
            BusError: nothing came for *patience* seconds, though there is more.
        """
        loop = asyncio.get_running_loop()
        ends = {} if numbers is not None else await self._following.ends(self._partitions)
        left = before = total = await self._left(numbers, ends)
        until = loop.time() + patience
        while left:
            if left < before:
                before, until = left, loop.time() + patience
            elif loop.time() > until:
                raise BusError(f"What is left of the history did not come within {patience:.0f} s: {_LOOK}")
            await self._read()
            left = await self._left(numbers, ends)
            if told:
                told(total - left, total)
        self.history.verifier.check_last()

    async def _left(self, numbers: Mapping[str, int] | None, ends: Mapping[TopicPartition, int]) -> int:
        if numbers is not None:
            return sum(
                [max(0, end - self.history.verifier.number(int(partition))) for partition, end in numbers.items()]
            )
        return await self._following.left(ends)

    async def _read(self) -> None:
        for partition, records in (await self._following.take(200)).items():
            for each in records:
                self.history.take(each, partition.partition)


def rules_of(directory: Directory, policy: str) -> Rules:
    """The Rules under *policy* for the agencies of *directory*."""
    agencies = {name: Agency(name, entry.role, entry.supervisor) for name, entry in directory.entries.items()}
    return Rules(load_profile(policy), agencies)


def fold(rules: Rules, subject: str, facts: Iterable[Fact]) -> View:
    """The view that *facts* give."""
    view = rules.start(subject)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


@dataclass(frozen=True, slots=True)
class Audited:
    """The history of a bus, verified, with the directory that it was verified by and the Rules that it was judged by."""

    history: History
    directory: Directory
    rules: Rules
    partitions: int

    def view(self, subject: str, entries: Iterable[Entry]) -> View:
        """Where the case stands after *entries*, as far as this release can read them."""
        return fold(self.rules, subject, (fact for entry in entries if (fact := entry.fact) is not None))


async def audited(
    folder: BusFolder, *, signatures: Signatures = "all", told: Callable[[int, int], None] | None = None
) -> Audited:
    """Read and verify the history of the bus in *folder* as it stands now; *told* as in `HistoryReader.catch_up`.

    Raises:
        HistoryError: something does not verify.
        BusError: no bus was made or runs there.
    """
    directory, settings = await read_directory(folder), folder.settings
    history = History(directory, signatures=signatures)
    async with HistoryReader(folder.as_operator, settings.partitions, history) as reader:
        await reader.catch_up(told=told)
    return Audited(history, directory, rules_of(directory, settings.policy), settings.partitions)
