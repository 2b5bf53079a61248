"""The clocks of section 5: what starts, moves and ends them, when each is due, and whom a breach concerns.

A clock hangs on the event that started it. All instants are UTC; days are those of the profile's zone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nrmbus.rules.calendar import LAST
from nrmbus.rules.conditions import holds
from nrmbus.rules.event_context import EventContext, receivers_of, referrer, review_window, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.profile import ClockRule, End, Length
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import Ending, Pause, Running, Status, View
from nrmbus.rules.vocabulary import Answerable, Parting

STAGE_ENTERED: Final = "identification.stage_entered"
ANSWERS = ("referral.acknowledged", "referral.accepted")
QUESTION = "referral.info_requested"
SUPPLY = "referral.info_supplied"
TIMEKEEPER = "timekeeper"
Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Clock:
    """A duty that runs or is overdue. ``due`` is None while it is paused; ``told`` hears of a breach beside the answerable."""

    code: str
    cause: str
    answerable: str
    told: tuple[str, ...]
    start: datetime
    due: datetime | None
    sayable: datetime | None
    ref: str | None
    breached: bool


def advance(context: EventContext, mark: Mark) -> tuple[Running, ...]:
    """Return the running clocks after the event of *context*, except for ends that need more than the event (``surviving``, `leaving`)."""
    running = context.view.running
    kind = context.event.type
    if running:
        if context.tables.ends.get(kind):
            running = ended(context, running)
        if kind in _MOVES:
            running = _MOVES[kind](context, running, mark)
    starts = context.tables.starts.get(kind, ())
    return _started(context, running, mark) if starts else running


def surviving(tables: Tables, running: tuple[Running, ...], end: Status | Parting) -> tuple[Running, ...]:
    """Return the clocks that go on when the case comes to *end*: closed or dismissed, withdrawn, or to be erased."""
    return tuple(clock for clock in running if end in tables.profile.clocks[clock.code].outlives)


# Starting


ANSWERABLE: Final[Mapping[Answerable, Callable[[EventContext], Iterable[str]]]] = {
    "decider": lambda context: context.deciders,
    # The agencies that the event reached: of a case that is over, the view knows no holders.
    "guardianship": lambda context: context.guardianship({*context.view.flagged, *context.to}),
    "holders": lambda context: context.recipients,
    "others_in_to": lambda context: (agency for agency in context.to if not context.is_unit(agency)),
    "referring": lambda context: (context.referral.sender,) if context.referral else (),
    "receivers_knowing": lambda context: (each for each in receivers_of(context.event) if context.view.count_for(each)),
    "source": lambda context: (context.source,),
    "to": lambda context: context.to,
    "unit": lambda context: _unit_in_charge(context),  # noqa: PLW0108
    "units_in_to": lambda context: context.units_in_to,
}


def _unit_in_charge(context: EventContext) -> tuple[str, ...]:
    """Return the deciding body that takes the person on, or whose decision is looked at again; all of them if nothing tells.

    Of several such bodies one does the work, and the others owe nothing.
    """
    decision = context.view.decisions.get(context.view.negative or "")
    acting = context.source if context.event.type == STAGE_ENTERED else decision.mark.source if decision else None
    return (acting,) if acting and context.is_unit(acting) else context.units


def _started(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    for code, rule, start in context.tables.starts[context.event.type]:
        if not holds(start.when, context):
            continue
        if rule.scope == "case":
            running = tuple(clock for clock in running if clock.code != code)
        first = mark.time if start.at == "T" else mark.registered
        running += tuple(
            _start(context, code, rule, mark, first, agency) for agency in ANSWERABLE[rule.answerable](context)
        )
    return running


def _start(context: EventContext, code: str, rule: ClockRule, mark: Mark, first: datetime, agency: str) -> Running:
    event, referral, plan = context.event, context.referral, context.view.plan
    answered = referral if event.type in ANSWERS else None
    asker = answered.sender if answered else context.source
    return Running(
        code=code,
        by=event.type,
        mark=mark,
        start=first,
        answerable=agency,
        ref=None if rule.scope == "case" else event.referral,
        waits=asker if asker != agency else None,
        urgency=referral.urgency if referral and event.type in (*ANSWERS, QUESTION) else value(event, "urgency"),
        days=value(event, "days"),
        until=plan.ends if plan and plan.in_force and rule.moved_by == "plan" else None,
        pauses=_begun_pauses(context, rule, agency, mark.registered),
    )


def _begun_pauses(context: EventContext, rule: ClockRule, agency: str, now: datetime) -> tuple[Pause, ...]:
    if rule.moved_by == "info":
        return _open_questions(context, rule, agency, now)
    return _reviews(context, now) if rule.waits_for_review else ()


def _reviews(context: EventContext, now: datetime) -> tuple[Pause, ...]:
    """Return the days for asking for a review, and the reviews that are undecided, for a stay that begins *now*."""
    asked = tuple(Pause(review.ref, now) for review in context.view.reviews.values() if review.open)
    window, negative = review_window(context), context.view.negative
    if window is None or negative is None or window <= now:
        return asked
    return (Pause(negative, now, window), *asked)


def _open_questions(context: EventContext, rule: ClockRule, agency: str, now: datetime) -> tuple[Pause, ...]:
    return tuple(
        Pause(referral.ref, now)
        for referral in context.view.referrals.values()
        if (rule.scope == "case" or referral.ref == context.ref)
        and any(party.asked for party in referral.receivers if party.agency == agency)
    )


# Ending


def ended(context: EventContext, running: tuple[Running, ...]) -> tuple[Running, ...]:
    """Return *running* without the clocks that the event of *context* ends; with a letter they end as long as it is read."""
    codes, rules = context.tables.ends[context.event.type], context.tables.profile.clocks
    left: list[Running] = []
    for clock in running:
        end = _end(context, clock, rules[clock.code]) if clock.code in codes else None
        if end is None:
            left.append(clock)
        elif by_letter := _by_letter(context, clock, end):
            left.append(replace(clock, endings=(*clock.endings, Ending(context.event.id, by_letter))))
    return tuple(left)


def ended_by(context: EventContext) -> Iterable[Running]:
    """Return the running duties that the event of *context* ends, whoever owes them."""
    codes, rules = context.tables.ends.get(context.event.type, frozenset()), context.tables.profile.clocks
    owed = [clock for clock in context.view.running if clock.runs and clock.code in codes]
    return [clock for clock in owed if _end(context, clock, rules[clock.code]) is not None]


def _end(context: EventContext, clock: Running, rule: ClockRule) -> End | None:
    if not _concerns(context, clock, rule):
        return None
    kind = context.event.type
    return next((end for end in rule.ends_by if kind in end.events and holds(end.when, context)), None)


def _concerns(context: EventContext, clock: Running, rule: ClockRule) -> bool:
    if rule.scope == "case":
        return True
    if rule.scope == "agency":
        return context.source == clock.answerable
    return _same(context, clock) and (
        context.source == clock.answerable
        or (context.source == clock.waits and _by_asker(context))
        or context.role == TIMEKEEPER
        or _answers_for_all(context)
    )


def _by_asker(context: EventContext) -> bool:
    """Return whether the asker withdraws its request, which ends the clock for every agency that was asked.

    An asker that asked itself too answers for itself alone.
    """
    row = context.tables.row(context.event.type)
    return row is not None and row.party == "asker"


def _same(context: EventContext, clock: Running) -> bool:
    """Return whether the event answers the request that the clock waits for.

    An answer must name the clock's reference and be of the same kind: a service that is given unasked answers no referral
    and no other service. A first stage always answers, whatever reference it names, since it takes the person on.
    """
    row, ref = context.tables.row(context.event.type), context.event.referral
    if row is None or row.about is None:
        return True
    return ref == clock.ref and _kind(clock.by) == _kind(context.event.type)


def _kind(type: str) -> str:
    return type.partition(".")[0]


def _answers_for_all(context: EventContext) -> bool:
    """Return whether the event answers for every agency: one court decides for all, one confirmation holds for all.

    Of several deciding bodies, the one that begins takes the person on, and the others have nothing left to answer.
    """
    kind = context.event.type
    if kind == STAGE_ENTERED:
        return context.by_unit
    if kind == "review.decided":
        return context.review is not None and context.decides_review(context.source, context.review.decider)
    return kind == "stay.hold_confirmed" and context.hold is not None and context.source in context.hold.migration


def _by_letter(context: EventContext, clock: Running, end: End) -> frozenset[str]:
    """Return the agencies that must be able to read the letter for the clock to end; empty without a letter."""
    if context.event.sealeddigest is None:
        return frozenset()
    if context.event.type == SUPPLY:
        return frozenset((clock.waits,) if clock.waits else ())
    return frozenset(context.units_in_to if end.when == "to_unit" else context.to)


# Moving


def _asked(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    ref, rules = context.ref, context.tables.profile.clocks

    def moved(clock: Running) -> Running:
        rule = rules[clock.code]
        if rule.moved_by != "info" or clock.answerable != context.source or (rule.scope != "case" and clock.ref != ref):
            return clock
        if any(pause.ref == ref and pause.until is None for pause in clock.pauses):
            return clock
        return replace(clock, pauses=(*clock.pauses, Pause(ref, mark.registered)))

    return tuple(map(moved, running))


def _supplied(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    def answered(pause: Pause) -> Pause:
        if pause.ref != context.ref or pause.until is not None:
            return pause
        return replace(pause, supplied=mark.registered, supply=context.event.id, unread=False)

    return tuple(
        replace(clock, pauses=tuple(map(answered, clock.pauses))) if clock.pauses else clock for clock in running
    )


def _extended(context: EventContext, running: tuple[Running, ...], _: Mark) -> tuple[Running, ...]:
    rules, days = context.tables.profile.clocks, value(context.event, "days", 0)
    return tuple(
        replace(clock, more_days=clock.more_days + days) if rules[clock.code].moved_by == "extension" else clock
        for clock in running
    )


def _planned(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    rules, days = context.tables.profile.clocks, value(context.event, "planned_end_days")
    if days is None:
        return running
    ends = context.tables.calendar.days_after(mark.time, days)
    return tuple(
        replace(clock, until=max(ends, clock.until or ends)) if rules[clock.code].moved_by == "plan" else clock
        for clock in running
    )


def _refused(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    """Let a stay wait for the days for a review after a negative decision: nobody may be put out before they are over."""
    days = value(context.event, "review_until_days", 0)
    if not days or not holds("negative", context):
        return running
    ends = context.tables.calendar.days_after(max(mark.time, mark.registered), days)
    return _frozen(context, running, Pause(mark.id, mark.registered, ends))


def _contested(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    """Let a stay wait for the review; `nrmbus.rules.duties.settled` ends the wait when the review is over."""
    return _frozen(context, running, Pause(context.ref, mark.registered))


def _frozen(context: EventContext, running: tuple[Running, ...], pause: Pause) -> tuple[Running, ...]:
    rules = context.tables.profile.clocks
    return tuple(
        replace(clock, pauses=(*clock.pauses, pause)) if rules[clock.code].waits_for_review else clock
        for clock in running
    )


def _taken_up(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    """End the days for a review early, since the decision that they belong to stands no more."""
    if not holds("reopening", context):
        return running

    def cut(pause: Pause) -> Pause:
        is_window = pause.ref == context.view.negative and pause.supplied is not None
        return replace(pause, supplied=min(pause.supplied, mark.registered)) if is_window else pause  # type: ignore[type-var]

    return tuple(replace(clock, pauses=tuple(map(cut, clock.pauses))) if clock.pauses else clock for clock in running)


def _letter(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    about, unread = context.event.causationid, context.event.type == "letter.unreadable"
    reader = frozenset((context.source,))

    def reported(pause: Pause) -> Pause:
        return replace(pause, unread=unread) if pause.supply == about else pause

    def ending(each: Ending) -> Ending:
        if each.id != about:
            return each
        return replace(each, unread=each.unread | reader if unread else each.unread - reader)

    def changed(clock: Running) -> Running:
        pauses = tuple(map(reported, clock.pauses)) if clock.answerable == context.source else clock.pauses
        after = replace(clock, endings=tuple(map(ending, clock.endings)), pauses=pauses)
        return replace(after, reopened=mark.registered) if after.runs and not clock.runs else after

    return tuple(changed(clock) if clock.endings or clock.pauses else clock for clock in running)


def _breached(context: EventContext, running: tuple[Running, ...], _: Mark) -> tuple[Running, ...]:
    found = breached_by(context)
    if found is None:
        return running
    return tuple(replace(clock, breached=True) if clock is found else clock for clock in running)


_MOVES: Final[Mapping[str, Callable[[EventContext, tuple[Running, ...], Mark], tuple[Running, ...]]]] = {
    QUESTION: _asked,
    SUPPLY: _supplied,
    "identification.reasonable_grounds_decided": _refused,
    "identification.status_decided": _refused,
    "identification.status_revoked": _refused,
    "review.requested": _contested,
    "review.decided": _taken_up,
    "recovery.extended": _extended,
    "plan.adopted": _planned,
    "plan.revised": _planned,
    "letter.opened": _letter,
    "letter.unreadable": _letter,
    "deadline.breached": _breached,
}


def breached_by(context: EventContext) -> Running | None:
    """Return the clock of a ``deadline.breached``: the first unbreached one with its rule, cause and due time, or None.

    Two receivers of one request have identical clocks; their breaches are published one by one, in the request's order.
    """
    code, due = value(context.event, "rule"), value(context.event, "due")
    for clock in context.view.running:
        alike = clock.code == code and clock.mark.id == context.event.causationid
        if alike and clock.runs and not clock.breached and due_of(context.tables, clock) == due:
            return clock
    return None


# When


def due_of(tables: Tables, clock: Running) -> datetime | None:
    """Return the due time of *clock*; None while a question to the sender is open."""
    pauses = _merged(clock)
    if pauses is None:
        return None
    try:
        return _due(tables, clock, pauses)
    except OverflowError:  # beyond the last day there is
        return LAST


def _due(tables: Tables, clock: Running, pauses: tuple[Interval, ...]) -> datetime:
    length = length_of(tables.profile.clocks[clock.code], clock)
    if length.hours is not None:
        return _due_by_hours(clock.start + timedelta(hours=length.hours), pauses)
    if length.working_days is not None:
        return _due_by_working_days(tables, clock.start, length.working_days, pauses)
    days = clock.days if length.event_days is not None and clock.days is not None else length.event_days
    return _due_by_days(tables, clock, (days or length.days or 0) + clock.more_days, pauses)


def length_of(rule: ClockRule, clock: Running) -> Length:
    """Return the length that applies to *clock*; a clock without an urgency counts as ``normal``."""
    if rule.length.by_urgency is None:
        return rule.length
    by_urgency = {str(urgency): length for urgency, length in rule.length.by_urgency.items()}
    return by_urgency.get(clock.urgency or "", by_urgency["normal"])


def _merged(clock: Running) -> tuple[Interval, ...] | None:
    """Return the pauses of *clock* in order, merged, from its start on; None while a pause is open."""
    merged: list[Interval] = []
    for pause in sorted(clock.pauses, key=lambda pause: pause.asked):
        if pause.until is None:
            return None
        first, last = max(pause.asked, clock.start), pause.until
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        elif last > first:
            merged.append((first, last))
    return tuple(merged)


def _due_by_hours(due: datetime, pauses: tuple[Interval, ...]) -> datetime:
    for first, last in pauses:
        if first < due:
            due += last - first
    return due


def _due_by_working_days(tables: Tables, start: datetime, days: int, pauses: tuple[Interval, ...]) -> datetime:
    calendar = tables.calendar
    due = calendar.working_day_after(calendar.day(start), days)
    for first, last in pauses:
        if first < calendar.ends(due):
            moved = calendar.working_days_between(calendar.day(first), calendar.day(last))
            due = calendar.working_day_after(due, moved)
    return calendar.ends(due)


def _due_by_days(tables: Tables, clock: Running, days: int, pauses: tuple[Interval, ...]) -> datetime:
    calendar = tables.calendar
    due = calendar.days_after(clock.start, days)
    for first, last in pauses:
        if first < due:
            days += (calendar.day(last) - calendar.day(first)).days
            due = calendar.days_after(clock.start, days)
    return max(due, clock.until or due)


def clocks_of(tables: Tables, roles: Roles, view: View) -> tuple[Clock, ...]:
    """Return every duty that runs or is overdue, oldest first."""
    return tuple(_shown(tables, roles, view, clock) for clock in view.running if clock.runs)


def _shown(tables: Tables, roles: Roles, view: View, clock: Running) -> Clock:
    due = due_of(tables, clock)
    bound = _binds(tables, roles, clock)
    return Clock(
        code=clock.code,
        cause=clock.mark.id,
        answerable=clock.answerable,
        told=told(tables, roles, view, clock),
        start=clock.start,
        due=due,
        sayable=max(due, clock.mark.registered, clock.reopened or due) if due and bound else None,
        ref=clock.ref,
        breached=clock.breached,
    )


def _binds(tables: Tables, roles: Roles, clock: Running) -> bool:
    """Return whether lateness of the agency that owes *clock* is a breach; for the others the time is a reminder."""
    roles_bound = tables.bound.get(clock.code)
    return roles_bound is None or roles.of(clock.answerable) in roles_bound


def told(tables: Tables, roles: Roles, view: View, clock: Running) -> tuple[str, ...]:
    """Return the agencies notified of a breach of *clock*, besides the answerable agency and its supervisor."""
    whom = tables.profile.clocks[clock.code].told
    found: str | None = None
    if whom == "asker":
        found = clock.waits
    elif whom == "referrer":
        found = referrer(tables, roles, view)
    elif whom == "plan_holder":
        found = view.plan.holder if view.plan else None
    elif whom == "terminator":
        found = view.erasure.terminated.source if view.erasure.terminated else None
    elif whom == "supervisor":
        found = roles.supervisor(clock.answerable)
    return (found,) if found else ()
