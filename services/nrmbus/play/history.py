"""The history as an auditor reads it: the records of ``nrm.cases``, and folds of them for whoever is compared with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from nrmbus.bus import clients
from nrmbus.directory import Directory
from nrmbus.events.model import Event, Fact
from nrmbus.rules import Agency, Rules, View, load_profile
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import Audience, Registration, verify_registration

CASES = "nrm.cases"
REGISTRAR = "registrar"


@dataclass(frozen=True, slots=True)
class Entry:
    """One registration, what was said if it was registered, and who was told.

    ``said`` is the signed envelope; ``event`` is read from it, and is None also where this release does not know its
    type or version: the history is whole without it, a fold of the case is not.
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


class History:
    """Reads ``nrm.cases`` from the start and keeps what it read; every registration's signature is verified."""

    def __init__(self, bootstrap: str, partitions: int, directory: Directory) -> None:
        self._consumer: AIOKafkaConsumer = clients.reader(bootstrap, client_id="nrm-history")
        self._partitions = [TopicPartition(CASES, number) for number in range(partitions)]
        self._directory = directory
        self._numbers: dict[int, int] = {}
        self.entries: list[Entry] = []
        """Everything read so far; the numbers of a partition in order."""

    async def start(self) -> None:
        """Begin to read."""
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_beginning(*self._partitions)

    async def stop(self) -> None:
        """Read no more."""
        await self._consumer.stop()

    async def catch_up(self, numbers: Mapping[str, int] | None = None) -> None:
        """Read what stands in the topic now: up to *numbers* of each partition, where the caller knows them."""
        if numbers is not None:
            while any(self._numbers.get(int(partition), 0) < number for partition, number in numbers.items()):
                await self._read()
            return
        ends = await self._consumer.end_offsets(self._partitions)
        while any([await self._consumer.position(each) < end for each, end in ends.items()]):
            await self._read()

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=200)).values():
            for each in records:
                entry = self._entry(Record(each.key, each.value, tuple(each.headers)))
                self._numbers[entry.registration.partition] = entry.registration.number
                self.entries.append(entry)

    def _entry(self, record: Record) -> Entry:
        envelope, added = record.split()
        registration = verify_registration(
            added[REGISTRATION], lambda kid: self._directory.any_verify_key(REGISTRAR, kid)
        )
        said = decode(envelope) if registration.verdict == "registered" else None
        event = None
        try:
            event = said.event() if said else None
        except WireError as error:
            if error.code not in ("unknown_type", "unknown_version"):
                raise
        return Entry(registration, said, event, Audience.parse(added[AUDIENCE]), added[REGISTRATION])

    def facts(self, subject: str | None = None) -> Iterator[Fact]:
        """The registered events of a case, or of all, in number order."""
        for entry in self.entries:
            fact = entry.fact
            if fact is not None and subject in (None, fact.event.subject):
                yield fact

    def subjects(self) -> tuple[str, ...]:
        """Every case and incident of which something was registered."""
        return tuple(dict.fromkeys(fact.event.subject for fact in self.facts()))

    def of(self, agency: str, subject: str) -> Iterator[Fact]:
        """The events of a case that *agency* sent or received, in the order of its inbox."""
        by_id = {fact.event.id: fact for fact in self.facts(subject)}
        for entry in self.entries:
            fact = entry.fact
            if fact is None or fact.event.subject != subject:
                continue
            for earlier in entry.audience.earlier.get(agency, ()):
                yield by_id[earlier]
            if agency in (fact.event.source, *fact.recipients):
                yield fact


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
