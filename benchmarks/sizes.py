"""Cost of one event when a thousand, ten thousand, a hundred thousand cases lie behind it: registrar, desk, replay.

One thread and no broker: Kafka's client costs the same however many cases there are. The state is that of one registrar, one
desk and one reader of the history, which know the same cases. A signal opens a case; a consent, its second event, is measured.
"""

import asyncio
import gc
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from aiokafka import ConsumerRecord
from sqlalchemy import insert
from structlog.testing import capture_logs
from town import Town

from nrmbus.auditor.history.history import History, fold
from nrmbus.desk.desk import Desk
from nrmbus.desk.http import request as event_request
from nrmbus.desk.inbox.transaction import InboxTransaction
from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import Result
from nrmbus.desk.relay import Relay
from nrmbus.desk.state.cases import pack
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, Position
from nrmbus.play.load import Agency, Submission
from nrmbus.registrar.app import GARBAGE
from nrmbus.registrar.batch import check, read
from nrmbus.registrar.records import Out
from nrmbus.registrar.spill_file import Scratch
from nrmbus.wire import ids, times
from nrmbus.wire.envelope import decode
from nrmbus.wire.names import CASES, inbox_of
from nrmbus.wire.record import DELIVERY, REGISTRATION, Record

SIZES: Final = (1_000, 10_000, 100_000)
MILLION: Final = (*SIZES, 1_000_000)
"""With `--million`."""
SENDER: Final = "ngo-l"
BATCH: Final = 400
"""Submissions in a transaction while the state grows: as many as a busy registrar takes."""
COUNTED: Final = 50
BATCHES: Final = 9
"""Batches of `COUNTED` events of each row and size; their median is reported, so that other work on the machine counts less."""
LATELY: Final = 500
"""Cases that were opened last."""
_SIGNAL: Final = {
    "type": "case.signal_recorded", "actor": "S-1",
    "data": {
        "detector": "ngo_legal", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sized:
    """Microseconds of CPU an event at one number of cases."""

    cases: int
    lately: float
    """The registrar, of a case opened lately."""
    anywhere: float
    """The registrar, of any case at random: most lie in its spill file."""
    desk: float
    replay: float


class _Growing:
    """Registrar, desk and reader of one bus, and how many cases they know."""

    def __init__(self, town: Town, home: Path, ledger: Ledger, now: datetime) -> None:
        self._now, self._town = now, town
        self._shard = town.shard(Scratch(home / "scratch"))  # on disk, as the registrar has it
        self._key, self._offset, self._inbox = town.identities["registrar"].signing, 0, 0
        (self._agency,) = town.agencies(0, (SENDER,))
        self._agency = Agency(self._agency.identity, self._agency.receiver, [])
        self.cases = list[str]()
        self._history = History(town.directory, signatures="last")
        self._dice = random.Random(1)  # noqa: S311 - picks cases, guards nothing
        self._sent = list[Record]()
        self._seat = Seat(
            bus=town.bus, identity=town.identities[SENDER], ledger=ledger, directory=town.directory, rules=town.rules,
            agencies={}, clock=SimpleNamespace(now=lambda: now),
        )  # fmt: skip
        self._desk = Desk(self._seat)
        self._relay = Relay(self._desk, self._send)
        self._relay.caught_up.set()

    async def _send(self, record: Record) -> None:
        self._sent.append(record)

    # -- the registrar ---------------------------------------------------------------------------------------------------

    async def grow(self, count: int) -> None:
        """Have signals of new cases registered, heard by the desk and read from the history, until there are *count* cases."""
        while len(self.cases) < count:
            new = [ids.new_ref() for _ in range(min(BATCH, count - len(self.cases)))]
            _, outs = self._taken([self._agency.submit(each, self._now, 1) for each in new])
            self._read(outs)
            await self._stored(outs)
            self.cases += new

    def _taken(self, batch: Sequence[Submission]) -> tuple[float, list[Out]]:
        """Read, verify, judge and sign *batch* as the registrar does; return its CPU seconds, and the records."""
        came = [self._came(each.topic, each.record) for each in batch]
        started = time.process_time()
        incoming = list(map(read, came))
        checked = [check(each, self._town.directory, self._now) for each in incoming]
        decided = [self._shard.take(each.signed, each.at, self._now) for each in incoming if each.signed]
        outs = [out for each in decided for out in each.outs]
        self._shard.sign(outs, self._key)
        took = time.process_time() - started
        assert not any(each.code for each in checked)
        assert [each.outcome for each in decided] == ["registered"] * len(batch)
        return took, outs

    def _came(self, topic: str, record: Record) -> Any:
        self._offset += 1
        return ConsumerRecord(topic, 0, self._offset, 0, 0, record.key, record.value, None, 0, 0, record.headers)

    async def registered(self, cases: Sequence[str]) -> tuple[float, float]:
        """Return the microseconds of CPU for the second event of *cases*, at random: at the registrar, and read again."""
        taking, reading = [], []
        subjects = self._dice.sample(cases, BATCHES * COUNTED)
        for start in range(0, len(subjects), COUNTED):
            batch = subjects[start : start + COUNTED]
            seconds, outs = self._taken([self._agency.submit(each, self._now, 1) for each in batch])
            taking.append(seconds / COUNTED * 1e6)
            reading.append((self._read(outs) / COUNTED + self._folded(batch)) * 1e6)
            await self._stored(outs)
        return statistics.median(taking), statistics.median(reading)

    def _read(self, outs: Sequence[Out]) -> float:
        """Read what was registered as a replay does; return its CPU seconds."""
        records = [Record(each.key, each.value, tuple(each.all_headers())) for each in outs if each.topic == CASES]
        started = time.process_time()
        for each in records:
            self._history.take(each, 0)
        return time.process_time() - started

    def _folded(self, subjects: Sequence[str]) -> float:
        """Fold *subjects* as a replay does; return the CPU seconds for each of their registrations."""
        count = sum(len(list(self._history.facts(each))) for each in subjects)
        started = time.process_time()
        for each in subjects:
            fold(self._town.rules, each, self._history.facts(each))
        return (time.process_time() - started) / count

    # -- the desk --------------------------------------------------------------------------------------------------------

    async def _stored(self, outs: Sequence[Out]) -> None:
        """Store the receipts in the desk's ledger: the same rows as its inbox leaves, many in one transaction."""
        receipts = [each for each in outs if each.topic == inbox_of(SENDER)]
        if not self._inbox:  # the first one says from when on a ledger knows its inbox
            await self._heard(receipts.pop(0))
        inbox, events, outbox, digest = [], [], [], ""
        at = times.write(self._now)
        for out in receipts:
            self._inbox += 1
            signed = decode(Record(out.key, out.value, out.headers))
            said = dict(out.statements)
            digest = said[DELIVERY].digest
            one = {
                "partition": 0, "inbox_number": self._inbox, "number": json.loads(said[REGISTRATION].body)["number"],
                "subject": signed.subject, "source": signed.source, "id": signed.id,
            }  # fmt: skip
            inbox.append(
                {**one, "verdict": "registered", "digest": digest, "delivery": said[DELIVERY].signed,
                 "registration": said[REGISTRATION].signed, "received": at}
            )  # fmt: skip
            events.append(
                {**one, "type": signed.type, "technical": 0, "time": at, "registered": at, "recipients": "[]",
                 "headers": pack(out.headers), "value": signed.data, "letter": None, "parts": "[]"}
            )  # fmt: skip
            outbox.append(
                {"turn": self._inbox, "subject": signed.subject, "id": signed.id, "type": signed.type, "origin": "door",
                 "state": "closed", "asked": "", "clear": b"{}", "sequence": signed.sequence, "verdict": "registered",
                 "headers": pack(out.headers), "value": signed.data, "made": at, "closed": at}
            )  # fmt: skip
        if receipts:
            ledger = self._seat.ledger
            async with ledger.write() as tx:
                tx.execute(insert(tables.inbox), inbox)
                tx.execute(insert(tables.events), events)
                tx.execute(insert(tables.outbox), outbox)
                ledger.advance(0, Position(self._inbox, digest, self._inbox))

    async def _heard(self, out: Out) -> None:
        """Hear one receipt, as the desk does."""
        arrived = ConsumerRecord(
            out.topic, 0, self._inbox, 0, 0, out.key, out.value, None, 0, 0, tuple(out.all_headers())
        )
        self._inbox += 1
        work = InboxTransaction(self._desk, (arrived,))
        await work.begin()
        if work.take() is not None:
            work.answer(Result())
        await work.end(None)

    async def desk(self) -> float:
        """Return the microseconds of CPU for a publication: taken, stored, signed, and its receipt stored."""
        took = []
        for _ in range(BATCHES):
            new = [ids.new_ref() for _ in range(COUNTED // 5)]
            spent = 0.0
            for case in new:
                body = json.dumps({**_SIGNAL, "case": case}).encode()
                started = time.process_time()
                await self._said(body)
                await self._relay.once(whole=False)
                spent += time.process_time() - started
                record = self._sent.pop()
                _, outs = self._taken([Submission(SENDER, "", case, 1, 0, record)])
                self._read(outs)
                (receipt,) = (each for each in outs if each.topic == inbox_of(SENDER))
                started = time.process_time()
                await self._heard(receipt)
                spent += time.process_time() - started
            took.append(spent / len(new) * 1e6)
        return statistics.median(took)

    async def _said(self, body: bytes) -> None:
        """Take a request as the door does, without its HTTP."""
        asked, canonical = event_request.read(body)
        drafts = event_request.drafts_of(self._seat, asked, {})
        digest = event_request.known_by(self._seat, canonical)[0]

        def put(tx: Any) -> None:
            for draft in drafts:
                queue.put(self._seat, tx, draft, origin="door", asked=digest, is_new=True)

        await self._seat.ledger.together(put)


@contextmanager
def _as_registrar() -> Iterator[None]:
    """Collect garbage as seldom as the registrar does."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def sizes(home: Path, now: datetime, counts: Sequence[int] = SIZES) -> list[Sized]:
    """Measure at each of *counts*, ascending, on state that grows from one to the next."""
    home.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_measured(Town.at(home / "town", now), home, now, counts))


async def _measured(town: Town, home: Path, now: datetime, counts: Sequence[int]) -> list[Sized]:
    ledger = await Ledger.open(home / "ledger.sqlite", bus=town.bus, agency=SENDER)
    found, before = [], 0
    try:
        with capture_logs(), _as_registrar():
            growing = _Growing(town, home, ledger, now)
            for size in counts:
                await growing.grow(size)
                gc.collect()
                gc.freeze()
                lately, _ = await growing.registered(growing.cases[-LATELY:])
                # Each case is spoken of once, so that the cases are as long at every size.
                anywhere, replay = await growing.registered(growing.cases[before:-LATELY])
                desk = await growing.desk()
                before = size
                found.append(Sized(size, lately, anywhere, desk, replay))
    finally:
        await ledger.close()
    return found


_ROWS: Final = (
    ("registrar: read, verify, judge, sign; a case opened lately", "lately"),
    ("… a case at random", "anywhere"),
    ("desk: a publication at the door, without HTTP, until its receipt is stored", "desk"),
    ("replay: read, and fold", "replay"),
)


def lines(found: Sequence[Sized]) -> list[str]:
    """Return the table of *found*."""
    counts = " | ".join(f"{each.cases:,} cases" for each in found)
    return [
        f"| CPU of an event, µs, one thread, no broker, with so many cases behind it | {counts} | last / first | aim |",
        f"| --- |{' --- |' * len(found)} --- | --- |",
        *(_row(name, [getattr(each, which) for each in found]) for name, which in _ROWS),
    ]


def _row(name: str, values: Sequence[float]) -> str:
    cells = " | ".join(f"{each:,.0f}" for each in values)
    return f"| {name} | {cells} | {values[-1] / values[0]:.2f} | ≤ 1.1 |"
