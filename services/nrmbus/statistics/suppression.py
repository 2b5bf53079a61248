"""Suppression: which cells of a release stay hidden, so that nobody can derive a small count. Pure.

The criterion for the threshold k is, against somebody who has this release and all earlier ones of the same year, knows
every sum between their cells, and knows that counts are whole numbers and not negative:

every cell below k is hidden, and can, for all that can be derived, be 0, and can be k or more. So is, and can, every count
of events that are about fewer than k cases: a dozen monthly reports tell that somebody has returned.

More cells are hidden until this holds. These further cells are k or more themselves, so they need no protection:
somebody may derive such a cell, as if it had been published. The bounds are exact (`bounds`), and the same input hides
the same cells.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nrmbus.events.figures import TOTAL
from nrmbus.statistics.bounds import Bounds, Equation
from nrmbus.statistics.specs import Cell

Place = tuple[str, Cell]
"""A cell of one period."""
Keys = tuple[str, ...]
_Parts = tuple[dict[int, int], int]
"""A count as a sum of others, each so many times, and of a known number."""


@dataclass(slots=True)
class Sheet:
    """All comparable cells: of the release, and of the earlier releases beside it."""

    k: int
    values: dict[Place, int] = field(default_factory=dict)
    """The true counts. The true counts of an earlier release tell which of its hidden cells are small."""
    sums: dict[tuple[Place, frozenset[Place]], None] = field(default_factory=dict)
    """Each total with its parts."""
    known: dict[Place, int] = field(default_factory=dict)
    """Counts that are published already."""
    hidden: set[Place] = field(default_factory=set)
    """Cells that an earlier release hides."""
    kept_back: set[Place] = field(default_factory=set)
    """Cells of the release that must be hidden though they are not small."""
    few: set[Place] = field(default_factory=set)
    """Counts of events that are about fewer than k cases: they are hidden as small counts are."""
    least: dict[Place, int] = field(default_factory=dict)
    """Smallest count, known to everybody, of a cell whose row is there for its count alone; 0 for all other cells."""

    def add(self, total: Place, parts: Iterable[Place]) -> None:
        """Add the sum of *parts*, which is *total*."""
        self.sums[total, frozenset(parts)] = None


def sums_of(rows: Iterable[Keys]) -> Iterable[tuple[Keys, tuple[Keys, ...]]]:
    """Yield each total among *rows* with its parts: a row with the key `_T` is the sum of the rows that differ only there."""
    groups: dict[tuple[int, Keys], list[Keys]] = {}
    for keys in rows:
        for at in range(len(keys)):
            groups.setdefault((at, (*keys[:at], *keys[at + 1 :])), []).append(keys)
    for (at, _), group in groups.items():
        totals = [keys for keys in group if keys[at] == TOTAL]
        parts = tuple(keys for keys in group if keys[at] != TOTAL)
        if totals and parts:
            yield totals[0], parts


def hide(sheet: Sheet) -> frozenset[Place]:
    """Return every hidden cell of *sheet*, those of earlier releases included.

    A count that was published under a lower threshold than today's is among them: it is known, and is not shown again.
    """
    return _Hiding(sheet).run()


def _added(parts: Iterable[_Parts]) -> _Parts:
    """Return the sum of *parts*."""
    row, value = dict[int, int](), 0
    for each, known in parts:
        value += known
        for number, times in each.items():
            row[number] = row.get(number, 0) + times
    return row, value


class _Hiding:
    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        cells = sorted(sheet.values)
        self._number = {cell: number for number, cell in enumerate(cells)}
        self._cells = cells
        self._value = [sheet.values[cell] for cell in cells]
        self._known = {self._number[cell]: count for cell, count in sheet.known.items()}
        self._least = {self._number[cell]: count for cell, count in sheet.least.items()}
        sums = sorted(
            (self._number[total], tuple(sorted(self._number[each] for each in parts))) for total, parts in sheet.sums
        )
        for total, parts in sums:  # it would be hidden in vain
            is_known = all(each in self._known for each in parts) and cells[total] not in sheet.kept_back
            if is_known and sum(map(self._count, parts)) == self._value[total]:
                self._known.setdefault(total, self._value[total])
        # After an erasure a published sum may no longer hold: such a sum misleads an attacker, so it is left out.
        self._sums = [each for each in sums if sum(map(self._count, each[1])) == self._count(each[0])]
        self._in: list[list[int]] = [[] for _ in cells]
        for at, (total, parts) in enumerate(self._sums):
            for each in (total, *parts):
                self._in[each].append(at)
        self._is_total = [any(self._sums[at][0] == each for at in self._in[each]) for each in range(len(cells))]
        self._hidden = {
            each
            for each, cell in enumerate(cells)
            if each not in self._known and (self._is_small(each) or cell in sheet.hidden or cell in sheet.kept_back)
        }
        self._given_up: set[int] = set()
        """Cells beside which nothing more can be hidden: an earlier release has said it all."""
        self._safe: set[int] = set()
        """Cells that were found safe, and stay so: the more is hidden, the less can be derived."""

    def run(self) -> frozenset[Place]:
        while True:
            failing = [each for group in self._groups() if (each := self._failing(group)) is not None]
            if not failing:
                below = {each for each, count in self._known.items() if count < self._sheet.k}
                return frozenset(self._cells[each] for each in self._hidden | below)
            for each in failing:
                self._hide_beside(each)

    def _groups(self) -> list[frozenset[int]]:
        """Return the hidden cells in groups that no sum of hidden cells leads out of."""
        above = {each: each for each in self._hidden}

        def root(each: int) -> int:
            while above[each] != each:
                above[each] = each = above[above[each]]
            return each

        for total, parts in self._sums:
            inside = [each for each in (total, *parts) if each in self._hidden]
            for each in inside[1:]:
                first, second = sorted((root(inside[0]), root(each)))
                above[second] = first
        groups: dict[int, set[int]] = {}
        for each in self._hidden:
            groups.setdefault(root(each), set()).add(each)
        return [frozenset(groups[each]) for each in sorted(groups)]

    def _in_parts(self, group: frozenset[int]) -> dict[int, _Parts]:
        """Return each cell of *group* as a sum of those that are no total of others there, and of known counts.

        If a smallest count is known for a cell, only the excess over the smallest count is sought.
        """
        found: dict[int, _Parts] = {}

        def of(each: int) -> _Parts:
            if each not in group:
                return {}, self._count(each)
            if each not in found:
                sums = (at for at in self._in[each] if self._sums[at][0] == each)
                first = next(sums, None)
                found[each] = (
                    ({each: 1}, self._least.get(each, 0)) if first is None else _added(map(of, self._sums[first][1]))
                )
            return found[each]

        for each in group:
            of(each)
        return found

    def _equations(self, group: frozenset[int], parts: Mapping[int, _Parts]) -> list[Equation]:
        """Return what is known of the *parts*. A hidden total says nothing beyond its parts, so most sums leave no equation."""
        found: dict[tuple[tuple[tuple[int, int], ...], int], None] = {}
        for at in sorted({at for each in group for at in self._in[each]}):
            total, of_total = self._sums[at]
            row, value = _added(parts.get(each, ({}, self._count(each))) for each in of_total)
            above, known = parts.get(total, ({}, self._count(total)))
            left = {each: count for each in row | above if (count := row.get(each, 0) - above.get(each, 0))}
            if left:
                found[tuple(sorted(left.items())), known - value] = None
        return [(dict(row), value) for row, value in found]

    def _count(self, each: int) -> int:
        return self._known.get(each, self._value[each])

    def _is_small(self, each: int) -> bool:
        return self._value[each] < self._sheet.k or self._cells[each] in self._sheet.few

    def _failing(self, group: frozenset[int]) -> int | None:
        """Return a cell of *group* of which too much can be derived, or None."""
        left = [each for each in group - self._safe - self._given_up if self._is_small(each)]
        if not left:
            return None
        parts = self._in_parts(group)
        bounds = Bounds(self._equations(group, parts))  # possible: the true counts are one choice
        for each in sorted(left, key=self._order):
            if not self._is_safe(bounds, parts[each]):
                return each
            self._safe.add(each)
        return None

    def _order(self, each: int) -> tuple[int, int]:
        """Return the place of a cell in the order of looking: coarse cells first, since fine ones can be given up for them."""
        return len(self._cells[each][1][1]), each

    def _is_safe(self, bounds: Bounds, parts: _Parts) -> bool:
        """Return whether a small cell, the sum of *parts*, can be 0, and can be k or more."""
        return bounds.can_be_at_least(*parts, self._sheet.k) and bounds.can_be_at_most(*parts, 0)

    def _hide_beside(self, each: int) -> None:
        """Hide one more cell: the smallest of those nearest to *each* by sums of hidden cells, and a total only at last."""
        for is_total in (False, True):
            near, seen = [each], {each}
            while near:
                around = sorted({other for cell in near for at in self._in[cell] for other in self._all(at)} - seen)
                found = [
                    o for o in around if o not in self._hidden | self._known.keys() and self._is_total[o] == is_total
                ]
                if found:
                    self._hidden.add(min(found, key=lambda other: (self._value[other], other)))
                    return
                near = [other for other in around if other in self._hidden]
                seen.update(around)
        self._given_up.add(each)

    def _all(self, at: int) -> tuple[int, ...]:
        return (self._sums[at][0], *self._sums[at][1])
