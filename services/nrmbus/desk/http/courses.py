"""Course of a case: its events without their letters, and its referrals, in plain JSON types."""

from collections.abc import Collection
from datetime import datetime
from functools import cache, partial
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Select, select

from nrmbus.desk.access import documents
from nrmbus.desk.desk import Desk
from nrmbus.desk.http import views
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.open_duties import hears, open_duties
from nrmbus.desk.store import tables
from nrmbus.desk.versions import Speaks
from nrmbus.rules import View
from nrmbus.wire import times

_EVENTS, _INBOX, _PARKED = tables.events.c, tables.inbox.c, tables.parked.c
_ROWS: Final[Select[Any]] = (
    select(*views.without_letter(), _INBOX.registration, _INBOX.received, _PARKED.error)
    .select_from(tables.events)
    .join(tables.inbox, (_INBOX.partition == _EVENTS.partition) & (_INBOX.inbox_number == _EVENTS.inbox_number))
    .outerjoin(tables.parked, _PARKED.position == _EVENTS.position)
)
_OF_INBOX: Final = ("row", "partition", "inbox_number", "original")


def is_known(tx: Connection, subject: str) -> bool:
    """Return whether this agency has published or received an event of the case *subject*."""
    one = select(_EVENTS.position).where(_EVENTS.subject == subject, tables.of_case(_EVENTS.subject)).limit(1)
    return tx.scalar(one) is not None


def course(
    tx: Connection,
    desk: Desk,
    subject: str,
    speaks: Speaks,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int,
    technical: bool = False,
    types: Collection[str] | None = None,
    **within: datetime | str | None,
) -> list[dict[str, Any]]:
    """Return the events of the case *subject* that this agency published or received, in the order of registration.

    Each is in the version that its reader *speaks*. *after* and *before* are numbers of registrations; with *before*
    the newest ones come first. *within* are ``since`` and ``until``, bounds of the time of registration, and ``source``.
    *types* are those wanted; None: all.
    """
    rows = _ROWS.where(_EVENTS.subject == subject, tables.of_case(_EVENTS.subject), _EVENTS.number > after)
    rows = rows.where(*views.filtered({"source": _EVENTS.source}, _EVENTS.registered, within))
    rows = rows.order_by(_EVENTS.number) if before is None else rows.where(_EVENTS.number < before)
    rows = rows if before is None else rows.order_by(_EVENTS.number.desc())
    if not technical:
        rows = rows.where(_EVENTS.technical == 0)
    if types is not None:
        rows = rows.where(_EVENTS.type.in_(types))
    read = tx.execute(rows.limit(limit)).all()
    came = documents.came(tx, desk, read)
    found = [(views.heard(row, speaks, came=came.get(row.position)), row.received) for row in read]
    return [
        {name: value for name, value in each.items() if name not in _OF_INBOX} | {"received": received}
        for each, received in found
    ]


def referrals(
    tx: Connection,
    desk: Desk,
    *,
    after: int = 0,
    direction: Literal["sent", "received"] | None = None,
    limit: int | None = None,
    **only: str | datetime | None,
) -> list[dict[str, Any]]:
    """Return the referrals that this agency sent or received, after row *after*, in the order in which it heard of them.

    *only* are filters: ``case``, ``ref``, ``since`` and ``until``.
    """
    columns, me = {"case": _EVENTS.subject, "ref": _EVENTS.referral}, desk.seat.me
    rows = select(*views.without_letter()).where(_EVENTS.type == "referral.submitted", _EVENTS.position > after)
    rows = rows.where(*views.filtered(columns, _EVENTS.registered, only))
    if direction is not None:
        rows = rows.where(_EVENTS.source == me if direction == "sent" else _EVENTS.source != me)
    view_of = cache(partial(desk.cases.view, tx))
    found = tx.execute(rows.order_by(_EVENTS.position).limit(limit)).all()
    return [_referral(tx, desk, row, view_of(row.subject)) for row in found]


def _referral(tx: Connection, desk: Desk, row: Row[Any], view: View) -> dict[str, Any]:
    me, now = desk.seat.me, desk.seat.now()
    known = view.referrals.get(row.referral)
    parties = known.receivers if known else ()
    asking = {each.agency for each in parties if each.asked and each.works}
    silent = (each.agency for each in parties if each.state == "submitted" and each.agency not in asking)
    waits_for = [each for each in silent if hears(me, row.source, each, "submitted")]
    if asking:
        waits_for.append(row.source)
    # Deadlines need the whole case, and answers do not: they come after the referral.
    is_timed = known is not None and not beginnings.is_incomplete(desk.seat.ledger, tx, row.subject)
    clocks = desk.seat.rules.clocks(view, now) if is_timed else ()
    duties = [
        each for each in open_duties(clocks, me, now) if each.ref == row.referral and each.answerable in waits_for
    ]
    due = min((each.due for each in duties if each.due), default=None)
    told = {
        "row": row.position,
        "ref": row.referral,
        "case": row.subject,
        "source": row.source,
        "id": row.id,
        "time": row.time,
        "registered": row.registered,
        "receivers": [
            {
                "agency": each.agency,
                "state": each.state,
                "acknowledged": each.acknowledged,
                "asked": each.agency in asking,
            }
            for each in parties
        ],
        "direction": "sent" if row.source == me else "received",
        "waits_for": waits_for,
    }
    if due is not None:
        told |= {"due": times.write(due), "overdue": any(each.breached for each in duties) or due < now}
    return told
