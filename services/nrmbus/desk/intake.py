"""Anonymous intake at the hotline's desk: the key that messages are sealed to, reading on record, and answers."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import ColumnElement, insert, select

from nrmbus import telemetry
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.intake.messages import Hotline, Written
from nrmbus.intake.store import PROFILE, IntakeStore, Look, Message, Thread
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.wire import letter, times
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.keys.keys import SealingKey, SealTo

AGAIN: Final = timedelta(minutes=1)
"""Time between two looks, unless the key has changed."""
SAME_READING: Final = timedelta(minutes=15)
"""Time after an opening in which the same page, as in another language, is no new reading."""
TASK: Final = "intake_damaged"
"""Kind of the task about a value of the file that cannot be read."""
PURPOSE: Final = "intake"
"""Purpose of the rows ``reads`` of anonymous messages."""
DELETED: Final = "deleted"
"""Stands in place of a part in the row ``reads`` of a deletion."""
_OF_DESKS: Final = frozenset({"zone", "laws"})
"""Facts that no sentence of the public page has: it has a zone of its own, and nobody names a law there."""

_SENTENCE: Final = (
    "The file of anonymous messages (public/intake.sqlite) has a value that cannot be read: somebody has edited the file, or "
    "its disk is damaged. The desk passes over this value. Ask who has access to this machine, and restart the public page."
)
_UNREADABLE: Final = (WireError, ValueError, TypeError, LookupError, ArithmeticError)
"""Errors of a value that no release has written: the process that serves the public page writes the file too."""

_T = TypeVar("_T")
_READS: Final = tables.reads.c


async def tend(seat: Seat, home: Path) -> None:
    """Do everything due in the intake file of *home*, if this agency has one.

    The desk writes the facts of the profile in force, for the public page to state. It names its sealing key with the time, so
    that the public page knows since when nobody reads. Messages under an earlier sealing key are wrapped for the new one before
    the earlier key is destroyed, and messages beyond their days are deleted.

    A value that cannot be read is passed over with a task: one row must keep neither keys nor messages beyond their time.

    Raises:
        sqlite3.Error, StoreFull: the file cannot be read or written; no key may be destroyed now.
    """
    if IntakeStore.is_at(home):
        identity = seat.identity
        hotline = Hotline(seat.bus, seat.me)
        told = facts(seat.rules.profile_at(seat.now()))
        to = identity.sealing.seal_to
        if not await asyncio.to_thread(_tend, home, hotline, identity.opening, to, wall_now(), told):
            await _report(seat, f"{TASK}/{to.kid}")


def facts(profile: Profile) -> str:
    """Return the facts of *profile* that stand in sentences of the public page, in JSON."""
    said = {name: each for name, each in facts_of(profile).items() if name not in _OF_DESKS}
    return json.dumps({**said, "zone": profile.timezone, PROFILE: profile.name}, sort_keys=True)


def _tend(home: Path, hotline: Hotline, keys: Mapping[str, SealingKey], to: SealTo, now: datetime, about: str) -> bool:
    """Do what `tend` does with the file; return whether every value that it read is one of ours."""
    is_sound = True
    with _file_of(home) as store:
        if store.facts != about:
            store.state(about)
        try:
            told = store.key_kid == to.kid and store.seen is not None and timedelta(0) <= now - store.seen < AGAIN
        except _UNREADABLE:  # written again now
            told = is_sound = False
        if not told:
            store.tell(to, now)
        for id, ref, sealed in store.behind(to.kid):
            try:
                again = hotline.wrapped_again(sealed, keys, to, id=id, ref=ref)
            except _UNREADABLE as error:
                # from an old backup: its key is gone, and the list says that it does not open
                is_sound = is_sound and isinstance(error, LetterClosed) and error.reason == "key"
                continue
            store.replace(id, again, to.kid)
        if not told:
            store.expire(now)
    return is_sound


async def _report(seat: Seat, key: str) -> None:
    """Open the task about a value of the file that cannot be read, once for each *key*."""
    there = select(tables.tasks.c.id).where(tables.tasks.c.kind == TASK, tables.tasks.c.event == key)
    with seat.ledger.read() as tx:
        if tx.scalar(there) is not None:
            return
    telemetry.handled("alarm", code=TASK)
    about = json.dumps({"code": TASK, "sentence": _SENTENCE})
    async with seat.ledger.write() as tx:
        open_task(tx, opened=seat.stamp(), subject="", event_id=key, kind=TASK, about=about)


@contextmanager
def _file_of(home: Path) -> Iterator[IntakeStore]:
    """Open the intake file of *home* for the block.

    Raises:
        sqlite3.DatabaseError: a value in the file cannot be read, also in the block; it has nothing of that value.
    """
    try:
        with closing(IntakeStore.of_desk(home)) as store:
            yield store
    except _UNREADABLE as error:
        raise sqlite3.DatabaseError(type(error).__name__) from None


# -- for the agency's people -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a worker reads it; nothing in it if it does not open."""

    message: Message
    text: str | None = field(default=None, repr=False)
    written: Written | None = field(default=None, repr=False)
    """The whole of what the person wrote; None for an answer."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread that was opened on record."""

    thread: Thread
    said: tuple[Said, ...]

    @property
    def last(self) -> int:
        """Return the row of the newest message that the reader has seen."""
        return self.thread.messages[-1].row


async def in_store(home: Path, work: Callable[[IntakeStore], _T]) -> _T:
    """Return what *work* does with the intake file of *home*, outside the event loop. Raises as `_file_of`."""

    def run() -> _T:
        with _file_of(home) as store:
            return work(store)

    return await asyncio.to_thread(run)


async def read(seat: Seat, home: Path, number: int, who: str, *, again: bool = False) -> Conversation | None:
    """Record that the member *who* opens the thread *number*, and then open it; None if it does not exist any more.

    With *again* the same page is shown once more: messages that *who* opened within `SAME_READING` are not recorded again.
    """
    thread = await in_store(home, lambda store: store.thread(number))
    if thread is None:
        return None
    how = {"at": seat.stamp(), "who": who, "subject": thread.ref, "source": seat.me, "purpose": PURPOSE}
    known = _opened_by(seat, thread, who, since=seat.now() - SAME_READING) if again else set()
    rows = [
        {**how, "event": each.id, "part": part}
        for each in thread.messages
        if each.id not in known
        for part in _parts_of(each)
    ]
    if rows:
        async with seat.ledger.write() as tx:
            tx.execute(insert(tables.reads), rows)
            seat.ledger.make_nothing_due()
        last = max(each.row for each in thread.messages)
        await in_store(home, lambda store: store.mark_read(number, wall_now(), last=last))
    hotline = Hotline(seat.bus, seat.me)
    return Conversation(
        thread, tuple(_opened(hotline, seat.identity.opening, thread.ref, each) for each in thread.messages)
    )


def _openings(thread: Thread) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the rows of the thread's openings, without those of a deletion that failed."""
    return _READS.subject == thread.ref, _READS.purpose == PURPOSE, _READS.part != DELETED


def _opened_by(seat: Seat, thread: Thread, who: str, *, since: datetime | None = None) -> set[str]:
    """Return the messages of the thread that *who* has opened on record, at any time or *since*."""
    rows = select(_READS.event).where(*_openings(thread), _READS.who == who)
    with seat.ledger.read() as tx:
        return set(tx.scalars(rows if since is None else rows.where(_READS.at > times.write(since))))


def _parts_of(message: Message) -> tuple[str, ...]:
    try:
        return letter.Container.parse(message.letter).parts
    except WireError:
        return ()


def _opened(hotline: Hotline, keys: Mapping[str, SealingKey], ref: str, message: Message) -> Said:
    try:
        parts = hotline.opened(message.letter, keys, id=message.id, ref=ref)
        written = Written.of_parts(parts) if message.who is None else None
        return Said(message, str(parts["story"]["text"]), written)
    except _UNREADABLE:
        return Said(message)


def readers(seat: Seat, thread: Thread) -> list[tuple[str, str]]:
    """Return who has opened the thread, and when, newest first; each opening once."""
    rows = select(_READS.at, _READS.who).where(*_openings(thread))
    with seat.ledger.read() as tx:
        found: list[Any] = list(tx.execute(rows.distinct().order_by(_READS.at.desc(), _READS.who)).all())
    return [(row.at, row.who) for row in found]


Answered = Literal["stored", "passed", "gone"]
"""Whether the answer is stored, others wrote since the thread was read, or the thread is gone."""


async def answer(
    seat: Seat, home: Path, number: int, text: str, *, id: str, who: str, last: int, look: Look
) -> Answered:
    """Seal and store the answer *id* of the member *who*, who has read up to the row *last*.

    *look* raises if the member may no longer answer; nothing is stored then.
    """
    hotline, own = Hotline(seat.bus, seat.me), seat.identity.sealing.seal_to

    def put(store: IntakeStore) -> Answered:
        thread = store.thread(number)
        if thread is None:
            return "gone"
        sealed = hotline.seal_answer(text, own, SealTo(thread.public), id=id, ref=thread.ref)
        is_stored = store.answer(number, id, who, sealed, own.kid, last=last, now=wall_now(), look=look)
        return "stored" if is_stored else "passed"

    return await in_store(home, put)


async def finish(seat: Seat, home: Path, number: int, *, who: str, last: int, look: Look, delete: bool = False) -> bool:
    """Close the thread *number*, or *delete* it, for the member *who*, who has read up to the row *last*.

    Return False, and leave the thread as it is, if *last* is not its newest row any more, or if *who* has not opened the
    newest message that can be opened: nobody gets rid of a message unseen. A deletion is recorded first, since no
    backup has the message; a row of a deletion that fails stays. *look* raises if the member may no longer do this.
    """
    thread = await in_store(home, lambda store: store.thread(number))
    if thread is None:
        return True
    if thread.messages:
        readable = [each.id for each in thread.messages if _parts_of(each)]
        if thread.messages[-1].row != last or not _opened_by(seat, thread, who).issuperset(readable[-1:]):
            return False
        if delete:
            how = {"at": seat.stamp(), "who": who, "subject": thread.ref, "source": seat.me, "purpose": PURPOSE}
            async with seat.ledger.write() as tx:
                look()
                tx.execute(insert(tables.reads), {**how, "event": thread.messages[-1].id, "part": DELETED})
                seat.ledger.make_nothing_due()
    return await in_store(home, lambda store: store.finish(number, wall_now(), last=last, delete=delete, look=look))
