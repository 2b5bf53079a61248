"""Retention of a closed case: the years of the longest class among its events, prolonged by holds."""

from dataclasses import dataclass
from datetime import date, datetime

from nrmbus.rules.calendar import LAST
from nrmbus.rules.tables import Tables
from nrmbus.rules.view import View


@dataclass(frozen=True, slots=True)
class RetentionPeriod:
    """One closed case. ``through`` is the last day of keeping, ``held_through`` that of the longest hold.

    ``over`` is from when on nothing keeps it; None where a class of it has no value, which keeps it for ever.
    """

    case: str
    closed: date
    classes: tuple[str, ...]
    through: date | None
    held_through: str | None
    over: datetime | None


def kept(tables: Tables, view: View) -> RetentionPeriod | None:
    """Return the retention of the case of *view*; None before its closing, and after the end was published."""
    closing, calendar = view.closing, tables.calendar
    if closing is None or view.status != "CLOSED" or view.over:
        return None
    held = max((hold.until for hold in view.erasure.holds), default=None)
    longest = _longest(tables, view)
    closed, through, over = date.max, None, None
    try:
        closed = calendar.day(closing.mark.time)
        if longest is not None:
            through = calendar.months_after(closed, 12 * longest)
            over = max(calendar.ends(through), closing.mark.registered)
            over = max(over, calendar.ends(date.fromisoformat(held))) if held else over
    except (OverflowError, ValueError):  # beyond the last day there is
        through, over = (None, None) if longest is None else (date.max, LAST)
    return RetentionPeriod(view.subject, closed, tuple(sorted(view.classes)), through, held, over)


def _longest(tables: Tables, view: View) -> int | None:
    rows = tables.profile.retention.classes
    years = [rows[each].years if each in rows else None for each in view.classes]
    known = [each for each in years if each is not None]
    return max(known, default=None) if len(known) == len(years) else None
