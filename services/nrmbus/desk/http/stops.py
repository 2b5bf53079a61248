"""Withdrawals of consent, and ends of access, that this agency recorded or has to answer."""

import json
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select

from nrmbus.desk.desk import Desk
from nrmbus.desk.state.cases import event_of, is_forged
from nrmbus.desk.store import tables
from nrmbus.events.deadline import DeadlineBreached, DeadlineLifted
from nrmbus.rules import View
from nrmbus.rules.mark import Mark
from nrmbus.wire import times

STOP: Final = "D-STOP"
"""The duty to answer a withdrawal of consent."""

_EVENTS: Final = tables.events.c


def stops(tx: Connection, desk: Desk, view: View) -> list[dict[str, Any]]:
    """Return the withdrawals that this agency received or recorded, each with its answer.

    An agency that was never told of the case owes no answer. A third agency may have told it, of which this desk hears
    nothing: only a breach proves here that it owes one, and until then ``told`` is false.
    """
    me, clocks = desk.seat.me, desk.seat.rules.clocks(view)
    duties = {duty.answerable: duty for duty in clocks if duty.code == STOP}
    found = []
    for agency, stop in view.stops.items():
        if me not in (agency, stop.mark.source):
            continue
        duty = duties.get(agency) if stop.open else None
        row: dict[str, Any] = {
            "agency": agency,
            "withdrawn": times.write(stop.mark.registered),
            "event": stop.mark.id,
            "answer": stop.answer or ("missing" if stop.open else "confirmed"),
        }
        if duty is not None:
            row |= {"due": times.write(duty.due)} if duty.due else {}
            row["overdue"] = duty.breached or (duty.due is not None and duty.due < desk.seat.now())
        elif stop.open and agency != me:
            row |= _without_duty(tx, desk, view.subject, agency, stop.mark)
        found.append(row)
    return found


def _without_duty(tx: Connection, desk: Desk, subject: str, agency: str, mark: Mark) -> dict[str, Any]:
    """Return what this desk knows of the answer of *agency* to the event of *mark*, though its view has no duty."""
    same = (_EVENTS.source == mark.source) & (_EVENTS.id == mark.id)
    withdrawal = tx.execute(_of(subject).where(same)).first()
    if withdrawal is None or agency in json.loads(withdrawal.recipients):
        return {}  # told of it, so that two people have lifted the duty
    heard = _breach(tx, desk, subject, mark)
    if heard is None:
        return {"told": False}
    position, due = heard
    return {} if _is_lifted(tx, subject, agency, position) else {"due": times.write(due), "overdue": True}


def _breach(tx: Connection, desk: Desk, subject: str, mark: Mark) -> tuple[int, datetime] | None:
    """Return the row of the breach of the duty to answer the event of *mark*, and when the answer was due; None if there is none.

    A breach does not name its agency. A withdrawal of this desk has one receiver, so its breach is that of the receiver.
    """
    for row in tx.execute(_of(subject).where(_EVENTS.type == DeadlineBreached.type)):
        event = event_of(row)
        if event is None or event.causationid != mark.id or is_forged(desk.seat.rules, event):
            continue
        if isinstance(data := event.data, DeadlineBreached) and data.rule == STOP:
            return row.position, data.due
    return None


def _is_lifted(tx: Connection, subject: str, agency: str, since: int) -> bool:
    """Return whether two people have lifted the duty of *agency* behind the row *since*."""
    rows = tx.execute(_of(subject).where(_EVENTS.type == DeadlineLifted.type, _EVENTS.position > since))
    lifted = (event.data for row in rows if (event := event_of(row)) is not None)
    return any(isinstance(each, DeadlineLifted) and (each.rule, each.agency) == (STOP, agency) for each in lifted)


def _of(subject: str) -> Select[Any]:
    return select(tables.events).where(_EVENTS.subject == subject).order_by(_EVENTS.position)
