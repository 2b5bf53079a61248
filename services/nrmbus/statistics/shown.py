"""Figures in words: what a page or a print shows of a release, table by table. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from babel.numbers import format_decimal

from nrmbus.events.figures import TOTAL, Release, Row, Table, Unit
from nrmbus.statistics.named import heading_of, title_of, word_of
from nrmbus.statistics.specs import COUNTED_IN, MONEY, WITHIN
from nrmbus.web.words import Words

MOST_BARS: Final = 12
"""Bars of one chart; the table beside it has every row."""
MOST_SUPPRESSED: Final = 4
"""Suppressed bars of one chart; where there are more, the chart leaves them out and says so."""
MOST_COLUMNS: Final = 6
"""Columns of a table with two dimensions; one with more has a row for each pair."""
LONGEST: Final = 38
"""Letters of a bar's label; the table beside the chart has the whole words."""
FEW: Final = 6
"""Codes of a short dimension, the total among them: every code of it has a row."""
_HIGH: Final = 44
"""Height of a bar with its label, in pixels."""


SUBJECTS: Final[Mapping[str, str]] = {
    "signalled": "found", "presumed": "found", "decided": "found", "identified": "identified", "reflection": "help",
    "permit": "help", "sheltered": "help", "assisted": "help", "steps": "help", "referrals": "referrals",
    "answers": "referrals", "declined": "referrals", "minutes": "referrals", "clocks": "deadlines",
    "measures": "deadlines", "paid": "money", "granted": "money",
}  # fmt: skip
"""Subject of a table, by the beginning of its id."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Number in words, and its change against the year before; empty where none is known."""

    text: str
    change: str = ""
    is_suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Row of a table: names, then cells."""

    names: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    is_total: bool
    is_within: bool = False
    """True if the row is a part of the row above it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: label, number in words, and the length in percent; None if the number is suppressed."""

    label: str
    text: str
    percent: float | None
    top: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of the rows that are no totals."""

    bars: tuple[Bar, ...]
    height: int
    told: str
    """The content of the chart, in a sentence."""
    left_out: int
    """Number of rows that the chart leaves out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One table with its chart."""

    id: str
    title: str
    about: str
    """The dimension across, if the table has columns of codes."""
    headings: tuple[str, ...]
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    has_change: bool
    suppressed: tuple[str, ...]
    """Names of the rows and columns that are left out, since no number in them is published."""
    chart: Chart | None
    note: str = ""
    """A sentence about what the release leaves out beside this table."""


@dataclass(frozen=True, slots=True)
class Number:
    """Main figure: name and cell."""

    name: str
    cell: Cell


def main_numbers(release: Release, t: Words) -> tuple[Number, ...]:
    """Return the main figures of *release*: totals of some tables, and the missed duties."""
    wanted = (
        (t("Identified victims"), "identified_by_sex", (TOTAL,)), (t("Persons with a signal"), "signalled_by_sex", (TOTAL,)),
        (t("Referrals"), "referrals_by_role", (TOTAL,)), (t("Missed deadlines"), "clocks_by_rule", (TOTAL, "missed")),
    )  # fmt: skip
    found = {(table.id, row.keys): (row, table) for table in release.tables for row in table.rows}
    return tuple(
        Number(name, _cell(t, row, table.unit))
        for name, table_id, keys in wanted
        if (table_id, keys) in found
        for row, table in [found[table_id, keys]]
    )


@dataclass(frozen=True, slots=True)
class Section:
    """Tables of one subject."""

    id: str
    title: str
    tables: tuple[Shown, ...]


def shown(release: Release, t: Words) -> tuple[Section, ...]:
    """Return the tables of *release* in the words of *t*, by subject."""
    titles = {
        "found": t("Persons who were found"), "identified": t("Identified victims"), "help": t("Protection and help"),
        "referrals": t("Referrals and answers"), "deadlines": t("Deadlines and other events"), "money": t("Money"),
        "other": t("Other figures"),
    }  # fmt: skip
    by_subject: dict[str, list[Shown]] = {each: [] for each in titles}
    for table in release.tables:
        if table.rows:
            made = table_of(table, t)
            if table.id == COUNTED_IN[MONEY.id] and MONEY.id not in {each.id for each in release.tables}:
                note = t("The sums are left out, since a payment was ordered in another currency than the manat.")
                made = replace(made, note=note)
            by_subject[SUBJECTS.get(table.id.partition("_")[0], "other")].append(made)
    return tuple(Section(each, titles[each], tuple(found)) for each, found in by_subject.items() if found)


def table_of(table: Table, t: Words) -> Shown:
    """Return *table* in the words of *t*; two dimensions become rows and columns if they fit.

    In a long dimension, codes without a published number are named below the table and have no row.
    """
    left_out = _unpublished(table)
    rows = [row for row in table.rows if not any((place, key) in left_out for place, key in enumerate(row.keys))]
    if _is_nested(table):
        groups = {row.keys[0] for row in rows if row.keys[1] != TOTAL and row.count is not None}
        rows = [row for row in rows if row.keys[1] == TOTAL or row.keys[0] in groups]
    if all(row.count is None for row in rows):
        rows = []
    across = _across(table, rows)
    rows = sorted(rows, key=lambda row: [key == TOTAL for key in row.keys])
    lines, columns = _listed(table, rows, t) if across is None else _crossed(table, rows, across, t)
    down = table.dimensions if across is None else (table.dimensions[1 - across],)
    if across is None and _is_nested(table):
        down = table.dimensions[1:]
    return Shown(
        id=table.id,
        title=title_of(t, table),
        about="" if across is None else heading_of(t, table.dimensions[across]),
        headings=tuple(heading_of(t, each) for each in down),
        columns=columns,
        lines=tuple(lines),
        has_change=any(row.before is not None for row in rows),
        suppressed=tuple(word_of(t, table.dimensions[place], key) for place, key in left_out) if rows else (),
        chart=_chart(table, rows, t),
    )


def period_name(t: Words, period: str) -> str:
    """Return the name of a year or a quarter."""
    year, _, quarter = period.partition("-Q")
    return t("{year}, quarter {n}", year=year, n=quarter) if quarter else year


def number(t: Words, count: int, unit: Unit) -> str:
    """Return *count* in words of *unit*."""
    return t.duration(count * 60) if unit == "minutes" else str(format_decimal(count, locale=t.language))


def _cell(t: Words, row: Row, unit: Unit) -> Cell:
    if row.count is None:
        return Cell(t("suppressed"), is_suppressed=True)
    change = row.change
    if change is None:
        return Cell(number(t, row.count, unit))
    sign = "+" if change > 0 else "−" if change < 0 else "±"
    return Cell(number(t, row.count, unit), f"{sign}{number(t, abs(change), unit)}")


def _unpublished(table: Table) -> tuple[tuple[int, str], ...]:
    """Return place and code of each code without a published number, of the dimensions with more than `FEW` codes."""
    found: dict[tuple[int, str], bool] = {}
    for row in table.rows:
        for each in enumerate(row.keys):
            found[each] = found.get(each, False) or row.count is not None
    sizes = Counter(place for place, _ in found)
    return tuple(
        each for each, is_published in found.items() if not is_published and each[1] != TOTAL and sizes[each[0]] > FEW
    )


def _is_nested(table: Table) -> bool:
    return len(table.dimensions) == 2 and WITHIN.get(table.dimensions[1]) == table.dimensions[0]


def _across(table: Table, rows: Sequence[Row]) -> int | None:
    """Return the place of the dimension with fewer codes, which becomes the columns; None if the table is a list."""
    if len(table.dimensions) != 2 or _is_nested(table):
        return None
    sizes = [len({row.keys[place] for row in rows}) for place in (0, 1)]
    return None if min(sizes) > MOST_COLUMNS else sizes.index(min(sizes)) if sizes[0] != sizes[1] else 1


def _listed(table: Table, rows: Sequence[Row], t: Words) -> tuple[list[Line], tuple[str, ...]]:
    units: Mapping[Unit, str] = {
        "persons": t("Persons"), "events": t("Number", ctx="figures"), "minutes": t("Time, median"), "AZN": t("Amount"),
    }  # fmt: skip
    ordered = rows
    if _is_nested(table):
        groups = dict.fromkeys(row.keys[0] for row in rows)
        ordered = [row for group in groups for row in sorted(rows, key=_total_first) if row.keys[0] == group]
    has_change = any(row.before is not None for row in rows)
    columns = (units[table.unit], *([t("Change", ctx="figures")] if has_change else ()))
    return [_line(table, row, t, has_change=has_change) for row in ordered], columns


def _total_first(row: Row) -> bool:
    return row.keys[1] != TOTAL


def _line(table: Table, row: Row, t: Words, *, has_change: bool) -> Line:
    names = _names(table, row, t)
    if _is_nested(table):
        names = names[:1] if row.keys[1] == TOTAL else names[1:]
    is_within = _is_nested(table) and row.keys[1] != TOTAL
    cell = _cell(t, row, table.unit)
    cells = (replace(cell, change=""), Cell(cell.change or "–")) if has_change else (cell,)
    return Line(names, cells, is_total=TOTAL in row.keys, is_within=is_within)


def _crossed(table: Table, rows: Sequence[Row], across: int, t: Words) -> tuple[list[Line], tuple[str, ...]]:
    codes = dict.fromkeys(row.keys[across] for row in rows)
    downs = dict.fromkeys(row.keys[1 - across] for row in rows)
    found = {row.keys: _cell(t, row, table.unit) for row in rows}
    lines = []
    for down in downs:
        keys = [(code, down) if across == 0 else (down, code) for code in codes]
        name = word_of(t, table.dimensions[1 - across], down)
        lines.append(Line((name,), tuple(found.get(each) for each in keys), is_total=down == TOTAL))
    return lines, tuple(word_of(t, table.dimensions[across], code) for code in codes)


def _chart(table: Table, rows: Iterable[Row], t: Words) -> Chart | None:
    """Return the chart of *rows* without a total in any dimension; None if there is nothing to compare."""
    drawn = [row for row in rows if TOTAL not in row.keys and row.count != 0]
    largest = max((row.count for row in drawn if row.count), default=0)
    if not largest or len(drawn) < 2:
        return None
    kept = drawn
    if sum(row.count is None for row in drawn) > MOST_SUPPRESSED:
        kept = [row for row in drawn if row.count is not None]
    if len(kept) > MOST_BARS:
        longest = sorted(kept, key=lambda row: -(row.count or 0))[:MOST_BARS]
        kept = [row for row in kept if row in longest]
    top = max(drawn, key=lambda row: row.count or 0)
    told = t(
        "The longest bar is {name}: {number}. The table beside the chart has every number.",
        name=" · ".join(_names(table, top, t)), number=number(t, top.count or 0, table.unit),
    )  # fmt: skip
    bars = tuple(_bars(kept, table, t, largest))
    return Chart(bars, _HIGH * len(bars), told, len(drawn) - len(kept))


def _bars(rows: Iterable[Row], table: Table, t: Words, largest: int) -> Iterator[Bar]:
    for place, row in enumerate(rows):
        names = _names(table, row, t)
        label = names[1] if _is_nested(table) else " · ".join(names)
        short = label if len(label) <= LONGEST else f"{label[: LONGEST - 1].rstrip()}…"
        percent = None if row.count is None else round(76 * row.count / largest, 1)
        text = t("suppressed") if row.count is None else number(t, row.count, table.unit)
        yield Bar(short, text, percent, _HIGH * place)


def _names(table: Table, row: Row, t: Words) -> tuple[str, ...]:
    return tuple(word_of(t, dimension, key) for dimension, key in zip(table.dimensions, row.keys, strict=True))
