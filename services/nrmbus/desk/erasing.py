"""What a desk destroys, and when: sealing keys after their epoch, and of a case what opens its letters, when it is due.

A case's erasure is ordered by the bus alone: `access.erasure_due`, upon a decision or when the profile's years are over,
which nobody says while a hold stands. What is destroyed: the key of the case, the keys kept under it, letters and drafts.
What stays: envelopes, numbers, registrations, who read what and when. It is confirmed in the same transaction.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, delete, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus import telemetry
from nrmbus.bus.folder import PLAY
from nrmbus.desk import epochs, kept, letters, outbox, tables
from nrmbus.desk.desk import Desk
from nrmbus.desk.ledger import open_task
from nrmbus.desk.procedure import BY_ITSELF
from nrmbus.desk.seat import Seat
from nrmbus.directory import Identity
from nrmbus.events import AccessErasureConfirmed, AccessErasureDue
from nrmbus.events.erasure import ErasureGround
from nrmbus.events.model import Draft
from nrmbus.wire import json as wire_json
from nrmbus.wire import times
from nrmbus.wire.ids import said_by_itself

LOOK_EVERY: Final = 5.0
"""Seconds of the wall's clock between two looks at what is due."""

ERASED: Final = "erased"
"""What an event's row says in place of why its letter does not open."""

EPOCH_OVER: Final = "sealing_key_old"
"""The task for who changes the agency's keys."""

_OVER: Final = wire_json.dumps(AccessErasureDue(ground="retention").to_mapping())
"""What the bus says when the years are over; it is confirmed too where a decision had the case erased before."""

_EVENTS, _OUTBOX, _ERASURES = tables.events.c, tables.outbox.c, tables.erasures.c


async def run(desk: Desk, home: Path, ready: Callable[[], bool]) -> None:
    """Destroy what is due, now and every few seconds, until cancelled; nothing before the inbox has been read."""
    while True:
        try:
            if ready():
                await erase_due(desk)
                await end_epochs(desk.seat, home)
        except (SQLAlchemyError, OSError) as error:  # a full disk, a held file: looked at again
            telemetry.handled("not_available", error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY)


# -- of a case -------------------------------------------------------------------------------------------------------


async def order(tx: AsyncConnection, subject: str, *, cause: str, ground: ErasureGround, at: str) -> None:
    """Note within *tx* that what opens the letters of *subject* has to be destroyed, for *cause*.

    A second decision changes nothing; that its time is over has it done, and confirmed, once more.
    """
    noted = upsert(tables.erasures).values(subject=subject, cause=cause, ground=ground, asked=at)
    again = {"cause": cause, "ground": ground, "asked": at, "done": None, "horizon": None}
    once = noted.on_conflict_do_nothing()
    await tx.execute(
        once if ground == "decision" else noted.on_conflict_do_update(index_elements=["subject"], set_=again)
    )


async def erase_due(desk: Desk) -> tuple[str, ...]:
    """Erase every case that was ordered, confirm it, and answer which; what came to an erased case since goes too."""
    seat = desk.seat
    async with seat.ledger.read() as tx:
        told = (await tx.execute(_told())).all()
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
            if await _may_be_sent(tx, row.subject):
                continue  # the registrar refuses what has a letter now; its answer is awaited, so that no bytes are wanted again
            await erase(tx, [row.subject])
            await _confirm(seat, tx, row)
            done.append(row.subject)
        await erase(tx, late)
    await _off_the_disk(seat)
    telemetry.handled("erased", count=len(done))
    return tuple(done)


def _told() -> Any:
    """What the bus has said is due, and is not noted yet."""
    noted, causes = select(_ERASURES.subject), select(_ERASURES.cause)
    new = _EVENTS.subject.not_in(noted) | ((_EVENTS.value == _OVER) & _EVENTS.id.not_in(causes))
    due = (_EVENTS.type == AccessErasureDue.type) & new
    return select(_EVENTS.subject, _EVENTS.id, _EVENTS.value).where(due).order_by(_EVENTS.position)


def _left_over() -> Any:
    cases = select(_ERASURES.subject).where(_ERASURES.done.is_not(None))
    came = select(_EVENTS.subject).where(_EVENTS.subject.in_(cases), _EVENTS.letter.is_not(None))
    closed = (_OUTBOX.state == "closed") & or_(_OUTBOX.letter.is_not(None), _OUTBOX.draft.is_not(None))
    return came.union(select(_OUTBOX.subject).where(_OUTBOX.subject.in_(cases), closed))


async def _may_be_sent(tx: AsyncConnection, subject: str) -> bool:
    has_letter = or_(_OUTBOX.draft.is_not(None), _OUTBOX.letter.is_not(None))
    row = select(_OUTBOX.seq).where(_OUTBOX.subject == subject, _OUTBOX.state != "closed", has_letter)
    return (await tx.execute(row.limit(1))).first() is not None


async def erase(tx: AsyncConnection, subjects: Iterable[str]) -> None:
    """Destroy within *tx* what opens the letters of *subjects*, and the letters; nothing that was signed in the clear."""
    for subject in subjects:
        await tx.execute(delete(tables.case_keys).where(tables.case_keys.c.subject == subject))
        await tx.execute(delete(tables.letter_keys).where(tables.letter_keys.c.subject == subject))
        had = update(tables.events).where(_EVENTS.subject == subject, _EVENTS.letter.is_not(None))
        await tx.execute(had.values(letter=None, shut=ERASED))
        rows = update(tables.outbox).where(_OUTBOX.subject == subject, _OUTBOX.state == "closed")
        await tx.execute(rows.values(letter=None, draft=None))


async def _confirm(seat: Seat, tx: AsyncConnection, row: Row[Any]) -> None:
    now = seat.now()
    horizon = epochs.horizon(epochs.epochs_of(seat.directory, seat.me), now)
    data = AccessErasureConfirmed(ground=row.ground, horizon=horizon)
    draft = Draft(
        type=data.type, version=data.version, subject=row.subject, data=data, time=now, actor=BY_ITSELF,
        causationid=row.cause or None, id=said_by_itself(seat.me, row.cause or row.subject, data.type),
    )  # fmt: skip
    await outbox.put(seat, tx, draft, origin="procedure")
    done = update(tables.erasures).where(_ERASURES.subject == row.subject)
    await tx.execute(done.values(done=times.write(now), horizon=times.write(horizon)))


async def _off_the_disk(seat: Seat) -> None:
    """Empty the ledger's write-ahead file, which holds pages as they were: deleted rows are zeros in the ledger itself."""
    path = seat.ledger.path
    await asyncio.to_thread(partial(_checkpoint, path))


def _checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# -- of an epoch -----------------------------------------------------------------------------------------------------


async def end_epochs(seat: Seat, home: Path) -> tuple[str, ...]:
    """Destroy this agency's sealing keys whose time is over, what they opened handed over first; answers their kids."""
    now, known = seat.now(), epochs.epochs_of(seat.directory, seat.me)
    if not seat.bus.startswith(PLAY):
        await _remind(seat, known, now)
    ended = epochs.to_destroy(known, now)
    due = [kid for kid in ended if kid in seat.identity.opening and kid != seat.identity.sealing.kid]
    if not due:
        return ()
    async with seat.ledger.write() as tx:
        await _seal_drafts_anew(seat, tx)
        await kept.hand_over(seat, tx)
    await _off_the_disk(seat)
    for kid in due:
        Identity.destroy(home, kid)
    seat.identity = Identity.at(home, seat.me)
    telemetry.handled("epoch_ended")
    return tuple(due)


async def _seal_drafts_anew(seat: Seat, tx: AsyncConnection) -> None:
    waiting = select(_OUTBOX.seq, _OUTBOX.id, _OUTBOX.subject, _OUTBOX.draft).where(_OUTBOX.draft.is_not(None))
    for row in (await tx.execute(waiting.where(_OUTBOX.state != "closed"))).all():
        parts = letters.unseal_draft(seat, row.draft, id=row.id, subject=row.subject)
        draft = letters.seal_draft(seat, parts, id=row.id, subject=row.subject)
        await tx.execute(update(tables.outbox).where(_OUTBOX.seq == row.seq).values(draft=draft))


async def _remind(seat: Seat, known: tuple[epochs.Epoch, ...], now: datetime) -> None:
    for epoch in known:
        if not epoch.over(now):
            continue
        about = json.dumps({"code": EPOCH_OVER, "kid": epoch.kid, "command": f"nrmbus agency rotate {seat.me}"})
        at, tasks = seat.stamp(), tables.tasks.c
        async with seat.ledger.read() as tx:
            there = await tx.scalar(select(tasks.id).where(tasks.kind == EPOCH_OVER, tasks.event == epoch.kid))
        if there is None:
            async with seat.ledger.write() as tx:
                await open_task(tx, opened=at, subject="", event_id=epoch.kid, kind=EPOCH_OVER, about=about)
