"""Notices: what happened at the desk, as a webhook says it. A type, an id and a link; nothing about a person, and no case.

The body names the event by its id, which is random and which only the bus and this agency know. The case reference stays
here: a receiver's logs keep bodies and addresses, and with the reference they would show which notices are of one person.
The link is a path of the desk's door, without a host: the receiver knows the door's address, and sends its token nowhere else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from sqlalchemy import Connection, Integer, Row, bindparam, func, select

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.webhooks.signing import message_id
from nrmbus.events.registry import TYPES

VERDICTS: Final = {each: f"nrmbus.event.{each}" for each in ("registered", "refused", "failed")}
"""Types of notices about the agency's own events, by verdict."""
TASK: Final = "nrmbus.task.opened"
PING: Final = "nrmbus.ping"
OWN: Final = (*VERDICTS.values(), TASK)
"""Types of notices that are no events of the bus."""
AT_A_TIME: Final = 500
"""Rows of each kind that one look reads."""

_EVENTS, _OUTBOX, _TASKS = tables.events.c, tables.outbox.c, tables.tasks.c
_AFTER: Final = bindparam("after", type_=Integer())
_LIMIT: Final = bindparam("limit", type_=Integer())
_HEARD: Final = (
    select(_EVENTS.position, _EVENTS.subject, _EVENTS.source, _EVENTS.id, _EVENTS.type, _EVENTS.technical, _EVENTS.registered)
    .where(_EVENTS.position > _AFTER).order_by(_EVENTS.position).limit(_LIMIT)
)  # fmt: skip
_FIRST: Final = tables.outbox.alias("first")
"""Rows of the program's own ids: an event that is sealed again under another id keeps the turn of its first row."""
_ANSWERED: Final = (
    select(
        _OUTBOX.answered, _OUTBOX.subject, _OUTBOX.id, _OUTBOX.verdict, _OUTBOX.origin, _OUTBOX.replaced_by, _OUTBOX.closed,
        select(_FIRST.c.id).where(_FIRST.c.seq == _OUTBOX.turn).scalar_subquery().label("own_id"),
    )
    .where(_OUTBOX.answered > _AFTER).order_by(_OUTBOX.answered).limit(_LIMIT)
)  # fmt: skip
_TASKED: Final = (
    select(_TASKS.id, _TASKS.subject, _TASKS.opened).where(_TASKS.id > _AFTER).order_by(_TASKS.id).limit(_LIMIT)
)
_NEWEST: Final = tuple(select(func.max(each)) for each in (_EVENTS.position, _OUTBOX.answered, _TASKS.id))


@dataclass(frozen=True, slots=True)
class Place:
    """Place up to which the ledger was looked at: in the events received, the answers to own events, and the tasks."""

    heard: int = 0
    answered: int = 0
    tasked: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened."""

    message: str
    """``webhook-id``: the same for the same thing, always."""
    type: str
    subject: str
    """The case, for the order; never sent."""
    about: str
    """Id of the event, or number of the task."""
    time: str
    place: int | None = None
    technical: bool = False


def newest(tx: Connection) -> Place:
    """Return the place behind everything that has happened."""
    return Place(*(tx.scalar(each) or 0 for each in _NEWEST))


def before(tx: Connection, time: str) -> Place:
    """Return a place before everything that happened from *time* on."""
    columns = ((_EVENTS.position, _EVENTS.registered), (_OUTBOX.answered, _OUTBOX.closed), (_TASKS.id, _TASKS.opened))
    first = (tx.scalar(select(func.min(number)).where(at >= time)) for number, at in columns)
    end = newest(tx)
    return Place(*(last if each is None else each - 1 for each, last in zip(first, astuple(end), strict=True)))


def after(seat: Seat, tx: Connection, place: Place) -> tuple[list[Notice], Place]:
    """Return the next notices behind *place*, and the place behind them."""
    heard, answered, tasked = (
        tx.execute(each, {"after": number, "limit": AT_A_TIME}).all()
        for each, number in ((_HEARD, place.heard), (_ANSWERED, place.answered), (_TASKED, place.tasked))
    )
    found = [*_of_events(seat, heard), *_of_answers(seat, answered), *_of_tasks(seat, tasked)]
    return found, Place(
        heard[-1].position if heard else place.heard,
        answered[-1].answered if answered else place.answered,
        tasked[-1].id if tasked else place.tasked,
    )


def _of_events(seat: Seat, rows: Sequence[Row[tuple[object, ...]]]) -> Iterator[Notice]:
    for row in rows:
        if row.source != seat.me:
            message = message_id(seat.bus, seat.me, "heard", row.subject, row.source, row.id)
            yield Notice(message, row.type, row.subject, row.id, row.registered, row.position, bool(row.technical))


def _of_answers(seat: Seat, rows: Sequence[Row[tuple[object, ...]]]) -> Iterator[Notice]:
    """Yield a notice of each answer to an event from the door; an event that is sealed again has its answer still to come."""
    for row in rows:
        if row.origin == "door" and row.replaced_by is None and row.verdict in VERDICTS:
            message = message_id(seat.bus, seat.me, row.verdict, row.subject, row.id)
            yield Notice(message, VERDICTS[row.verdict], row.subject, row.own_id or row.id, row.closed)


def _of_tasks(seat: Seat, rows: Sequence[Row[tuple[object, ...]]]) -> Iterator[Notice]:
    for row in rows:
        message = message_id(seat.bus, seat.me, "task", seat.ledger.id, str(row.id))
        yield Notice(message, TASK, row.subject, str(row.id), row.opened, row.id)


def is_type(name: str) -> bool:
    """Return whether *name* can be subscribed to: a type of notice, or a group of types as ``referral.*``."""
    known = {*(type_ for type_, _ in TYPES), *OWN}
    return name in known or (name.endswith(".*") and any(each.startswith(name[:-1]) for each in known))


def wanted(types: Sequence[str], notice: Notice) -> bool:
    """Return whether an endpoint that subscribed to *types* gets *notice*; without types it gets all but technical ones.

    A technical event, about readings and clocks, is sent only to an endpoint that names its type in full.
    """
    if notice.technical or not types:
        return notice.type in types if notice.technical else True
    return any(
        notice.type == each or (each.endswith(".*") and notice.type.startswith(each.removesuffix("*")))
        for each in types
    )


def body_of(type_: str, time: str, about: str, place: int | None, ledger: str) -> bytes:
    """Return the body of a webhook: type, time, id, and the path at the door that shows more."""
    if type_ == TASK and place is not None:
        link = f"/v1/tasks?task={place}"
    elif place is not None:
        link = f"/v1/inbox?after={place - 1}&ledger={ledger}&limit=1&technical=true"
    else:
        link = "/health" if type_ == PING else f"/v1/events/{about}"
    said = {"type": type_, "timestamp": time, "data": {"id": about, "link": link}}
    return json.dumps(said, separators=(",", ":")).encode()
