"""Events that the timekeeper publishes, and when: breaches, expiries, lapsed offers, follow-ups (section 5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from nrmbus.events.access import AccessResealDue
from nrmbus.events.case import FollowUpDue
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.erasure import AccessErasureDue
from nrmbus.events.model import Data, Event
from nrmbus.events.referral import ReferralExpired
from nrmbus.events.shelter import OfferLapsed
from nrmbus.rules.calendar import FIRST, lasting, later
from nrmbus.rules.clocks import late
from nrmbus.rules.due_times import due_of, length_of
from nrmbus.rules.duties import changing
from nrmbus.rules.emergency import answer_due, refused_by_person
from nrmbus.rules.event_context import shut_out
from nrmbus.rules.records import Referral, Running
from nrmbus.rules.retention import kept
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import View

MOST_MINUTES = 5_270_400
"""The latest that a breach can say it is late: ten years."""
MOST_MONTHS = 120
"""The last month that a follow-up can be of: ten years."""
MINUTE = timedelta(minutes=1)
EARLY_AT_MOST = MINUTE
"""How far the timekeeper's clock may be ahead of the registrar's."""
SAID_WHEN_DUE = frozenset(
    {
        AccessErasureDue.type, AccessResealDue.type, DeadlineBreached.type, FollowUpDue.type, OfferLapsed.type,
        ReferralExpired.type,
    }
)  # fmt: skip
"""Event types that only the timekeeper may publish. Readers can verify from the history that each one is due."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something to be said at ``at``, which is the event's time.

    ``rule`` is the clock's code, or the type where no clock is breached; ``cause`` the event that it follows from
    (``causationid``); ``ref`` the reference to carry. ``key`` is the same for the same thing however often it is asked
    for, and for nothing else of the case: the event's id is derived from it.
    """

    at: datetime
    rule: str
    cause: str
    type: str
    data: Data
    ref: str | None
    key: str


def due_of_view(tables: Tables, roles: Roles, view: View) -> tuple[Due, ...]:
    """Return every event that becomes due if nothing else happens, in the order of time."""
    starts = ((FIRST, view), *changing(tables, roles, view))
    ends = (*(at for at, _ in starts[1:]), None)
    found = [
        each
        for (start, then), end in zip(starts, ends, strict=True)
        for each in _due_of(tables, roles, then)
        if start <= each.at and (end is None or each.at < end)
    ]
    return tuple(sorted(found, key=lambda each: each.at))


def _due_of(tables: Tables, roles: Roles, view: View) -> Iterator[Due]:
    yield from _breaches(tables, roles, view)
    yield from _expiries(tables, roles, view)
    yield from _lapses(tables, view)
    yield from _follow_ups(tables, view)
    yield from _erasures(tables, view)
    yield from _ends_of_keeping(tables, view)
    yield from _reseals(tables, view)


def is_due(tables: Tables, roles: Roles, view: View, event: Event, now: datetime) -> bool:
    """Return whether *event* is exactly one that *view* makes due at *now*: same time, cause, reference and data."""
    return any(
        (each.type, each.at, each.cause, each.ref, each.data)
        == (event.type, event.time, event.causationid, event.referral, event.data)
        for each in due_of_view(tables, roles, view)
        if each.at - EARLY_AT_MOST <= now
    )


def _due(at: datetime, rule: str, cause: str, data: Data, ref: str | None, detail: str) -> Due:
    # The id includes the instant: an event that was refused as too early is published again under another id.
    return Due(at, rule, cause, data.type, data, ref, f"{cause}|{data.type}|{rule}|{detail}|{at.isoformat()}")


def _breaches(tables: Tables, roles: Roles, view: View) -> Iterator[Due]:
    for clock in late(tables, roles, view):
        if clock.due is None or clock.sayable is None:
            continue
        minutes = min((clock.sayable - clock.due) // MINUTE, MOST_MINUTES)
        data = DeadlineBreached(rule=clock.code, due=clock.due, late_by_minutes=minutes)
        yield _due(
            clock.sayable, clock.code, clock.cause, data, clock.ref, f"{clock.answerable}|{clock.due.isoformat()}"
        )


def _expiries(tables: Tables, roles: Roles, view: View) -> Iterator[Due]:
    """Yield the expiry of each referral: when every waiting receiver has been overdue for as long as its time to answer.

    An agency that has left the case will not answer, so nothing waits for it, also after it has come back.
    """
    for referral in view.referrals.values():
        waiting = {
            party.agency: party
            for party in referral.receivers
            if party.state == "submitted"
            and (roles.of(party.agency) not in tables.deciders or party.agency in view.left)
        }
        ends = [
            _overdue_again(tables, clock)
            for clock in view.running
            if clock.mark.id == referral.mark.id and clock.answerable in waiting and clock.runs
        ]
        ends += [max(party.left, referral.mark.registered) for party in waiting.values() if party.left is not None]
        known = [end for end in ends if end is not None]
        if waiting and len(known) == len(waiting):
            yield _expiry(referral, max(known))


def _expiry(referral: Referral, at: datetime) -> Due:
    kind = ReferralExpired.type
    return _due(at, kind, referral.mark.id, ReferralExpired(reason="no_answer"), referral.ref, "")


def _overdue_again(tables: Tables, clock: Running) -> datetime | None:
    """Return when *clock* has been overdue for as long again, and not before its last wait ended; None while it is paused."""
    due = due_of(tables, clock)
    if due is None:
        return None
    length = length_of(tables.profile.clocks[clock.code], clock)
    if length.hours is not None:
        again = later(due, lasting(hours=length.hours))
    else:
        again = tables.calendar.days_after(due - MINUTE, length.days or 0)
    return max(again, clock.reopened or again)


def _lapses(tables: Tables, view: View) -> Iterator[Due]:
    kind = OfferLapsed.type
    for bed, house in view.houses():
        offer = house.offer
        if house.state != "offered" or offer is None:
            continue
        hours = house.valid_hours or tables.profile.periods.bed_offer_hours
        at = later(max(offer.time, offer.registered), lasting(hours=hours))
        yield _due(at, kind, offer.id, OfferLapsed(shelter=house.agency), bed.ref, house.agency)


def _follow_ups(tables: Tables, view: View) -> Iterator[Due]:
    closing, calendar = view.closing, tables.calendar
    if closing is None or not closing.follow_up or view.status != "CLOSED":
        return
    closed = calendar.day(closing.mark.time)
    for month in tables.profile.periods.follow_up_months:
        if month not in closing.said and month <= MOST_MONTHS:
            at = max(calendar.begins(calendar.months_after(closed, month)), closing.mark.registered)
            yield _due(at, FollowUpDue.type, closing.mark.id, FollowUpDue(month=month), None, str(month))


def _erasures(tables: Tables, view: View) -> Iterator[Due]:
    """Yield the erasure after a decision, when the days for objecting and all holds have ended; once per decision."""
    decision, calendar = view.erasure.terminated, tables.calendar
    if decision is None or view.erasure.due == decision.id:
        return
    ends = [calendar.ends(date.fromisoformat(hold.until)) for hold in view.erasure.holds]
    at = max([calendar.days_after(decision.registered, tables.profile.retention.objection_days), *ends])
    yield _due(at, AccessErasureDue.type, decision.id, AccessErasureDue(ground="decision"), None, "")


def _ends_of_keeping(tables: Tables, view: View) -> Iterator[Due]:
    """Yield the erasure of a closed case when the years of its longest class are over and no hold stands."""
    found = kept(tables, view)
    if found and found.over and view.closing:
        data = AccessErasureDue(ground="retention")
        yield _due(found.over, data.type, view.closing.mark.id, data, None, found.over.isoformat())


def _reseals(tables: Tables, view: View) -> Iterator[Due]:
    """Yield the sealing for each emergency: after the minutes for objecting, or at once; none if the person refuses the asker, the asker is shut out by then, or has no part any more."""
    for each in view.emergencies.values():
        at = answer_due(tables, each)
        asker, day = each.mark.source, tables.calendar.day(at)
        is_barred = refused_by_person(view, asker, day) or shut_out(view, asker, day) is not None
        if each.state != "asked" or each.holder is None or is_barred or not view.on_case(asker):
            continue
        data = AccessResealDue(holder=each.holder)
        yield _due(at, data.type, each.mark.id, data, each.ref, "")
