"""Last stage of an inbox transaction: remember after the commit, or undo, wait, and at last park the case."""

import asyncio
import json
import time
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.periodic import doubled
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox.hear import Hearing
from nrmbus.desk.inbox.store import open_record_task
from nrmbus.desk.inbox.verify import Delivered, Verified
from nrmbus.desk.state import parking
from nrmbus.desk.store.ledger import open_task
from nrmbus.events.model import Fact
from nrmbus.telemetry import counts

TRIES: Final = 4
"""How often a record is tried before its case is parked."""

FIRST_WAIT: Final = 0.1
"""Seconds before a record is tried again; each further wait is twice as long."""

LONGEST_WAIT: Final = 5.0


def remember(desk: Desk, record: Verified, hearing: Hearing) -> None:
    """Bring the desk's memory up to the commit of *record*."""
    desk.progress = time.monotonic()
    desk.heard.set()
    if record.released is None:  # which says nothing of what comes in
        desk.seat.troubles.pop(record.where[0], None)
        desk.tried.pop(record.where[0], None)
        desk.failing.discard(record.where[0])
    desk.attempts.pop(record.where, None)
    if hearing.outcome == "set_aside":
        desk.set_aside += 1
    if not isinstance(record.arrived, Delivered):
        return
    _activate(desk, record.arrived)
    subject = record.arrived.registration.subject
    if hearing.outcome == "parked":
        desk.parked.add(subject)
        desk.read_ahead(subject, record.consumed.partition, record.read_first)
    if hearing.view is not None:
        desk.cases.keep(subject, *hearing.view)


def _activate(desk: Desk, arrived: Delivered) -> None:
    """Have the Rules take the activation of a profile, for the cases that this agency opens from then on."""
    if arrived.event is not None:
        said = arrived.registration
        desk.seat.rules.activate(Fact.of(arrived.event, (), said.time, said.number, said.policy.name))


def log(desk: Desk, record: Verified, hearing: Hearing, started: float) -> None:
    """Write the log line of a committed *record*; *started* is a time of the monotonic clock."""
    partition, offset = record.where
    milliseconds = round((time.monotonic() - started) * 1000)
    fields: dict[str, int | str] = {"partition": partition, "offset": offset, "milliseconds": milliseconds}
    if hearing.code:
        fields["code"] = hearing.code
    if isinstance(record.arrived, Delivered):
        fields |= {"id": record.arrived.registration.id, "number": record.arrived.registration.number}
        if record.arrived.signed is not None:
            fields["type"] = record.arrived.signed.type
            if hearing.outcome == "handled":
                counts.arrived((desk.seat.now() - record.arrived.signed.recordedtime).total_seconds())
    telemetry.handled(hearing.outcome, **fields)


async def wait(attempt: int, offset: int, error: Exception) -> None:
    """Log that the record at *offset* is read again because of *error*, and wait before that."""
    telemetry.handled("retried", error=type(error).__name__, attempt=attempt, offset=offset)
    await asyncio.sleep(doubled(FIRST_WAIT, attempt - 1, LONGEST_WAIT))


async def keep_parked(desk: Desk, record: Verified | None, error: Exception, *, is_own_fault: bool) -> None:
    """Open a task for a released *record* that failed again.

    A record that met a fault of the ledger or the directory stays as it is and is tried again.
    """
    if record is None or record.released is None or not isinstance(record.arrived, Delivered):
        return
    arrived = record.arrived
    of_ours = isinstance(error, SQLAlchemyError) or not is_own_fault
    if arrived.signed is None or (of_ours and not arrived.unread):
        return
    why = parking.UNKNOWN.get(arrived.unread, parking.UNREAD) if arrived.unread else type(error).__name__
    async with desk.seat.ledger.write() as tx:
        sentence = parking.sentence_of(why, arrived.signed)
        parking.keep(tx, record.released, why, sentence)
        open_record_task(desk, tx, arrived, parking.TASK, sentence=sentence)


async def stop_inbox(desk: Desk, where: tuple[int, int], error: Exception) -> None:
    """Show in the desk's health why its inbox stops at *where*; open a task where only a person can help."""
    trouble = error if isinstance(error, DeskError) else DeskError("not_available")
    partition, count = where[0], desk.seat.ledger.count
    desk.seat.troubles[partition] = trouble.code
    # With a full disk or a ledger that is away nothing else is committed between two tries either.
    if desk.attempts.get(where, 0) >= TRIES and desk.tried.get(partition, count) != count:
        desk.failing.add(partition)
    desk.tried[partition] = count
    if trouble.code == "not_available" or (where, trouble.code) in desk.reported:
        return
    at = f"{where[0]}/{where[1]}"
    about = json.dumps({"code": trouble.code, "sentence": trouble.sentence})
    try:
        async with desk.seat.ledger.write() as tx:
            open_task(tx, opened=desk.seat.stamp(), subject="", event_id=at, kind=trouble.code, about=about)
    except (SQLAlchemyError, OSError) as failed:  # a full disk: tried again with the record
        telemetry.handled("not_available", error=type(failed).__name__)
    else:
        desk.reported.add((where, trouble.code))
