"""A bus without Kafka for the registrar's tests: agencies with real keys, their signed submissions, one shard."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from agencies import BUS, CASE, NOW, POLICY, SIGNAL, Town
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.shard import Decision, Shard
from nrmbus.registrar.spill_file import Scratch, Submission
from nrmbus.wire import ids, json, letter
from nrmbus.wire.envelope import decode, encode, with_letter
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import verify_registration


class Bus(Town):
    """Everybody on one bus, in memory."""

    def __init__(self, partitions: int = 1, bus: str = BUS) -> None:
        super().__init__(bus)
        self.partitions = partitions
        self.key = self.identities["registrar"].signing
        self.history: list[Record] = []
        self._sequences: dict[tuple[str, str], int] = {}
        self._offsets: dict[str, int] = {}
        self._salt = 0

    def shard(self, partition: int = 0, scratch: Scratch | None = None) -> Shard:
        """A shard that has seen nothing."""

        def salt() -> bytes:
            self._salt += 1
            return self._salt.to_bytes(16)

        return Shard(
            bus=self.bus,
            partition=partition,
            partitions=self.partitions,
            rules=self.rules,
            directory=self.directory,
            salt=salt,
            scratch=scratch,
        )

    def event(
        self, by: str, type_: str, data: dict[str, Any], *, case: str = CASE, at: datetime = NOW, **more: Any
    ) -> Event:
        """An event as *by*'s desk would write it."""
        version = more.pop("version", 1)
        sequence = more.pop("sequence", None) or self._sequences.get((by, case), 0) + 1
        self._sequences[by, case] = sequence
        return Event(
            id=more.pop("id", None) or ids.new_event_id(), source=by, type=type_, version=version, subject=case, time=at,
            recordedtime=more.pop("recordedtime", at), sequence=sequence, actor="S-1", policy=POLICY,
            data=data_type(type_, version).from_json(json.dumps(data)), **more,
        )  # fmt: skip

    def signed(
        self,
        event: Event,
        parts: Mapping[Part, Mapping[str, Any]] | None = None,
        to: Iterable[str] | Mapping[Part, Iterable[str]] = (),
    ) -> Record:
        """Sign *event*; seal each of *parts* to the sender and to *to*, which may list agencies by part."""
        if parts is None:
            return encode(event, self.identities[event.source].signing)
        due = to if isinstance(to, Mapping) else dict.fromkeys(parts, tuple(to))
        readers = {
            part: [
                (agency, self.identities[agency].sealing.seal_to)
                for agency in sorted({*due.get(part, ()), event.source})
            ]
            for part in parts
        }
        container = letter.seal(parts, readers, bus=self.bus, source=event.source, id=event.id, subject=event.subject)
        event = Event(**{**dict(event), "sealeddigest": letter.Container.parse(container).digest})
        return with_letter(encode(event, self.identities[event.source].signing), container)

    def take(self, shard: Shard, record: Record, *, owner: str, now: datetime = NOW) -> Decision:
        """Have *shard* decide in a transaction of its own; add its records to the history."""
        decision = self.decided(shard, record, owner=owner, now=now)
        self.commit(shard, [decision])
        return decision

    def decided(self, shard: Shard, record: Record, *, owner: str, now: datetime = NOW) -> Decision:
        """Have *shard* decide; `commit` has to follow."""
        offset = self._offsets.get(owner, -1) + 1
        self._offsets[owner] = offset
        return shard.take(decode(record), Coordinates(f"nrm.outbox.{owner}", shard.partition, offset), now)

    def commit(self, shard: Shard, decisions: Iterable[Decision]) -> None:
        """Sign the statements of one transaction, and add its records to the history."""
        outs = [out for decision in decisions for out in decision.outs]
        shard.sign(outs, self.key)
        self.history += [as_record(out) for out in outs if out.topic == "nrm.cases"]

    def say(
        self, shard: Shard, by: str, type_: str, data: dict[str, Any], *, now: datetime = NOW, **more: Any
    ) -> Decision:
        """Write, sign and submit one event without a letter."""
        return self.take(
            shard, self.signed(self.event(by, type_, data, at=more.pop("at", now), **more)), owner=by, now=now
        )

    def say_due(self, shard: Shard, type_: str, *, case: str = CASE) -> Decision:
        """Let the timekeeper say, when it is due, what of *type_* the history makes due."""
        found = shard.memory.case(case)
        assert found is not None
        due = next(each for each in self.rules.due(found.view) if each.type == type_)
        return self.say(shard, "timekeeper", type_, due.data.to_mapping(), now=due.at, case=case, causationid=due.cause)

    def consents(self, shard: Shard, to: str, *, case: str = CASE) -> Decision:
        """The person lets the NGO share what it knows with *to*."""
        data = {
            "purposes": ["services", "information_sharing"],
            "receivers": [to],
            "given_by": "individual",
            "form": "written",
        }
        return self.say(shard, "ngo-a", "consent.given", data, case=case)

    def signal(self, shard: Shard, **more: Any) -> Decision:
        """The first event of a case."""
        return self.say(shard, "ngo-a", "case.signal_recorded", SIGNAL, **more)


def as_record(out: Out) -> Record:
    """Return the records that a reader of the topic sees."""
    return Record(out.key, out.value, tuple(out.all_headers()))


def to(decision: Decision, agency: str) -> list[Out]:
    """Return the records of a decision for the inbox of *agency*."""
    return [out for out in decision.outs if out.topic == f"nrm.inbox.{agency}"]


def check_history(bus: Bus, live: Shard) -> Shard:
    """Whatever happened, a fold of the history is the live state: numbers, chains, inboxes, and every later answer.

    Called at the end of every test that touches history.
    """
    folded = bus.shard(live.partition)
    for record in bus.history:
        folded.memory.fold(record)
    folded.memory.check_head(lambda kid: {bus.key.kid: bus.key.verify_key}[kid])
    assert folded.memory.number == live.memory.number == len(bus.history)
    assert folded.memory.inbox_numbers == live.memory.inbox_numbers
    for agency in live.memory.inbox_numbers:  # the next delivery of each chain: its number and predecessor
        assert (
            folded.memory.next_delivery(agency, "0" * 64, b"").body
            == live.memory.next_delivery(agency, "0" * 64, b"").body
        )
    for subject in live.memory.subjects():
        then, now = folded.memory.case(subject), live.memory.case(subject)
        assert then is not None
        assert now is not None
        assert (then.view, then.sequences, then.heard_first.keys()) == (now.view, now.sequences, now.heard_first.keys())
    for record in bus.history:
        registration = verify_registration(dict(record.headers)[REGISTRATION], lambda _: bus.key.verify_key)
        submission = registration.source, registration.subject, registration.id
        assert answered(folded, submission) == answered(live, submission)
    return folded


def answered(shard: Shard, submission: Submission) -> tuple[str, bool, bytes, bytes]:
    """Return the answer of *shard* to the same bytes again, with its proofs."""
    known = shard.memory.answered(submission)
    assert known is not None
    return known.envelope, known.refused, known.registration.signed, known.receipt.signed
