"""Duties of the figures: each clock of a case that was met or missed, at the event that ended or breached it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from nrmbus.events.model import Fact
from nrmbus.rules import Rules, View
from nrmbus.rules.records import Running


class Duty(NamedTuple):
    """One duty that was met in time, or whose breach is published: by which clock, by whom, at which registration."""

    rule: str
    outcome: Literal["met", "missed"]
    agency: str | None
    registered: datetime


def duties_of(rules: Rules, subject: str, facts: Iterable[Fact]) -> Iterator[Duty]:
    """Fold a case, and yield each duty when it ends in time or its breach is published; a lifted one is neither."""
    view = rules.start(subject)
    for fact in facts:
        before, view = view, rules.evolve(view, fact)
        kind = fact.event.type
        if kind == "deadline.breached":
            rule: str = fact.event.data.rule  # type: ignore[attr-defined]
            yield Duty(rule, "missed", _owing(before, view), fact.registered)
        for clock in _ended(before, view):
            if not clock.breached and _is_ended_by(rules, before, view, clock.code, kind):
                yield Duty(clock.code, "met", clock.answerable, fact.registered)


def _is_ended_by(rules: Rules, before: View, after: View, code: str, kind: str) -> bool:
    """Return whether an event of the type *kind* meets the duty *code*, by the profile of the case before or after it."""
    found = (rules.profile_for(view).clocks.get(code) for view in (before, after))
    rule = next((each for each in found if each is not None), None)
    return rule is not None and any(kind in end.events for end in rule.ends_by)


def _ended(before: View, after: View) -> Iterator[Running]:
    """Yield the clocks that ran before an event and not after it."""
    if before.running is after.running:
        return
    left = Counter(_name(each) for each in after.running if each.runs)
    for clock in before.running:
        if clock.runs:
            if left[_name(clock)]:
                left[_name(clock)] -= 1
            else:
                yield clock


def _owing(before: View, after: View) -> str | None:
    """Return the agency whose clock is breached since *before*; None if no clock is."""
    known = Counter(_name(each) for each in before.running if each.breached)
    return next((each.answerable for each in after.running if each.breached and not known[_name(each)]), None)


def _name(clock: Running) -> tuple[str, str, str, str | None]:
    return clock.code, clock.mark.id, clock.answerable, clock.ref
