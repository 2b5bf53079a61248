"""When a clock is due: its length, counted in hours, working days or calendar days, and moved by its pauses.

All instants are UTC; days are those of the profile's zone.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nrmbus.rules.calendar import LAST
from nrmbus.rules.length import Length
from nrmbus.rules.profile import ClockRule
from nrmbus.rules.records import Running
from nrmbus.rules.tables import Tables

Interval = tuple[datetime, datetime]
MOMENT: Final = timedelta(seconds=1)
"""Steps back from 24:00 of a day into that day."""


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
    if clock.length is not None:
        return clock.length
    if rule.length.by_urgency is None:
        return rule.length
    by_urgency = {str(urgency): length for urgency, length in rule.length.by_urgency.items()}
    return by_urgency.get(clock.urgency or "", by_urgency["normal"])


def under(before: Tables, tables: Tables, clock: Running) -> Running:
    """Return *clock* of a case that comes from the profile of *before* under that of *tables*: it keeps a length that ends later.

    The lengths alone are compared, so each reader keeps the same one, whichever event of the case moves it there.
    """
    fresh = replace(clock, length=None, pauses=())
    kept = replace(fresh, length=length_of(before.profile.clocks[clock.code], clock))
    ends, once = due_of(tables, fresh), due_of(tables, kept)
    is_longer = ends is not None and once is not None and once > ends
    return replace(clock, length=kept.length if is_longer else None)


def waited(tables: Tables, clock: Running, until: datetime) -> int:
    """Return the calendar days that *clock* has stood still *until* then."""
    calendar = tables.calendar
    return sum((calendar.day(last) - calendar.day(first)).days for first, last in _merged(clock, until) or ())


def _merged(clock: Running, until: datetime | None = None) -> tuple[Interval, ...] | None:
    """Return the pauses of *clock* in order, merged, from its start on; None while a pause is open, unless they are cut off at *until*."""
    merged: list[Interval] = []
    for pause in sorted(clock.pauses, key=lambda pause: pause.asked):
        ends = min(pause.until or until, until) if until else pause.until
        if ends is None:
            return None
        first, last = max(pause.asked, clock.start), ends
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
    due = max(due, clock.until or due)
    for first, last in pauses:
        if first < due:
            due = calendar.days_after(due - MOMENT, (calendar.day(last) - calendar.day(first)).days)
    return due
