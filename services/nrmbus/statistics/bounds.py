"""Smallest and largest value that hidden counts can have, if some sums of them are known. Pure and exact.

This is what an attacker can derive from published totals. The counts are rational numbers of zero or more, and the
arithmetic is exact, so that every machine hides the same cells. The method is the simplex method with Bland's rule.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Final

Number = int | Fraction
Equation = tuple[Mapping[int, int], int]
"""Sum of coefficient times count, by the number of the count, and its value."""

UNLIMITED: Final = None


class Infeasible(Exception):
    """Raised if no counts have these sums: somebody who assumes the sums is wrong."""


class Bounds:
    """Hidden counts, and the equations between them, at some possible choice of the counts."""

    def __init__(self, equations: Iterable[Equation]) -> None:
        """Find possible counts for *equations*. Raises Infeasible if there are none."""
        self._rows: list[dict[int, Number]] = []
        self._values: list[Number] = []
        self._basis: list[int] = []
        given = [
            (dict(row), value) if value >= 0 else ({n: -c for n, c in row.items()}, -value) for row, value in equations
        ]
        artificial = -1
        for row, value in given:
            self._rows.append({**row, artificial: 1})
            self._values.append(value)
            self._basis.append(artificial)
            artificial -= 1
        self._drop_artificial()

    def least(self, number: int, enough: int) -> Number:
        """Return the smallest value of the count *number*, or a value of at most *enough* if it can be that small."""
        value = self._move(number, -1, lambda value: value <= enough)
        return 0 if value is UNLIMITED else value

    def most(self, number: int, enough: int) -> Number | None:
        """Return the largest value of the count *number*, or a value of at least *enough*; None if it has no limit."""
        return self._move(number, 1, lambda value: value >= enough)

    # -- simplex -----------------------------------------------------------------------------------------------------

    def _value(self, number: int) -> Number:
        return self._values[self._basis.index(number)] if number in self._basis else 0

    def _move(self, number: int, sign: int, is_enough: Callable[[Number], bool]) -> Number | None:
        while not is_enough(self._value(number)):
            entering = self._entering(number, sign)
            if entering is None:
                break
            leaving = self._leaving(entering)
            if leaving is None:
                return UNLIMITED
            self._pivot(leaving, entering)
        return self._value(number)

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
