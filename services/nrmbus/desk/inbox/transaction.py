"""What one record of the inbox does, in one transaction: delivery, event, answers to rows, tasks, drafts, position.

`Work.begin` verifies and stores, `Work.say` takes what a handler answers, `Work.end` commits, or undoes everything and
waits, and at last parks the case. Nothing of a record is half done: what is killed in between is read again.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus import telemetry
from nrmbus.desk import versions
from nrmbus.desk.access import break_glass, opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import verify
from nrmbus.desk.inbox.verify import Consumed, Delivered, SetAside
from nrmbus.desk.letters import case_keys, letters
from nrmbus.desk.outbox import queue, verdicts
from nrmbus.desk.procedure.interface import Heard, Said, unhandled
from nrmbus.desk.state import beginnings, parking
from nrmbus.desk.state.cases import pack
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Position, open_task
from nrmbus.events.model import Event, Frozen
from nrmbus.rules import View
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.registration import Answer

TRIES: Final = 4
"""How often a record is tried before its case is parked."""

FIRST_WAIT: Final = 0.1
"""Seconds before a record is tried again; each further wait is twice as long."""

LONGEST_WAIT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Released:
    """A parked record that is let through: the same bytes, and where it stands in the ledger."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    position: int
    consumer: object


def _read(arrived: Delivered, opened: letters.Opened, told: tuple[str, ...]) -> dict[str, int | str | None]:
    """What a row of ``events`` says that only who can read the event knows."""
    data = arrived.event.data if arrived.event else None
    recipients = {*told, *(data.recipients if data else ())} - {arrived.registration.source}
    return {
        "technical": int(data is not None and data.technical), "recipients": json.dumps(sorted(recipients)),
        "parts": json.dumps(sorted(opened.parts)), "shut": opened.shut,
    }  # fmt: skip


class Work:
    """The handling of one record."""

    def __init__(self, desk: Desk, consumed: Consumed, *, park_as: str | None = None) -> None:
        """Handle *consumed*; with *park_as* (an error's class) store it without its handler, and park its case."""
        self.heard: Heard | None = None
        """What a handler hears; none where the record is no event, or must wait."""
        self._desk, self._seat, self._consumed = desk, desk.seat, consumed
        self._released = consumed.position if isinstance(consumed, Released) else None
        self._stack = AsyncExitStack()
        self._tx: AsyncConnection | None = None
        self._arrived: Delivered | Answer | SetAside | None = None
        self._outcome, self._started = "handled", time.monotonic()
        self._code: str | None = None
        self._span: telemetry.Open | None = None
        self._said: Said | None = None
        self._resealed = Said()
        self._view: tuple[int, View] | None = None
        self._book: Frozen | None = None
        self._park_as, self._parked = park_as, False
        self._ahead: int | None = None
        """Where the inbox ends that is to be read before this record's letter is opened; none where nothing waits."""
        self._at_fault = False
        """Whether from here on an error is the record's, not the surroundings'."""

    @property
    def tx(self) -> AsyncConnection:
        """The open transaction."""
        if self._tx is None:
            raise RuntimeError("a record is handled between begin and end only")
        return self._tx

    async def begin(self) -> None:
        """Verify the record, open its letter, and store it in a transaction that stays open until `end`.

        Raises:
            DeskError: ``inbox_gap``, ``inbox_forked``: the inbox stands still until a person has looked.
        """
        arrived = self._arrived = await verify.read(self._seat, self._consumed)
        fresh = isinstance(arrived, Delivered) and (self._released is not None or self._is_next(arrived))
        opened = await self._open(arrived) if isinstance(arrived, Delivered) and fresh else letters.Opened()
        self._tx = await self._stack.enter_async_context(self._seat.ledger.write())
        match arrived:
            case SetAside():
                await self._set_aside(arrived.code, arrived.size, arrived.sha256)
            case Answer():
                self._outcome, self._code = "answered", arrived.code
                await self._refused(await verdicts.answered(self._seat, self.tx, arrived), arrived)
            case Delivered() if fresh:
                await self._new(arrived, opened)
            case Delivered():
                await self._known(arrived)
        await self._advance(fresh=fresh)

    async def _new(self, arrived: Delivered, opened: letters.Opened) -> None:
        if (said := arrived.signed) is not None:
            span = telemetry.consumed(event_type=said.type, event_id=said.id, traceparent=said.traceparent)
            self._span = self._stack.enter_context(span)
        if self._released is None:
            await self._take(arrived, opened)
        else:
            await self._let_through(arrived, opened, self._released)

    def _is_next(self, arrived: Delivered) -> bool:
        if beginnings.begins_with(self._seat.ledger, arrived.delivery):
            return True
        position = self._seat.ledger.positions.get(arrived.delivery.partition, Position())
        return verify.is_next(position, arrived.delivery)

    async def _open(self, arrived: Delivered) -> letters.Opened:
        self._resealed = await break_glass.by_itself(self._desk, arrived.event, arrived.registration.time)
        if arrived.signed is None or arrived.event is None or arrived.registration.source == self._seat.me:
            return letters.Opened()
        where = (self._consumed.partition, self._consumed.offset)
        if self._released is None and opening.may_be_closed_later(self._desk, arrived.signed, *where):
            self._ahead = self._desk.read_first(*where)
        if self._ahead is not None:
            return letters.Opened()
        purpose = "receipt" if self._released is None else "release"
        return await opening.open_letter(self._desk, arrived.signed, who=letters.DESK, purpose=purpose)

    async def _advance(self, *, fresh: bool) -> None:
        if self._released is not None:
            return
        partition, following = self._consumed.partition, self._consumed.offset + 1
        now = self._seat.ledger.positions.get(partition, Position())
        number, digest = now.inbox_number, now.digest
        if fresh and isinstance(self._arrived, Delivered):
            number, digest = self._arrived.delivery.inbox_number, self._arrived.delivery.digest
        await self._seat.ledger.advance(self.tx, partition, Position(number, digest, max(now.next_offset, following)))

    # -- storing -----------------------------------------------------------------------------------------------------

    async def _set_aside(self, code: str, size: int, sha256: str) -> None:
        self._outcome, self._code = "set_aside", code
        row = {"size": size, "sha256": sha256, "code": code, "at": self._seat.stamp()}
        where = {"partition": self._consumed.partition, "offset": self._consumed.offset}
        await self.tx.execute(upsert(tables.set_aside).values(**where, **row).on_conflict_do_nothing())

    async def _known(self, arrived: Delivered) -> None:
        self._outcome = "repeated"
        columns, delivery = tables.inbox.c, arrived.delivery
        if beginnings.is_before(self._seat.ledger, delivery.partition, delivery.inbox_number):
            return  # a receipt from before this ledger came again
        same = (columns.partition == delivery.partition) & (columns.inbox_number == delivery.inbox_number)
        digest = await self.tx.scalar(select(columns.digest).where(same))
        if digest == delivery.digest:
            await verdicts.repeated(self._seat, self.tx, arrived.registration)
            return
        # The chain that this desk holds is whole; another one under the same number is evidence, not news.
        record = verify.record_of(self._consumed)
        await self._set_aside("inbox_forked", record.size(), record.digest())
        await self._alarm("inbox_forked", arrived)

    async def _alarm(self, kind: str, arrived: Delivered, **more: str) -> None:
        said = arrived.registration
        about = {"source": said.source, "number": said.number, "partition": said.partition, **more}
        await open_task(
            self.tx, opened=self._seat.stamp(), subject=said.subject, event_id=said.id, kind=kind,
            about=json.dumps(about),
        )  # fmt: skip

    async def _take(self, arrived: Delivered, opened: letters.Opened) -> None:
        said, delivery = arrived.registration, arrived.delivery
        row = {
            "partition": delivery.partition, "inbox_number": delivery.inbox_number, "number": said.number,
            "subject": said.subject, "source": said.source, "id": said.id, "verdict": said.verdict,
            "digest": delivery.digest, "delivery": arrived.delivery_bytes, "registration": arrived.registration_bytes,
            "received": self._seat.stamp(),
        }  # fmt: skip
        await self.tx.execute(insert(tables.inbox).values(**row))
        if beginnings.begins_with(self._seat.ledger, delivery):
            await beginnings.begin_with(self._seat.ledger, self.tx, delivery, said)
        if said.verdict == "refused":
            self._outcome, self._code = "refused", said.code
            event = await verdicts.refused(self._seat, self.tx, said)
            self._at_fault = True
            await self._refused(event, arrived)
            return
        if arrived.forged:
            self._outcome = "forged"
            await self._alarm("forged", arrived)
            return
        position = await self._event(arrived, opened)
        self._at_fault = True
        if position is None or arrived.signed is None:
            self._outcome = "known"
            return
        if arrived.event is not None and opened.came:
            await self._receipt(arrived.event, opened)
        if self._park_as or said.subject in self._desk.parked or arrived.event is None or self._ahead is not None:
            await self._set_behind(arrived, arrived.signed, position)
            return
        await self._listen(arrived, arrived.event, opened, position)

    async def _event(self, arrived: Delivered, opened: letters.Opened) -> int | None:
        said, signed = arrived.registration, arrived.signed
        if signed is None:
            return None
        told = (
            await verdicts.registered(self._seat, self.tx, said) if said.source == self._seat.me else (self._seat.me,)
        )
        row = {
            "subject": said.subject, "source": said.source, "id": said.id, "type": signed.type,
            "time": times.write(signed.time), "registered": times.write(said.time), "partition": said.partition,
            "inbox_number": arrived.delivery.inbox_number, "number": said.number,
            "referral": signed.attributes.get("ce_referral"),
            "headers": pack(signed.record.without_letter().headers), "value": signed.data,
            "letter": signed.letter_bytes, **_read(arrived, opened, told),
        }  # fmt: skip
        statement = upsert(tables.events).values(**row).on_conflict_do_nothing().returning(tables.events.c.position)
        await case_keys.keep(self._seat, self.tx, signed)
        position: int | None = await self.tx.scalar(statement)
        return position

    async def _receipt(self, event: Event, opened: letters.Opened) -> None:
        assert isinstance(self._arrived, Delivered)  # noqa: S101 - only a delivery has an event
        draft = opening.receipt(self._seat.me, event, opened, self._arrived.registration.time)
        await queue.put(self._seat, self.tx, draft, origin="receipt", correlationid=event.correlationid or event.id)

    async def _set_behind(self, arrived: Delivered, signed: Signed, position: int) -> None:
        self._outcome, self._code, self._parked = "parked", arrived.unread, True
        subject = arrived.registration.subject
        error = self._park_as or (parking.BEHIND if self._ahead is None else parking.AHEAD)
        if arrived.unread is not None:
            error = parking.UNKNOWN.get(arrived.unread, parking.UNREAD)
        await parking.park(self.tx, subject=subject, position=position, error=error, since=self._seat.stamp())
        if subject not in self._desk.parked and error != parking.AHEAD:
            await self._alarm(parking.TASK, arrived, sentence=parking.sentence_of(error, signed))

    async def _let_through(self, arrived: Delivered, opened: letters.Opened, position: int) -> None:
        if arrived.event is None:
            raise DeskError("unknown_version" if arrived.unread == "unknown_version" else "unknown_type")
        self._at_fault = True
        columns = tables.events.c
        told = await self.tx.scalar(select(columns.recipients).where(columns.position == position))
        # What this release is perhaps the first to read.
        now = _read(arrived, opened, tuple(json.loads(told or "[]")))
        if arrived.signed is not None and arrived.signed.letter_bytes is None:
            del now["shut"]  # the letter may have been erased while the record waited: the row says so already
        await self.tx.execute(update(tables.events).where(columns.position == position).values(**now))
        if opened.came:
            await self._receipt(arrived.event, opened)
        await self._listen(arrived, arrived.event, opened, position)

    async def _listen(self, arrived: Delivered, event: Event, opened: letters.Opened, position: int) -> None:
        view = await self._desk.cases.view(self.tx, event.subject, up_to=position)
        self._view = (position, view)
        event, letter = versions.heard(event, opened.fields)
        self.heard = Heard(
            event=event, letter=letter, view=view, me=self._seat.me,
            registered=arrived.registration.time, rules=self._seat.rules, agencies=self._seat.agencies,
        )  # fmt: skip

    async def _refused(self, event: Event | None, arrived: Delivered | Answer) -> None:
        if event is None:
            return
        code = (arrived.code if isinstance(arrived, Answer) else arrived.registration.code) or ""
        if self._park_as and isinstance(arrived, Delivered):  # the procedure could not take it back: a person does
            await self._alarm("refused", arrived)
        else:
            await self._desk.take_back(self.tx, event, code)

    # -- answering ---------------------------------------------------------------------------------------------------

    async def say(self, said: Said) -> None:
        """Take what a handler answers: drafts into the outbox, tasks onto the list."""
        self._said = said
        await self._desk.say(self.tx, said, self.heard.event if self.heard else None)

    async def _close_book(self) -> None:
        if self.heard is not None:
            kept = self._desk.book
            if self._seat.procedure is not None:
                kept = self._seat.procedure.keep(self._desk.book, self.heard)
            await self._desk.say(self.tx, self._resealed, self.heard.event)
            if self._said is None and kept == self._desk.book:
                await self._desk.say(self.tx, unhandled(self.heard), self.heard.event)
            self._book = kept
        if self._book is not None and self._book != self._desk.book and self._seat.procedure is not None:
            await self._desk.save_book(self.tx, self._book)

    # -- ending ------------------------------------------------------------------------------------------------------

    async def end(self, error: BaseException | None) -> bool:
        """Commit; or undo, wait, and let the record be read again; or, tried often enough, park its case.

        Returns whether *error* is dealt with, so that the record counts as handled. Raises what kept the commit from
        being made: nothing else would tell FastStream, which would acknowledge the record.
        """
        if error is not None:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            return isinstance(error, Exception) and await self._after(error)
        failed = await self._commit()
        if failed is not None and not await self._after(failed):
            raise failed
        return True

    async def _commit(self) -> Exception | None:
        try:
            if self._tx is not None:
                await self._close_book()
                if self._released is not None:
                    await parking.let_go(self.tx, self._released, self._seat.stamp())
                self._seat.ledger.then(self._remember)
            if self._span is not None:
                self._span.said(self._outcome, self._code)
            await self._stack.aclose()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, Exception):  # whatever it is, nothing was committed: the record is read again
                return error
            raise
        self._log()
        return None

    def _remember(self) -> None:
        self._seat.trouble, self._desk.progress = None, time.monotonic()
        self._desk.attempts.pop((self._consumed.partition, self._consumed.offset), None)
        if self._outcome == "set_aside":
            self._desk.set_aside += 1
        if self._book is not None:
            self._desk.book = self._book
        if isinstance(self._arrived, Delivered):
            if self._parked:
                self._desk.parked.add(self._arrived.registration.subject)
                self._desk.read_ahead(self._arrived.registration.subject, self._consumed.partition, self._ahead)
            if self._view is not None and self._released is None:
                self._desk.cases.keep(self._arrived.registration.subject, *self._view)

    async def _after(self, error: Exception) -> bool:
        where = (self._consumed.partition, self._consumed.offset)
        tried = self._desk.attempts[where] = self._desk.attempts.get(where, 0) + 1
        if self._released is not None:
            self._desk.attempts.pop(where)
            await self._still_parked(self._released, error)
            return False
        if self._at_fault and tried >= TRIES and self._park_as is None and await self._give_up(error):
            return True
        if not self._at_fault:  # the ledger, the directory, a gap: other records would fare no better
            await self._stand_still(error if isinstance(error, DeskError) else DeskError("not_available"))
        telemetry.handled("retried", error=type(error).__name__, attempt=tried, offset=self._consumed.offset)
        await asyncio.sleep(min(FIRST_WAIT * 2 ** (tried - 1), LONGEST_WAIT))
        return False

    async def _still_parked(self, position: int, error: Exception) -> None:
        """Have a person look at a record that is not handled even now; one that only met a fault of ours is tried again."""
        arrived, of_ours = self._arrived, isinstance(error, SQLAlchemyError) or not self._at_fault
        if not isinstance(arrived, Delivered) or arrived.signed is None or (of_ours and not arrived.unread):
            return
        why = parking.UNKNOWN.get(arrived.unread, parking.UNREAD) if arrived.unread else type(error).__name__
        async with self._seat.ledger.write() as self._tx:
            await parking.keep(self.tx, position, why)
            await self._alarm(parking.TASK, arrived, sentence=parking.sentence_of(why, arrived.signed))

    async def _stand_still(self, error: DeskError) -> None:
        code = error.code
        known, self._seat.trouble = self._seat.trouble, code
        if code in {known, "not_available"}:
            return
        where = f"{self._consumed.partition}/{self._consumed.offset}"
        about = json.dumps({"code": code, "sentence": error.sentence})
        async with self._seat.ledger.write() as tx:
            await open_task(tx, opened=self._seat.stamp(), subject="", event_id=where, kind=code, about=about)

    async def _give_up(self, error: Exception) -> bool:
        parked = Work(self._desk, self._consumed, park_as=type(error).__name__)
        failed: Exception | None = None
        try:
            await parked.begin()
        except Exception as another:  # noqa: BLE001 - undone in `end`; the record is read again
            failed = another
        return await parked.end(failed)

    def _log(self) -> None:
        milliseconds = round((time.monotonic() - self._started) * 1000)
        where = {"partition": self._consumed.partition, "offset": self._consumed.offset}
        fields: dict[str, int | str] = {**where, "milliseconds": milliseconds}
        if self._code:
            fields["code"] = self._code
        if isinstance(self._arrived, Delivered):
            fields |= {"id": self._arrived.registration.id, "number": self._arrived.registration.number}
            if self._arrived.signed is not None:
                fields["type"] = self._arrived.signed.type
        telemetry.handled(self._outcome, **fields)
