"""Rate limit of submissions per agency, so that no agency can fill a disk in a day.

Waiting submissions stay in the outbox, in order; none is refused or lost. A token bucket for each outbox, without a clock.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """*at_once* submissions without waiting; *a_second* more for every second since."""

    at_once: int
    a_second: int


class Pace:
    """Token bucket per outbox; times are seconds of a monotonic clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: dict[str, tuple[float, float]] = {}
        """By outbox, how many of *at_once* are used, and when that was so."""

    def may(self, outbox: str, now: float) -> bool:
        """Return whether a submission of *outbox* may be taken at *now*."""
        return self._used(outbox, now) < self._rate.at_once

    def took(self, outbox: str, count: int, now: float) -> None:
        """Note that *count* submissions were taken at *now*; they may be a few more than there was room for."""
        self._taken[outbox] = self._used(outbox, now) + count, now

    def held(self, now: float) -> tuple[str, ...]:
        """The outboxes of which nothing may be taken at *now*, sorted."""
        return tuple(sorted(each for each in self._taken if not self.may(each, now)))

    def _used(self, outbox: str, now: float) -> float:
        used, since = self._taken.get(outbox, (0.0, now))
        return max(0.0, used - (now - since) * self._rate.a_second)
