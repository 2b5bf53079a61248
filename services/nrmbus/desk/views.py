"""What the door shows: rows of the ledger in plain JSON types, each page one snapshot."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus.desk import letters, tables
from nrmbus.desk.answers import row_of
from nrmbus.desk.cases import event_of, signed_of
from nrmbus.desk.desk import Desk
from nrmbus.desk.seat import Seat
from nrmbus.wire import times
from nrmbus.wire.errors import SENTENCES

_OUTBOX, _EVENTS, _TASKS = tables.outbox.c, tables.events.c, tables.tasks.c


def _there(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if value is not None}


async def said(tx: AsyncConnection, subject: str, id: str) -> dict[str, Any] | None:
    """What became of an event of this agency: followed to the id under which it was sealed again, if it was."""
    row = await row_of(tx, subject, id)
    asked = id
    while row is not None and row.replaced_by is not None:
        row = await row_of(tx, subject, row.replaced_by)
    if row is None:
        return None
    clear = json.loads(row.clear)
    sentence = SENTENCES.get(row.code) if row.code else None
    return _there(
        {
            "id": row.id,
            "asked_id": asked if asked != row.id else None,
            "case": row.subject,
            "type": row.type,
            "state": row.state,
            "verdict": row.verdict or "pending",
            "code": row.code,
            "sentence": sentence,
            "rule": row.rule,
            "article": row.article,
            "number": row.number,
            "sequence": row.sequence,
            "receipt": row.receipt,
            "receipts": row.receipts,
            "again": bool(row.again),
            "receivers": clear["data"].get("receivers"),
            "ref": clear.get("referral"),
            "time": clear["time"],
        }
    )


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer for everything that one request said: pending until all is answered, then the first that is not registered."""
    first = next((part for part in parts if part["verdict"] != "registered"), parts[0])
    pending = any(part["verdict"] == "pending" for part in parts)
    names = ("id", "case", "type", "code", "sentence", "rule", "article", "number", "receipt")
    return {
        "verdict": "pending" if pending else first["verdict"],
        **{name: first[name] for name in names if name in first},
        "events": parts,
    }


async def subject_of(tx: AsyncConnection, id: str) -> str | None:
    """The case of an outbox row."""
    subject: str | None = await tx.scalar(select(_OUTBOX.subject).where(_OUTBOX.id == id).limit(1))
    return subject


async def received(
    tx: AsyncConnection, seat: Seat, *, case: str | None, after: int, limit: int, technical: bool
) -> list[Row[Any]]:
    """Rows of the events that this desk received, in order, those after row *after*."""
    rows = select(tables.events).where(_EVENTS.position > after, _EVENTS.source != seat.me)
    if case is not None:
        rows = rows.where(_EVENTS.subject == case)
    if not technical:
        rows = rows.where(_EVENTS.technical == 0)
    return list((await tx.execute(rows.order_by(_EVENTS.position).limit(limit))).all())


def heard(row: Row[Any]) -> dict[str, Any]:
    """One received event: what stands in the clear, and which parts of its letter opened when it came."""
    event = event_of(row)
    return _there(
        {
            "row": row.position,
            "partition": row.partition,
            "inbox_number": row.inbox_number,
            "number": row.number,
            "id": row.id,
            "type": row.type,
            "case": row.subject,
            "source": row.source,
            "time": row.time,
            "registered": row.registered,
            "ref": row.referral,
            "data": event.data.to_mapping() if event else {},
            "parts": json.loads(row.parts),
            "shut": row.shut,
            "technical": bool(row.technical),
        }
    )


async def opened(seat: Seat, row: Row[Any], *, who: str, purpose: str) -> dict[str, Any]:
    """The same with its letter, whose opening is on record before it happens."""
    body = heard(row)
    if row.letter is not None and body["parts"]:
        letter = await letters.open_copy(seat, signed_of(row), who=who, purpose=purpose)
        body["letter"] = {part: dict(fields) for part, fields in letter.parts.items()}
        if letter.shut:
            body["shut"] = letter.shut
    return body


async def case(tx: AsyncConnection, desk: Desk, subject: str) -> dict[str, Any] | None:
    """A case as this desk sees it; none where it sent and received nothing."""
    count = await tx.scalar(select(func.count()).select_from(tables.events).where(_EVENTS.subject == subject))
    if not count:
        return None
    view = await desk.cases.view(tx, subject)
    duties = desk.seat.rules.clocks(view)
    return _there(
        {
            "case": subject,
            "status": view.status,
            "child": view.child,
            "version": view.count_for(desk.seat.me),
            "on_case": view.on_case(desk.seat.me),
            "events": count,
            "open_referrals": list(view.open_referrals),
            "open_deadlines": [
                _there({"code": duty.code, "due": times.write(duty.due) if duty.due else None, "ref": duty.ref})
                for duty in duties
            ],
            "parked": subject in desk.parked,
        }
    )


async def cases(tx: AsyncConnection, *, after: str, limit: int) -> list[dict[str, Any]]:
    """The cases that this desk sent or received something of, by reference."""
    rows = select(_EVENTS.subject, func.count().label("events"), func.max(_EVENTS.registered).label("last"))
    rows = rows.where(_EVENTS.subject > after).group_by(_EVENTS.subject).order_by(_EVENTS.subject).limit(limit)
    return [{"case": row.subject, "events": row.events, "last": row.last} for row in await tx.execute(rows)]


async def tasks(tx: AsyncConnection, *, after: int, limit: int) -> list[dict[str, Any]]:
    """What waits for a person, in the order in which it came up."""
    rows = select(tables.tasks).where(_TASKS.done.is_(None), _TASKS.id > after).order_by(_TASKS.id).limit(limit)
    found = []
    for row in await tx.execute(rows):
        task = {"task": row.id, "opened": row.opened, "case": row.subject or None, "event": row.event, "kind": row.kind}
        found.append(_there(task) | json.loads(row.about))
    return found


async def position(tx: AsyncConnection) -> dict[str, Any]:
    """How far the desk is: what it read, and what it said that is not answered; both of one moment."""
    open_rows = (
        select(func.count()).select_from(tables.outbox).where((_OUTBOX.state != "closed") | (_OUTBOX.again == 1))
    )
    read = await tx.execute(select(tables.positions.c.partition, tables.positions.c.inbox_number))
    open_tasks = select(func.count()).select_from(tables.tasks).where(_TASKS.done.is_(None))
    return {
        "inbox": {str(row.partition): row.inbox_number for row in read},
        "outbox_open": await tx.scalar(open_rows),
        "tasks": await tx.scalar(open_tasks),
    }
