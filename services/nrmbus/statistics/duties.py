"""Duties of the figures: each clock of a case that was met or missed, at the event that ended or breached it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from nrmbus.events.delivery import LetterOpened, LetterUnreadable
from nrmbus.events.model import Fact
from nrmbus.events.referral import ReferralRevoked
from nrmbus.events.safeguard import AgeAssessed
from nrmbus.rules import Clock, Rules, View
from nrmbus.rules.clocks import breached_since
from nrmbus.rules.records import Running

_TAKE_BACK: Final = (ReferralRevoked.type, AgeAssessed.type)
"""Types of the events that only take back the subject of a clock, by any publisher."""

_Name = tuple[str, str, str, str | None]


class Duty(NamedTuple):
    """One duty met in time, or with a published breach: the clock, the agency and the registration."""

    rule: str
    outcome: Literal["met", "missed"]
    agency: str | None
    registered: datetime


def duties_of(rules: Rules, subject: str, facts: Iterable[Fact]) -> list[Duty]:
    """Fold a case, and return each duty that ended in time or whose breach is published; a lifted one is neither.

    A duty is lifted if the asking agency takes the request back. The duty to assign a representative is lifted if the
    person is found to be an adult. Nobody met or missed a lifted duty.
    A duty that ended late without a breach is neither: the profile does not bind its agency, or the timekeeper was not there.
    A letter reported as unreadable ended nothing, unless the receiver reports later that the letter opened.
    """
    view, missed = rules.start(subject), list[Duty]()
    met, unread = dict[_Name, list[Duty]](), dict[_Name, list[Duty]]()
    for fact in facts:
        # Just before the event: what the last day of a consent has lifted since is not met by it.
        before, view = rules.as_of(view, fact.registered), rules.evolve(view, fact)
        kind = fact.event.type
        if kind == "deadline.breached":
            rule: str = fact.event.data.rule  # type: ignore[attr-defined]
            late = breached_since(before, view)
            missed.append(Duty(rule, "missed", late.answerable if late else None, fact.registered))
        for clock in _ended(before, view):
            if _takes_back(fact, clock):
                continue
            if _is_ended_by(rules, before, view, clock.code, kind) and _is_in_time(rules, before, clock, fact):
                duty = Duty(clock.code, "met", clock.answerable, fact.registered)
                met.setdefault(_name(clock), []).append(duty)
            elif kind == LetterOpened.type and not clock.breached:
                met[_name(clock)] = unread.pop(_name(clock), [])
        if kind == LetterUnreadable.type:
            for clock in _ended(view, before):
                unread[_name(clock)] = met.pop(_name(clock), [])
    return [*missed, *(duty for each in met.values() for duty in each)]


def _takes_back(fact: Fact, clock: Running) -> bool:
    """Return whether *fact* takes back the subject of *clock*: the agency did nothing, and the need is gone.

    Such facts are a revoked referral, a word of the waiting agency, or an assessment that the child is an adult.
    """
    event = fact.event
    return event.type in _TAKE_BACK or event.source == clock.waits != clock.answerable


def _is_in_time(rules: Rules, before: View, clock: Running, fact: Fact) -> bool:
    """Return whether *fact* is registered by the time at which *clock* is due; a clock that is paused has none."""
    due = next((each.due for each in rules.clocks(before) if _name(each) == _name(clock)), None)
    return not clock.breached and (due is None or fact.registered <= due)


def _is_ended_by(rules: Rules, before: View, after: View, code: str, kind: str) -> bool:
    """Return whether an event of the type *kind* meets the duty *code*, by the profile of the case before or after it."""
    found = (rules.profile_for(view).clocks.get(code) for view in (before, after))
    rule = next((each for each in found if each is not None), None)
    return rule is not None and any(kind in end.events for end in rule.ends_by)


def _ended(before: View, after: View) -> Iterator[Running]:
    """Yield the clocks that an event ended; with both arguments exchanged, the clocks that run again."""
    if before.running is after.running:
        return
    left = Counter(_name(each) for each in after.running if each.runs)
    for clock in before.running:
        if clock.runs:
            if left[_name(clock)]:
                left[_name(clock)] -= 1
            else:
                yield clock


def _name(clock: Running | Clock) -> _Name:
    return clock.code, clock.cause if isinstance(clock, Clock) else clock.mark.id, clock.answerable, clock.ref
