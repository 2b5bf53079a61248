"""Tasks for a person when another agency lost its keys: letters that must perhaps be sent again."""

import json
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.periodic import every
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.directory import Entry
from nrmbus.events.document import DocumentChunkSent
from nrmbus.wire import times

KEPT: Final = timedelta(days=30)
"""Time that a letter stays in an inbox: earlier letters were fetched, or are gone."""

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for keys that have become valid."""

_ROW: Final = tables.outbox.c
_TASKS: Final = tables.tasks.c


async def run(seat: Seat, lost: list[Entry]) -> None:
    """Open tasks for entries of *lost* when the new keys become valid, unless the owner objected; until cancelled."""

    async def look() -> None:
        now = seat.now()
        for entry in [each for each in lost if each.valid_from <= now]:
            effective = seat.directory.roll.agencies[entry.agency].effective(now)
            if entry.number in {each.entry.number for each in effective}:
                await ask_to_send_again(seat, entry)
            lost.remove(entry)

    await every(LOOK_SECONDS, look, failed=_not_asked)


async def ask_to_send_again(seat: Seat, entry: Entry) -> int:
    """Open a task for each letter sealed to the agency of *entry* in the 30 days before the loss; return the number.

    A document is one letter, that of its announcement. Idempotent.
    """
    since, until = times.write(entry.made - KEPT), times.write(entry.valid_from)
    sent = (
        select(_ROW.subject, _ROW.id, _ROW.type, _ROW.recipients)
        .where(_ROW.letter.is_not(None), _ROW.verdict == "registered", _ROW.made >= since, _ROW.made <= until)
        .where(_ROW.type != DocumentChunkSent.type)
        .order_by(_ROW.seq)
    )
    async with seat.ledger.write() as tx:
        rows = [row for row in tx.execute(sent) if entry.agency in json.loads(row.recipients or "[]")]
        for row in rows:
            about = {"type": row.type, "code": "keys_lost", "agency": entry.agency, "entry": entry.number}
            open_task(
                tx, opened=seat.stamp(), subject=row.subject, event_id=_task_of(tx, row, about), kind="send_again",
                about=json.dumps(about),
            )  # fmt: skip
    return len(rows)


def _task_of(tx: Connection, row: Row[Any, Any, Any, Any], about: dict[str, Any]) -> str:
    """Return the event that the task is about; with agency and loss behind it if the letter has a task for another loss."""
    same = (_TASKS.subject == row.subject) & (_TASKS.event == row.id) & (_TASKS.kind == "send_again")
    first = tx.scalar(select(_TASKS.about).where(same))
    is_this = first is None or json.loads(first) == about
    return str(row.id) if is_this else f"{row.id}/{about['agency']}/{about['entry']}"


def _not_asked(error: Exception) -> None:
    """Log a ledger that cannot be written just now; what was lost is looked at again."""
    if not isinstance(error, SQLAlchemyError):
        raise error
    telemetry.handled("not_available", error=type(error).__name__)
