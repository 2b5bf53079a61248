"""How small and how large hidden counts can be, if some sums of them are known. Pure and exact.

This is what an attacker can derive from published totals. The counts are whole numbers of zero or more, and the arithmetic
is that of fractions, so that every machine hides the same cells. The method is the simplex method with Bland's rule; where
it ends at a fraction, branch and bound.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

Number = int | Fraction
Equation = tuple[Mapping[int, int], int]
"""Sum of coefficient times count, by the number of the count, and its value."""

_Row = tuple[tuple[int, int], ...]
"""Numbers of counts, and how many times each."""

_Limit = tuple[int, int, int]
"""A count, the sign of a difference, and a whole number: the count is that number, or differs from it by this sign."""

UNLIMITED: Final = None
TRIES: Final = 100
"""Programs to try for one cell; if none of them gives whole numbers, more cells are hidden."""


class Infeasible(Exception):
    """Raised if no counts have these sums: somebody who assumes the sums is wrong."""


_FREE: Final = -1
"""Stands for all counts in no equation."""
_SUM: Final = -2
"""Number of the sum whose bound is sought."""
_SLACK: Final = 1 << 40
"""Number of the first difference of a limit; no count has so high a number."""


class Bounds:
    """Hidden counts, and the equations between them, at some possible choice of the counts.

    Counts that are in the same equations, equally often, are one count here: each of them can be the whole common sum
    or, beside another, 0.
    """

    def __init__(self, equations: Sequence[Equation]) -> None:
        """Find possible counts for *equations*. Raises Infeasible if there are none."""
        columns: dict[int, list[tuple[int, int]]] = {}
        for at, (row, _) in enumerate(equations):
            for number, times in row.items():
                columns.setdefault(number, []).append((at, times))
        first: dict[tuple[tuple[int, int], ...], int] = {}
        self._like = {number: first.setdefault(tuple(column), number) for number, column in sorted(columns.items())}
        self._alike = Counter(self._like.values())
        self._equations = [({self._like[n]: times for n, times in row.items()}, value) for row, value in equations]
        self._possible = _possible(self._equations)
        self._found: dict[tuple[_Row, int, int], bool] = {}

    def can_be_at_most(self, parts: Mapping[int, int], known: int, count: int) -> bool:
        """Return whether the sum of *parts*, each so many times, and *known* can be *count* or less."""
        return self._can_be(parts, -1, count - known)

    def can_be_at_least(self, parts: Mapping[int, int], known: int, count: int) -> bool:
        """Return whether the sum of *parts*, each so many times, and *known* can be *count* or more."""
        return self._can_be(parts, 1, count - known)

    def _can_be(self, parts: Mapping[int, int], sign: int, wanted: int) -> bool:
        of: dict[int, list[int]] = {}
        for number, times in parts.items():
            of.setdefault(self._like.get(number, _FREE), []).append(times)
        most = max if sign > 0 else min
        row = {n: most(found if len(found) == self._alike.get(n) else [*found, 0]) for n, found in of.items()}
        key = (tuple(sorted((number, times) for number, times in row.items() if times)), sign, wanted)
        if key not in self._found:
            self._found[key] = self._can_be_whole(*key)
        return self._found[key]

    def _can_be_whole(self, row: _Row, sign: int, wanted: int) -> bool:
        """Return whether whole numbers were found whose sum by *row* goes up or down (*sign*) to *wanted*."""
        left: list[tuple[_Limit, ...]] = [()]
        for _ in range(TRIES):
            if not left:
                break
            limits = left.pop()
            try:
                possible = self._within(limits).beside(row)
            except Infeasible:
                continue
            value = possible.move(_SUM, sign, wanted)
            # The true counts are whole, so what has no limit has none in whole numbers.
            fraction = None if value is UNLIMITED else possible.fraction()
            if value is UNLIMITED or (sign * value >= sign * wanted and fraction is None):
                return True
            if sign * value >= sign * wanted and fraction is not None:
                number, at = fraction
                left += [(*limits, (number, -1, ceil(at))), (*limits, (number, 1, floor(at)))]
        return False

    def _within(self, limits: tuple[_Limit, ...]) -> "_Possible":
        if not limits:
            return self._possible
        limited = enumerate(limits, _SLACK)
        return _possible([*self._equations, *(({number: 1, slack: sign}, at) for slack, (number, sign, at) in limited)])


def _possible(equations: Sequence[Equation]) -> "_Possible":
    """Return a possible choice for *equations*. Raises Infeasible if there is none."""
    found = _Possible(row for row, _ in equations)
    found.find([value for _, value in equations])
    return found


class _Possible:
    """Possible choice of the counts: the basis has one count for each equation, and every other count is 0."""

    def __init__(self, rows: Iterable[Mapping[int, Number]], values: Iterable[Number] = (), basis: Iterable[int] = ()):
        self._rows = [dict(row) for row in rows]
        self._values = list(values)
        self._basis = list(basis)

    def find(self, values: Sequence[int]) -> None:
        """Find counts for the equations with these *values*. Raises Infeasible if there are none."""
        for at, (row, value) in enumerate(zip(self._rows, values, strict=True)):
            sign = 1 if value >= 0 else -1
            artificial = _SUM - 1 - at
            self._rows[at] = {number: sign * times for number, times in row.items()} | {artificial: 1}
            self._values.append(sign * value)
            self._basis.append(artificial)
        self._drop_artificial()

    def beside(self, parts: _Row) -> "_Possible":
        """Return the same choice, and with it the sum of *parts*."""
        sum_: dict[int, Number] = {_SUM: 1}
        value: Number = 0
        for number, times in parts:
            if number not in self._basis:
                sum_[number] = sum_.get(number, 0) - times
                continue
            at = self._basis.index(number)
            value += times * self._values[at]
            for other, c in self._rows[at].items():
                if other != number:
                    sum_[other] = sum_.get(other, 0) + times * c
        row = {number: c for number, c in sum_.items() if c}
        return _Possible([*self._rows, row], [*self._values, value], [*self._basis, _SUM])

    def move(self, number: int, sign: int, enough: int) -> Number | None:
        """Return how far the count *number* goes up or down (*sign*); it may stop at *enough*."""
        while sign * self._value(number) < sign * enough:
            entering = self._entering(number, sign)
            if entering is None:
                break
            leaving = self._leaving(entering)
            if leaving is None:
                return UNLIMITED
            self._pivot(leaving, entering)
        return self._value(number)

    def fraction(self) -> tuple[int, Number] | None:
        """Return a count that is not whole, and its value; None if all are."""
        found = zip(self._basis, self._values, strict=True)
        return min(((number, value) for number, value in found if number >= 0 and value.denominator != 1), default=None)

    def _value(self, number: int) -> Number:
        return self._values[self._basis.index(number)] if number in self._basis else 0

    def _entering(self, number: int, sign: int) -> int | None:
        """Return the count by whose growth *number* moves in the direction of *sign*; the lowest number (Bland)."""
        if number not in self._basis:
            return number if sign > 0 else None
        row = self._rows[self._basis.index(number)]
        return min((each for each, c in row.items() if each != number and -c * sign > 0), default=None)

    def _leaving(self, entering: int) -> int | None:
        best: tuple[Number, int, int] | None = None
        for at, row in enumerate(self._rows):
            c = row.get(entering, 0)
            if c > 0:
                found = (_divided(self._values[at], c), self._basis[at], at)
                best = found if best is None or found[:2] < best[:2] else best
        return None if best is None else best[2]

    def _pivot(self, at: int, entering: int) -> None:
        by = self._rows[at][entering]
        row = self._rows[at] = {each: _divided(c, by) for each, c in self._rows[at].items()}
        value = self._values[at] = _divided(self._values[at], by)
        self._basis[at] = entering
        for other, found in enumerate(self._rows):
            factor = found.get(entering, 0)
            if other == at or not factor:
                continue
            for each, c in row.items():
                left = found.get(each, 0) - factor * c
                if left:
                    found[each] = left
                else:
                    found.pop(each, None)
            self._values[other] -= factor * value

    def _drop_artificial(self) -> None:
        """Bring the artificial counts to zero, one after the other, and leave them out."""
        for number in [each for each in self._basis if each < 0]:
            while number in self._basis and self._value(number) > 0:
                entering = min(
                    (each for each, c in self._rows[self._basis.index(number)].items() if each >= 0 and c > 0),
                    default=None,
                )
                leaving = None if entering is None else self._leaving(entering)
                if entering is None or leaving is None:
                    raise Infeasible
                self._pivot(leaving, entering)
            self._leave_out(number)

    def _leave_out(self, number: int) -> None:
        if number in self._basis:
            at = self._basis.index(number)
            real = min((each for each in self._rows[at] if each >= 0), default=None)
            if real is None:  # the equation says nothing new
                del self._rows[at], self._values[at], self._basis[at]
            else:
                self._pivot(at, real)
        for row in self._rows:
            row.pop(number, None)


def _divided(value: Number, by: Number) -> Number:
    found = Fraction(value) / by
    return found.numerator if found.denominator == 1 else found
