"""Sender of the outbox: one row of a case at a time, until the registrar's receipt closes the row.

Sending twice is harmless, since a known id gets the same receipt. So after a restart, and after a wait, every
unanswered row is sent again. Cases do not wait for one another.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from sqlalchemy import Connection, Row, bindparam, exists, func, literal_column, select
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.periodic import doubled
from nrmbus.desk import broker_clock
from nrmbus.desk.access import break_glass
from nrmbus.desk.broker_clock import BrokerClock
from nrmbus.desk.desk import Desk
from nrmbus.desk.outbox import queue, verdicts
from nrmbus.desk.state.cases import signed_of
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.wire import ids
from nrmbus.wire.errors import WireError
from nrmbus.wire.names import DIRECTORY
from nrmbus.wire.record import Record

LOOK_EVERY: Final = 1.0
"""Seconds after which the relay looks for rows to send again, though nothing was committed."""

FIRST_PATIENCE: Final = 10.0
"""Seconds until an unanswered row is sent again; each further time it is twice as long."""

LONGEST_PATIENCE: Final = 300.0
GATHER_SECONDS: Final = 0.05
"""Longest time for which new rows wait for the answers to those sent before, so that what comes meanwhile leaves together."""

SEND_SECONDS: Final = 30.0
"""Seconds that one sending may take; later the arrival is unknown, and the row is sent again."""

TOGETHER: Final = 64
"""Largest number of rows that are signed in one transaction."""

Send = Callable[[Record], Awaitable[None]]
_ROW: Final = tables.outbox.c
_EARLIER: Final = tables.outbox.alias("earlier")
_IS_FIRST: Final = ~exists().where(
    _EARLIER.c.subject == _ROW.subject, _EARLIER.c.state == "signed",
    (_EARLIER.c.turn < _ROW.turn) | ((_EARLIER.c.turn == _ROW.turn) & (_EARLIER.c.seq < _ROW.seq)),
)  # fmt: skip
_ASKED_AGAIN: Final = _ROW.again == literal_column("1")
_LIGHT: Final = select(
    _ROW.seq, _ROW.subject, _ROW.id, _ROW.type, _ROW.state, _ROW.again, _ROW.traceparent,
    _ROW.value.is_not(None).label("bytes"),
).order_by(_ROW.subject, _ROW.turn, _ROW.seq)  # fmt: skip
OPEN: Final = _LIGHT.where((_ROW.state == "waiting") | (_ROW.state == "signed") | _ASKED_AGAIN)
"""Query for all rows that are unanswered, or to be sent again."""

NEW: Final = _LIGHT.where(((_ROW.state == "waiting") & _IS_FIRST) | _ASKED_AGAIN)
"""Query for the rows of `OPEN` that wait for no answer: what a commit can have made due."""

UNANSWERED: Final = select(_ROW.seq).where(_ROW.state == literal_column("'signed'")).limit(1)
"""Query for a row that was signed and waits for its answer."""

_EVENTS: Final = tables.events.c
_NEWEST_OWN: Final = select(tables.events).where(
    _EVENTS.position.in_(select(func.max(_EVENTS.position)).where(_EVENTS.source == bindparam("me")).group_by(_EVENTS.partition))
)  # fmt: skip
_COUNT: Final = queue.CHANGE.values(attempts=_ROW.attempts + 1)


class Sure(Protocol):
    """Holder of the desk."""

    @property
    def is_sure(self) -> bool:
        """Return whether nobody else can hold the desk now."""


class Relay:
    """Only sender of a desk. *send* returns when the broker has the record on all replicas, or raises."""

    def __init__(self, desk: Desk, send: Send, *, may_send: Callable[[], bool] = lambda: True) -> None:
        """Send with *send* while *may_send*: another process may have put this one out."""
        self._desk, self._seat, self._send, self._may_send = desk, desk.seat, send, may_send
        self._tried: dict[tuple[int, str], tuple[float, int]] = {}
        """Row and state -> time of the last signing or sending, and number of tries since the start."""
        self._sent = -GATHER_SECONDS
        """Monotonic time at which rows were sent last."""
        self._alarmed: int | None = None
        self.caught_up = asyncio.Event()
        """Set when the inbox has been read to where it ended at the start. Nothing is signed before that: unread records may
        answer rows, or change the audience of a letter."""

    async def run(self) -> None:
        """Send what is due at every commit, and look through all open rows now and then, until cancelled."""
        last = -LOOK_EVERY
        while True:
            whole = time.monotonic() - last >= LOOK_EVERY
            try:
                await self._gather()
                self._seat.ledger.changed.clear()
                await self.once(whole=whole)
                last = time.monotonic() if whole else last
            except* (SQLAlchemyError, OSError) as errors:  # a full disk, a held file: tried again
                telemetry.handled("not_available", error=type(errors.exceptions[0]).__name__)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._seat.ledger.changed.wait()
            except TimeoutError:
                pass

    async def _gather(self) -> None:
        """Wait while rows are unanswered, but no longer than `GATHER_SECONDS` after the last sending.

        While somebody publishes one event after another, or several at once, those that come meanwhile share a signing, a
        request, a transaction of the registrar and one of the inbox (Nagle's algorithm, RFC 896). An event of a desk that has
        nothing else under way is sent at once.
        """
        heard, left = self._desk.heard, self._sent + GATHER_SECONDS - time.monotonic()
        if left > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    while self._is_unanswered():  # until the inbox brings an answer: no other commit is one
                        heard.clear()
                        await heard.wait()

    def _is_unanswered(self) -> bool:
        with self._seat.ledger.read() as tx:
            return tx.execute(UNANSWERED).first() is not None

    async def once(self, *, whole: bool = True) -> None:
        """Sign and send all due rows: the first open row of each case, and rows to be sent again.

        Unless *whole*, rows that wait for an answer are left out: only time can make them due.
        """
        if self._seat.held_up == "entry_not_asked":
            await self._alarm()
            return
        with self._seat.ledger.read() as tx:
            rows = tx.execute(OPEN if whole else NEW).all()
        if whole:
            for tried in self._tried.keys() - {(row.seq, row.state) for row in rows}:
                del self._tried[tried]
        to_sign, to_repeat = self._sorted(rows)
        due = {row.seq: record for row, record in [*await self._repeated(to_repeat), *await self._signed(to_sign)]}
        if due:
            self._sent = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _, of_case in groupby((row for row in rows if row.seq in due), key=lambda row: row.subject):
                tasks.create_task(self._out_in_order([(row, due[row.seq]) for row in of_case]))

    def _sorted(self, rows: Iterable[Row[Any]]) -> tuple[list[Row[Any]], list[Row[Any]]]:
        """Return of the due *rows* those to be signed now, at most one of each case, and those to be sent again."""
        to_sign: list[Row[Any]] = []
        to_repeat: list[Row[Any]] = []
        may_sign, may_send = self.caught_up.is_set() and not self._seat.held_up, self._may_send()
        past = ""
        for row in rows:
            if row.subject == past:
                continue
            if row.state == "closed":
                if row.bytes and may_send and self._due(row):
                    to_repeat.append(row)
                continue
            past = row.subject  # what stands behind an open row waits for its answer
            if row.state == "signed" and may_send and (row.again or self._due(row)):
                to_repeat.append(row)
            elif row.state == "waiting" and may_sign and self._due(row):
                to_sign.append(row)
        return to_sign, to_repeat

    async def until_registrar_is_past(self, holding: Sure) -> None:
        """Wait until the registrar has answered all that lies in the outbox now.

        The registrar reads an outbox in order. The newest registered event of each partition is sent once more, and its
        receipt comes again behind the answers to all that was sent before; a suspended agency gets a passing answer
        instead. On a partition without a registered event under the key in use there is nothing to send.
        """
        with self._seat.ledger.read() as tx:
            newest = [signed_of(row) for row in tx.execute(_NEWEST_OWN, {"me": self._seat.me})]
        asked = {each.id: each.record for each in newest if each.kid == self._seat.identity.signing.kid}
        heard = {id: asyncio.Event() for id in asked}
        self._desk.heard_again = heard | {record.digest(): heard[id] for id, record in asked.items()}
        while waiting := [id for id in asked if not heard[id].is_set()]:
            for id in waiting:
                if holding.is_sure:
                    with suppress(Exception):  # unknown, not failed: sent again
                        await asyncio.wait_for(self._send(asked[id]), SEND_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_PATIENCE if holding.is_sure else LOOK_EVERY):
                    for id in waiting:
                        await heard[id].wait()
        self._desk.heard_again = {}

    async def _alarm(self) -> None:
        """Report that another party may speak as this agency, or read its letters: a person has to look."""
        number = self._seat.own.alarm if self._seat.own else None
        if self._alarmed == number:
            return
        async with self._seat.ledger.write() as tx:
            about = json.dumps({"code": "entry_not_asked"})
            open_task(
                tx, opened=self._seat.stamp(), subject="", event_id=f"{DIRECTORY}/{number}", kind="alarm", about=about
            )
        self._alarmed = number
        telemetry.handled("alarm", code="entry_not_asked")

    async def _repeated(self, rows: list[Row[Any]]) -> list[tuple[Row[Any], Record]]:
        """Count one more attempt of each of *rows*; return each with its bytes."""
        if not rows:
            return []
        async with self._seat.ledger.write() as tx:
            found = [(row, self._counted(tx, row)) for row in rows]
        return [(row, record) for row, record in found if record is not None]

    def _counted(self, tx: Connection, row: Row[Any]) -> Record | None:
        # An answered row stays marked until the same receipt comes again; an unanswered row is sent again anyway.
        tx.execute(_COUNT, {"row": row.seq, "again": int(row.state == "closed")})
        whole = verdicts.row_of(tx, row.subject, row.id)
        try:
            return queue.to_send(whole) if whole is not None else None
        except (WireError, ValueError, TypeError) as error:
            self._failed(row, error)
            return None

    async def _signed(self, rows: list[Row[Any]]) -> list[tuple[Row[Any], Record]]:
        """Sign *rows*, which are of different cases, in as few transactions as possible; return those with bytes to send."""
        if rows:
            self._seat.renew()
        found = []
        for start in range(0, len(rows), TOGETHER):
            found += await self._together(rows[start : start + TOGETHER])
        return found

    async def _together(self, rows: list[Row[Any]]) -> list[tuple[Row[Any], Record]]:
        """Sign *rows* in one transaction. A row that cannot be signed is dealt with in a transaction of its own."""
        found: list[tuple[Row[Any], Record]] = []
        alone: list[Row[Any]] = []
        try:
            async with self._seat.ledger.write() as tx:
                self._seat.ledger.make_nothing_due()
                for row in rows:
                    made = self._sign(tx, row, is_alone=len(rows) == 1)
                    if isinstance(made, queue.Sealed):
                        found.append((row, made.record))
                    elif made is not None:
                        alone.append(row)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake about one case must not keep the others from being sent
            found, alone = [], rows if len(rows) > 1 else []
            if not alone:
                self._failed(rows[0], error)
        for row in alone:
            found += await self._together([row])
        return found

    def _sign(self, tx: Connection, row: Row[Any], *, is_alone: bool) -> queue.Sealed | queue.Refused | None:
        """Sign *row* within *tx*; a refused row is closed only if it *is_alone* there, since the procedure takes it back."""
        now = verdicts.row_of(tx, row.subject, row.id)
        if now is None or now.state != "waiting":
            return None
        made = queue.sign(self._seat, self._desk.cases, tx, now)
        if isinstance(made, queue.Refused) and is_alone:
            self._seat.ledger.then(self._seat.ledger.changed.set)  # the next event of the case may go out now
            event = verdicts.fail(self._seat, tx, now, made)
            if event is not None:
                break_glass.not_delivered(self._desk, tx, event, made.rule, self._seat.clock.now())
                self._desk.take_back(tx, event, made.code)
            return None
        return made

    def _failed(self, row: Row[Any], error: Exception) -> None:
        self._put_off(row.seq, row.state)
        telemetry.handled("not_sent", type=row.type, id=row.id, error=type(error).__name__)

    def _due(self, row: Row[Any]) -> bool:
        last, times = self._tried.get((row.seq, row.state), (0.0, 0))
        patience = doubled(FIRST_PATIENCE, max(times - 1, 0), LONGEST_PATIENCE)
        return times == 0 or time.monotonic() - last >= patience

    async def _out_in_order(self, due: Iterable[tuple[Row[Any], Record]]) -> None:
        for row, record in due:
            if self._may_send():  # a host that stood still wakes up here; the row stays due
                await self._out(row, record)

    async def _out(self, row: Row[Any], record: Record) -> None:
        outcome, error = "sent", {}
        of_event = {"event_type": row.type, "event_id": row.id, "traceparent": row.traceparent}
        with telemetry.sent(**of_event) as span:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(record)
            except Exception as failed:  # noqa: BLE001 - unknown, not failed: the row is sent again
                outcome, error = "not_sent", {"error": type(failed).__name__}
            span.result(outcome)
        state = "signed" if row.state == "waiting" else row.state
        telemetry.handled(outcome, type=row.type, id=row.id, attempt=self._put_off(row.seq, state), **error)

    def _put_off(self, seq: int, state: str) -> int:
        times = self._tried.get((seq, state), (0.0, 0))[1] + 1
        self._tried[seq, state] = (time.monotonic(), times)
        return times


def through(producer: AIOKafkaProducer, topic: str, clock: BrokerClock, partitions: int) -> Send:
    """Return a function that sends a record to *topic*, headers in their order, and waits until all replicas have it.

    The partition follows from the record's key and the number of *partitions* of the bus. The client's own choice would
    follow from the topic, to which somebody may add partitions that nobody reads. Each answer tells *clock* what the
    broker's clock shows.
    """

    async def send(record: Record) -> None:
        sent = broker_clock.now()
        partition = ids.partition_of((record.key or b"").decode(), partitions)
        headers = list(record.headers)
        stored = await producer.send_and_wait(topic, record.value, record.key, partition, headers=headers)
        clock.note(sent, broker_clock.now(), stored.timestamp / 1000)

    return send
