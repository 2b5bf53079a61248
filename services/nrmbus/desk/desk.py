"""A desk while it runs: the agency's seat, its views of cases, its procedure's book, and which cases are parked."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import Result, Settings, refused
from nrmbus.desk.state import beginnings, book
from nrmbus.desk.state.cases import Cases
from nrmbus.desk.state.context import Seat
from nrmbus.desk.state.integrity import Unaltered
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.versions import Speaks
from nrmbus.directory import epochs
from nrmbus.events.model import Event, Frozen
from nrmbus.rules import read
from nrmbus.wire import times

_MARKER: Final = 1
"""Offsets that the end of a transaction takes: a record of Kafka's own, which nobody reads."""


def _unknown(_: int) -> int | None:
    return None


class Desk:
    """What the handling of one record needs beside the record. Its memory follows the ledger's commits."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.cases = Cases(seat)
        self.unaltered = Unaltered(seat.ledger, seat.stamp)
        self.book: Frozen = Frozen()
        self.speaks: Speaks = {}
        """Of each type that the agency names, the version that its own system speaks."""
        self.reader: str | None = None
        """As who the agency's own system reads where it names nobody."""
        self.parked: set[str] = set()
        """Cases that wait for a person or an upgrade, because a record of them could not be handled."""
        self.ahead: dict[str, tuple[int, int]] = {}
        """Of each case whose letter waits until the inbox is read: the partition, and where it ended when the letter came."""
        self.waits = asyncio.Event()
        """Set when a case is put there."""
        self.end_of: Callable[[int], int | None] = _unknown
        """Where a partition of the inbox ends, as far as the broker has said; set by the process."""
        self.releasing = asyncio.Lock()
        """Held while a case is let through: a record is handled by one hand."""
        self.attempts: dict[tuple[int, int], int] = {}
        """How often the record at (partition, offset) was tried in vain."""
        self.set_aside = 0
        """How many records of the inbox nobody whom this desk believes has put there."""
        self.assigned = asyncio.Event()
        """Set once the inbox is this desk's to read."""
        self.progress = time.monotonic()
        """When a record was last dealt with, by the process's own clock."""
        self.working = False
        """Whether a record is being handled right now."""

    async def load(self, settings: Settings) -> None:
        """Take from the ledger what is kept in memory; a procedure that has heard nothing yet begins with *settings*."""
        self.speaks, self.reader = settings.speaks, settings.reader
        async with self.seat.ledger.read() as tx:
            self.parked = set((await tx.scalars(select(tables.parked.c.subject).distinct())).all())
            self.set_aside = await tx.scalar(select(func.count()).select_from(tables.set_aside)) or 0
        if self.seat.procedure is None:
            return
        self.book = self.seat.procedure.begin(settings)
        state, is_closed = await book.load(self.seat, self._procedure_name)
        if state is not None:
            self.book = type(self.book).from_json(state)
        elif is_closed:
            about = json.dumps({"code": book.TASK, "sentence": book.SENTENCE})
            how = {"subject": "", "event_id": self._procedure_name, "kind": book.TASK, "about": about}
            async with self.seat.ledger.write() as tx:
                await open_task(tx, opened=self.seat.stamp(), **how)

    @property
    def _procedure_name(self) -> str:
        return getattr(self.seat.procedure, "__name__", "")

    async def save_book(self, tx: AsyncConnection, kept: Frozen) -> None:
        """Store within *tx* what the procedure keeps."""
        await book.store(self.seat, tx, self._procedure_name, json.dumps(kept.to_mapping()).encode())

    async def say(self, tx: AsyncConnection, said: Result, cause: Event | None) -> None:
        """Put within *tx* what a procedure answers where it belongs: drafts into the outbox, tasks onto the list."""
        correlation = (cause.correlationid or cause.id) if cause else None
        for draft in said.drafts:
            await queue.put(self.seat, tx, draft, origin="procedure", correlationid=correlation)
        for task in said.tasks:
            about = {"sentence": task.sentence, "alternatives": list(task.alternatives)}
            if task.referral:
                about["referral"] = task.referral
            await open_task(
                tx,
                opened=self.seat.stamp(),
                subject=task.subject,
                event_id=task.event,
                kind=task.code,
                about=json.dumps(about),
            )

    async def take_back(self, tx: AsyncConnection, event: Event, code: str) -> None:
        """Let the procedure take back within *tx* what it had set aside for *event*, which is refused with *code*."""
        if self.seat.procedure is None:
            about = json.dumps({"type": event.type, "code": code})
            await open_task(
                tx, opened=self.seat.stamp(), subject=event.subject, event_id=event.id, kind="refused", about=about
            )
            return
        after, said = refused(self.seat.procedure, self.book, read(event), code)
        await self.save_book(tx, after)
        await self.say(tx, said, None)
        self.seat.ledger.then(lambda: setattr(self, "book", after))

    def read_first(self, partition: int, offset: int) -> int | None:
        """Where the inbox ends that must be read before a letter at *offset* is opened; none where nothing stands behind it."""
        end = self.end_of(partition)
        return end if end is not None and end > offset + 1 + _MARKER else None

    def read_ahead(self, subject: str, partition: int, end: int | None) -> None:
        """Remember that *subject* waits for *partition* to be read to its *end*; nothing where that is none."""
        if end is not None:
            self.ahead[subject] = (partition, end)
            self.waits.set()

    def health(self) -> Mapping[str, Any]:
        """What stands still, without a look into the ledger."""
        standing = {
            "trouble": self.seat.trouble, "parked": len(self.parked), "set_aside": self.set_aside,
            beginnings.TASK: beginnings.shown(self.seat.ledger),
        }  # fmt: skip
        found = epochs.ending(self.seat.directory, self.seat.me, self.seat.now())
        if found is None:
            return {**standing, "sealing_key": None}
        about = {"code": found.state, "ends": times.write(found.ends), "sentence": found.sentence}
        return {**standing, "sealing_key": about}
