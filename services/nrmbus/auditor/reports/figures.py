"""Refusals and breaches by agency, from the verified history. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import kind_of
from nrmbus.auditor.reports.why import Point
from nrmbus.events.deadline import DeadlineBreached

Period = tuple[datetime | None, datetime | None]
"""From and to, both included; None is open."""


@dataclass(slots=True)
class Figures:
    """One agency: how many of its events were registered, which were refused and why, which of its duties were breached.

    ``sealed_again``: how often its desk had to seal an event again, as the audience had changed: no refusal.
    """

    agency: str
    role: str
    registered: int = 0
    sealed_again: int = 0
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By code and rule."""
    breaches: dict[str, list[Point]] = field(default_factory=dict)
    """By clock, where it was said."""


def by_agency(seen: Audited, period: Period = (None, None)) -> list[Figures]:
    """The figures of every agency of the directory, by its id; what was registered within *period* counts.

    Readings are not counted.
    """
    found = {name: Figures(name, entry.role) for name, entry in sorted(seen.directory.entries.items())}
    for entry in seen.history.entries:
        said = entry.registration
        if not _within(said.time, period) or said.source not in found:
            continue
        kind, figures = kind_of(entry), found[said.source]
        if kind == "refused":
            figures.refusals[said.code or "", said.rule or ""] += 1
        elif kind == "sealed_again":
            figures.sealed_again += 1
        elif kind != "reading":
            figures.registered += 1
    for subject in seen.history.spoken_of():
        for entry, owed_by in _breaches(seen, subject):
            if _within(entry.registration.time, period):
                for agency, code in owed_by:
                    if agency in found:
                        found[agency].breaches.setdefault(code, []).append(Point.of(entry))
    return list(found.values())


def _within(time: datetime, period: Period) -> bool:
    first, last = period
    return (first is None or time >= first) and (last is None or time <= last)


def _breaches(seen: Audited, subject: str) -> list[tuple[Entry, list[tuple[str, str]]]]:
    """Each breach of a case, with who owed what: the timekeeper says clock and cause, the view before it who."""
    entries = seen.history.about(subject)
    if not any(entry.said and entry.said.type == DeadlineBreached.type for entry in entries):
        return []
    view, found = seen.rules.start(subject), []
    for entry in entries:
        fact = entry.fact
        if fact is None:
            continue
        data = fact.event.data
        if isinstance(data, DeadlineBreached):
            alike = (data.rule, fact.event.causationid, data.due, False)
            owed = [
                (clock.answerable, clock.code)
                for clock in seen.rules.clocks(view)
                if (clock.code, clock.cause, clock.due, clock.breached) == alike
            ]
            found.append((entry, owed[:1]))  # of clocks alike, one is said at a time, in their order
        view = seen.rules.evolve(view, fact)
    return found
