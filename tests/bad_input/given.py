"""A bus for malformed input: a real broker, one registrar process, and agencies whose bytes the tests choose."""

import asyncio
import contextlib
import json
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from agencies import POLICY, ROLES, SIGNAL
from brokers import Broker
from desk.live import STARTS, LiveBus
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Identity, Operator
from nrmbus.directory.admission import Newcomer, admit, home_of, read_directory
from nrmbus.directory.commands import publish
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type
from nrmbus.wire import ids, statement
from nrmbus.wire import json as wire_json
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container, seal
from nrmbus.wire.record import Record
from patience import PATIENCE

PARTITIONS: Final = 2
CANARY: Final = "CANARY-nobody-may-read-this-again"
CONSENT: Final = {
    "purposes": ["information_sharing", "services"], "receivers": ["special-unit"], "given_by": "individual",
    "form": "written",
}  # fmt: skip
REFERRAL: Final = {
    "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency", "services": [],
}  # fmt: skip
LETTER: Final[dict[Part, dict[str, Any]]] = {
    "coded": {}, "contact": {}, "identity": {"name": CANARY}, "money": {}, "story": {},
}  # fmt: skip
HERE: Final = {name: Newcomer(ROLES[name]) for name in ("ngo-a", "ngo-l", "special-unit", "vac", "statistics", "court")}


@dataclass(frozen=True, slots=True)
class Fate:
    """The outcome of one outbox record, with every record about it."""

    verdict: str
    code: str | None
    answer: dict[str, Any] | None
    registration: dict[str, Any] | None


Where = tuple[str, int, int]


class Post:
    """The bus. `submit` sends a record as it is and returns the outcome."""

    def __init__(self, folder: BusFolder) -> None:
        self.folder = folder
        self.identities = {name: Identity.at(home_of(folder, name), name) for name in HERE}
        self.good: list[tuple[str, str, str]] = []
        self.sent: list[Record] = []
        self.written: list[bytes] = []
        """Every record that the registrar wrote, as bytes."""
        self.fates: dict[Where, Fate] = {}
        self.registered: set[str] = set()
        self.delivered: set[tuple[str, str]] = set()
        """(agency, event id) of every delivery of a registered event."""
        self._quarantined: dict[Where, dict[str, Any]] = {}
        self._answers: dict[Where, dict[str, Any]] = {}
        # The tests send bytes that the client itself would refuse.
        self.producer = Producer(
            {"bootstrap.servers": folder.bootstrap, "message.max.bytes": 500_000_000, "linger.ms": 0, "log_level": 0}
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": folder.bootstrap, "group.id": "bad-input", "enable.auto.commit": False,
                "isolation.level": "read_committed", "auto.offset.reset": "earliest", "log_level": 0,
                "fetch.wait.max.ms": 50,
            }
        )  # fmt: skip
        topics = ["nrm.cases", *(f"nrm.inbox.{name}" for name in HERE)]
        assigned = [TopicPartition(name, number, 0) for name in topics for number in range(PARTITIONS)]
        self._consumer.assign([*assigned, TopicPartition("nrm.quarantine", 0, 0)])

    def close(self) -> None:
        """Let the clients go."""
        self._consumer.close()

    # -- making ------------------------------------------------------------------------------------------------------

    def event(
        self,
        by: str,
        type_: str,
        data: dict[str, Any],
        *,
        case: str,
        sequence: int = 1,
        at: datetime = STARTS,
        **more: Any,
    ) -> Event:
        """An event as *by*'s desk would write it."""
        return Event(
            id=more.pop("id", None) or ids.new_event_id(), source=by, type=type_, version=1, subject=case, time=at,
            recordedtime=at, sequence=sequence, actor="S-1", policy=POLICY,
            data=data_type(type_, 1).from_json(wire_json.dumps(data)), **more,
        )  # fmt: skip

    def signal(self, by: str = "ngo-a", case: str | None = None, **more: Any) -> Record:
        """The first event of a case, signed by who says it."""
        event = self.event(by, "case.signal_recorded", SIGNAL, case=case or ids.new_ref(), **more)
        return encode(event, self.identities[by].signing)

    def ready_to_refer(self) -> str:
        """A case of which ngo-a may tell the special unit."""
        case = ids.new_ref()
        consent = self.event("ngo-a", "consent.given", CONSENT, case=case, sequence=2)
        for record in (self.signal(case=case), encode(consent, self.identities["ngo-a"].signing)):
            assert self.submit(record).verdict == "registered"
        return case

    def referral(
        self,
        case: str,
        *,
        readers: Sequence[str] = ("special-unit",),
        to: str = "special-unit",
        retired: SealingKey | None = None,
    ) -> Record:
        """A referral whose letter is sealed as is right, unless told otherwise: *retired* is the key used for its reader."""
        event = self.event(
            "ngo-a", "referral.submitted", {**REFERRAL, "to": [to]}, case=case, sequence=3, referral=ids.new_ref(),
            legalbasis="CoM 21/2008 art. 7",
        )  # fmt: skip
        seal_to = {name: each.sealing.seal_to for name, each in self.identities.items()}
        if retired is not None:
            seal_to["special-unit"] = retired.seal_to
        own = ("ngo-a", seal_to["ngo-a"])
        audience = {part: sorted([own, *((name, seal_to[name]) for name in readers)]) for part in LETTER}
        audience |= {"money": [own], "coded": sorted([*audience["coded"], ("statistics", seal_to["statistics"])])}
        container = seal(LETTER, audience, bus=self.folder.settings.bus, source="ngo-a", id=event.id, subject=case)
        event = Event(**{**dict(event), "sealeddigest": Container.parse(container).digest})
        return with_letter(encode(event, self.identities["ngo-a"].signing), container)

    # -- sending -----------------------------------------------------------------------------------------------------

    def partition_of(self, record: Record) -> int:
        """Where a record of its key belongs; anywhere for one without."""
        return 0 if record.key is None else ids.partition_of(record.key.decode("utf-8", "replace"), PARTITIONS)

    def send(self, record: Record, owner: str = "ngo-a", partition: int | None = None) -> Where:
        """Put *record* into the outbox of *owner* as it is; answers where it lies."""
        return self.put([record], owner, self.partition_of(record) if partition is None else partition)[0]

    def put(
        self, records: Sequence[Record], owner: str, partition: int, producer: Producer | None = None
    ) -> list[Where]:
        """Put many into the outbox of *owner*; answers where each lies. Raises `KafkaError`'s text if the broker refused."""
        done: list[tuple[KafkaError | None, Message]] = []
        sender = producer or self.producer
        topic = f"nrm.outbox.{owner}"
        for each in records:
            sender.produce(
                topic, value=each.value, key=each.key, headers=list(each.headers), partition=partition,
                on_delivery=lambda error, message: done.append((error, message)),
            )  # fmt: skip
            sender.poll(0)
        self.sent += records
        sender.flush(PATIENCE)
        errors = [error.name() for error, _ in done if error is not None]
        assert not errors, errors
        return [(topic, partition, message.offset() or 0) for _, message in done]

    def submit(self, record: Record, owner: str = "ngo-a", partition: int | None = None) -> Fate:
        """Send *record* and wait for what becomes of it."""
        return self.fate(self.send(record, owner, partition))

    def fate(self, where: Where) -> Fate:
        """Return the outcome of the record at *where*."""
        self.until(lambda: where in self.fates, f"no word about {where}")
        fate = self.fates[where]
        # A record that got no number never gets one later.
        assert (fate.answer is None) == (fate.verdict in {"registered", "refused"})
        return fate

    def goes_on(self, by: str = "ngo-a") -> None:
        """Send a good event on each partition, and wait until both are registered."""
        records: dict[int, Record] = {}
        while len(records) < PARTITIONS:
            record = self.signal(by)
            records.setdefault(self.partition_of(record), record)
        good = [dict(each.headers)["ce_id"].decode() for each in records.values()]
        for partition, each in records.items():
            self.put([each], by, partition)
            self.good.append((by, (each.key or b"").decode(), dict(each.headers)["ce_id"].decode()))
        self.until(lambda: self.registered.issuperset(good), "a good event behind a bad one was not registered")

    # -- reading -----------------------------------------------------------------------------------------------------

    def until(self, holds_now: Any, what: str, seconds: float = PATIENCE) -> None:
        """Read on until *holds_now*."""
        end = time.monotonic() + seconds
        while not holds_now():
            assert time.monotonic() < end, f"{what}\n{self.log()[-2000:]}"
            self.read()

    def read(self) -> None:
        """Take in what the registrar wrote meanwhile."""
        for message in self._consumer.consume(1000, timeout=0.02):
            assert message.error() is None, message.error()
            self._take(message)

    def _take(self, message: Message) -> None:
        headers = {str(each[0]): each[1] for each in message.headers() or [] if isinstance(each[1], bytes)}
        value = message.value() or b""
        self.written.append(b"\n".join([message.key() or b"", value, *headers.values()]))
        topic = str(message.topic())
        if topic == "nrm.cases":
            self._registered(headers)
        elif topic == "nrm.quarantine":
            entry = json.loads(value)
            self._quarantined[entry["topic"], entry["partition"], entry["offset"]] = entry
            self._join(entry)
        elif "nrm_answer" in headers:
            answer = _payload(headers["nrm_answer"])
            self._answers[answer["topic"], answer["partition"], answer["offset"]] = answer
            self._join(answer)
        elif "ce_id" in headers:
            self.delivered.add((topic.removeprefix("nrm.inbox."), headers["ce_id"].decode()))

    def _registered(self, headers: dict[str, bytes]) -> None:
        said = json.loads(statement.body_of("registration", headers["nrm_registration"]))
        topic, _, offset = headers["nrm_submitted"].decode().rpartition(":")
        self.fates[topic, said["partition"], int(offset)] = Fate(said["verdict"], said.get("code"), None, said)
        if said["verdict"] == "registered":
            self.registered.add(said["id"])

    def _join(self, one: dict[str, Any]) -> None:
        where = (one["topic"], one["partition"], one["offset"])
        entry, answer = self._quarantined.get(where), self._answers.get(where)
        if answer is None:
            return
        if answer["code"] == "sequence_gap":
            self.fates[where] = Fate("answered", answer["code"], answer, None)
        elif entry is not None:
            # Entry and answer speak of the same bytes; the entry holds nothing else.
            assert (entry["code"], entry["sha256"]) == (answer["code"], answer["sha256"])
            assert entry.keys() == {"topic", "partition", "offset", "size", "sha256", "code"}
            self.fates[where] = Fate("quarantined", entry["code"], answer, None)

    def log(self) -> str:
        """All that the registrar wrote to its log."""
        return (self.folder.logs / "registrar.log").read_text()


def _payload(statement: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b64decode(json.loads(statement)["payload"]))
    return body


@contextlib.contextmanager
def posted(broker: Broker) -> Iterator[tuple[Post, SealingKey]]:
    """A bus with its registrar running, and the sealing key that the special unit no longer uses."""
    folder = broker.fresh_bus(partitions=PARTITIONS)
    retired = asyncio.run(_admitted(folder))
    services = LiveBus(folder)
    services.start("registrar")
    post = Post(folder)
    try:
        post.goes_on()
        yield post, retired
    finally:
        post.close()
        services.stop()


async def _admitted(folder: BusFolder) -> SealingKey:
    home = folder.agency("special-unit").path
    await admit(folder, HERE, STARTS)
    retired = Identity.at(home, "special-unit").sealing
    (home / "keys" / "sealing.seed").unlink()
    identity, directory = Identity.at(home, "special-unit"), await read_directory(folder)
    rotated = Operator(folder.path).entry(directory, identity, ROLES["special-unit"], STARTS)
    assert rotated is not None
    await publish(folder, [rotated])
    async with clients.producer(folder.bootstrap) as producer:
        await tick_clock(producer, 1, STARTS)
    return retired
