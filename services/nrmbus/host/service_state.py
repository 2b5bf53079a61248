"""State of one service under the supervisor: the next start, and whether the service fails."""

import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from nrmbus.bus.periodic import doubled
from nrmbus.bus.wall_clock import written_now

SETTLED_SECONDS: Final = 5.0
"""A service that lived so long started well, and is started again at once."""
LONGEST_PAUSE_SECONDS: Final = 5.0
FAILING_ENDS: Final = 5
FAILING_SECONDS: Final = 60.0
"""A service that ends `FAILING_ENDS` times in so many seconds is failing, until it has lived as long."""


@dataclass(slots=True)
class Running:
    """One service, alive or about to be started again."""

    name: str
    pid: int | None = None
    lifeline: socket.socket | None = None
    since: str = ""
    restarts: int = -1
    started: float = 0.0
    early_deaths: int = 0
    due: float | None = field(default=0.0)
    """When to start the service, on the monotonic clock; None while it lives."""
    held: bool = False
    """True while the desk stands still because its agency is suspended or retired."""
    failing: str | None = None
    """The last line of the log while the service fails, else None."""
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=FAILING_ENDS))
    """Times of the last ends, by the monotonic clock."""
    ended: deque[str] = field(default_factory=lambda: deque(maxlen=FAILING_ENDS))
    """The same, as a report has them."""

    def begin(self) -> None:
        """Record a start of the service."""
        self.started, self.since, self.due = time.monotonic(), written_now(), None
        self.restarts += 1

    def pause(self, now: float) -> float:
        """Return how long to wait before the next start: not at all, unless it died early several times running."""
        self.early_deaths = self.early_deaths + 1 if now - self.started < SETTLED_SECONDS else 0
        return 0.0 if self.early_deaths < 2 else doubled(0.1, self.early_deaths, LONGEST_PAUSE_SECONDS)

    def fails(self, now: float) -> bool:
        """Record an end of the service, and return whether it was the fifth within a minute."""
        self.ends.append(now)
        self.ended.append(written_now())
        return len(self.ends) == FAILING_ENDS and now - self.ends[0] <= FAILING_SECONDS

    def has_recovered(self, now: float) -> bool:
        """Return whether a failing service has now lived for a minute."""
        return self.failing is not None and self.due is None and now - self.started > FAILING_SECONDS
