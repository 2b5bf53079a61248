"""Rate limit by name, or by a browser's address: a token bucket for each, without a clock.

The registrar limits submissions per outbox, so that no agency can fill a disk in a day; waiting submissions stay in the
outbox, in order, and none is refused or lost. A desk's door limits requests per token. Pages that anybody may ask for
limit requests per address.
"""

import hmac
import os
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

ROTATES: Final = 3600.0
"""Seconds until the digests of addresses get another key, and everything counted is forgotten."""
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


class AddressPace:
    """Token bucket per address of a browser; times are seconds of a monotonic clock.

    No address is kept: it is counted by a digest under a key that is in memory alone and changes every hour.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._began = float("-inf")

    def wait(self, address: str | None, now: float) -> float:
        """Return the seconds from *now* until there is room for one more of *address*, 0 if there is."""
        self._rotate(now)
        return self._pace.wait(self._digest(address), now)

    def took(self, address: str | None, now: float) -> None:
        """Note that one of *address* was taken at *now*."""
        self._rotate(now)
        self._pace.took(self._digest(address), 1, now)

    def _rotate(self, now: float) -> None:
        if now - self._began >= ROTATES:
            self._key, self._pace, self._began = os.urandom(32), Pace(self._rate), now

    def _digest(self, address: str | None) -> str:
        """Return a digest of *address*; of an IPv6 address its /64, which one subscriber has."""
        try:
            found = ip_address((address or "").partition("%")[0])
        except ValueError:
            return "unknown"
        is_six = isinstance(found, IPv6Address) and found.ipv4_mapped is None
        raw = found.packed[:8] if is_six else found.packed[-4:]
        return hmac.digest(self._key, raw, "sha256")[:16].hex()
