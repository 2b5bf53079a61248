"""A release of figures: counted, protected and put together. Pure: the same input gives the same bytes."""

from collections.abc import Iterable, Sequence

from nrmbus.rules import Rules
from nrmbus.statistics.counting import MEDIANS, MONEY, SPECS, Case, Count, Span, Spec
from nrmbus.statistics.suppression import Place, Sheet, hide, sums_of
from nrmbus.statistics.tables import TOTAL, Checkpoint, Release, Row, Table

Rows = dict[tuple[str, ...], int]
Shown = dict[tuple[str, ...], int | None]


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

    *earlier* are all releases published before, in their order. Those of the same year are taken into account: beside
    them no small count can be derived either. The last one of the same period is corrected by this one.
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
) -> Release:
    """Return the release of *span* from what *count* has counted; the rest is as in `compute`."""
    k = count.profile.k
    same_year = [each for each in _latest(earlier) if Span.named(each.period).year == span.year]
    corrected = next((each for each in same_year if each.period == span.name), None)
    beside = [each for each in same_year if each is not corrected]
    against = next((each for each in _latest(earlier) if each.period == Span(span.year - 1, span.quarter).name), None)
    counted = {spec.id: count.cells(spec, span, k) for spec in _specs(span)}
    hidden = hide(_sheet(count, span, k, counted, corrected, beside))
    tables = [_table(spec, span, counted[spec.id], hidden, against) for spec in _specs(span)]
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
        tables=(*tables, *_medians(count, span, k, tables, against), *_money(count, span, tables, against)),
    )


def _latest(releases: Iterable[Release]) -> list[Release]:
    """Return the last release of each period."""
    return list({each.period: each for each in releases}.values())


def _specs(span: Span) -> list[Spec]:
    return [spec for spec in SPECS if span.quarter is None or not spec.yearly]


def _sheet(
    count: Count, span: Span, k: int, counted: dict[str, Rows], corrected: Release | None, beside: Iterable[Release]
) -> Sheet:
    sheet = Sheet(k)
    _add(sheet, span, counted)
    own = set(sheet.values)
    for release in beside:
        there = Span.named(release.period)
        specs = {spec.id: spec for spec in _specs(there)}
        _add(sheet, there, {name: count.cells(spec, there, k) for name, spec in specs.items()})
        for place, published in _published(release, specs):
            if place in sheet.values:
                if published is None:
                    sheet.hidden.add(place)
                else:
                    sheet.known[place] = published
    if corrected is not None:
        for place, published in _published(corrected, {spec.id: spec for spec in _specs(span)}):
            if place not in own or published is None:
                continue
            if sheet.values[place] == published:
                sheet.known[place] = published
            elif abs(sheet.values[place] - published) < k:
                sheet.kept_back.add(place)  # the difference would be a count of a few persons
    _add_up_years(sheet)
    return sheet


def _add(sheet: Sheet, span: Span, counted: dict[str, Rows]) -> None:
    specs = {spec.id: spec for spec in _specs(span)}
    for name, rows in counted.items():
        spec = specs[name]
        for keys, value in rows.items():
            sheet.values[span.name, spec.cell(keys)] = value
        for total, parts in sums_of(rows):
            sheet.add((span.name, spec.cell(total)), [(span.name, spec.cell(each)) for each in parts])


def _add_up_years(sheet: Sheet) -> None:
    """Add that a count of a year is the sum of its quarters, where all of them are in the sheet."""
    for period, cell in list(sheet.values):
        quarters = [(each.name, cell) for each in Span.named(period).parts]
        if len(quarters) > 1 and all(each in sheet.values for each in quarters):
            sheet.add((period, cell), quarters)


def _published(release: Release, specs: dict[str, Spec]) -> Iterable[tuple[Place, int | None]]:
    for table in release.tables:
        if table.id in specs:
            for row in table.rows:
                yield (release.period, specs[table.id].cell(row.keys)), row.count


def _table(spec: Spec, span: Span, rows: Rows, hidden: frozenset[Place], against: Release | None) -> Table:
    shown = {keys: None if (span.name, spec.cell(keys)) in hidden else value for keys, value in rows.items()}
    return _made(spec, shown, against)


def _made(spec: Spec, rows: Shown, against: Release | None) -> Table:
    before: Shown = {}
    if against is not None:
        before = {row.keys: row.count for table in against.tables if table.id == spec.id for row in table.rows}
    return Table(
        id=spec.id,
        title=spec.title,
        unit=spec.unit,
        dimensions=spec.dimensions,
        rows=tuple(Row(keys=keys, count=count, before=before.get(keys)) for keys, count in rows.items()),
    )


def _medians(count: Count, span: Span, k: int, tables: Iterable[Table], against: Release | None) -> Iterable[Table]:
    for spec in MEDIANS:
        minutes = count.minutes(spec, span, k)
        for answers in (table for table in tables if table.id == "answers_by_" + spec.dimensions[0]):
            counts = {row.keys[0]: row.count for row in answers.rows if row.keys[1] == TOTAL}
            rows: Shown = {(key,): None if known is None else minutes.get((key,)) for key, known in counts.items()}
            yield _made(spec, rows, against)


def _money(count: Count, span: Span, tables: Iterable[Table], against: Release | None) -> Iterable[Table]:
    """Yield the sums of money, none if money of another currency was paid."""
    if count.currencies <= {MONEY.unit}:
        sums = count.money(span)
        for payments in (table for table in tables if table.id == "paid_by_kind"):
            rows = {row.keys: None if row.count is None else sums.get(row.keys) for row in payments.rows}
            yield _made(MONEY, rows, against)
