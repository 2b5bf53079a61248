"""Parked records are let through: the same bytes by the same handlers, in the order in which they came.

By a person, once what failed is mended; by the desk itself, once its release knows what it did not know. Each record is
one transaction, so wherever that is cut, it goes on with the next one at the next start.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from faststream.kafka.message import FAKE_CONSUMER
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.settle import FIRST_WAIT, LONGEST_WAIT
from nrmbus.desk.inbox.verify import Released
from nrmbus.desk.procedure.handlers import Inbox
from nrmbus.desk.state import parking
from nrmbus.desk.state.cases import unpack
from nrmbus.wire.names import inbox_of
from nrmbus.wire.record import DELIVERY, REGISTRATION


async def release(desk: Desk, inbox: Inbox, subject: str) -> int:
    """Handle what is parked of *subject* until it is empty or one fails again; how many records are left."""
    async with desk.releasing:
        return await _release(desk, inbox, subject)


async def _release(desk: Desk, inbox: Inbox, subject: str) -> int:
    while True:
        row = await _first(desk, subject)
        if row is None:
            break
        try:
            await inbox.process_message(_released(row, inbox_of(desk.seat.me)))
        except Exception:  # noqa: BLE001 - undone, and on record as retried; the person hears how many are left
            return await _left(desk, subject)
    async with desk.seat.ledger.write():  # nothing of the case can come in between
        left = await _left(desk, subject)
        if not left:
            desk.parked.discard(subject)
    return left


async def release_by_itself(desk: Desk, inbox: Inbox, subjects: Iterable[str] | None = None) -> None:
    """Let through every case, or each of *subjects*, that waits for nobody: this release knows its first record, or was letting it through.

    Stops at what fails again, which is then for a person, and at what this release does not know either.
    """
    for subject in sorted(desk.parked) if subjects is None else subjects:
        wait = FIRST_WAIT
        while not await _through(desk, inbox, subject):  # the ledger or the directory: no record's fault
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)


async def _through(desk: Desk, inbox: Inbox, subject: str) -> bool:
    try:
        row = await _first(desk, subject)
        if row is not None and not parking.waits_for_nobody(row):
            return True
        return await release(desk, inbox, subject) == 0
    except SQLAlchemyError as error:
        telemetry.handled("not_available", error=type(error).__name__)
        return False


async def _first(desk: Desk, subject: str) -> Row[Any] | None:
    async with desk.seat.ledger.read() as tx:
        return await parking.first(tx, subject)


async def _left(desk: Desk, subject: str) -> int:
    async with desk.seat.ledger.read() as tx:
        return await parking.count(tx, subject)


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
