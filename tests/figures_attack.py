"""An attacker: somebody who has published releases, and a solver of linear programs. It shares no code with what hides the cells.

The attacker reads the JSON alone. She knows how the tables hang together, as the README says: a row with `_T` in a
dimension is the sum of the rows that differ only there, tables about the same persons share their totals, and a year is
the sum of its quarters. Of quarters that are not published she knows that they have together what is left of the year.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import linprog  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

Cell = tuple[str, str, frozenset[tuple[str, str]]]

SAME = {
    "identified": ("decided", {("status", "ActualVictimOfTrafficking")}),
    "declined": ("answers", {("answer", "declined")}),
}
"""Tables about a part of the persons or events of other tables."""
ALONE = {"minutes", "AZN"}


def cells_of(release: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...], Cell, int | None]]:
    """Yield each row of counts: table, keys, the cell that it shows, and its count."""
    for table in release["tables"]:
        if table["unit"] in ALONE:
            continue
        about = table["id"].split("_by_")[0]
        population, fixed = SAME.get(about, (about if table["id"] != "assisted_by_service" else "helped", set()))
        for row in table["rows"]:
            said = {(name, key) for name, key in zip(table["dimensions"], row["keys"], strict=True) if key != "_T"}
            yield (
                table["id"],
                tuple(row["keys"]),
                (release["period"], population, frozenset(said | fixed)),
                row.get("count"),
            )


def equations_of(release: dict[str, Any]) -> Iterator[tuple[Cell, list[Cell]]]:
    """Yield each total with its parts."""
    tables: dict[str, dict[tuple[str, ...], Cell]] = defaultdict(dict)
    for table, keys, cell, _ in cells_of(release):
        tables[table][keys] = cell
    for rows in tables.values():
        for keys, cell in rows.items():
            for at, key in enumerate(keys):
                parts = [
                    other
                    for row, other in rows.items()
                    if key == "_T" and row[at] != "_T" and row[:at] + row[at + 1 :] == keys[:at] + keys[at + 1 :]
                ]
                if parts:
                    yield cell, parts


def add_rest(
    given: list[dict[str, Any]], shown: dict[Cell, int | None], equations: list[tuple[Cell, list[Cell]]]
) -> dict[str, list[str]]:
    """Add the cells of the quarters that are not published, taken together; return the parts of each published year."""
    found: dict[str, list[str]] = {}
    for year in (each["period"] for each in given if len(each["period"]) == 4):
        quarters = {each["period"]: each for each in given if each["period"].startswith(f"{year}-")}
        if quarters:
            found[year] = sorted(quarters)
        if 0 < len(quarters) < 4:
            rest = {**next(iter(quarters.values())), "period": f"{year}-rest"}
            shown.update({cell: None for _, _, cell, _ in cells_of(rest)})
            equations += equations_of(rest)
            found[year].append(rest["period"])
    return found


def with_rest(counted: dict[Cell, int], published: Collection[str]) -> dict[Cell, int]:
    """Return the counts of a year and its quarters, and those of the quarters that are not *published*, taken together."""
    found = dict(counted)
    for (period, population, said), count in counted.items():
        rest = (f"{period[:4]}-rest", population, said)
        found[rest] = found.get(rest, 0) + (count if len(period) > 4 and period not in published else 0)
    return found


def intervals(releases: Iterable[bytes], every: int = 1) -> dict[Cell, tuple[float, float]]:
    """Return the smallest and the largest possible value of each suppressed cell, or of one in *every* so many.

    Raises ValueError if nothing is possible.
    """
    given = [json.loads(each) for each in releases]
    shown: dict[Cell, int | None] = {}
    equations: list[tuple[Cell, list[Cell]]] = []
    for release in given:
        for _, _, cell, count in cells_of(release):
            shown[cell] = count if shown.get(cell) is None else shown[cell]
        equations += equations_of(release)
    quarters = add_rest(given, shown, equations)
    for period, population, said in list(shown):
        cells: list[Cell] = [(each, population, said) for each in quarters.get(period, ())]
        if cells and all(cell in shown for cell in cells):
            equations.append(((period, population, said), cells))
    hidden = [cell for cell, count in shown.items() if count is None]
    number = {cell: at for at, cell in enumerate(hidden)}
    system: dict[tuple[tuple[int, int], ...], int] = {}
    for total, parts in equations:
        row = [(number[each], 1) for each in parts if each in number] + (
            [(number[total], -1)] if total in number else []
        )
        value = (shown[total] or 0) - sum(shown[each] or 0 for each in parts)
        if row:
            system[tuple(sorted(row))] = value
    rows = list(system)
    matrix = csr_array(
        (
            [c for row in rows for _, c in row],
            ([at for at, row in enumerate(rows) for _ in row], [n for row in rows for n, _ in row]),
        ),
        shape=(len(rows), len(hidden)),
    )
    values = np.array([system[row] for row in rows], dtype=float)
    return {cell: _interval(at, len(hidden), matrix, values) for cell, at in number.items() if at % every == 0}


def _interval(at: int, size: int, matrix: Any, values: Any) -> tuple[float, float]:
    ends = []
    for sign in (1.0, -1.0):
        goal = np.zeros(size)
        goal[at] = sign
        found = linprog(goal, A_eq=matrix, b_eq=values, bounds=(0, None), method="highs")
        if found.status == 2:
            message = "no counts have these sums"
            raise ValueError(message)
        ends.append(float("inf") if found.status == 3 else abs(round(found.fun, 6)))
    return ends[0], ends[1]
