"""A desk without Kafka: a town of agencies with real keys, a small registrar that says yes or no, and one desk."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from inspect import iscoroutinefunction
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import httpx
from aiokafka import ConsumerRecord, TopicPartition
from faststream.kafka import TestKafkaBroker
from sqlalchemy import select
from starlette.types import ASGIApp, Receive, Scope, Send

from agencies import CASE, NOW, Town, town
from desk.documented import judge
from desk.kept import place_at
from nrmbus.desk.desk import Desk
from nrmbus.desk.http.door import Token, routed
from nrmbus.desk.http.scopes import LOCAL, SCOPES, Caller
from nrmbus.desk.http.served import Door
from nrmbus.desk.inbox.broker import make_broker, make_inbox
from nrmbus.desk.inbox.release import release
from nrmbus.desk.procedure.handlers import Inbox
from nrmbus.desk.procedure.interface import Settings
from nrmbus.desk.procedure.roles import procedure_of
from nrmbus.desk.relay import Relay
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type
from nrmbus.wire import ids, json, letter
from nrmbus.wire.envelope import decode, encode, with_letter
from nrmbus.wire.record import ANSWER, DELIVERY, REGISTRATION, Record
from nrmbus.wire.registration import (
    NOTHING_BEFORE,
    Answer,
    Delivery,
    Policy,
    Registration,
    sign_answer,
    sign_delivery,
    sign_registration,
)
from patience import eventually

_T = TypeVar("_T")

REF = "cd" * 16
CANARY = "CANARY-a name that must stay sealed"
TOKEN = "a-token-of-the-door"
CALLERS: dict[str | None, Caller] = {
    f"Bearer {TOKEN}": LOCAL,
    "Bearer a-token-to-nothing": Caller("to-nothing", frozenset()),
    **{f"Bearer a-token-to-{scope}": Caller(f"to-{scope}", frozenset([scope])) for scope in SCOPES},
}
"""The callers that every desk here knows, by their Authorization header: one with every scope, one with none, and one for each scope."""
BED = {"to": ["shelter"], "urgency": "emergency"}


class StandingClock:
    """Shows one time until it is told another."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        """Return the time."""
        return self.time


@dataclass
class Read(ConsumerRecord):  # type: ignore[misc]  # aiokafka has no types
    """A consumed record that remembers whether its offset was committed or the record was read again."""

    consumer: "Offsets"


@dataclass(eq=False)
class Offsets:
    """Stands for the consumer of one record."""

    committed: int = 0
    again: list[int] = field(default_factory=list)
    behind: list[Any] = field(default_factory=list)
    """Records that have arrived and wait behind the first one."""

    async def commit(self, offsets: object) -> None:
        """Count a commit."""
        del offsets
        self.committed += 1

    def seek(self, partition: object, offset: int) -> None:
        """Note where reading goes on."""
        del partition
        self.again.append(offset)

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Return the records that wait behind the first one."""
        del timeout_ms
        taken, self.behind = self.behind[:max_records], self.behind[max_records:]
        found = dict[TopicPartition, list[Any]]()
        for each in taken:
            found.setdefault(TopicPartition(each.topic, each.partition), []).append(each)
        return found


class FakeRegistrar:
    """Numbers, signs and delivers as the registrar does, and decides what the test says."""

    def __init__(self, town: Town, partition: int = 0) -> None:
        self.town, self.partition, self.number, self._previous = town, partition, 0, NOTHING_BEFORE
        self._chains: dict[str, tuple[int, str]] = {}
        self._offsets: dict[str, int] = {}
        self._sequences: dict[tuple[str, str], int] = {}
        self.time = NOW
        self._key = town.identities["registrar"].signing

    def event(
        self, by: str, type_: str, data: Mapping[str, Any], *, case: str = CASE, parts: Mapping[str, Any] | None = None,
        opens: Sequence[str] = (), **more: Any,
    ) -> Record:  # fmt: skip
        """Return a signed record as *by*'s desk would send it, with a letter of *parts* that *opens* and the sender can open.

        In version 1 of its type, unless *more* says another ``version``.
        """
        version = more.pop("version", 1)
        sequence = more.pop("sequence", None) or self._sequences.get((by, case), 0) + 1
        self._sequences[by, case] = sequence
        said = data_type(type_, version).from_json(json.dumps(data))
        id, container, digest = more.pop("id", None) or ids.new_event_id(), None, None
        if parts is not None and said.letter is not None:
            whole: dict[Part, dict[str, Any]] = {part: {} for part in said.letter.part_names()}
            whole |= parts  # type: ignore[arg-type]  # the test's parts
            readers = [(each, self.town.identities[each].sealing.seal_to) for each in (by, *opens)]
            container = letter.seal(
                whole, dict.fromkeys(whole, readers), bus=self.town.bus, source=by, id=id, subject=case
            )
            digest = letter.Container.parse(container).digest
        event = Event(
            id=id, source=by, type=type_, version=version, subject=case, time=more.pop("time", self.time), recordedtime=self.time,
            sequence=sequence, actor="S-1", policy=self.town.rules.profile.name, data=said, sealeddigest=digest, **more,
        )  # fmt: skip
        record = encode(event, self.town.identities[by].signing)
        return record if container is None else with_letter(record, container)

    def register(self, submitted: Record, *, to: str) -> Read:
        """Register *submitted*; return the delivery to *to*: the receipt, or the event with *to*'s copy of the letter."""
        signed = decode(submitted)
        registration = self._registration(submitted)
        container = signed.letter(whole=False) if signed.source != to and signed.letter_bytes else None
        kept = submitted.without_letter()
        copy = (("nrm_letter", container.copy_for(to)),) if container else ()
        return self._deliver(to, registration, Record(kept.key, kept.value, (*kept.headers, *copy)))

    def refuse(self, submitted: Record, code: str, rule: str = "G-30", **more: Any) -> Read:
        """Refuse *submitted*; return the sender's receipt."""
        registration = self._registration(submitted, verdict="refused", code=code, rule=rule, article="[D]", **more)
        return self._deliver(registration.source, registration, Record(submitted.key, b"", ()))

    def answer(self, submitted: Record, code: str, **more: Any) -> Read:
        """Answer *submitted* without a number."""
        to = decode(submitted).source
        answer = Answer(
            bus=self.town.bus, to=to, partition=self.partition, time=self.time, code=code, topic=f"nrm.outbox.{to}", offset=0,
            sha256=submitted.digest(), **more,
        )  # fmt: skip
        return self._consumed(to, Record(submitted.key, b"", ((ANSWER, sign_answer(answer, self._key)),)))

    def _registration(self, submitted: Record, **more: Any) -> Registration:
        signed, profile = decode(submitted), self.town.rules.profile
        self.number += 1
        body: dict[str, Any] = {
            "bus": self.town.bus, "partition": self.partition, "number": self.number, "time": self.time, "source": signed.source,
            "subject": signed.subject, "id": signed.id, "sequence": signed.sequence, "envelope": signed.digest,
            "key": signed.kid, "verdict": "registered", "policy": Policy(name=profile.name, digest=profile.digest),
            "audience": "0" * 64, "previous": self._previous,
        }  # fmt: skip
        registration = Registration(**body | more)
        self._previous = registration.digest
        return registration

    def _deliver(self, to: str, registration: Registration, envelope: Record) -> Read:
        number, previous = self._chains.get(to, (0, NOTHING_BEFORE))
        delivery = Delivery(
            bus=self.town.bus,
            to=to,
            partition=self.partition,
            inbox_number=number + 1,
            registration=registration.digest,
            previous=previous,
        )
        self._chains[to] = (number + 1, delivery.digest)
        said = (
            (REGISTRATION, sign_registration(registration, self._key)),
            (DELIVERY, sign_delivery(delivery, self._key)),
        )
        return self._consumed(to, Record(envelope.key, envelope.value, (*envelope.headers, *said)))

    def _consumed(self, to: str, record: Record) -> Read:
        offset = self._offsets.get(to, 0)
        self._offsets[to] = offset + 1
        return consumed(record, to=to, partition=self.partition, offset=offset)


def consumed(record: Record, *, to: str, partition: int = 0, offset: int = 0) -> Read:
    """Return *record* as a consumer delivers it."""
    return Read(
        topic=f"nrm.inbox.{to}", partition=partition, offset=offset, timestamp=0, timestamp_type=0, key=record.key,
        value=record.value, checksum=None, serialized_key_size=0, serialized_value_size=0, headers=record.headers,
        consumer=Offsets(),
    )  # fmt: skip


@dataclass
class Given:
    """A desk wired as in its process, with outgoing and incoming records under the test's control."""

    town: Town
    registrar: FakeRegistrar
    desk: Desk
    inbox: Inbox
    relay: Relay
    clock: StandingClock
    sent: list[Record]
    door: httpx.AsyncClient
    behind: Door

    async def ask(self, **event: Any) -> dict[str, Any]:
        """Publish *event* at the door; return the answer, which must not be an error."""
        answer = await self.door.post("/v1/events", json={"actor": "S-1", "case": CASE} | event)
        assert answer.status_code in {200, 202}, answer.text
        return dict(answer.json())

    async def out(self) -> list[Record]:
        """Let the relay work once; return the sent records."""
        before = len(self.sent)
        await self.relay.once()
        return self.sent[before:]

    async def said(self, **event: Any) -> Record:
        """Publish *event* and have it sent; return the record in the outbox topic."""
        await self.ask(**event)
        (record,) = await self.out()
        return record

    async def registered(self, **event: Any) -> Record:
        """Publish *event* and have it registered as part of the case."""
        record = await self.said(**event)
        await self.hear(self.registrar.register(record, to=self.desk.seat.me))
        return record

    async def hear(self, record: Read) -> None:
        """Let the desk read *record* once; raise the handler's error."""
        await self.inbox.process_message(record)

    async def during(self, request: Awaitable[_T]) -> _T:
        """Return the answer to *request*, a browser's or the door's, while the registrar registers all that the desk sends."""
        asking = asyncio.ensure_future(request)
        while not asking.done():
            await asyncio.wait([asking], timeout=0.01)
            await self.settle()
        return asking.result()

    async def settle(self) -> None:
        """Have everything registered that the desk wants to send."""
        while sent := await self.out():
            for record in sent:
                await self.hear(self.registrar.register(record, to=self.desk.seat.me))

    async def read(self, **how: str | bool) -> list[dict[str, Any]]:
        """Return the inbox as a person reads it, letters opened."""
        asked: dict[str, str | bool] = {"open": True, "actor": "S-1", **how}
        answer = await self.during(self.door.get("/v1/inbox", params=asked))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["events"])

    async def rows(self, table: str) -> list[Any]:
        """Return every row of a table of the ledger."""
        with self.desk.seat.ledger.read() as tx:
            found = tables.METADATA.tables[table]
            return list(tx.execute(select(found).order_by(*found.primary_key.columns)).all())


async def behind_a_revocation(
    here: Given, name: str, *requests: Coroutine[Any, Any, httpx.Response]
) -> list[httpx.Response]:
    """Return the answers to *requests*, which all wait for the ledger behind the revocation of the token *name*."""
    ledger = here.desk.seat.ledger

    def waiting() -> int:
        return len(ledger._turn._waiters or ()) + len(ledger._waiting)

    async def waits(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        before, task = waiting(), asyncio.create_task(work)
        await eventually("it waits for the ledger, or is done", lambda: waiting() > before or task.done())
        return task

    async with ledger.write():
        revocation = await waits(here.behind.tokens.revoke(name, "door.json"))
        asking = [await waits(request) for request in requests]
    await revocation
    return [await each for each in asking]


def killed_at_call(step: Any, turn: int, error: type[BaseException], *, after: bool = False) -> Any:
    """Return *step*, plain or a coroutine, that raises *error* from call *turn* on, before or *after* the call's work."""
    calls = count()

    def plain(*args: Any, **more: Any) -> Any:
        kill = next(calls) >= turn
        done = step(*args, **more) if after or not kill else None
        if kill:
            raise error
        return done

    async def waiting(*args: Any, **more: Any) -> Any:
        kill = next(calls) >= turn
        done = await step(*args, **more) if after or not kill else None
        if kill:
            raise error
        return done

    return waiting if iscoroutinefunction(step) else plain


_ROUTED: Final = routed()
"""The routes that all desks share: FastAPI takes longer to make them than a test takes."""


def _at(door: Door) -> ASGIApp:
    """Return the HTTP application of *door*."""
    holds = door.tokens.holds
    door.tokens.holds = lambda caller: caller in CALLERS.values() or holds(caller)  # type: ignore[method-assign]
    guarded = Token(
        _ROUTED, lambda given: CALLERS.get(given) or door.tokens.caller_of(given),
        holds=door.tokens.holds, role=door.seat.role,
    )  # fmt: skip

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"door": door}
        await guarded(scope, receive, send)

    return asked


@asynccontextmanager
async def desk_of(
    agency: str, home: Path, *, registrar: FakeRegistrar | None = None, speaks: Mapping[str, int] = MappingProxyType({})
) -> AsyncIterator[Given]:
    """Yield the desk of *agency* with its ledger at *home*, which a second call continues; its system *speaks* these versions."""
    registrar = registrar or FakeRegistrar(town())
    here, clock, sent = registrar.town, StandingClock(), []
    ledger = await Ledger.open(await place_at(home / "ledger.sqlite"), bus=here.bus, agency=agency)
    seat = Seat(
        bus=here.bus, identity=here.identities[agency], ledger=ledger, directory=here.directory, rules=here.rules,
        agencies=here.agencies, clock=clock, procedure=procedure_of(here.agencies[agency].role),
    )  # fmt: skip
    desk = Desk(seat)
    await desk.load(Settings(capacity={"women": 1}, speaks=dict(speaks)))
    broker = make_broker("127.0.0.1:1", agency, desk)
    inbox = make_inbox(broker, desk)

    async def send(record: Record) -> None:
        sent.append(record)

    relay = Relay(desk, send)
    relay.caught_up.set()

    async def health() -> dict[str, Any]:
        return {"ready": True, "tick": 7, "lag": 0}

    door = Door(desk, health=health, release=partial(release, desk, inbox))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(_at(door), raise_app_exceptions=False),
        base_url="http://desk", headers={"authorization": f"Bearer {TOKEN}"}, event_hooks={"response": [judge]},
    )  # fmt: skip
    try:
        async with TestKafkaBroker(broker, connect_only=False), client:
            yield Given(here, registrar, desk, inbox, relay, clock, sent, client, door)
    finally:
        await ledger.close()
