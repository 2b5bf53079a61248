"""A release of figures: counted, protected and put together. Pure: the same input gives the same bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from nrmbus.events.errors import Invalid
from nrmbus.events.figures import TOTAL, UNKNOWN, Checkpoint, Release, Row, Table
from nrmbus.events.model import Fact
from nrmbus.events.stats import PeriodPublished, unpacked
from nrmbus.rules import Rules
from nrmbus.statistics.counting import Count
from nrmbus.statistics.persons import Case
from nrmbus.statistics.spans import Rest, Span
from nrmbus.statistics.specs import COUNTED_IN, MEDIANS, MONEY, OPEN, OTHER, SPECS, Needs, Spec
from nrmbus.statistics.suppression import Place, Sheet, hide, sums_of

Rows = dict[tuple[str, ...], int]
Shown = dict[tuple[str, ...], int | None]
_MEASURED = ("accepted", "declined")
"""Answers whose time is measured."""
_ALWAYS = frozenset({OTHER, UNKNOWN, TOTAL})
"""Keys of an open dimension whose row is always there; any other row is there because its count is k or more."""


def published_in(facts: Iterable[Fact]) -> list[Release]:
    """Return the releases published by *facts*, in order, without those in a form unknown to this release of nrmbus."""
    found: list[Release] = []
    for fact in facts:
        if isinstance(fact.event.data, PeriodPublished):
            with suppress(Invalid):
                found.append(Release.read(unpacked(fact.event.data.figures) or b""))
    return found


def compute(
    rules: Rules,
    cases: Iterable[Case],
    span: Span,
    *,
    bus: str,
    by: str,
    checkpoints: Sequence[Checkpoint],
    earlier: Sequence[Release] = (),
) -> Release:
    """Return the release of *span*, from *cases* as they stood at *checkpoints*.

    *earlier* are all releases published before, in their order. Releases of the same year are taken into account: no
    small count can be derived beside them either. The new release corrects the last release of the same period. The
    last release is returned unchanged if any count would change by fewer than k: the difference would be a count of a
    few persons.
    """
    return release_of(Count(rules, cases, span.year), span, bus=bus, by=by, checkpoints=checkpoints, earlier=earlier)


def release_of(
    count: Count,
    span: Span,
    *,
    bus: str,
    by: str,
    checkpoints: Sequence[Checkpoint],
    earlier: Sequence[Release] = (),
    needs: Needs | None = None,
) -> Release:
    """Return the release of *span* from what *count* has counted, or only its tables that need *needs*; the rest is as in `compute`.

    The tables of events and those of persons share no cell, so either kind is protected alike without the other.
    """
    k = count.profile.k
    same_year = [each for each in _latest(earlier) if Span.named(each.period).year == span.year]
    corrected = next((each for each in same_year if each.period == span.name), None)
    beside = [each for each in same_year if each is not corrected]
    against = next((each for each in _latest(earlier) if each.period == Span(span.year - 1, span.quarter).name), None)
    specs = _specs(span, needs)
    counted = {spec.id: count.cells(spec, span, k) for spec in specs}
    if corrected is not None and _changes_little(corrected, count, span, specs, counted):
        return corrected
    hidden = hide(_sheet(count, span, k, counted, corrected, beside, needs))
    last = {spec.id: _last_year(spec, against, k) for spec in (*SPECS, MONEY, *MEDIANS)}
    tables = [_table(spec, span, counted[spec.id], hidden, last) for spec in specs]
    return Release(
        bus=bus,
        by=by,
        period=span.name,
        k=k,
        profile=count.profile.name,
        checkpoints=tuple(checkpoints),
        previous=corrected.digest if corrected else None,
        against=against.digest if against else None,
        beside=tuple(sorted(each.digest for each in beside)),
        tables=(*tables, *_medians(count, span, tables, last), *_money(count, span, tables, last)),
    )


def _latest(releases: Iterable[Release]) -> list[Release]:
    """Return the last release of each period."""
    return list({each.period: each for each in releases}.values())


def _specs(span: Span | Rest, needs: Needs | None) -> list[Spec]:
    is_year = isinstance(span, Span) and span.quarter is None
    return [spec for spec in SPECS if (is_year or not spec.yearly) and needs in (None, spec.needs)]


def _changes_little(
    corrected: Release, count: Count, span: Span, specs: Iterable[Spec], counted: dict[str, Rows]
) -> bool:
    """Return whether any published count of *corrected* differs from the one *counted* now, by fewer than k.

    To hide only such counts would not do: the choice of hidden counts would tell what the few persons have in common. A
    code of an open dimension that is too rare now has no row any more, and is compared all the same.
    """
    published = _published(corrected, {spec.id: spec for spec in specs})
    rare = {
        spec.cell(keys): value
        for spec in specs
        if spec.dimensions[-1] in OPEN
        for keys, value in count.cells(spec, span, 1).items()
    }
    now = rare | {spec.cell(keys): value for spec in specs for keys, value in counted[spec.id].items()}
    k = count.profile.k
    return any(was is not None and 0 < abs(now.get(cell, 0) - was) < k for (_, cell), was in published)


def _sheet(
    count: Count,
    span: Span,
    k: int,
    counted: dict[str, Rows],
    corrected: Release | None,
    beside: Sequence[Release],
    needs: Needs | None,
) -> Sheet:
    sheet = Sheet(k)
    _add(sheet, count, span, counted)
    own = set(sheet.values)
    for release in beside:
        there = Span.named(release.period)
        specs = {spec.id: spec for spec in _specs(there, needs)}
        _add(sheet, count, there, {name: count.cells(spec, there, k) for name, spec in specs.items()})
        for place, published in _published(release, specs):
            if place in sheet.values:
                if published is None:
                    sheet.hidden.add(place)
                else:
                    sheet.known[place] = published
    if corrected is not None:
        for place, published in _published(corrected, {spec.id: spec for spec in _specs(span, needs)}):
            if place in own and published is not None and sheet.values[place] == published:
                sheet.known[place] = published
    _add_up_year(sheet, count, span, [Span.named(each.period) for each in beside], needs)
    _keep_back_what_would_differ_little(sheet, own)
    return sheet


def _add(sheet: Sheet, count: Count, span: Span | Rest, counted: dict[str, Rows]) -> None:
    specs = {spec.id: spec for spec in SPECS}
    for name, rows in counted.items():
        spec = specs[name]
        for keys, value in rows.items():
            sheet.values[span.name, spec.cell(keys)] = value
            if spec.dimensions[-1] in OPEN and keys[-1] not in _ALWAYS:
                sheet.least[span.name, spec.cell(keys)] = sheet.k
        sheet.few.update((span.name, spec.cell(keys)) for keys in count.few(spec, span, sheet.k))
        for total, parts in sums_of(rows):
            sheet.add((span.name, spec.cell(total)), [(span.name, spec.cell(each)) for each in parts])


def _add_up_year(sheet: Sheet, count: Count, span: Span, beside: Iterable[Span], needs: Needs | None) -> None:
    """Add that a count of a year is the sum of its quarters, if the year and some of them are in the sheet.

    The sum of the other quarters follows from these counts, even if the other quarters are never published.
    """
    year, here = Span(span.year), {span, *beside}
    quarters = [each for each in year.parts if each in here]
    if year not in here or not quarters:
        return
    parts = [each.name for each in quarters]
    left = tuple(each for each in year.parts if each not in here)
    if left:
        rest = Rest(left)
        _add(sheet, count, rest, {spec.id: count.cells(spec, rest, sheet.k) for spec in _specs(rest, needs)})
        parts.append(rest.name)
        for place in [each for each in sheet.values if each[0] == rest.name]:
            _leave(sheet, place, (year.name, place[1]), [(each.name, place[1]) for each in quarters])
    for period, cell in list(sheet.values):
        if period == year.name and all((each, cell) in sheet.values for each in parts):
            sheet.add((period, cell), [(each, cell) for each in parts])


def _leave(sheet: Sheet, rest: Place, year: Place, quarters: list[Place]) -> None:
    """Hide the cell *rest*, whose count is what everybody derives: the *year* less the published *quarters*."""
    sheet.hidden.add(rest)
    if year in sheet.values and all(each in sheet.values for each in quarters):
        left = _count(sheet, year) - sum(_count(sheet, each) for each in quarters)
        sheet.values[rest] = max(0, left)


def _count(sheet: Sheet, place: Place) -> int:
    return sheet.known.get(place, sheet.values[place])


def _keep_back_what_would_differ_little(sheet: Sheet, own: set[Place]) -> None:
    """Keep back each own count that can be compared with published ones of the year, if any of them differs by fewer than k.

    A person who was erased meanwhile is in the quarters and not in the year. All counts are kept back, not only the
    differing ones: the choice of hidden counts would tell what the person has in common with others.
    """
    compared, differs = set(), False
    for total, parts in sheet.sums:
        if {period for period, _ in parts} == {total[0]}:
            continue
        mine = [each for each in (total, *parts) if each in own]
        if len(mine) == 1 and all(each in sheet.known for each in (total, *parts) if each not in own):
            compared.add(mine[0])
            differs |= 0 < abs(_count(sheet, total) - sum(_count(sheet, each) for each in parts)) < sheet.k
    if differs:
        sheet.kept_back |= compared


def _published(release: Release, specs: dict[str, Spec]) -> Iterable[tuple[Place, int | None]]:
    for table in release.tables:
        if table.id in specs:
            for row in table.rows:
                yield (release.period, specs[table.id].cell(row.keys)), row.count


def _last_year(spec: Spec, against: Release | None, k: int) -> Shown:
    """Return what *against* published in the table of *spec*, to compare with.

    If the threshold was raised since, a table with a published count below the threshold is not compared at all:
    everybody could derive a single missing count from the others. Medians and sums of money of the table are not
    compared either.
    """
    if against is None:
        return {}
    published = {table.id: {row.keys: row.count for row in table.rows} for table in against.tables}
    counts = published.get(COUNTED_IN.get(spec.id, spec.id), {})
    if any(count is not None and count < k for count in counts.values()):
        return {}
    return published.get(spec.id, {})


def _table(spec: Spec, span: Span, rows: Rows, hidden: frozenset[Place], last: Mapping[str, Shown]) -> Table:
    shown = {keys: None if (span.name, spec.cell(keys)) in hidden else value for keys, value in rows.items()}
    return _made(spec, shown, last)


def _made(spec: Spec, rows: Shown, last: Mapping[str, Shown]) -> Table:
    before = last[spec.id]
    return Table(
        id=spec.id,
        title=spec.title,
        unit=spec.unit,
        dimensions=spec.dimensions,
        rows=tuple(Row(keys=keys, count=count, before=before.get(keys)) for keys, count in rows.items()),
    )


def _medians(count: Count, span: Span, tables: Iterable[Table], last: Mapping[str, Shown]) -> Iterator[Table]:
    """Yield the medians. A median is shown if a count of its answers is published: it then reveals no hidden count."""
    for spec in MEDIANS:
        minutes = count.minutes(spec, span)
        for answers in (table for table in tables if table.id == COUNTED_IN[spec.id]):
            measured = {row.keys[0] for row in answers.rows if row.keys[1] in _MEASURED and row.count is not None}
            keys = dict.fromkeys(row.keys[0] for row in answers.rows)
            rows: Shown = {(key,): minutes.get((key,)) if key in measured else None for key in keys}
            yield _made(spec, rows, last)


def _money(count: Count, span: Span, tables: Iterable[Table], last: Mapping[str, Shown]) -> Iterator[Table]:
    """Yield the sums of money, none if money of another currency was paid."""
    if count.currencies <= {MONEY.unit}:
        sums = count.money(span)
        for payments in (table for table in tables if table.id == COUNTED_IN[MONEY.id]):
            rows = {row.keys: None if row.count is None else sums.get(row.keys) for row in payments.rows}
            yield _made(MONEY, rows, last)
