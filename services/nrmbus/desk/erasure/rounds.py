"""What a desk destroys, and when: sealing keys after their epoch, and of a case what opens its letters, when it is due.

A case's erasure is ordered by the bus alone: `access.erasure_due`, upon a decision or when the profile's years are over,
which nobody says while a hold stands. What is destroyed: the key of the case, the keys kept under it, letters and drafts.
What stays: envelopes, numbers, registrations, who read what and when. It is confirmed in the same transaction.
What an agency confirms to have deleted after a withdrawal is destroyed too: of the case, what it was told.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, case, delete, exists, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus import telemetry
from nrmbus.desk.desk import Desk
from nrmbus.desk.letters import case_keys, letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.desk.state import book
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, open_task
from nrmbus.directory import SERVICES, Identity, epochs
from nrmbus.events.consent import ConsentStopConfirmed
from nrmbus.events.erasure import AccessErasureConfirmed, AccessErasureDue, ErasureGround
from nrmbus.events.model import Draft
from nrmbus.telemetry import log
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import said_by_itself

LOOK_EVERY: Final = 5.0
"""Seconds of the wall's clock between two looks at what is due."""

TOGETHER: Final = 0.05
"""Seconds in which commits that come in a row are looked at once."""

AHEAD_AT_MOST: Final = timedelta(minutes=5)
"""How far two clocks may differ that are set: a desk destroys nothing upon a word from further ahead."""

WITHHELD: Final = frozenset({"inbox_gap", "inbox_forked"})
"""Why an inbox stands still until a person has looked, however long that takes."""

_ROTATE: Final = "nrmbus agency rotate"

WORDS: Final = (AccessErasureDue.type, ConsentStopConfirmed.type)
"""Upon which a desk destroys something."""

_DELETED: Final = b'"answer":"deleted"'
"""How a confirmation says so, in canonical JSON."""

_EVENTS, _OUTBOX, _ERASURES = tables.events.c, tables.outbox.c, tables.erasures.c


async def run(desk: Desk, home: Path, ready: Callable[[], bool]) -> None:
    """Destroy what is due, now and every few seconds, until cancelled; nothing before the inbox has been read.

    Where it cannot be read on, keys end all the same: who keeps a delivery back would keep them alive. What they open
    was handed over by then, or has left the inbox.
    """
    seen, said = 0, None
    is_first = True  # whoever was killed after a deletion has left pages of what it was
    while True:
        try:
            if ready() or desk.seat.trouble in WITHHELD:
                await end_epochs(desk.seat, home)
            if ready():
                await erase_due(desk)
                await delete_stopped(desk)
                if is_first or desk.seat.ledger.holds_deleted:
                    await off_the_disk(desk.seat.ledger)
                    is_first = False
                said = await remind(desk.seat, said)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:  # a full disk, a held file: looked at again
            telemetry.handled("not_available", error=type(error).__name__)
        seen = await _until_asked(desk.seat.ledger, seen)


async def _until_asked(ledger: Ledger, seen: int) -> int:
    """Wait for the next look: at once when a word came upon which something is destroyed; how far the events were seen."""
    words = select(func.max(_EVENTS.position), func.count(case((_EVENTS.type.in_(WORDS), 1))))
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY):
            while True:
                count = ledger.count
                async with ledger.read() as tx:
                    last, asked = (await tx.execute(words.where(_EVENTS.position > seen))).one()
                seen = last or seen
                if asked:
                    break
                async with ledger.commits:
                    await ledger.commits.wait_for(partial(ledger.passed, count))
                await asyncio.sleep(TOGETHER)
    return seen


# -- of a case -------------------------------------------------------------------------------------------------------


async def order(tx: AsyncConnection, subject: str, *, cause: str, ground: ErasureGround, at: str) -> None:
    """Note within *tx* that what opens the letters of *subject* has to be destroyed, for *cause*.

    Another decision, or that its time is over, has it done and confirmed once more: each time a clock runs for that.
    """
    noted = upsert(tables.erasures).values(subject=subject, cause=cause, ground=ground, asked=at)
    again = {"cause": cause, "ground": ground, "asked": at, "done": None, "horizon": None}
    await tx.execute(noted.on_conflict_do_update(index_elements=["subject"], set_=again))


async def erase_due(desk: Desk) -> tuple[str, ...]:
    """Erase every case that was ordered, confirm it, and answer which; what came to an erased case since goes too.

    Nothing while the directory does not name the keys here: nobody could say from when on a backup opens no more.
    """
    seat = desk.seat
    if all(each.kid != seat.identity.sealing.kid for each in epochs.of_desk(seat.directory, seat.identity)):
        return ()
    async with seat.ledger.read() as tx:
        told = (await tx.execute(select(tables.events).where(_told(), _is_past(seat)).order_by(_EVENTS.position))).all()
    if told:
        async with seat.ledger.write() as tx:
            for row in told:
                ground: ErasureGround = json.loads(row.value)["ground"]
                await order(tx, row.subject, cause=row.id, ground=ground, at=seat.stamp())
    async with seat.ledger.read() as tx:
        due = (await tx.execute(select(tables.erasures).where(_ERASURES.done.is_(None)))).all()
        late = list((await tx.execute(_left_over())).scalars())
    if not due and not late:
        return ()
    done = []
    async with seat.ledger.write() as tx:
        for row in due:
            if await may_be_sent(tx, row.subject):
                continue  # the registrar refuses what has a letter now; its answer is awaited, so that no bytes are wanted again
            await erase(tx, [row.subject])
            await _confirm(seat, tx, row)
            done.append(row.subject)
        await erase(tx, late)
    await off_the_disk(seat.ledger)
    telemetry.handled("erased", count=len(done))
    return tuple(done)


def _told() -> Any:
    """What the bus has said is due, of each case the last time, and is not noted yet."""
    later = tables.events.alias("later")
    again = (later.c.subject == _EVENTS.subject) & (later.c.type == AccessErasureDue.type)
    is_last = ~exists().where(again, later.c.position > _EVENTS.position)
    return (_EVENTS.type == AccessErasureDue.type) & is_last & _EVENTS.id.not_in(select(_ERASURES.cause))


def _is_past(seat: Seat) -> Any:
    """What the registrar registered at a time that has come here too.

    A clock of the bus that is years ahead makes everything due: its word waits for this desk's clock, or for a person.
    """
    return _EVENTS.registered <= times.write(seat.now() + AHEAD_AT_MOST)


def _left_over() -> Any:
    cases = select(_ERASURES.subject).where(_ERASURES.done.is_not(None))
    came = select(_EVENTS.subject).where(_EVENTS.subject.in_(cases), _EVENTS.letter.is_not(None))
    closed = (_OUTBOX.state == "closed") & or_(_OUTBOX.letter.is_not(None), _OUTBOX.draft.is_not(None))
    return came.union(select(_OUTBOX.subject).where(_OUTBOX.subject.in_(cases), closed))


async def may_be_sent(tx: AsyncConnection, subject: str) -> bool:
    """Whether something with a letter was said of the case and is not answered yet: its bytes may be wanted again."""
    has_letter = or_(_OUTBOX.draft.is_not(None), _OUTBOX.letter.is_not(None))
    row = select(_OUTBOX.seq).where(_OUTBOX.subject == subject, _OUTBOX.state != "closed", has_letter)
    return (await tx.execute(row.limit(1))).first() is not None


async def erase(tx: AsyncConnection, subjects: Iterable[str]) -> None:
    """Destroy within *tx* what opens the letters of *subjects*, and the letters; nothing that was signed in the clear."""
    for subject in subjects:
        await tx.execute(delete(tables.case_keys).where(tables.case_keys.c.subject == subject))
        await tx.execute(delete(tables.letter_keys).where(tables.letter_keys.c.subject == subject))
        had = update(tables.events).where(_EVENTS.subject == subject, _EVENTS.letter.is_not(None))
        await tx.execute(had.values(letter=None, shut=letters.ERASED))
        rows = update(tables.outbox).where(_OUTBOX.subject == subject, _OUTBOX.state == "closed")
        await tx.execute(rows.values(letter=None, draft=None, asked=""))


async def _confirm(seat: Seat, tx: AsyncConnection, row: Row[Any]) -> None:
    now = seat.now()
    horizon = epochs.horizon(epochs.of_desk(seat.directory, seat.identity), now)
    data = AccessErasureConfirmed(ground=row.ground, horizon=horizon)
    draft = Draft(
        type=data.type, version=data.version, subject=row.subject, data=data, time=now, actor=BY_ITSELF,
        causationid=row.cause or None, id=said_by_itself(seat.me, row.cause or row.subject, data.type),
    )  # fmt: skip
    if seat.me not in SERVICES:  # the timekeeper has a ledger, holds no case, and is not asked: it would be refused
        await queue.put(seat, tx, draft, origin="procedure")
    done = update(tables.erasures).where(_ERASURES.subject == row.subject)
    await tx.execute(done.values(done=times.write(now), horizon=times.write(horizon)))


async def off_the_disk(ledger: Ledger) -> None:
    """Empty the ledger's write-ahead file, which holds pages as they were: deleted rows are zeros in the ledger itself.

    While another program reads the ledger, a backup say, it cannot be emptied: then the next look does it.
    """
    ledger.holds_deleted = True
    ledger.holds_deleted = not await asyncio.to_thread(partial(_checkpoint, ledger.path))


def _checkpoint(path: Path) -> bool:
    # Nobody writes while it waits for readers, so it waits less than whoever writes would.
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


# -- of what an agency has confirmed to have deleted -----------------------------------------------------------------


async def delete_stopped(desk: Desk) -> tuple[str, ...]:
    """Destroy what this agency was told, of each case of which it has confirmed that it deleted it; answers which cases.

    `consent.stop_confirmed` with ``deleted`` is signed, and believed by who withdrew: so nothing that came before it opens
    here any more, after a new consent neither. What the agency said itself, and what comes later, stays.
    """
    seat = desk.seat
    async with seat.ledger.read() as tx:
        said = select(_EVENTS.subject, _EVENTS.position).where(_deletable(seat.me)).order_by(_EVENTS.position)
        due = {row.subject: row.position for row in await tx.execute(said)}
    if not due:
        return ()
    async with seat.ledger.write() as tx:
        for subject, position in due.items():
            told = (_EVENTS.subject == subject) & (_EVENTS.source != seat.me) & (_EVENTS.position < position)
            gone = await tx.execute(select(_EVENTS.source, _EVENTS.id).where(told, _EVENTS.letter.is_not(None)))
            await case_keys.forget(seat, tx, subject, {(row.source, row.id) for row in gone})
            await tx.execute(
                update(tables.events).where(told, _EVENTS.letter.is_not(None)).values(letter=None, shut=letters.ERASED)
            )
    await off_the_disk(seat.ledger)
    telemetry.handled("deleted", count=len(due))
    return tuple(due)


def _deletable(me: str) -> Any:
    """Own confirmations of having deleted, before which something came that still has its letter."""
    came = tables.events.alias("came")
    left = (came.c.subject == _EVENTS.subject) & (came.c.source != me) & came.c.letter.is_not(None)
    own = (_EVENTS.type == ConsentStopConfirmed.type) & (_EVENTS.source == me)
    return own & (func.instr(_EVENTS.value, _DELETED) > 0) & exists().where(left, came.c.position < _EVENTS.position)


async def is_due(seat: Seat, tx: AsyncConnection, signed: Signed) -> bool:
    """Return whether the letter of *signed* is to be destroyed for a word that was heard after it, and is not yet."""
    letter, word = tables.events.alias("letter"), tables.events.alias("word")
    same = (letter.c.subject == signed.subject) & (letter.c.source == signed.source) & (letter.c.id == signed.id)
    later = (word.c.subject == signed.subject) & (word.c.position > letter.c.position)
    registered = word.c.registered <= times.write(seat.now() + AHEAD_AT_MOST)
    ordered = (word.c.type == AccessErasureDue.type) & registered
    deleted = (word.c.type == ConsentStopConfirmed.type) & (func.instr(word.c.value, _DELETED) > 0)
    told = deleted & (word.c.source == seat.me) & (letter.c.source != seat.me)
    found = select(word.c.position).select_from(letter.join(word, later)).where(same, or_(ordered, told))
    return (await tx.execute(found.limit(1))).first() is not None


async def waiting(tx: AsyncConnection, me: str) -> int:
    """How many cases have something that is to be destroyed and is not yet."""
    ordered = select(_ERASURES.subject).where(_ERASURES.done.is_(None))
    said = select(_EVENTS.subject).where(_told() | _deletable(me))
    return await tx.scalar(select(func.count()).select_from(ordered.union(said).subquery())) or 0


# -- of an epoch -----------------------------------------------------------------------------------------------------


async def end_epochs(seat: Seat, home: Path) -> tuple[str, ...]:
    """Destroy this agency's sealing keys whose time is over, what they opened handed over first; answers their kids.

    Where the key in use has lived its 90 days and no other has come, the desk makes an interim one and hands over to that.
    The desk's own clock decides, also when the directory may be behind: what stands there can only end a key sooner.
    Cut anywhere, the next round does what is left.
    """
    Identity.finish_destroying(home)
    seat.renew()
    now, known = seat.now(), epochs.of_desk(seat.directory, seat.identity)
    ours = seat.me not in SERVICES and (seat.own is None or seat.own.alarm is None)
    if ours and epochs.is_spent(known, seat.identity.sealing.kid, now):
        seat.identity = seat.identity.succeeded(home, now)
        telemetry.handled("interim_key_made")
    ended = set(epochs.to_destroy(known, now)) & seat.identity.opening.keys()
    due = sorted(ended - {seat.identity.sealing.kid})
    await _hand_over(seat, whole=bool(due))
    for kid in due:
        Identity.destroy(home, kid)
    if due:
        seat.identity = Identity.at(home, seat.me)
        telemetry.handled("epoch_ended", count=len(due))
    return tuple(due)


async def _hand_over(seat: Seat, *, whole: bool) -> None:
    """Seal what is kept to the key in use, if it is not; the *whole* ledger is looked through before a key is destroyed."""
    using = seat.identity.sealing.kid
    if not whole:
        if seat.handed_to == using:
            return
        async with seat.ledger.read() as tx:
            whole = await case_keys.is_behind(seat, tx) or await book.is_behind(seat, tx)
    if whole:
        async with seat.ledger.write() as tx:
            await _seal_drafts_anew(seat, tx)
            await case_keys.keep_all(seat, tx)
            await case_keys.hand_over(seat, tx)
            await book.hand_over(seat, tx)
        await off_the_disk(seat.ledger)
    seat.handed_to = using


async def _seal_drafts_anew(seat: Seat, tx: AsyncConnection) -> None:
    waiting = select(_OUTBOX.seq, _OUTBOX.id, _OUTBOX.subject, _OUTBOX.draft).where(_OUTBOX.draft.is_not(None))
    for row in (await tx.execute(waiting.where(_OUTBOX.state != "closed"))).all():
        try:
            parts = letters.unseal_draft(seat, row.draft, id=row.id, subject=row.subject)
        except WireError:  # in a ledger from an old backup: its turn comes, and a person is told that it cannot be sent
            continue
        draft = letters.seal_draft(seat, parts, id=row.id, subject=row.subject)
        await tx.execute(update(tables.outbox).where(_OUTBOX.seq == row.seq).values(draft=draft))


async def remind(seat: Seat, said: object = None) -> object:
    """Say that the sealing key ends, or has ended: one task each, and one line a day in the log; answers what was *said*."""
    now = seat.now()
    found = epochs.ending(seat.directory, seat.me, now)
    if found is None:
        return None
    key, at = f"{found.state}/{times.write(found.ends)}", seat.stamp()
    about = {"code": found.state, "sentence": found.sentence, "command": found.command, "ends": times.write(found.ends)}
    there = select(tables.tasks.c.id).where(tables.tasks.c.kind == found.state, tables.tasks.c.event == key)
    async with seat.ledger.read() as tx:
        known = await tx.scalar(there)
    if known is None:
        async with seat.ledger.write() as tx:
            await open_task(tx, opened=at, subject="", event_id=key, kind=found.state, about=json.dumps(about))
    saying = (found.state, now.date())
    if saying != said:
        log.said(f"{found.state}: {_ROTATE}", agency=seat.me, seconds=int((found.ends - now).total_seconds()))
    return saying
