"""Rate limit by name: a token bucket for each, without a clock.

The registrar limits submissions per outbox, so that no agency can fill a disk in a day; waiting submissions stay in the
outbox, in order, and none is refused or lost. A desk's door limits requests per token.
"""

from dataclasses import dataclass
from typing import Final

_NOTHING: Final = 1e-9
"""Less than that is a rounding error."""


@dataclass(frozen=True, slots=True)
class Rate:
    """*at_once* without waiting; *a_second* more for every second since."""

    at_once: int
    a_second: float


class Pace:
    """Token bucket per name; times are seconds of a monotonic clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: dict[str, tuple[float, float]] = {}
        """By name, how many of *at_once* are used, and when that was so."""

    def may(self, name: str, now: float) -> bool:
        """Return whether one more of *name* may be taken at *now*."""
        return self._used(name, now) < self._rate.at_once

    def took(self, name: str, count: int, now: float) -> None:
        """Note that *count* were taken at *now*; they may be a few more than there was room for."""
        self._taken[name] = self._used(name, now) + count, now

    def held(self, now: float) -> tuple[str, ...]:
        """Return the names of which nothing may be taken at *now*, sorted."""
        return tuple(sorted(each for each in self._taken if not self.may(each, now)))

    def wait(self, name: str, now: float) -> float:
        """Return the seconds from *now* until there is room for a whole one of *name*, 0 if there is."""
        over = self._used(name, now) + 1 - self._rate.at_once
        return over / self._rate.a_second if over > _NOTHING else 0.0

    def _used(self, name: str, now: float) -> float:
        used, since = self._taken.get(name, (0.0, now))
        return max(0.0, used - (now - since) * self._rate.a_second)
