"""Duties that nobody can meet any more: those of agencies that may publish nothing more in a case.

Such a duty is lifted, not met: an event ends it that the clock's row does not name, and the history shows which event.
Duties that a closing ended come back when the case is re-opened, and duties that an adult's refusal lifted when it no longer
stands, or when the person is found to be a child.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.model import Event
from nrmbus.rules.changes import Changes
from nrmbus.rules.clocks import is_late
from nrmbus.rules.event_context import SHARING, EventContext
from nrmbus.rules.mark import Mark
from nrmbus.rules.profile import ClockRule
from nrmbus.rules.records import Bed, House, Party, Pause, Referral, Review, Running, Service, Status
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import View

ERASED: Final = "ERASED"
LEFT: Final = "LEFT"


def settled(tables: Tables, roles: Roles, view: View, now: datetime) -> View:
    """Return *view* without duties of agencies that left the case, and with those lifted that an adult's word lifts.

    An agency that has a part again has come back, and owes only new duties; when that part ends too, it has left again. A duty
    stops waiting for an answer that nobody owes, as that of an agency that left or may not see the question, and a stay for a
    review that is over: the clock runs on from *now*. A question to an agency that has left since stays without an answer.
    """
    left = _left(view, now)
    view = view if left == view.left else replace(view, left=left)
    view = _forgotten(view) if left else view
    if view.missed and not left.keys().isdisjoint(view.missed):
        view = replace(view, missed={agency: ids for agency, ids in view.missed.items() if agency not in left})
    day = tables.calendar.day(now)
    owed = tuple(_owed_again(tables, view, clock, day, now) for clock in _owed_on(tables, roles, view, day, now))
    return replace(view, running=owed) if owed != view.running else view


def as_of(tables: Tables, roles: Roles, view: View, now: datetime) -> View:
    """Return *view* as it is at *now*: days may have changed it since its last event."""
    if not _last_days(view):  # nearly always: the registrar asks several times an event
        return view
    for at, later in changing(tables, roles, view):
        if at > now:
            break
        view = later
    return view


def just_before(tables: Tables, roles: Roles, view: View, event: Event, now: datetime) -> View:
    """Return *view* as it is just before *event*, which is registered *now*.

    A breach is about the duties at its own time, however late it is registered.
    """
    return as_of(tables, roles, view, event.time if event.type == DeadlineBreached.type else now)


def changing(tables: Tables, roles: Roles, view: View) -> Iterator[tuple[datetime, View]]:
    """Yield the times at which a refusal holds again since a consent has expired, in order, each with *view* from then on.

    No event comes at such a time. Days alone only lift duties and end waits: a refusal has no last day.
    """
    for last in sorted(_last_days(view)):
        at = tables.calendar.ends(date.fromisoformat(last))
        owed = _owed_on(tables, roles, view, tables.calendar.day(at), at)
        view = replace(view, running=owed) if owed != view.running else view
        yield at, view


def _last_days(view: View) -> set[str]:
    """Return the last days of the consents after which a refusal holds again."""
    return {
        standing.last_day
        for (_, purpose), standing in view.consents.items()
        if standing.last_day and standing.before and purpose == SHARING
    }


def _owed_on(tables: Tables, roles: Roles, view: View, day: date, now: datetime) -> tuple[Running, ...]:
    """Return the duties of *view* that somebody can meet, with those lifted that an adult's word lifts by *now*, on *day*."""
    found = (_lifted(tables, view, _awaited(tables, roles, view, clock, day, now), day, now) for clock in view.running)
    return tuple(clock for clock in found if _owed(tables, roles, view, clock))


def _left(view: View, now: datetime) -> Mapping[str, datetime]:
    """Return the agencies that confirmed `deleted`, or whose access was ended, and have no part; each with the day of it."""
    if not view.left and not view.stops:
        return view.left
    left = {agency: at for agency, at in view.left.items() if agency not in view.parts}
    deleted = (agency for agency, stop in view.stops.items() if not stop.open and stop.answer == "deleted")
    return left | {agency: now for agency in deleted if agency not in left and agency not in view.parts}


def _forgotten(view: View) -> View:
    """Return *view* without what agencies that left were asked: by questions about their referrals, and by referrals to them.

    The duty to answer does not come back with the agency, so nothing may wait for it.
    """
    referrals = {
        ref: replace(each, receivers=tuple(_relieved(view, each, party) for party in each.receivers))
        for ref, each in view.referrals.items()
    }
    return replace(view, referrals=referrals) if referrals != view.referrals else view


def _relieved(view: View, referral: Referral, party: Party) -> Party:
    left = party.left or (view.left.get(party.agency) if party.state == "submitted" else None)
    return replace(party, asked=party.asked and referral.sender not in view.left, left=left)


def _awaited(tables: Tables, roles: Roles, view: View, clock: Running, day: date, now: datetime) -> Running:
    def ended(pause: Pause) -> Pause:
        if pause.until is not None:
            return pause
        if pause.review:
            review = view.reviews.get(pause.ref)
            is_over = review is not None and not review.open
        else:
            referral = view.referrals.get(pause.ref)
            asker = referral.party(clock.answerable) if referral is not None else None
            is_over = referral is not None and (
                _silenced(tables, roles, view, referral.sender, day) or asker is None or not asker.works
            )
        return replace(pause, supplied=now, supply=None, unread=False) if is_over else pause

    pauses = tuple(map(ended, clock.pauses))
    # A time that passed while the clock waited, as over days off, was nobody's to announce: it can be late from *now* on.
    return replace(clock, pauses=pauses, reopened=now) if pauses != clock.pauses else clock


def _silenced(tables: Tables, roles: Roles, view: View, agency: str, day: date) -> bool:
    """Return whether *agency* has left, or may not hear of the person on *day*: an adult refuses it, or it is an embassy under a bar."""
    is_barred = view.embassy_bar is not None and roles.of(agency) in tables.groups.get("ENVOYS", ())
    return agency in view.left or is_barred or _refused(view, agency, day)


def _owed(tables: Tables, roles: Roles, view: View, clock: Running) -> bool:
    """Return whether the agency is still there, and whoever asked it a question still needs the answer.

    A duty that another agency may end does not come back: an agency that an adult refuses would not hear of the end.
    Such a duty stays lifted only for the breach of a time before the lift.
    """
    rule = tables.profile.clocks[clock.code]
    if clock.answerable in view.left and LEFT not in rule.outlives:
        return False
    if clock.lifted is not None and clock.code not in tables.returning and not is_late(tables, roles, clock):
        return False
    if rule.answerable != "referring":
        return True
    referral = view.referrals.get(clock.ref or "")
    party = referral.party(clock.waits) if referral and clock.waits else None
    return party is not None and party.state not in ("declined", "completed", "expired")


def _barred(rule: ClockRule, view: View, clock: Running, day: date) -> bool:
    """Return whether an adult's word lifts *clock* on *day*: about the agency that owes it, or about the one that waits for an answer."""
    is_asked = rule.answerable == "referring"
    return (rule.unit_consent and _refused(view, clock.answerable, day)) or (
        is_asked and _refused(view, clock.waits or "", day)
    )


def _lifted(tables: Tables, view: View, clock: Running, day: date, now: datetime) -> Running:
    """Return *clock* lifted from *now* on, if an adult's word lifts it by then."""
    is_barred = _barred(tables.profile.clocks[clock.code], view, clock, day)
    return replace(clock, lifted=now) if is_barred and clock.lifted is None else clock


def _owed_again(tables: Tables, view: View, clock: Running, day: date, now: datetime) -> Running:
    """Return *clock* without the lift if it comes back and no adult's word lifts it any more: due later by the time of the lift."""
    if clock.lifted is None or clock.code not in tables.returning:
        return clock
    if _barred(tables.profile.clocks[clock.code], view, clock, day):
        return clock
    return replace(clock, lifted=None, pauses=(*clock.pauses, Pause("", clock.lifted, now)), reopened=now)


def _refused(view: View, agency: str, day: date) -> bool:
    """Return whether a refusal or withdrawal of an adult holds for *agency* on *day*."""
    standing = view.consents.get((agency, SHARING))
    word = standing.on(day) if standing is not None and not view.child else None
    return word is not None and word.bars


def stopped(tables: Tables, view: View, end: Status) -> tuple[Running, ...]:
    """Return the duties of *view* that end only because the case comes to *end*."""
    return tuple(clock for clock in view.running if end not in tables.profile.clocks[clock.code].outlives)


def resumed(context: EventContext, mark: Mark) -> tuple[Running, ...]:
    """Return the duties that the closing ended, for a re-opened case, each due later by the time that it was closed.

    So closing and re-opening meets no duty. In a case that is to be erased these duties stay ended.
    """
    closing = context.view.closing
    if closing is None:
        return ()
    again = closing.stopped
    if context.view.erasure.due is not None:
        again = tuple(clock for clock in again if ERASED in context.tables.profile.clocks[clock.code].outlives)
    closed = Pause("", closing.mark.registered, mark.registered, context.event.id)
    return tuple(replace(clock, pauses=(*clock.pauses, closed), reopened=mark.registered) for clock in again)


def left_by(context: EventContext, mark: Mark, agency: str) -> Changes:
    """Return the changes after *agency* left the case: it has no part, houses nobody, and nothing waits for it alone."""
    view = context.view
    gone = {agency, *view.left}
    services: Mapping[str, Service] = {
        ref: replace(
            each,
            open=each.open and not (gone | each.answered).issuperset(each.receivers or (each.requester or agency,)),
        )
        for ref, each in view.services.items()
    }
    reviews: Mapping[str, Review] = {
        ref: replace(each, open=each.open and not _nobody_decides(context, each, agency, gone))
        for ref, each in view.reviews.items()
    }
    returning = view.returning
    if returning is not None and returning.open and gone.issuperset(returning.helpers):
        returning = replace(returning, step="stopped")
    return {
        "returning": returning,
        "left": {**view.left, agency: mark.registered},
        "parts": {each: parts for each, parts in view.parts.items() if each != agency},
        "services": services,
        "reviews": reviews,
        "beds": {ref: _without_guest(bed, agency) for ref, bed in view.beds.items()},
    }


def _nobody_decides(context: EventContext, review: Review, agency: str, gone: set[str]) -> bool:
    """Return whether every body that was asked to decide the review has left, *agency* the last of them."""
    asked = [body for body in context.deciding(review.decider) if body in review.known_to]
    return context.decides_review(agency, review.decider) and gone.issuperset(asked)


def _without_guest(bed: Bed, agency: str) -> Bed:
    def emptied(house: House) -> House:
        is_hers = house.agency == agency and house.state == "admitted"
        return replace(house, state="discharged") if is_hers else house

    return replace(bed, houses=tuple(map(emptied, bed.houses)))
