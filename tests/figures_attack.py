"""An attacker: somebody who has published releases, and a solver of programs in whole numbers. It shares no code with what hides the cells.

The attacker reads the JSON alone. She knows how the tables hang together, as the README says: a row with `_T` in a
dimension is the sum of the rows that differ only there, tables about the same persons share their totals, and a year is
the sum of its quarters. Of quarters that are not published she knows that they have together what is left of the year.
A country or a region has a row because its count is k or more, so she knows that too, even if the count is suppressed.
Nobody is half a person: sums of whole numbers can say more than the same sums of fractions, and the solver knows it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]
from scipy.sparse import csr_array, eye_array, hstack  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

Cell = tuple[str, str, frozenset[tuple[str, str]]]

SAME = {
    "identified": ("decided", {("status", "ActualVictimOfTrafficking")}),
    "declined": ("answers", {("answer", "declined")}),
}
"""Tables about a part of the persons or events of other tables."""
ALONE = {"minutes", "AZN"}
OPEN = {"citizenship", "region"}
"""Dimensions in which a code has a row only if its count is k or more; all others are in `other`."""
ALWAYS = {"other", "unknown"}
CEILING = 1e6
"""No count of these tests is nearly as high; with it a program always has an end."""
_NEARLY = 1e-6
"""Error of a solver that works with floats."""


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


def least_of(cell: Cell, k: int) -> int:
    """Return the count that everybody knows a row to have at least."""
    return k if any(name in OPEN and key not in ALWAYS for name, key in cell[2]) else 0


@dataclass(frozen=True, slots=True)
class Programs:
    """Suppressed cells with what is known of their sums; cells that no sum joins are programs of their own."""

    hidden: list[Cell]
    least: Any
    matrix: Any
    values: Any
    part: Any
    """Number of the program of each cell."""

    @classmethod
    def of(cls, releases: Iterable[bytes]) -> "Programs":
        """Return everything that *releases* tell together."""
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
        k = max((each["k"] for each in given), default=1)
        least = np.array([least_of(cell, k) for cell in hidden], dtype=float)
        _, part = connected_components(abs(matrix).T @ abs(matrix), directed=False)
        return cls(hidden, least, matrix, np.array([system[row] for row in rows], dtype=float), part)

    def solve(self, wanted: Sequence[int], sign: float, cap: float = CEILING) -> dict[int, float]:
        """Return possible counts of the cells *wanted* with the smallest (1) or largest (-1) sum.

        Of each cell so much as *cap* adds to the sum at most. Raises ValueError if nothing is possible.
        """
        columns = np.flatnonzero(np.isin(self.part, self.part[wanted]))
        matrix = self.matrix[:, columns]
        rows = np.flatnonzero(abs(matrix).sum(axis=1))
        place, many = np.searchsorted(columns, wanted), len(wanted)
        above = csr_array((np.ones(many), (range(many), place)), shape=(many, len(columns)))
        sums = hstack([matrix[rows], csr_array((len(rows), many))])
        program = {
            "c": np.concatenate([np.zeros(len(columns)), np.full(many, sign)]),
            "constraints": [
                LinearConstraint(sums, self.values[rows], self.values[rows]),
                LinearConstraint(sign * hstack([above, -eye_array(many)]), ub=np.zeros(many)),
            ],
            "bounds": Bounds(
                np.concatenate([self.least[columns], np.zeros(many)]),
                np.concatenate([np.full(len(columns), CEILING), np.full(many, cap)]),
            ),
        }
        counts = _best(program)
        if (
            np.abs(counts - np.round(counts)).max() > _NEARLY
        ):  # the best fractions are the best counts if they are whole
            counts = _best(program, integrality=np.ones(len(columns) + many))
        return dict(zip(wanted, (float(each) for each in counts[place]), strict=True))

    def impossible(
        self, wanted: Sequence[int], sign: float, fits: Callable[[float], bool], cap: float
    ) -> Iterator[int]:
        """Yield the cells *wanted* that have no possible count that *fits*.

        They are tried together as long as this shows of some that they have one, and the others alone.
        """
        left, tried = list(wanted), 0
        while left and tried != len(left):
            tried, found = len(left), self.solve(left, sign, cap)
            left = [each for each in left if not fits(found[each])]
        for each in left:
            if not fits(self.solve([each], sign, cap)[each]):
                yield each


def _best(program: dict[str, Any], **more: Any) -> Any:
    """Return the counts of *program* with the best sum. Raises ValueError if nothing is possible."""
    found = milp(**program, **more)
    if found.status != 0:
        message = "no counts have these sums"
        raise ValueError(message)
    return found.x


def derived(releases: Iterable[bytes], small: Callable[[Cell], bool], k: int) -> tuple[int, dict[Cell, str]]:
    """Return the number of attacked cells, and what is derived of each suppressed cell that is *small*: that it is not 0, or is below *k*.

    All of them are attacked: counts that are possible show of many cells together that each can be 0, or can be k or more.
    """
    programs = Programs.of(releases)
    attacked = [at for at, cell in enumerate(programs.hidden) if small(cell)]
    found: dict[Cell, str] = {}
    for at in programs.impossible(attacked, 1.0, lambda count: count < _NEARLY, CEILING):
        found[programs.hidden[at]] = "not 0"
    for at in programs.impossible(attacked, -1.0, lambda count: count > k - _NEARLY, k):
        found[programs.hidden[at]] = f"below {k}"
    return len(attacked), found
