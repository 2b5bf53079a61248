"""Anonymous intake at the hotline's desk: the key that messages are sealed to, reading on record, and answers."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import insert, select

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.intake.messages import Hotline, Written
from nrmbus.intake.store import PROFILE, IntakeStore, Look, Message, Thread, wall_time
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.wire import letter, times
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys.keys import SealingKey, SealTo

AGAIN: Final = timedelta(minutes=1)
"""Time between two looks, unless the key has changed."""
SAME_READING: Final = timedelta(minutes=15)
"""Time after an opening in which the same page, as in another language, is no new reading."""
PURPOSE: Final = "intake"
"""Purpose of the rows ``reads`` of anonymous messages."""
_OF_DESKS: Final = frozenset({"zone", "laws"})
"""Facts that no sentence of the public page has: it has a zone of its own, and nobody names a law there."""

_T = TypeVar("_T")
_READS: Final = tables.reads.c


async def tend(seat: Seat, home: Path) -> None:
    """Do everything due in the intake file of *home*, if this agency has one.

    The desk writes the facts of the profile in force, for the public page to state. It names its sealing key with the time, so
    that the public page knows since when nobody reads. Messages under an earlier sealing key are wrapped for the new one before
    the earlier key is destroyed, and messages beyond their days are deleted.

    Raises:
        sqlite3.Error, StoreFull: the file cannot be written; no key may be destroyed now.
    """
    if IntakeStore.is_at(home):
        identity = seat.identity
        hotline = Hotline(seat.bus, seat.me)
        told = facts(seat.rules.profile_at(seat.now()))
        await asyncio.to_thread(_tend, home, hotline, identity.opening, identity.sealing.seal_to, wall_time(), told)


def facts(profile: Profile) -> str:
    """Return the facts of *profile* that stand in sentences of the public page, in JSON."""
    said = {name: each for name, each in facts_of(profile).items() if name not in _OF_DESKS}
    return json.dumps({**said, "zone": profile.timezone, PROFILE: profile.name}, sort_keys=True)


def _tend(home: Path, hotline: Hotline, keys: Mapping[str, SealingKey], to: SealTo, now: datetime, about: str) -> None:
    store = IntakeStore.of_desk(home)
    try:
        if store.facts != about:
            store.state(about)
        told = store.key_kid == to.kid and store.seen is not None and timedelta(0) <= now - store.seen < AGAIN
        if not told:
            store.tell(to, now)
        for ref, message in store.behind(to.kid):
            try:
                again = hotline.wrapped_again(message.letter, keys, to, id=message.id, ref=ref)
            except LetterClosed:  # from an old backup: its key is gone, and the list says that it does not open
                continue
            store.replace(message.id, again, to.kid)
        if not told:
            store.expire(now)
    finally:
        store.close()


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
    """Return what *work* does with the intake file of *home*, outside the event loop."""

    def run() -> _T:
        store = IntakeStore.of_desk(home)
        try:
            return work(store)
        finally:
            store.close()

    return await asyncio.to_thread(run)


async def read(seat: Seat, home: Path, number: int, who: str, *, again: bool = False) -> Conversation | None:
    """Record that the member *who* opens the thread *number*, and then open it; None if it does not exist any more.

    With *again* the same page is shown once more: messages that *who* opened within `SAME_READING` are not recorded again.
    """
    thread = await in_store(home, lambda store: store.thread(number))
    if thread is None:
        return None
    how = {"at": seat.stamp(), "who": who, "subject": thread.ref, "source": seat.me, "purpose": PURPOSE}
    known = _opened_by(seat, thread, who) if again else set()
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
        await in_store(home, lambda store: store.mark_read(number, wall_time(), last=last))
    hotline = Hotline(seat.bus, seat.me)
    return Conversation(
        thread, tuple(_opened(hotline, seat.identity.opening, thread.ref, each) for each in thread.messages)
    )


def _opened_by(seat: Seat, thread: Thread, who: str) -> set[str]:
    """Return the messages of the thread that *who* has opened on record since `SAME_READING`."""
    since = times.write(seat.now() - SAME_READING)
    rows = select(_READS.event).where(_READS.subject == thread.ref, _READS.purpose == PURPOSE, _READS.who == who)
    with seat.ledger.read() as tx:
        return set(tx.scalars(rows.where(_READS.at > since)))


def _parts_of(message: Message) -> tuple[str, ...]:
    try:
        return letter.Container.parse(message.letter).parts
    except LetterClosed:
        return ()


def _opened(hotline: Hotline, keys: Mapping[str, SealingKey], ref: str, message: Message) -> Said:
    try:
        parts = hotline.opened(message.letter, keys, id=message.id, ref=ref)
    except LetterClosed:
        return Said(message)
    written = Written.of_parts(parts) if message.who is None else None
    return Said(message, str(parts["story"]["text"]), written)


def readers(seat: Seat, thread: Thread) -> list[tuple[str, str]]:
    """Return who has opened the thread, and when, newest first; each opening once."""
    rows = select(_READS.at, _READS.who).where(_READS.subject == thread.ref, _READS.purpose == PURPOSE)
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
        is_stored = store.answer(number, id, who, sealed, own.kid, last=last, now=wall_time(), look=look)
        return "stored" if is_stored else "passed"

    return await in_store(home, put)
