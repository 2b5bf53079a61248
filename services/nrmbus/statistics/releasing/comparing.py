"""Differences between two releases of one period, and the extent of a release. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nrmbus.events.figures import Release, Row, Table
from nrmbus.statistics.named import title_of, word_of
from nrmbus.statistics.shown import Section, number
from nrmbus.web.words import Words


@dataclass(frozen=True, slots=True)
class Moved:
    """One number that two releases show otherwise, in words."""

    table: str
    about: str
    before: str
    after: str


def is_same(one: Release, other: Release) -> bool:
    """Return whether two releases are the same but for the place of the history up to which they count."""
    first, second = one.to_mapping(), other.to_mapping()
    return {**first, "checkpoints": ()} == {**second, "checkpoints": ()}


def moved(before: Release, after: Release, t: Words) -> tuple[Moved, ...]:
    """Return every number that *after* shows otherwise than *before*."""
    return tuple(_moved(before, after, t))


def _moved(before: Release, after: Release, t: Words) -> Iterator[Moved]:
    old = {(table.id, row.keys): row for table in before.tables for row in table.rows}
    for table in after.tables:
        for row in table.rows:
            known = old.pop((table.id, row.keys), None)
            if known is None or known.count != row.count:
                yield Moved(title_of(t, table), _about(t, table, row), _text(t, table, known), _text(t, table, row))
    named = {table.id: table for table in before.tables}
    for (name, _), row in old.items():
        table = named[name]
        yield Moved(title_of(t, table), _about(t, table, row), _text(t, table, row), _text(t, table, None))


def _about(t: Words, table: Table, row: Row) -> str:
    return " · ".join(word_of(t, dimension, key) for dimension, key in zip(table.dimensions, row.keys, strict=True))


def _text(t: Words, table: Table, row: Row | None) -> str:
    if row is None:
        return t("no row")
    return t("suppressed") if row.count is None else number(t, row.count, table.unit)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of one subject is shown: tables, numbers, and numbers that are shown."""

    title: str
    tables: int
    numbers: int
    shown: int


def extents(release: Release, sections: Sequence[Section]) -> tuple[Extent, ...]:
    """Return for each of *sections* how many of its numbers *release* shows."""
    tables = {table.id: table for table in release.tables}
    return tuple(
        Extent(
            each.title, len(rows), sum(map(len, rows)), sum(row.count is not None for found in rows for row in found)
        )
        for each in sections
        for rows in [[tables[table.id].rows for table in each.tables]]
    )


def hidden_tables(release: Release) -> int:
    """Return the number of tables of which no number is shown."""
    return sum(bool(table.rows) and all(row.count is None for row in table.rows) for table in release.tables)
