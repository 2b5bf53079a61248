"""Refusals and breaches by agency, from the verified history. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import kind_of
from nrmbus.auditor.reports.why import Point
from nrmbus.events.case import OPENING
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.rules.clocks import breached_since
from nrmbus.rules.records import Running

Period = tuple[datetime | None, datetime | None]
"""From and to, both included; None is open."""


@dataclass(slots=True)
class Figures:
    """Figures of one agency: registered events, refusals with their rules, and breached duties.

    ``signals`` is how many people it found: 0 is a zero report, and None is an agency whose role finds nobody.
    ``sealed_again`` counts events that its desk sealed again for a changed audience; they are no refusals.
    """

    agency: str
    role: str
    signals: int | None = None
    registered: int = 0
    sealed_again: int = 0
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Numbers of refusals, by code and rule."""
    breaches: dict[str, list[Point]] = field(default_factory=dict)
    """Places of the breaches in the history, by clock."""


def by_agency(seen: Audited, period: Period = (None, None)) -> list[Figures]:
    """Return the figures of every agency of the directory, by its id, for registrations within *period*.

    Readings are not counted.
    """
    finders = {role for profile in seen.rules.profiles for role in profile.expand(("DETECTORS",))}
    found = {
        name: Figures(name, entry.role, signals=0 if entry.role in finders else None)
        for name, entry in sorted(seen.directory.entries.items())
    }
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
            if figures.signals is not None and entry.said is not None and entry.said.type in OPENING:
                figures.signals += 1
    for subject in seen.history.spoken_of():
        for entry, late in _breaches(seen, subject):
            if _within(entry.registration.time, period) and late.answerable in found:
                found[late.answerable].breaches.setdefault(late.code, []).append(Point.of(entry))
    return list(found.values())


def _within(time: datetime, period: Period) -> bool:
    first, last = period
    return (first is None or time >= first) and (last is None or time <= last)


def _breaches(seen: Audited, subject: str) -> Iterator[tuple[Entry, Running]]:
    """Yield each breach of a case with the duty that it marks as breached; none if the history shows no such duty."""
    entries = seen.history.about(subject)
    if not any(entry.said and entry.said.type == DeadlineBreached.type for entry in entries):
        return
    view = seen.rules.start(subject)
    for entry in entries:
        fact = entry.fact
        if fact is None:
            continue
        before, view = view, seen.rules.evolve(view, fact)
        late = breached_since(before, view) if fact.event.type == DeadlineBreached.type else None
        if late is not None:
            yield entry, late
