"""Cases that stand still, in order: which record of theirs is the first that waits, why, and what a person has to do.

A record that could not be handled waits for a person. One whose type or version this release does not know waits for an
upgrade, and one behind it for its turn: both go on by themselves.
"""

from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus.desk.state.cases import known, signed_of
from nrmbus.desk.store import tables
from nrmbus.wire.envelope import Signed

BEHIND: Final = "Behind"
"""Why a record is parked that only waits for one before it."""

UNREAD: Final = "Unread"
"""Why a record is parked whose data are not what this release knows of their version."""

AHEAD: Final = "InboxUnread"
"""Why a record is parked whose letter waits until the inbox is read to where it ends: a withdrawal may stand there."""

UNKNOWN: Final = {"unknown_type": "UnknownType", "unknown_version": "UnknownVersion"}
"""What the wire says of an event that an earlier release does not know, and why it is then parked."""

NOT_READ: Final = (*UNKNOWN.values(), UNREAD)
"""Why a record is parked that this release cannot read."""

TASK: Final = "parked"

_PARKED, _EVENTS, _TASKS = tables.parked.c, tables.events.c, tables.tasks.c


def sentence_of(error: str, signed: Signed) -> str:
    """What a person has to do about a record that is parked because of *error*."""
    if error == UNKNOWN["unknown_version"]:
        what = f"This desk's release does not know {signed.type} in version {signed.version}"
    elif error == UNKNOWN["unknown_type"]:
        what = f"This desk's release does not know {signed.type}"
    elif error == AHEAD:
        return "Nothing: the desk opens the letter once it has read its inbox to the end, and goes on by itself."
    elif error == BEHIND:
        return "Nothing: what stood before it was let through, and the desk goes on by itself."
    else:
        return f"{signed.type} could not be handled ({error}): have the desk mended, then release the case at its door."
    return f"{what}: upgrade the desk, which then lets the case through by itself, in order."


async def park(tx: AsyncConnection, *, subject: str, position: int, error: str, since: str) -> None:
    """Put the record at *position* behind all that is parked of its case."""
    await tx.execute(insert(tables.parked).values(subject=subject, position=position, error=error, since=since))


async def let_go(tx: AsyncConnection, position: int, at: str) -> None:
    """The record at *position* was handled: it waits no more, and what a person had to do about it is done."""
    event = (await tx.execute(select(_EVENTS.subject, _EVENTS.id).where(_EVENTS.position == position))).one()
    await tx.execute(delete(tables.parked).where(_PARKED.position == position))
    task = (_TASKS.subject == event.subject) & (_TASKS.event == event.id) & (_TASKS.kind == TASK)
    await tx.execute(update(tables.tasks).where(task, _TASKS.done.is_(None)).values(done=at))


async def keep(tx: AsyncConnection, position: int, error: str) -> None:
    """The record at *position* was tried again and failed with *error*."""
    await tx.execute(update(tables.parked).where(_PARKED.position == position).values(error=error))


async def first(tx: AsyncConnection, subject: str) -> Row[Any] | None:
    """The record of a case that has waited longest: its event, the registrar's statements, ``error`` and ``since``."""
    inbox, events, parked = tables.inbox, tables.events, tables.parked
    rows = (
        select(events, inbox.c.registration, inbox.c.delivery, parked.c.error, parked.c.since)
        .join(parked, parked.c.position == events.c.position)
        .join(inbox, (inbox.c.partition == events.c.partition) & (inbox.c.inbox_number == events.c.inbox_number))
        .where(parked.c.subject == subject)
    )
    return (await tx.execute(rows.order_by(parked.c.id).limit(1))).first()


async def count(tx: AsyncConnection, subject: str) -> int:
    """How many records of a case wait."""
    return len((await tx.scalars(select(_PARKED.id).where(_PARKED.subject == subject))).all())


def waits_for_nobody(row: Row[Any]) -> bool:
    """Whether the parked *row* can be handled now without a person: an upgrade brought what it lacked, or it is its turn."""
    return row.error in (BEHIND, AHEAD) or (row.error in UNKNOWN.values() and known(signed_of(row)) is not None)
