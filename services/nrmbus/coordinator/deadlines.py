"""Deadlines met and missed, out of released figures: the share that was met in time, where the published counts allow it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nrmbus.events.figures import TOTAL, Release, Table
from nrmbus.statistics.named import word_of
from nrmbus.statistics.shown import number
from nrmbus.web.words import Words

TABLES = ("clocks_by_rule", "clocks_by_role")
"""Tables of duties with an outcome, by clock and by role."""


@dataclass(frozen=True, slots=True)
class Share:
    """Duties of one clock or role that ended: counts in words, and the percentage met in time; None where it is hidden."""

    name: str
    ended: str | None
    met: str | None
    missed: str | None
    percent: float | None
    shown_percent: str

    @property
    def is_hidden(self) -> bool:
        """Return whether nothing of it is published."""
        return self.ended is None and self.met is None and self.missed is None


@dataclass(frozen=True, slots=True)
class Shares:
    """One table: rows of which something is published, the worst first, and the names of those that are hidden."""

    title: str
    rows: tuple[Share, ...]
    hidden: tuple[str, ...]

    @property
    def has_shares(self) -> bool:
        """Return whether of some row more is published than how many ended."""
        return any(each.met is not None or each.missed is not None for each in self.rows)


def over_all(release: Release, t: Words) -> Share | None:
    """Return the share of all duties; None if the release has no table of them."""
    table = next((each for each in release.tables if each.id == TABLES[0]), None)
    return None if table is None else _share(table, TOTAL, t("All deadlines"), t)


def shares(release: Release, t: Words) -> tuple[Shares, ...]:
    """Return the shares by clock and by role."""
    titles = {TABLES[0]: t("By deadline"), TABLES[1]: t("By role of the agency that owed it")}
    return tuple(_shares(table, titles[table.id], t) for table in release.tables if table.id in titles)


def extent(release: Release) -> tuple[int, int]:
    """Return how many numbers the tables of duties show, and how many they have."""
    counts = [row.count for table in release.tables if table.id in TABLES for row in table.rows]
    return sum(each is not None for each in counts), len(counts)


def _shares(table: Table, title: str, t: Words) -> Shares:
    codes = dict.fromkeys(row.keys[0] for row in table.rows if row.keys[0] != TOTAL)
    found = [_share(table, code, word_of(t, table.dimensions[0], code), t) for code in codes]
    shown = sorted(
        (each for each in found if not each.is_hidden), key=lambda each: (each.percent is None, each.percent or 0.0)
    )
    return Shares(title, tuple(shown), tuple(each.name for each in found if each.is_hidden))


def _share(table: Table, code: str, name: str, t: Words) -> Share:
    counts = {row.keys[1]: row.count for row in table.rows if row.keys[0] == code}
    ended, met, missed = (counts.get(each) for each in (TOTAL, "met", "missed"))
    if ended is None and met is not None and missed is not None:
        ended = met + missed
    percent = 100 * met / ended if met is not None and ended else None
    words = [None if each is None else number(t, each, "events") for each in (ended, met, missed)]
    shown = "" if percent is None else t("{percent} %", percent=_rounded(percent))
    return Share(name, words[0], words[1], words[2], percent, shown)


def _rounded(percent: float) -> int:
    """Return *percent* as a whole number; 100 is said of all alone, and 0 of none."""
    return min(max(round(percent), 0 if percent <= 0 else 1), 100 if percent >= 100 else 99)


def course(releases: Sequence[tuple[str, Release]], t: Words) -> Iterator[tuple[str, Share]]:
    """Yield the share over all of each of *releases*, by the name of its period."""
    for name, release in releases:
        found = over_all(release, t)
        if found is not None:
            yield name, found
