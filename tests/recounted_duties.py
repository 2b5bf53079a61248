"""Recount of duties met and missed, from the README of the statistics and the table of clocks in RULES.md.

Which duties an agency owes, and until when, is what the Rules answer (`Rules.clocks`); `rules/second_clocks.py` compares
these with the text. When a duty was met or missed, in which table and period it counts, and for whom, is counted here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from nrmbus.events.model import Fact
from nrmbus.rules import Rules
from nrmbus.wire import times
from recounted import Rows, add, lies_in, role
from rules.second_clocks import ROWS

Duty = tuple[str, str, str, str | None]
Ended = tuple[str, str, str, str]


def ends_of(rules: Rules, cases: Mapping[str, Sequence[Fact]]) -> list[Ended]:
    """Return each duty of *cases* that was met or missed, in any period; an erased case has none."""
    kept = {
        subject: course
        for subject, course in cases.items()
        if not any(fact.event.type == "access.erasure_due" for fact in course)
    }
    return [each for subject, course in kept.items() for each in ends(rules, subject, course)]


def tables(ended: Iterable[Ended], roles: Mapping[str, str], period: str) -> dict[str, Rows]:
    """Return the counts of both tables of duties in *period* (`ends_of`), without those below k put away."""
    found = {"clocks_by_rule": Counter[tuple[str, ...]](), "clocks_by_role": Counter[tuple[str, ...]]()}
    for rule, agency, outcome, time in ended:
        if lies_in(time, period):
            add(found["clocks_by_rule"], (rule, outcome))
            add(found["clocks_by_role"], (role(dict(roles), agency), outcome))
    return {name: dict(each) for name, each in found.items()}


def ends(rules: Rules, subject: str, course: Iterable[Fact]) -> list[Ended]:
    """Return each duty that was met or missed: clock, agency, outcome, and the time of the registration that counts."""
    met: dict[Duty, list[str]] = {}
    unread: dict[Duty, list[str]] = {}
    missed: list[Ended] = []
    view = rules.start(subject)
    asker: dict[str, str] = {}
    for fact in course:
        type_, time = fact.event.type, times.write(fact.registered)
        asker[fact.event.id] = fact.event.source
        before, view = owed(rules, view, fact.registered), rules.evolve(view, fact)
        after = owed(rules, view, fact.registered)
        if type_ == "deadline.breached":
            late = (duty for duty, clocks in after.items() if breached(clocks) > breached(before.get(duty, ())))
            missed.append((data(fact)["rule"], next(late, ("", "", "", None))[2], "missed", time))
        for duty, clocks in before.items():
            is_over, clock = len(after.get(duty, ())) < len(clocks), clocks[0]
            if type_ == "referral.revoked" or fact.event.source == asker.get(duty[1], duty[2]) != duty[2]:
                continue  # taken back by whoever asked for it
            if duty[0] == "D-REPRESENT" and type_ == "safeguard.age_assessed":
                continue  # an adult needs no representative
            if is_over and not clock.breached and type_ in ROWS[duty[0]].ends:
                if clock.due is None or fact.registered <= clock.due:
                    met.setdefault(duty, []).append(time)
            elif is_over and not clock.breached and type_ == "letter.opened":
                met[duty] = unread.pop(duty, [])
        for duty, clocks in after.items():
            if len(clocks) > len(before.get(duty, ())) and type_ == "letter.unreadable":
                unread[duty] = met.pop(duty, [])  # the letter that nobody could read ended nothing
    return [*missed, *((rule, who, "met", time) for (rule, _, who, _), found in met.items() for time in found)]


def breached(clocks: Iterable[Any]) -> int:
    """Return how many of *clocks* are missed."""
    return sum(each.breached for each in clocks)


def data(fact: Fact) -> dict[str, Any]:
    """Return the data of an event."""
    return fact.event.data.to_mapping()


def owed(rules: Rules, view: Any, now: datetime) -> dict[Duty, list[Any]]:
    """Return the duties that run at *now*: the clock, the event that it follows from, who owes it, and the reference."""
    found: dict[Duty, list[Any]] = {}
    for clock in rules.clocks(view, now):
        found.setdefault((clock.code, clock.cause, clock.answerable, clock.ref), []).append(clock)
    return found
