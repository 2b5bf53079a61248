"""Running desk: the agency's context, views of cases, the procedure's book, and the parked cases."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, select

from nrmbus.desk.outbox import documents, queue
from nrmbus.desk.procedure.interface import BY_ITSELF, Line, Result, Settings, lines_of, refused, settled
from nrmbus.desk.state import beginnings, book, older_copy
from nrmbus.desk.state.cases import Cases
from nrmbus.desk.state.context import Seat
from nrmbus.desk.state.integrity import Unaltered
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import finish_task_of, open_task
from nrmbus.desk.versions import Speaks
from nrmbus.directory import epochs
from nrmbus.events import bulletin
from nrmbus.events.model import Draft, Event, Frozen
from nrmbus.rules import read
from nrmbus.wire import times

_MARKER: Final = 1
"""Number of offsets used by the end of a transaction: a record of Kafka's own, never delivered."""


def _unknown(_: int) -> int | None:
    return None


async def _at_once() -> None:
    return None


class Desk:
    """State that the handling of a record needs beside the record; follows the ledger's commits."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.cases = Cases(seat)
        self.unaltered = Unaltered(seat.ledger, seat.stamp)
        self.book: Frozen = Frozen()
        self.speaks: Speaks = {}
        """Type -> version that the agency's own system speaks."""
        self.reader: str | None = None
        """Reader for requests of the agency's own system that name nobody."""
        self.parked: set[str] = set()
        """Cases that wait for a person or an upgrade, because a record could not be handled."""
        self.stuck: set[str] = set()
        """Parked cases that wait for no person and met a fault of this machine at every try; tried again."""
        self.ahead: dict[str, tuple[int, int]] = {}
        """Case whose letter, or answer to an emergency, waits for the inbox -> the partition, and its end when the record came."""
        self.waits = asyncio.Event()
        """Set when a case is added to ``ahead``."""
        self.end_of: Callable[[int], int | None] = _unknown
        """Returns the last known end of a partition of the inbox; set by the process."""
        self.one_by_one = 0
        """Number of next records that each have a transaction of their own, since one of them failed together with others."""
        self.releasing = asyncio.Lock()
        """Held while a case is let through, so that each record is handled only once."""
        self.attempts: dict[tuple[int, int], int] = {}
        """(partition, offset) -> number of failed tries."""
        self.tried: dict[int, int] = {}
        """Partition whose inbox has stopped -> number of the ledger's commits at the last try."""
        self.failing: set[int] = set()
        """Partitions whose record fails at every try while the ledger takes other writes: the record needs a repair."""
        self.reported: set[tuple[tuple[int, int], str]] = set()
        """(partition, offset) and code of each stop of the inbox whose task is in the ledger."""
        self.set_aside = 0
        """Number of inbox records that this desk does not trust."""
        self.assigned = asyncio.Event()
        """Set once this desk may read the inbox."""
        self.joined = asyncio.Event()
        """Set each time that this desk has joined the group of its inbox; cleared when its lease is on the bus."""
        self.before_joining_again: Callable[[], Awaitable[None]] = _at_once
        """Returns if this desk may join its group again, after the broker ended its membership; set by the process."""
        self.lease = ""
        """Metadata of each acknowledgement: the lease by which this process runs the desk."""
        self.heard_again: dict[str, asyncio.Event] = {}
        """Id, and digest of the bytes, of an own event that was sent once more -> set when it was answered again."""
        self.heard = asyncio.Event()
        """Set at the commit of each record of the inbox; cleared by the relay before it waits for answers."""
        self.progress = time.monotonic()
        """Monotonic time of the last handled record."""
        self.working = False
        """True while a record is being handled, or waits to be read again after an error."""
        self.put_off: int | None = None
        """Partition of the record that waits to be read again after an error; None while no record does."""

    async def load(self, settings: Settings) -> None:
        """Load the memory from the ledger; *settings* hold for the procedure, also over its stored state."""
        self.speaks, self.reader = settings.speaks, settings.reader
        with self.seat.ledger.read() as tx:
            self.parked = set(tx.scalars(select(tables.parked.c.subject).distinct()).all())
            self.set_aside = tx.scalar(select(func.count()).select_from(tables.set_aside)) or 0
            self.cases.activate(tx)
            has_cut = tx.execute(select(tables.documents.c.document).where(documents.cut()).limit(1)).first()
            stopped = documents.stopped(tx, self.seat.me)
        if has_cut is not None:
            await self.seat.ledger.together(lambda tx: documents.drop(tx, documents.cut()))
        if stopped:
            async with self.seat.ledger.write() as tx:
                for event in stopped:
                    documents.go_on(self.seat, tx, event)
        if self.seat.procedure is None:
            return
        self.book = self.seat.procedure.begin(settings)
        state, is_closed = book.load(self.seat, self._procedure_name)
        if state is not None:
            self.book = type(self.book).from_json(state)
            await self._settle(settings)
        elif is_closed:
            about = json.dumps({"code": book.TASK, "sentence": book.SENTENCE})
            how = {"subject": "", "event_id": self._procedure_name, "kind": book.TASK, "about": about}
            async with self.seat.ledger.write() as tx:
                open_task(tx, opened=self.seat.stamp(), **how)

    async def _settle(self, settings: Settings) -> None:
        """Store the procedure's book under *settings*, and publish what follows, if they are others than it was stored under."""
        if self.seat.procedure is None:
            return
        after, data = settled(self.seat.procedure, self.book, settings)
        if after == self.book:
            return
        async with self.seat.ledger.write() as tx:
            self.save_book(tx, after)
            if data is not None:
                now, where = self.seat.now(), bulletin.of(self.seat.me)
                said = Draft(type=data.type, version=data.version, subject=where, data=data, time=now, actor=BY_ITSELF)
                self.say(tx, Result(drafts=(said,)), None)

    @property
    def lines(self) -> tuple[Line[Any], ...]:
        """Return the lines of the procedure; none for a role without one."""
        return lines_of(self.seat.procedure) if self.seat.procedure is not None else ()

    @property
    def _procedure_name(self) -> str:
        return getattr(self.seat.procedure, "__name__", "")

    def save_book(self, tx: Connection, kept: Frozen) -> None:
        """Store within *tx* the procedure's book *kept*, for the records after; an undone transaction restores the earlier one."""
        book.store(self.seat, tx, self._procedure_name, json.dumps(kept.to_mapping()).encode())
        before, self.book = self.book, kept
        self.seat.ledger.otherwise(lambda: setattr(self, "book", before))

    def say(self, tx: Connection, said: Result, cause: Event | None) -> None:
        """Store within *tx* the answer of a procedure: drafts in the outbox, tasks on the list, and earlier tasks as done."""
        correlation = (cause.correlationid or cause.id) if cause else None
        for draft in said.drafts:
            exchange = None if draft.data.keyed_by == "agency" else correlation  # a bulletin leads to no case
            queue.put(self.seat, tx, draft, origin="procedure", correlationid=exchange)
        for code, event in said.over:
            finish_task_of(tx, event, code, self.seat.stamp())
        for task in said.tasks:
            about = {"sentence": task.sentence, "alternatives": list(task.alternatives)}
            if task.referral:
                about["referral"] = task.referral
            open_task(
                tx,
                opened=self.seat.stamp(),
                subject=task.subject,
                event_id=task.event,
                kind=task.code,
                about=json.dumps(about),
            )

    def take_back(self, tx: Connection, event: Event, code: str) -> None:
        """Let the procedure release within *tx* its reservations for *event*, refused with *code*."""
        if self.seat.procedure is None:
            about = json.dumps({"type": event.type, "code": code})
            open_task(
                tx, opened=self.seat.stamp(), subject=event.subject, event_id=event.id, kind="refused", about=about
            )
            return
        after, said = refused(self.seat.procedure, self.book, read(event), code)
        self.save_book(tx, after)
        self.say(tx, said, None)

    def is_handling(self, partition: int) -> bool:
        """Return whether a record of *partition* may be in work: what the consumer has read is then not handled to its end."""
        return self.working and self.put_off in (None, partition)

    def read_first(self, partition: int, offset: int) -> int | None:
        """Return the end to read to before a letter opens for the record at *offset*; None if no record follows."""
        end = self.end_of(partition)
        return end if end is not None and end > offset + 1 + _MARKER else None

    def read_ahead(self, subject: str, partition: int, end: int | None) -> None:
        """Remember that *subject* waits until *partition* is read to *end*, or to a later known end; do nothing if *end* is None."""
        if end is not None:
            self.ahead[subject] = max((partition, end), self.ahead.get(subject, (partition, end)))
            self.waits.set()

    def health(self) -> Mapping[str, Any]:
        """Return the problems known without reading the ledger."""
        standing = {
            "trouble": self.seat.trouble, "parked": len(self.parked), "set_aside": self.set_aside,
            beginnings.TASK: beginnings.shown(self.seat.ledger), older_copy.TASK: older_copy.shown(self.seat),
        }  # fmt: skip
        found = epochs.ending(self.seat.directory, self.seat.me, self.seat.now())
        if found is None:
            return {**standing, "sealing_key": None}
        about = {"code": found.state, "ends": times.write(found.ends), "sentence": found.sentence}
        return {**standing, "sealing_key": about}
