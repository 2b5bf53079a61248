"""Events that move a running clock: questions, extensions, plans, reviews, letters that nobody could read, and breaches."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.conditions import holds
from nrmbus.rules.due_times import due_of, waited
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Ending, Pause, Running

QUESTION: Final = "referral.info_requested"
SUPPLY: Final = "referral.info_supplied"
LIFTED: Final = "deadline.lifted"


def _asked(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    ref, rules = context.ref, context.tables.profile.clocks

    def moved(clock: Running) -> Running:
        rule = rules[clock.code]
        if rule.moved_by != "info" or clock.answerable != context.source or (rule.scope != "case" and clock.ref != ref):
            return clock
        if any(pause.ref == ref and pause.until is None and not pause.review for pause in clock.pauses):
            return clock
        return replace(clock, pauses=(*clock.pauses, Pause(ref, mark.registered)))

    return tuple(map(moved, running))


def _supplied(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    def answered(pause: Pause) -> Pause:
        if pause.ref != context.ref or pause.until is not None or pause.review:
            return pause
        return replace(pause, supplied=mark.registered, supply=context.event.id, unread=False)

    def moved(clock: Running) -> Running:
        pauses = tuple(map(answered, clock.pauses))
        # A time that passed during the wait, as on a day off, was nobody's to announce: it can be late from the answer on.
        return replace(clock, pauses=pauses, reopened=mark.registered) if pauses != clock.pauses else clock

    return tuple(map(moved, running))


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

    def moved(clock: Running) -> Running:
        if rules[clock.code].moved_by != "plan":
            return clock
        # The clock adds the days of its pauses; those before the plan are no days of it.
        ends = context.tables.calendar.days_after(mark.time, days - waited(context.tables, clock, mark.time))
        return replace(clock, until=max(ends, clock.until or ends))

    return tuple(map(moved, running))


def _refused(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    """Let a stay wait for the days for a review after a negative decision: nobody may be put out before they are over."""
    days = value(context.event, "review_until_days", 0)
    if not days or not holds("negative", context):
        return running
    ends = context.tables.calendar.days_after(max(mark.time, mark.registered), days)
    return _frozen(context, running, Pause(mark.id, mark.registered, ends))


def _contested(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    """Let a stay wait for the review; `nrmbus.rules.duties.settled` ends the wait when the review is over."""
    return _frozen(context, running, Pause(context.ref, mark.registered, review=True))


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
    return tuple(
        replace(after, reopened=mark.registered) if _runs_on(before, after) else after
        for before, after in zip(running, _reported(context, running), strict=True)
    )


def _runs_on(before: Running, after: Running) -> bool:
    """Return whether the duty runs on by the report of a letter's reader: it was met *before*, or waited for the answer in the letter."""
    is_answered = _stands_still(before) and not _stands_still(after)
    return after.runs and (is_answered or not before.runs)


def _stands_still(clock: Running) -> bool:
    return any(pause.until is None for pause in clock.pauses)


def turned_by_letter(context: EventContext) -> list[Running]:
    """Return the duties that the report of a letter's reader brings back, or ends again, as they were before."""
    running = context.view.running
    return [
        before for before, after in zip(running, _reported(context, running), strict=True) if before.runs != after.runs
    ]


def _reported(context: EventContext, running: tuple[Running, ...]) -> tuple[Running, ...]:
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
        return replace(clock, endings=tuple(map(ending, clock.endings)), pauses=pauses)

    return tuple(changed(clock) if clock.endings or clock.pauses else clock for clock in running)


def _breached(context: EventContext, running: tuple[Running, ...], _: Mark) -> tuple[Running, ...]:
    found = breached_by(context)
    if found is None:
        return running
    return tuple(replace(clock, breached=True) if clock is found else clock for clock in running)


def lifted_by(context: EventContext) -> list[Running]:
    """Return the duties that a ``deadline.lifted`` lifts: overdue ones of its rule and agency that go on after an agency has left."""
    code, agency = value(context.event, "rule"), value(context.event, "agency")
    rule = context.tables.profile.clocks.get(code or "")
    if context.event.type != LIFTED or rule is None or "LEFT" not in rule.outlives:
        return []
    owed = [clock for clock in context.view.running if clock.code == code and clock.answerable == agency]
    return [clock for clock in owed if clock.runs and clock.breached]


def _lifted(context: EventContext, running: tuple[Running, ...], _: Mark) -> tuple[Running, ...]:
    gone = lifted_by(context)
    return tuple(clock for clock in running if clock not in gone)


MOVES: Final[Mapping[str, Callable[[EventContext, tuple[Running, ...], Mark], tuple[Running, ...]]]] = {
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
    LIFTED: _lifted,
}


def breached_by(context: EventContext) -> Running | None:
    """Return the clock of a ``deadline.breached``: the first unbreached one with its rule, cause and due time, or None.

    Two receivers of one request have identical clocks; their breaches are published one by one, in the request's order.
    """
    code, due = value(context.event, "rule"), value(context.event, "due")
    for clock in context.view.running:
        alike = clock.code == code and clock.mark.id == context.event.causationid
        is_owed = not clock.breached and clock.runs_until(context.event.time)
        if alike and is_owed and due_of(context.tables, clock) == due:
            return clock
    return None
