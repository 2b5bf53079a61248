"""Limits of a token at the door: requests in a time, and requests at a time. No honest system meets them."""

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from nrmbus.bus.rate_limit import Pace, Rate
from nrmbus.desk.http.scopes import Caller

A_MINUTE: Final = 6_000
"""Requests a minute that a token may send, unless `agency.json` or the token itself says otherwise."""
MOST_A_MINUTE: Final = 1_000_000
AT_A_TIME: Final = 50
"""Requests of one token that may be unanswered, long polls and streams among them: a fifth of the connections of a door."""
PART: Final = 64 * 1024
"""Bytes of a body that count as one request more."""
_BURST: Final = 6
"""A sixth of a minute's requests may come at once."""
_SOON: Final = 1.0
"""Seconds after which a token with too many unanswered requests may try again."""


class Limits:
    """Requests of each token, as far as they count."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._paces: dict[int, Pace] = {}
        """By requests a minute: the buckets of the tokens with that rate."""
        self._open: Counter[str] = Counter()
        """Unanswered requests, by token."""

    def enter(self, caller: Caller, size: int) -> int | None:
        """Count a request of *caller* with a body of *size* bytes; or return the whole seconds that it has to wait.

        A request that was counted must `leave`.
        """
        if caller.a_minute is None:
            return None
        if self._open[caller.name] >= AT_A_TIME:
            return math.ceil(_SOON)
        pace, now = self._pace(caller.a_minute), self._now()
        if wait := pace.wait(caller.name, now):
            return math.ceil(wait)
        pace.took(caller.name, 1 + size // PART, now)
        self._open[caller.name] += 1
        return None

    def leave(self, caller: Caller) -> None:
        """Note that a request of *caller* is answered."""
        if caller.a_minute is not None:
            self._open[caller.name] -= 1

    def _pace(self, a_minute: int) -> Pace:
        if a_minute not in self._paces:
            self._paces[a_minute] = Pace(Rate(max(1, a_minute // _BURST), a_minute / 60))
        return self._paces[a_minute]
