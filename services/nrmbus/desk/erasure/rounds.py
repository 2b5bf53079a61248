"""Destruction by a desk: of sealing keys after their epoch, and of a case's letters and their keys when this is due.

Only the bus orders the erasure of a case: `access.erasure_due`, after a decision or when the profile's years are
over, and never while a hold stands. The erasure destroys the key of the case, the keys kept under it, letters and
drafts, and closes the tasks. Envelopes, numbers, registrations and the record of readings stay. The erasure is
confirmed in the same transaction. If an agency confirms a deletion after a withdrawal, its received letters of the case are destroyed too.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.periodic import doubled
from nrmbus.desk import intake
from nrmbus.desk.desk import Desk
from nrmbus.desk.letters import case_keys, letters
from nrmbus.desk.outbox import documents, drafts, queue
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.desk.state import book, labels, parking
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, open_task
from nrmbus.directory import SERVICES, Identity, epochs
from nrmbus.events.consent import ConsentStopConfirmed
from nrmbus.events.erasure import AccessErasureConfirmed, AccessErasureDue, ErasureGround
from nrmbus.events.model import Draft
from nrmbus.intake.store import StoreFull
from nrmbus.telemetry import log
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER

LOOK_EVERY: Final = 5.0
"""Seconds of the wall's clock between two looks at what is due."""

LONGEST_PAUSE: Final = 300.0
"""Seconds between two attempts to remove deleted rows from the files, at most: another program may read the ledger for hours."""

TOGETHER: Final = 0.05
"""Seconds within which several commits lead to one look."""

AHEAD_AT_MOST: Final = timedelta(minutes=5)
"""Largest expected difference of two correct clocks: an order from further ahead destroys nothing yet."""

WITHHELD: Final = frozenset({"inbox_gap", "inbox_forked"})
"""Reasons why an inbox stops until a person has looked, without a time limit."""

_PASSING: Final = (SQLAlchemyError, sqlite3.Error, StoreFull, OSError)
"""Errors of a full disk, or of a held or damaged file: the next look tries again."""

_ROTATE: Final = "nrmbus agency rotate"

WORDS: Final = (AccessErasureDue.type, ConsentStopConfirmed.type)
"""Types of the events that order a destruction."""

_DELETED: Final = b'"answer":"deleted"'
"""Answer of a confirmed deletion, in canonical JSON."""

_EVENTS, _OUTBOX, _ERASURES, _TASKS = tables.events.c, tables.outbox.c, tables.erasures.c, tables.tasks.c
_OF_A_PROCEDURE: Final = _TASKS.about.contains('"alternatives":')
"""Tasks that a procedure gave; those of the desk itself, a forged record say, are not over with a case."""
_ASKED: Final = select(
    func.max(_EVENTS.position), func.count(case((or_(*(_EVENTS.type == word for word in WORDS)), 1)))
).where(_EVENTS.position > bindparam("seen"))
_UNREAD: Final = select(tables.parked.c.position).where(tables.parked.c.error.in_(parking.NOT_READ))
"""Events that only a newer release reads: until then nothing of theirs is known, also not the ground of an order."""


async def run(desk: Desk, home: Path, ready: Callable[[], bool]) -> None:
    """Destroy everything due, now and every few seconds, until cancelled; nothing before the inbox has been read.

    If the inbox has stopped, keys end all the same; otherwise withholding a delivery would keep them alive. By then,
    all letters to these keys were handed over, or have left the inbox.
    """
    seen, said = 0, None
    failed, again = 0, 0.0
    is_first = True  # a desk killed after a deletion has left deleted pages in the file
    while True:
        try:
            if ready() or desk.seat.trouble in WITHHELD:
                await end_epochs(desk.seat, home)
        except _PASSING as error:  # a damaged intake file keeps keys, and nothing else, from being destroyed
            telemetry.handled("not_available", error=type(error).__name__)
        try:
            if ready():
                await erase_due(desk)
                await delete_stopped(desk)
                await end_uploads(desk.seat)
                await end_drafts(desk.seat)
                if not desk.seat.ledger.holds_deleted:
                    failed, again = 0, 0.0
                if is_first or (desk.seat.ledger.holds_deleted and time.monotonic() >= again):
                    await desk.seat.ledger.off_the_disk()
                    is_first = False
                    failed += 1
                    again = time.monotonic() + doubled(LOOK_EVERY, failed, LONGEST_PAUSE)
                said = await remind(desk.seat, said)
            seen = await _until_asked(desk.seat.ledger, seen)
        except _PASSING as error:
            telemetry.handled("not_available", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)


async def _until_asked(ledger: Ledger, seen: int) -> int:
    """Wait for the next look, or until an order of destruction comes; return the newest position seen."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_EVERY):
            while True:
                count = ledger.count
                with ledger.read() as tx:
                    last, asked = tx.execute(_ASKED, {"seen": seen}).one()
                seen = last or seen
                if asked:
                    break
                async with ledger.commits:
                    await ledger.commits.wait_for(partial(ledger.passed, count))
                await asyncio.sleep(TOGETHER)
    return seen


# -- of a case -------------------------------------------------------------------------------------------------------


def order(tx: Connection, subject: str, *, cause: str, ground: ErasureGround, at: str) -> None:
    """Note within *tx* that the letters of *subject*, and their keys, have to be destroyed, for *cause*.

    A later order is executed and confirmed again, since each order has its own deadline.
    """
    noted = upsert(tables.erasures).values(subject=subject, cause=cause, ground=ground, asked=at)
    again = {"cause": cause, "ground": ground, "asked": at, "done": None, "horizon": None}
    tx.execute(noted.on_conflict_do_update(index_elements=["subject"], set_=again))


async def erase_due(desk: Desk) -> tuple[str, ...]:
    """Erase and confirm every ordered case; erase later records of erased cases too; return the cases.

    Does nothing while the directory does not name the keys here: the date from which a backup no longer opens would
    be unknown.
    """
    seat = desk.seat
    if all(each.kid != seat.identity.sealing.kid for each in epochs.of_desk(seat.directory, seat.identity)):
        return ()
    with seat.ledger.read() as tx:
        orders = select(tables.events).where(_told(), _is_past(seat), _EVENTS.position.not_in(_UNREAD))
        told = tx.execute(orders.order_by(_EVENTS.position)).all()
    if told:
        async with seat.ledger.write() as tx:
            for row in told:
                ground: ErasureGround = json.loads(row.value)["ground"]
                order(tx, row.subject, cause=row.id, ground=ground, at=seat.stamp())
    with seat.ledger.read() as tx:
        due = tx.execute(select(tables.erasures).where(_ERASURES.done.is_(None))).all()
        late = list(tx.execute(_left_over()).scalars())
        tasks = list(tx.execute(_tasks_of_erased()).scalars())
    if not due and not late and not tasks:
        return ()
    done = []
    async with seat.ledger.write() as tx:
        for row in due:
            if may_be_sent(tx, row.subject):
                continue  # wait for the registrar's refusal: until then the bytes may be needed again
            erase(tx, [row.subject])
            close_tasks(tx, _TASKS.subject == row.subject, at=seat.stamp())
            _confirm(seat, tx, row)
            done.append(row.subject)
        erase(tx, late)
        close_tasks(tx, _TASKS.id.in_(tasks), at=seat.stamp())
    await seat.ledger.off_the_disk()
    telemetry.handled("erased", count=len(done))
    return tuple(done)


def _told() -> Any:
    """Return the condition for the latest order of each case that is not noted yet."""
    later = tables.events.alias("later")
    again = (later.c.subject == _EVENTS.subject) & _is_order(later.c)
    is_last = ~exists().where(again, later.c.position > _EVENTS.position)
    return _is_order(_EVENTS) & is_last & _EVENTS.id.not_in(select(_ERASURES.cause))


def _is_order(events: Any) -> Any:
    """Return the condition for orders of erasure; an order of anybody else came before this desk knew the type."""
    return (events.type == AccessErasureDue.type) & (events.source == TIMEKEEPER)


def _is_past(seat: Seat) -> Any:
    """Return the condition for events whose time of registration has come by this desk's clock.

    A bus clock that is years ahead makes everything due, so such an order waits for this desk's clock, or for a person.
    """
    return _EVENTS.registered <= times.write(seat.now() + AHEAD_AT_MOST)


def _left_over() -> Any:
    cases = select(_ERASURES.subject).where(_ERASURES.done.is_not(None))
    came = select(_EVENTS.subject).where(_EVENTS.subject.in_(cases), _EVENTS.letter.is_not(None))
    closed = (_OUTBOX.state == "closed") & or_(_OUTBOX.letter.is_not(None), _OUTBOX.draft.is_not(None))
    uploaded = select(tables.documents.c.subject).where(tables.documents.c.subject.in_(cases))
    typed = select(tables.drafts.c.subject).where(tables.drafts.c.subject.in_(cases))
    labelled = select(tables.case_labels.c.subject).where(tables.case_labels.c.subject.in_(cases))
    return came.union(select(_OUTBOX.subject).where(_OUTBOX.subject.in_(cases), closed), uploaded, typed, labelled)


def _tasks_of_erased() -> Select[Any]:
    """Return the query for tasks about what came before the order of an erasure that is done.

    An earlier release left such tasks in the ledger, and some of them said what stood in a letter.
    """
    heard, order = tables.events.alias("heard"), tables.events.alias("order")
    rows = (
        select(_TASKS.id)
        .join(tables.erasures, _ERASURES.subject == _TASKS.subject)
        .join(order, (order.c.subject == _TASKS.subject) & (order.c.id == _ERASURES.cause))
        .join(heard, (heard.c.subject == _TASKS.subject) & (heard.c.id == _TASKS.event))
    )
    return rows.where(_ERASURES.done.is_not(None), _OF_A_PROCEDURE, heard.c.position < order.c.position)


def close_tasks(tx: Connection, which: ColumnElement[bool], *, at: str) -> None:
    """Mark within *tx* as done the tasks *which* a procedure gave, and empty them: nothing is left that they could be about."""
    rows = update(tables.tasks).where(which, _OF_A_PROCEDURE)
    tx.execute(rows.values(about="{}", done=func.coalesce(_TASKS.done, at)))


def may_be_sent(tx: Connection, subject: str) -> bool:
    """Return whether an unanswered row of the case has a letter: its bytes may be needed again."""
    has_letter = or_(_OUTBOX.draft.is_not(None), _OUTBOX.letter.is_not(None))
    row = select(_OUTBOX.seq).where(_OUTBOX.subject == subject, _OUTBOX.state != "closed", has_letter)
    return tx.execute(row.limit(1)).first() is not None


def erase(tx: Connection, subjects: Iterable[str]) -> None:
    """Destroy within *tx* the letters of *subjects*, and their keys; the clear signed fields stay."""
    for subject in subjects:
        tx.execute(delete(tables.case_keys).where(tables.case_keys.c.subject == subject))
        tx.execute(delete(tables.letter_keys).where(tables.letter_keys.c.subject == subject))
        had = update(tables.events).where(_EVENTS.subject == subject, _EVENTS.letter.is_not(None))
        tx.execute(had.values(letter=None, shut=letters.ERASED))
        rows = update(tables.outbox).where(_OUTBOX.subject == subject, _OUTBOX.state == "closed")
        tx.execute(rows.values(letter=None, draft=None, asked=""))
        documents.drop(tx, tables.documents.c.subject == subject)
        drafts.drop(tx, drafts.of_case(subject))
        labels.drop(tx, subject)


def _confirm(seat: Seat, tx: Connection, row: Row[Any]) -> None:
    now = seat.now()
    horizon = epochs.horizon(epochs.of_desk(seat.directory, seat.identity), now)
    data = AccessErasureConfirmed(ground=row.ground, horizon=horizon)
    draft = Draft(
        type=data.type, version=data.version, subject=row.subject, data=data, time=now, actor=BY_ITSELF,
        causationid=row.cause or None, id=said_by_itself(seat.me, row.cause or row.subject, data.type),
    )  # fmt: skip
    # The timekeeper has a ledger and holds no letter: its confirmation would be refused.
    if seat.me not in SERVICES:
        queue.put(seat, tx, draft, origin="procedure")
    done = update(tables.erasures).where(_ERASURES.subject == row.subject)
    tx.execute(done.values(done=times.write(now), horizon=times.write(horizon)))


# -- of an upload ----------------------------------------------------------------------------------------------------


async def end_uploads(seat: Seat) -> None:
    """Destroy the uploads that nobody has announced within a day, and those of which nothing more was sent for a day."""
    with seat.ledger.read() as tx:
        if not documents.ended(seat, tx):
            return
    async with seat.ledger.write() as tx:
        documents.drop(tx, tables.documents.c.document.in_(documents.ended(seat, tx)))
    await seat.ledger.off_the_disk()


# -- of a draft ------------------------------------------------------------------------------------------------------


async def end_drafts(seat: Seat) -> None:
    """Destroy the drafts that nobody has changed for 30 days, and those of which every event is registered."""
    with seat.ledger.read() as tx:
        if not drafts.over(seat, tx):
            return
    async with seat.ledger.write() as tx:
        drafts.drop(tx, tables.drafts.c.id.in_(drafts.over(seat, tx)))
    await seat.ledger.off_the_disk()


# -- of what an agency has confirmed to have deleted -----------------------------------------------------------------


async def delete_stopped(desk: Desk) -> tuple[str, ...]:
    """Destroy the received letters of each case whose deletion this agency has confirmed; return the cases.

    `consent.stop_confirmed` with ``deleted`` is a signed promise to the person: no earlier letter opens here any
    more, even after a new consent, and the tasks about what was received are closed. The agency's own events, and later ones, stay.
    """
    seat = desk.seat
    with seat.ledger.read() as tx:
        said = select(_EVENTS.subject, _EVENTS.position).where(_deletable(seat.me)).order_by(_EVENTS.position)
        due = {row.subject: row.position for row in tx.execute(said)}
        tasks = list(tx.execute(_tasks_of_deleted(seat.me)).scalars())
    if not due and not tasks:
        return ()
    async with seat.ledger.write() as tx:
        for subject, position in due.items():
            told = (_EVENTS.subject == subject) & (_EVENTS.source != seat.me) & (_EVENTS.position < position)
            gone = tx.execute(select(_EVENTS.source, _EVENTS.id).where(told, _EVENTS.letter.is_not(None)))
            case_keys.forget(seat, tx, subject, {(row.source, row.id) for row in gone})
            labels.drop(tx, subject)
            tx.execute(
                update(tables.events).where(told, _EVENTS.letter.is_not(None)).values(letter=None, shut=letters.ERASED)
            )
        close_tasks(tx, _TASKS.id.in_(tasks), at=seat.stamp())
    await seat.ledger.off_the_disk()
    telemetry.handled("deleted", count=len(due))
    return tuple(due)


def _deletable(me: str) -> Any:
    """Return the condition for own confirmed deletions with an earlier received event that still has its letter."""
    came = tables.events.alias("came")
    left = (came.c.subject == _EVENTS.subject) & (came.c.source != me) & came.c.letter.is_not(None)
    return _is_deletion(_EVENTS, me) & exists().where(left, came.c.position < _EVENTS.position)


def _is_deletion(events: Any, me: str) -> Any:
    """Return the condition for confirmed deletions of the agency *me*."""
    own = (events.type == ConsentStopConfirmed.type) & (events.source == me)
    return own & tables.has_bytes(events.value, _DELETED)


def _tasks_of_deleted(me: str) -> Select[Any]:
    """Return the query for tasks about what was received before a deletion that this agency has confirmed."""
    heard, said = tables.events.alias("heard"), tables.events.alias("said")
    rows = (
        select(_TASKS.id)
        .join(said, said.c.subject == _TASKS.subject)
        .join(heard, (heard.c.subject == _TASKS.subject) & (heard.c.id == _TASKS.event))
    )
    return rows.where(
        _is_deletion(said.c, me), heard.c.source != me, heard.c.position < said.c.position, _OF_A_PROCEDURE
    )


@dataclass(frozen=True, slots=True)
class Orders:
    """Positions of the newest orders that letters of a case be destroyed, each about the letters before it; 0 if there is none."""

    of_all: int
    of_received: int
    """Position of this agency's own word that it deleted what it had received."""


def orders(seat: Seat, tx: Connection, subject: str, after: int = 0) -> Orders:
    """Return the orders of the case *subject* behind the position *after*."""
    until = times.write(seat.now() + AHEAD_AT_MOST)
    row = tx.execute(_ORDERS, {"subject": subject, "after": after, "until": until, "me": seat.me}).one()
    return Orders(row.of_all or 0, row.of_received or 0)


def is_due(seat: Seat, tx: Connection, signed: Signed, known: Orders | None = None) -> bool:
    """Return whether a later order requires that the letter of *signed* be destroyed; *known* are the orders of its case."""
    position = tx.scalar(_POSITION, {"subject": signed.subject, "source": signed.source, "id": signed.id})
    if position is None:
        return False
    if known is None:
        known = orders(seat, tx, signed.subject, position)
    return position < known.of_all or (signed.source != seat.me and position < known.of_received)


def _orders() -> Select[Any]:
    ordered = _is_order(_EVENTS) & (_EVENTS.registered <= bindparam("until"))
    deleted = (_EVENTS.type == ConsentStopConfirmed.type) & tables.has_bytes(_EVENTS.value, _DELETED)
    told = deleted & (_EVENTS.source == bindparam("me"))
    rows = select(
        func.max(case((ordered, _EVENTS.position))).label("of_all"),
        func.max(case((told, _EVENTS.position))).label("of_received"),
    )
    return rows.where(
        _EVENTS.subject == bindparam("subject"), _EVENTS.position > bindparam("after"), or_(*(_EVENTS.type == word for word in WORDS))
    )  # fmt: skip


_ORDERS: Final = _orders()
_POSITION: Final = select(_EVENTS.position).where(
    _EVENTS.subject == bindparam("subject"), _EVENTS.source == bindparam("source"), _EVENTS.id == bindparam("id")
)


def waiting(tx: Connection, me: str) -> int:
    """Return the number of cases with a due destruction that is not done yet."""
    ordered = select(_ERASURES.subject).where(_ERASURES.done.is_(None))
    said = select(_EVENTS.subject).where(_told() | _deletable(me))
    return tx.scalar(select(func.count()).select_from(ordered.union(said).subquery())) or 0


# -- of an epoch -----------------------------------------------------------------------------------------------------


async def end_epochs(seat: Seat, home: Path) -> tuple[str, ...]:
    """Destroy this agency's expired sealing keys after handing over their letters; return the kids.

    If the key in use is 90 days old and there is no other, the desk makes an interim key and hands over to it. The
    desk's own clock decides, even if the directory may be behind: an entry can only end a key sooner. After an
    interruption, the next round does the rest.

    Raises:
        OSError: a key's file cannot be destroyed. The first such error is raised after all else is done.
    """
    failed = None
    try:
        Identity.finish_destroying(home)
    except OSError as error:
        failed = error  # a file on a damaged place of the disk may fail in every round, and must stop no other key
    seat.renew()
    now, known = seat.now(), epochs.of_desk(seat.directory, seat.identity)
    ours = seat.me not in SERVICES and (seat.own is None or seat.own.alarm is None)
    if ours and epochs.is_spent(known, seat.identity.sealing.kid, now):
        seat.identity = seat.identity.succeeded(home, now)
        telemetry.handled("interim_key_made")
    ended = set(epochs.to_destroy(known, now)) & seat.identity.opening.keys()
    due = sorted(ended - {seat.identity.sealing.kid})
    await _hand_over(seat, whole=bool(due))
    await intake.tend(seat, home)
    gone = list[str]()
    try:
        for kid in due:
            try:
                Identity.destroy(home, kid)
                gone.append(kid)
            except OSError as error:
                failed = failed or error
    finally:
        if due:  # a key whose destruction was cut off is no longer in the folder, and is finished by the next round
            seat.identity = Identity.at(home, seat.me)
    if gone:
        telemetry.handled("epoch_ended", count=len(gone))
    if failed is not None:
        raise failed
    return tuple(gone)


async def _hand_over(seat: Seat, *, whole: bool) -> None:
    """Seal stored secrets to the key in use, if needed; *whole*: check the whole ledger, before a key is destroyed."""
    using = seat.identity.sealing.kid
    if not whole:
        if seat.handed_to == using:
            return
        with seat.ledger.read() as tx:
            whole = case_keys.is_behind(seat, tx) or book.is_behind(seat, tx) or labels.is_behind(seat, tx)
    if whole:
        async with seat.ledger.write() as tx:
            _seal_drafts_anew(seat, tx)
            documents.seal_anew(seat, tx)
            drafts.seal_anew(seat, tx)
            case_keys.keep_all(seat, tx)
            case_keys.hand_over(seat, tx)
            book.hand_over(seat, tx)
            labels.hand_over(seat, tx)
        await seat.ledger.off_the_disk()
    seat.handed_to = using


def _seal_drafts_anew(seat: Seat, tx: Connection) -> None:
    waiting = select(_OUTBOX.seq, _OUTBOX.id, _OUTBOX.subject, _OUTBOX.draft).where(_OUTBOX.draft.is_not(None))
    for row in tx.execute(waiting.where(_OUTBOX.state != "closed")).all():
        try:
            parts = letters.unseal_draft(seat, row.draft, id=row.id, subject=row.subject)
        except WireError:  # in a ledger from an old backup: at its turn, a task says that the draft cannot be sent
            continue
        draft = letters.seal_draft(seat, parts, id=row.id, subject=row.subject)
        tx.execute(update(tables.outbox).where(_OUTBOX.seq == row.seq).values(draft=draft))


async def remind(seat: Seat, said: object = None) -> object:
    """Report that the sealing key ends, or has ended: one task each, a log line a day; return the last report."""
    now = seat.now()
    found = epochs.ending(seat.directory, seat.me, now)
    if found is None:
        return None
    key, at = f"{found.state}/{times.write(found.ends)}", seat.stamp()
    about = {"code": found.state, "sentence": found.sentence, "command": found.command, "ends": times.write(found.ends)}
    there = select(tables.tasks.c.id).where(tables.tasks.c.kind == found.state, tables.tasks.c.event == key)
    with seat.ledger.read() as tx:
        known = tx.scalar(there)
    if known is None:
        async with seat.ledger.write() as tx:
            open_task(tx, opened=at, subject="", event_id=key, kind=found.state, about=json.dumps(about))
    saying = (found.state, now.date())
    if saying != said:
        log.report(f"{found.state}: {_ROTATE}", agency=seat.me, seconds=int((found.ends - now).total_seconds()))
    return saying
