"""Schedule of deliveries: when a failed one is tried again, and when a failing endpoint is paused. Pure functions."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

DELAYS: Final = tuple(
    timedelta(seconds=each) for each in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Time before each attempt, by Standard Webhooks 1.0.0: ten attempts in 75 hours and a half."""

JITTER: Final = (0.8, 1.2)
"""Each delay is multiplied by a random number from this range, so that failed deliveries do not come back together."""

THROTTLED: Final = frozenset({429, 502, 504})
"""Statuses of an overloaded receiver: the whole endpoint then waits."""
GONE: Final = 410
SHORTEST_HOLD: Final = timedelta(seconds=60)
LONGEST_HOLD: Final = timedelta(hours=24)
"""Longest wait that ``Retry-After`` can ask for: the longest delay of the schedule."""

PATIENCE: Final = timedelta(days=5)
"""Time of nothing but failures after which an endpoint is paused."""
PROBE: Final = timedelta(days=1)
"""Time between two pings to a paused endpoint."""
_UNBROKEN: Final = timedelta(days=2)
"""Longest time between two failures of one period: longer than the longest delay with its jitter."""


def next_try(attempts: int, now: datetime, factor: float, hold: timedelta | None = None) -> datetime | None:
    """Return when a delivery is due after so many failed *attempts*; None if no attempt is left.

    *factor* is the jitter; *hold* is the receiver's ``Retry-After``, which can only lengthen the delay.
    """
    if attempts >= len(DELAYS):
        return None
    delay = DELAYS[attempts] * factor
    return _to_the_second(now + (delay if hold is None else max(delay, min(hold, LONGEST_HOLD))))


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return how long ``Retry-After`` asks to wait, in seconds or until a date; None if it asks for nothing readable."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return min(timedelta(seconds=int(value[:9])), LONGEST_HOLD)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return max(timedelta(), min(at - now, LONGEST_HOLD))


def held_until(status: int | None, now: datetime, hold: timedelta | None) -> datetime | None:
    """Return until when the whole endpoint waits after *status*; None if it need not."""
    if status not in THROTTLED:
        return None
    return _to_the_second(now + min(max(hold or SHORTEST_HOLD, SHORTEST_HOLD), LONGEST_HOLD))


def failing_since(since: datetime | None, last: datetime | None, now: datetime) -> datetime:
    """Return since when an endpoint fails that has failed *now*, before at *last*, and without a success *since*."""
    return now if since is None or last is None or now - last > _UNBROKEN else since


def is_given_up(since: datetime, now: datetime) -> bool:
    """Return whether an endpoint that has failed *since* then is paused *now*."""
    return now - since >= PATIENCE


def _to_the_second(time: datetime) -> datetime:
    whole = time.replace(microsecond=0)
    return whole if whole == time else whole + timedelta(seconds=1)
