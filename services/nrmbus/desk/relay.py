"""Sender of the outbox: one row of a case at a time, until the registrar's receipt closes the row.

Sending twice is harmless, since a known id gets the same receipt. So after a restart, and after a wait, every
unanswered row is sent again. Cases do not wait for one another.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from sqlalchemy import Row, select
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.desk.desk import Desk
from nrmbus.desk.outbox import queue, verdicts
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.wire.names import DIRECTORY
from nrmbus.wire.record import Record

LOOK_EVERY: Final = 1.0
"""Seconds after which the relay looks for rows to send again, though nothing was committed."""

FIRST_PATIENCE: Final = 10.0
"""Seconds until an unanswered row is sent again; each further time it is twice as long."""

LONGEST_PATIENCE: Final = 300.0
SEND_SECONDS: Final = 30.0
"""Seconds that one sending may take; later the arrival is unknown, and the row is sent again."""

Send = Callable[[Record], Awaitable[None]]
_ROW: Final = tables.outbox.c
_OPEN: Final = (
    select(
        _ROW.seq, _ROW.subject, _ROW.id, _ROW.type, _ROW.state, _ROW.again, _ROW.traceparent,
        _ROW.value.is_not(None).label("bytes"),
    )
    .where((_ROW.state != "closed") | (_ROW.again == 1))
    .order_by(_ROW.subject, _ROW.turn, _ROW.seq)
)  # fmt: skip
_COUNT: Final = queue.CHANGE.values(attempts=_ROW.attempts + 1)


class Relay:
    """Only sender of a desk. *send* returns when the broker has the record on all replicas, or raises."""

    def __init__(self, desk: Desk, send: Send) -> None:
        self._desk, self._seat, self._send = desk, desk.seat, send
        self._tried: dict[tuple[int, str], tuple[float, int]] = {}
        """Row and state -> time of the last signing or sending, and number of tries since the start."""
        self._alarmed: int | None = None
        self.caught_up = asyncio.Event()
        """Set when the inbox has been read to where it ended at the start. Nothing is signed before that: unread records may
        answer rows, or change the audience of a letter."""

    async def run(self) -> None:
        """Send all due rows at every commit, until cancelled."""
        while True:
            self._seat.ledger.changed.clear()
            try:
                await self.once()
            except* SQLAlchemyError as errors:  # a full disk, a held file: tried again
                telemetry.handled("not_available", error=type(errors.exceptions[0]).__name__)
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._seat.ledger.changed.wait()
            except TimeoutError:
                pass

    async def once(self) -> None:
        """Sign and send all due rows: the first open row of each case, and rows to be sent again."""
        if self._seat.held_up == "entry_not_asked":
            await self._alarm()
            return
        with self._seat.ledger.read() as tx:
            rows = tx.execute(_OPEN).all()
        cases: dict[str, list[Row[Any]]] = {}
        for row in rows:
            cases.setdefault(row.subject, []).append(row)
        for tried in self._tried.keys() - {(row.seq, row.state) for row in rows}:
            del self._tried[tried]
        async with asyncio.TaskGroup() as tasks:
            for of_case in cases.values():
                tasks.create_task(self._case(of_case))

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

    async def _case(self, rows: Iterable[Row[Any]]) -> None:
        for row in rows:
            try:
                if row.state != "closed":
                    await self._head(row)
                    return
                if row.bytes and self._due(row):
                    await self._once_more(row, again=1)
            except SQLAlchemyError:
                raise
            except Exception as error:  # noqa: BLE001 - a mistake about one case must not keep the others from being sent
                self._put_off(row.seq, row.state)
                telemetry.handled("not_sent", type=row.type, id=row.id, error=type(error).__name__)
                return

    async def _once_more(self, row: Row[Any], again: int = 0) -> None:
        # An answered row stays marked until the same receipt comes again; an unanswered row is sent again anyway.
        async with self._seat.ledger.write() as tx:
            tx.execute(_COUNT, {"row": row.seq, "again": again})
            whole = verdicts.row_of(tx, row.subject, row.id)
        if whole is not None:
            await self._out(whole, queue.to_send(whole))

    async def _head(self, row: Row[Any]) -> None:
        if row.state == "signed":
            if row.again or self._due(row):
                await self._once_more(row)
            return
        if not self.caught_up.is_set() or self._seat.held_up or not self._due(row):
            return
        sealed = None
        self._seat.renew()
        async with self._seat.ledger.write() as tx:
            now = verdicts.row_of(tx, row.subject, row.id)
            if now is None or now.state != "waiting":
                return
            made = queue.sign(self._seat, self._desk.cases, tx, now)
            if isinstance(made, queue.Refused):
                said = verdicts.fail(self._seat, tx, now, made)
                if said is not None:
                    self._desk.take_back(tx, said, made.code)
            else:
                sealed = made
        if sealed is not None:
            await self._out(row, sealed.record, state="signed")

    def _due(self, row: Row[Any]) -> bool:
        last, times = self._tried.get((row.seq, row.state), (0.0, 0))
        patience = min(FIRST_PATIENCE * 2 ** max(times - 1, 0), LONGEST_PATIENCE)
        return times == 0 or time.monotonic() - last >= patience

    async def _out(self, row: Row[Any], record: Record, *, state: str | None = None) -> None:
        outcome, error = "sent", {}
        of_event = {"event_type": row.type, "event_id": row.id, "traceparent": row.traceparent}
        with telemetry.sent(**of_event) as span:
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(record)
            except Exception as failed:  # noqa: BLE001 - unknown, not failed: the row is sent again
                outcome, error = "not_sent", {"error": type(failed).__name__}
            span.said(outcome)
        telemetry.handled(
            outcome, type=row.type, id=row.id, attempt=self._put_off(row.seq, state or row.state), **error
        )

    def _put_off(self, seq: int, state: str) -> int:
        times = self._tried.get((seq, state), (0.0, 0))[1] + 1
        self._tried[seq, state] = (time.monotonic(), times)
        return times


def through(producer: AIOKafkaProducer, topic: str) -> Send:
    """Return a function that sends a record to *topic*, headers in their order, and waits until all replicas have it."""

    async def send(record: Record) -> None:
        await producer.send_and_wait(topic, value=record.value, key=record.key, headers=list(record.headers))

    return send
