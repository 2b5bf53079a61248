"""Release of parked records: the same bytes by the same handlers, in the order of arrival.

A person releases a case once the fault is fixed; the desk does so automatically once its release knows the type or
version. The first records of several cases share a transaction, and every other record has its own. After an interruption
the next start continues with the next record.
"""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from faststream.kafka.message import FAKE_CONSUMER
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.periodic import doubled
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.settle import FIRST_WAIT, LONGEST_WAIT, TRIES
from nrmbus.desk.inbox.transaction import AT_ONCE, handle_together
from nrmbus.desk.inbox.verify import Released
from nrmbus.desk.procedure.handlers import Inbox
from nrmbus.desk.state import parking
from nrmbus.desk.state.cases import signed_of, unpack
from nrmbus.desk.store.ledger import open_task
from nrmbus.wire.names import inbox_of
from nrmbus.wire.record import DELIVERY, REGISTRATION


async def release(desk: Desk, inbox: Inbox, subject: str) -> int:
    """Handle the parked records of *subject* until one fails again; return how many are left."""
    async with desk.releasing:
        return await _release(desk, inbox, subject)


async def _release(desk: Desk, inbox: Inbox, subject: str) -> int:
    while True:
        row = _first(desk, subject)
        if row is None:
            break
        try:
            await inbox.process_message(_released(row, inbox_of(desk.seat.me)))
        except Exception as error:  # noqa: BLE001 - undone; the answer says how many are left
            telemetry.handled("retried", error=type(error).__name__)
            return _left(desk, subject)
    async with desk.seat.ledger.without_writers():  # nothing of the case can come in between
        left = _left(desk, subject)
        if not left:
            desk.parked.discard(subject)
    return left


async def release_by_itself(desk: Desk, inbox: Inbox, subjects: Iterable[str] | None = None) -> None:
    """Let through every case, or each of *subjects*, that waits for no person.

    These are cases whose first record this release now knows, and cases with an interrupted release. Stops at a
    record that fails again (a person then decides), and at a record that is still unknown. A fault of the ledger or the
    directory is no record's: such a case is tried a few times, each time after the other cases and a longer wait. If
    the fault lasts, the case is left in ``desk.stuck``, with a task that shows it, and no other case waits for it.
    """
    asked = sorted(desk.parked) if subjects is None else list(subjects)
    waiting = asked
    for attempt in range(TRIES):
        if waiting and attempt:
            await asyncio.sleep(doubled(FIRST_WAIT, attempt - 1, LONGEST_WAIT))
        waiting = await _not_through(desk, inbox, waiting)
    for subject in waiting:
        await _show_stuck(desk, subject)
    desk.stuck.difference_update(asked)
    desk.stuck.update(waiting)


async def _not_through(desk: Desk, inbox: Inbox, subjects: list[str]) -> list[str]:
    """Let each of *subjects* through once; return those that met a fault of the ledger or the directory."""
    left = list[str]()
    for number, subject in enumerate(subjects):
        if number % AT_ONCE == 0:
            await _begin_together(desk, subjects[number : number + AT_ONCE])
        if not await _through(desk, inbox, subject):
            left.append(subject)
    return left


async def _show_stuck(desk: Desk, subject: str) -> None:
    """Open a task about the first record of *subject*, which met a fault of this machine at every try; the task ends with the record.

    A task that is open already, from when the release did not know the record, says the new reason.
    """
    with suppress(SQLAlchemyError, OSError):  # the fault may be the ledger's own; the next try shows the case then
        row = _first(desk, subject)
        if row is None or row.error == parking.STUCK or not parking.waits_for_nobody(row, desk.seat.rules):
            return
        sentence = parking.sentence_of(parking.STUCK, signed_of(row))
        about = {"source": row.source, "number": row.number, "partition": row.partition, "sentence": sentence}
        async with desk.seat.ledger.write() as tx:
            parking.keep(tx, row.position, parking.STUCK, sentence)
            how = {"subject": subject, "event_id": row.id, "kind": parking.TASK, "about": json.dumps(about)}
            open_task(tx, opened=desk.seat.stamp(), **how)


async def _begin_together(desk: Desk, subjects: Iterable[str]) -> None:
    """Let through the first record of each of *subjects* that waits for no person, all of them in one transaction.

    An error undoes all of them, and each is let through alone later.
    """
    async with desk.releasing:
        with suppress(Exception):
            rows = [
                row
                for row in (_first(desk, each) for each in subjects)
                if row and parking.waits_for_nobody(row, desk.seat.rules)
            ]
            if len(rows) > 1:
                await handle_together(desk, [_released(row, inbox_of(desk.seat.me)) for row in rows])


async def _through(desk: Desk, inbox: Inbox, subject: str) -> bool:
    try:
        row = _first(desk, subject)
        if row is not None and not parking.waits_for_nobody(row, desk.seat.rules):
            return True
        return await release(desk, inbox, subject) == 0
    except SQLAlchemyError as error:
        telemetry.handled("not_available", error=type(error).__name__)
        return False


def _first(desk: Desk, subject: str) -> Row[Any] | None:
    with desk.seat.ledger.read() as tx:
        return parking.first(tx, subject)


def _left(desk: Desk, subject: str) -> int:
    with desk.seat.ledger.read() as tx:
        return parking.count(tx, subject)


def _released(row: Row[Any], topic: str) -> Released:
    record = unpack(row.subject, row.headers, row.value, row.letter)
    statements = ((REGISTRATION, row.registration), (DELIVERY, row.delivery))
    return Released(
        topic=topic,
        partition=row.partition,
        offset=row.inbox_number,
        timestamp=0,
        key=row.subject.encode(),
        value=row.value,
        headers=(*record.headers, *statements),
        position=row.position,
        consumer=FAKE_CONSUMER,
    )
