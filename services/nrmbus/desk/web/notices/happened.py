"""Happenings that people are told by mail: from the events that came, and from the duties whose time has come.

An event or a duty becomes a notice once: the ledger keeps up to which event, and up to which moment, it was looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from nrmbus.desk.duties import Duties
from nrmbus.desk.state import labels
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.web.notices.mail import LEAD_HOURS, Kind
from nrmbus.desk.webhooks.signing import message_id
from nrmbus.rules import Clock
from nrmbus.wire import times

LEAD: Final = timedelta(hours=LEAD_HOURS)
ANSWERS: Final = frozenset({
    "referral.accepted", "referral.declined", "referral.info_supplied", "shelter.bed_offered", "shelter.bed_refused",
    "stay.hold_confirmed", "review.decided",
})  # fmt: skip
"""Events by which another agency answers this one."""
QUESTIONS: Final = frozenset({"referral.info_requested", "referral.expired"})
"""Events that leave something to do without a duty by the Rules: a question, and a referral that nobody answered."""
ASKED_BY: Final = frozenset({
    "referral.submitted", "referral.info_requested", "shelter.bed_requested", "stay.hold_requested", "review.requested",
    "service.requested",
})  # fmt: skip
"""Events that such an answer is about."""

_EVENTS: Final = tables.events.c
_OWN: Final = (
    select(tables.events)
    .where(
        _EVENTS.subject == bindparam("subject"), _EVENTS.referral == bindparam("ref"), _EVENTS.source == bindparam("me"),
        _EVENTS.type.in_(sorted(ASKED_BY)),
    )
    .order_by(_EVENTS.position.desc()).limit(1)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told."""

    kind: Kind
    key: str
    """Digest that names the event or the duty: the same for the same thing, always; no case can be read from it."""
    to: str | None = None
    """Number of the member whom it is for; None for everybody who works on cases, or takes messages if it is one."""


def of_events(seat: Seat, tx: Connection, duties: Duties, rows: Sequence[Any], now: datetime) -> Iterator[Notice]:
    """Yield the notices of the events in *rows*; *duties* know them already."""
    has = labels.assigned(tx) if rows else {}
    for row in rows:
        colleague = has.get((row.subject, 0))
        owed = [each for each in duties.of(row.subject) if each.cause == row.id]
        if row.source != seat.me:
            asker = _who_asked(seat, tx, row)
            if row.type in ANSWERS:
                yield Notice("answered", _key_of_event(seat, "answered", row), asker)
            if row.type in QUESTIONS and asker is not None:
                yield Notice("asked", _key_of_event(seat, "asked", row), colleague)
            yield from (Notice("waits", key_of(seat, "waits", row.subject, each), colleague) for each in owed)
        # The desk may have looked at the moment of the registration before it heard the event, which may have ended a wait.
        at = times.read(row.registered)
        late = (each for each in duties.of(row.subject) if row.id == each.cause or at == each.sayable)
        past = (each for each in late if each.due is not None and each.due <= now)
        yield from (Notice("overdue", key_of(seat, "overdue", row.subject, each)) for each in past)


def of_time(seat: Seat, tx: Connection, duties: Duties, since: datetime, now: datetime) -> Iterator[Notice]:
    """Yield the notices of the duties whose time came after *since*, up to *now*."""
    come = [(subject, each, kind) for subject, each in duties.all() if (kind := _come(each, since, now)) is not None]
    has = labels.assigned(tx) if come else {}
    for subject, each, kind in come:
        if duties.is_there(tx, subject):
            colleague = None if kind == "overdue" else has.get((subject, 0))
            yield Notice(kind, key_of(seat, kind, subject, each), colleague)


def _come(duty: Clock, since: datetime, now: datetime) -> Kind | None:
    late = _late_at(duty)
    if duty.due is None or late is None:
        return None
    if since < late <= now:
        return "overdue"
    return "due_soon" if since < duty.due - LEAD <= now < duty.due else None


def _late_at(duty: Clock) -> datetime | None:
    """Return when the duty is overdue: at its due time, or when a wait ends during which that time passed; None while it is paused."""
    return duty.sayable or duty.due


def of_messages(seat: Seat, unread: Iterable[str]) -> Iterator[Notice]:
    """Yield a notice for each anonymous message that nobody has opened yet."""
    for id in unread:
        yield Notice("message", message_id(seat.bus, seat.me, "notice", "message", id))


def next_moment(duties: Duties, now: datetime) -> datetime | None:
    """Return when the time of a duty comes next; None if no duty runs."""
    found = [(each.due - LEAD, _late_at(each)) for _, each in duties.all() if each.due is not None]
    return min((moment for both in found for moment in both if moment is not None and moment > now), default=None)


def still_hold(seat: Seat, duties: Duties, now: datetime) -> frozenset[str]:
    """Return the keys of all notices of duties that are still owed and still say what is so."""
    found: set[str] = set()
    for subject, each in duties.all():
        is_late = each.due is not None and each.due <= now
        found.add(key_of(seat, "waits", subject, each))
        found.add(key_of(seat, "overdue" if is_late else "due_soon", subject, each))
    return frozenset(found)


def key_of(seat: Seat, kind: Kind, subject: str, duty: Clock) -> str:
    """Return the key of a notice about a *duty*; a duty that was moved is announced again at its new time."""
    due = times.write(duty.due) if duty.due and kind != "waits" else ""
    return message_id(seat.bus, seat.me, "notice", kind, subject, duty.code, duty.cause, due)


def _key_of_event(seat: Seat, kind: Kind, row: Any) -> str:
    return message_id(seat.bus, seat.me, "notice", kind, row.subject, row.source, row.id)


def _who_asked(seat: Seat, tx: Connection, row: Any) -> str | None:
    """Return the number of the member who asked what the event in *row* answers; None if this agency asked nothing."""
    if row.referral is None:
        return None
    asked = tx.execute(_OWN, {"subject": row.subject, "ref": row.referral, "me": seat.me}).first()
    event = None if asked is None else event_of(asked)
    return event.actor if event else None
