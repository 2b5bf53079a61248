"""G-16 to G-18: figures that are published hide every small count, are of a time that is over, and know those before them."""

from hashlib import sha256
from typing import Final

from nrmbus.events.errors import Invalid
from nrmbus.events.figures import Release, Table
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
        release = Release.read(raw)
    except Invalid:
        return True
    fits = (release.period, release.k, release.by, release.previous) == (data.period, data.k, q.source, data.previous)
    counts = [count for table in release.tables for count in _shown(table)]
    return not fits or any(count < k for count in counts)


def _shown(table: Table) -> list[int]:
    """Return every count that *table* shows, those of the year before included."""
    if table.unit not in _COUNTS:
        return []
    return [count for row in table.rows for count in (row.count, row.before) if count is not None]


@_rules.rule("G-17", PeriodPublished.type)
def period_not_over(q: Question) -> bool:
    """The year or quarter is not over, so its figures would change."""
    data = q.event.data
    if not isinstance(data, PeriodPublished):
        return False
    year, _, quarter = data.period.partition("-Q")
    today = q.tables.calendar.day(q.now)
    # Numbers, since no date follows the year 9999. There was no year 0 that could be over.
    return int(year) == 0 or (today.year, today.month) <= (int(year), int(quarter or 4) * 3)


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
        release = Release.read(unpacked(data.figures) or b"")
    except Invalid:
        return True
    return (release.previous, set(release.beside), release.against) != (known.get(data.period), beside, known.get(last))


CHECKS: tuple[Check, ...] = tuple(_rules.checks)
"""In the order of their numbers."""
