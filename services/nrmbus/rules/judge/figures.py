"""G-16 to G-18: figures that are published hide every small count, are of a time that is over, and know those before them."""

import json
from datetime import date
from hashlib import sha256
from typing import Any, Final

from nrmbus.events.stats import PeriodPublished, unpacked
from nrmbus.rules.judge.check import Check, Question, RuleList

_rules = RuleList()
_COUNTS: Final = frozenset({"persons", "events"})
"""Units of tables whose cells are counts; medians and sums of money are no counts."""


@_rules.rule("G-16", PeriodPublished.type)
def figures_unfit(q: Question) -> bool:
    """The figures do not read, are not those of the named digest, period, threshold and bus's publisher, or show a count below k."""
    data = q.event.data
    if not isinstance(data, PeriodPublished):
        return False
    raw = unpacked(data.figures)
    k = q.tables.profile.k
    if raw is None or sha256(raw).hexdigest() != data.release or data.k != k:
        return True
    try:
        release = _read(data)
        named = (release["period"], release["k"], release["by"], release.get("previous"))
        counts = [each for table in release["tables"] for each in _shown(table)]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True
    fits = named == (data.period, data.k, q.source, data.previous)
    return not fits or any(type(each) is not int or each < k for each in counts)


def _shown(table: Any) -> list[Any]:
    """Return every count that *table* shows, those of the year before included."""
    if table["unit"] not in _COUNTS:
        return []
    return [row[name] for row in table["rows"] for name in ("count", "before") if name in row]


@_rules.rule("G-17", PeriodPublished.type)
def period_not_over(q: Question) -> bool:
    """The year or quarter is not over, so its figures would change."""
    data = q.event.data
    if not isinstance(data, PeriodPublished):
        return False
    year, _, quarter = data.period.partition("-Q")
    last = int(quarter or 4)
    first_after = date(int(year) + (last == 4), last % 4 * 3 + 1, 1)
    return q.tables.calendar.day(q.now) < first_after


@_rules.rule("G-18", PeriodPublished.type)
def figures_outdated(q: Question) -> bool:
    """Figures of the same period, of the same year or of the year before were published, and these do not take them into account.

    Beside figures that nobody reckoned with, a hidden count could be derived.
    """
    data = q.event.data
    if not isinstance(data, PeriodPublished):
        return False
    year = data.period[:4]
    known = {
        each.data.period: each.data.release
        for each in q.view.bulletin.values()
        if isinstance(each.data, PeriodPublished)
    }
    beside = {release for period, release in known.items() if period[:4] == year and period != data.period}
    last = f"{int(year) - 1}{data.period[4:]}"
    try:
        release = _read(data)
        named = (release.get("previous"), set(release.get("beside", ())), release.get("against"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return True
    return named != (known.get(data.period), beside, known.get(last))


def _read(data: PeriodPublished) -> Any:
    """Return the release in *data*. Raises for what is no JSON."""
    return json.loads(unpacked(data.figures) or b"")


CHECKS: tuple[Check, ...] = tuple(_rules.checks)
"""In the order of their numbers."""
