"""The history as an auditor reads it: every record of ``nrm.cases``, verified, and folds of it as of any moment.

`Verifier` and `History` are pure: records in, entries out. `HistoryReader` reads them from Kafka, `audited` a whole bus.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.directory import Directory
from nrmbus.directory.admission import read_directory
from nrmbus.events.errors import EventError
from nrmbus.events.model import Event, Fact
from nrmbus.rules import Agency, Rules, View, ends_keeping, load_profile
from nrmbus.wire import statement
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import VerifyKey
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import NOTHING_BEFORE, Audience, Registration

CASES: Final = "nrm.cases"
REGISTRAR: Final = "registrar"
PATIENCE_SECONDS: Final = 30.0
"""How long nothing may come of what is known to be in the topic."""

_Stated = TypeVar("_Stated", Registration, Audience)

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

_OTHER_RELEASE: Final = ("unknown_type", "unknown_version")
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


@dataclass(slots=True)
class _Chain:
    """How far a partition was read; ``last`` is the signed registration that `Verifier.check_last` has yet to verify."""

    number: int = 0
    digest: str = NOTHING_BEFORE
    last: bytes | None = None


class Verifier:
    """Takes the records of each partition in order, and lets nothing pass that is not what it must be.

    Of every record: the registrar's word and its place in the chain, that envelope and audience are those that were
    registered, and, by *signatures*, who signed.
    """

    def __init__(self, directory: Directory, *, signatures: Signatures = "all") -> None:
        self._directory, self._all = directory, signatures == "all"
        self._chains: dict[int, _Chain] = {}

    def number(self, partition: int) -> int:
        """The last number taken of *partition*; 0 before the first."""
        chain = self._chains.get(partition)
        return chain.number if chain else 0

    def take(self, record: Record, partition: int) -> Entry:
        """Verify the next record of *partition*.

        Raises:
            HistoryError: it is not the next one, or not what was registered.
        """
        chain = self._chains.setdefault(partition, _Chain())
        entry = None
        code: HistoryCode = "unreadable"
        try:
            entry = self._entry(record, partition, chain)
        except (WireError, EventError) as error:
            if isinstance(error, WireError) and error.code == "signature_invalid":
                code = "signature_invalid"
        if entry is None:  # raised out here: what was caught may hold what came in
            raise HistoryError(partition, chain.number + 1, code)
        return entry

    def check_last(self) -> None:
        """Verify who signed the last registration of each partition, where `take` did not.

        Raises:
            HistoryError: the registrar of this bus did not.
        """
        for partition, chain in self._chains.items():
            if chain.last is None:
                continue
            try:
                statement.verify_bytes("registration", chain.last, self._registrar)
                chain.last = None
            except WireError:
                pass
            if chain.last is not None:
                raise HistoryError(partition, chain.number, "signature_invalid")

    def _registrar(self, kid: str) -> VerifyKey:
        return self._directory.any_verify_key(REGISTRAR, kid)

    def _entry(self, record: Record, partition: int, chain: _Chain) -> Entry:
        envelope, added = record.split()
        if REGISTRATION not in added or AUDIENCE not in added:
            raise WireError("unreadable")
        signed = added[REGISTRATION]
        if self._all:
            body, _ = statement.verify_bytes("registration", signed, self._registrar)
        else:
            body = statement.body_of("registration", signed)
        registration = _read(Registration, body, strictly=self._all)
        if (registration.bus, registration.partition) != (self._directory.bus, partition):
            raise HistoryError(partition, chain.number + 1, "foreign")
        if (registration.number, registration.previous) != (chain.number + 1, chain.digest):
            raise HistoryError(partition, chain.number + 1, "chain_broken")
        if sha256(added[AUDIENCE]).hexdigest() != registration.audience:
            raise HistoryError(partition, chain.number + 1, "audience_altered")
        if registration.verdict == "refused" and (envelope.headers or envelope.value):
            raise HistoryError(partition, chain.number + 1, "envelope_altered")
        said = self._said(envelope, registration) if registration.verdict == "registered" else None
        event = None
        try:
            event = said.event() if said else None
        except WireError as error:
            if error.code not in _OTHER_RELEASE:
                raise
        told = _read(Audience, added[AUDIENCE], strictly=self._all)
        entry = Entry(registration, said, event, told, signed)
        chain.number, chain.digest = registration.number, sha256(body).hexdigest()
        chain.last = None if self._all else signed
        return entry

    def _said(self, envelope: Record, registration: Registration) -> Signed:
        if not envelope.headers and not envelope.value:
            raise HistoryError(registration.partition, registration.number, "envelope_missing")
        said = decode(envelope)
        named = (said.digest, said.id, said.source, said.subject, said.kid)
        if not said.fits or named != (
            registration.envelope, registration.id, registration.source, registration.subject, registration.key,
        ):  # fmt: skip
            raise HistoryError(registration.partition, registration.number, "envelope_altered")
        if self._all:
            said.verify(self._directory.any_verify_key(said.source, said.kid))
        return said


def _read(kind: type[_Stated], raw: bytes, *, strictly: bool) -> _Stated:
    """A statement; what a chain of digests answers for is spelled as the registrar spelled it, so it is only read."""
    read = None
    try:
        read = kind.parse(raw) if strictly else kind.model_validate_json(raw)
    except ValidationError:
        read = None
    if read is None:  # raised out here: pydantic's error holds what came in
        raise WireError("unknown_field")
    return read


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
        self._consumer: AIOKafkaConsumer = clients.reader(where, client_id="nrm-history")
        self._partitions = [TopicPartition(CASES, number) for number in range(partitions)]

    async def start(self) -> None:
        """Begin to read."""
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)

    async def stop(self) -> None:
        """Read no more."""
        await self._consumer.stop()

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
        ends = {} if numbers is not None else await self._consumer.end_offsets(self._partitions)
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
        return sum([max(0, end - await self._consumer.position(each)) for each, end in ends.items()])

    async def _read(self) -> None:
        for partition, records in (await self._consumer.getmany(timeout_ms=200)).items():
            for each in records:
                self.history.take(Record(each.key, each.value, tuple(each.headers)), partition.partition)


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
