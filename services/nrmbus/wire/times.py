"""Times on the wire: UTC, to the second, one spelling; and times that a program asks with."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

AHEAD_AT_MOST: Final = timedelta(minutes=5)
"""Largest lead of an event's time over its registration; beyond that, `time_in_future`."""
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@lru_cache(maxsize=1_024)  # as for `read`
def write(time: datetime) -> str:
    """Write an aware UTC *time* without parts of a second as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return time.isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1_024)  # events are written down within the same few seconds
def read(text: str) -> datetime | None:
    """Read exactly that form; None for every other text, and for an impossible day or hour."""
    if not _TIME.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if write(found) == text else None  # some Pythons read 24:00 as the next day


def moment(text: str) -> datetime | None:
    """Read a time of RFC 3339 in any zone; None for every other text, and for a day or an hour that no calendar has."""
    try:
        return datetime.fromisoformat(text.upper()) if _RFC_3339.fullmatch(text) else None
    except ValueError:
        return None


def stamp(time: datetime) -> str:
    """Write an aware *time* of any zone, parts of a second left out; the ends of the calendar stay what they are in every zone."""
    try:
        time = time.astimezone(UTC)
    except OverflowError:  # the first or the last hours of all, in a zone in which UTC has no such year
        time = time.replace(tzinfo=UTC)
    return write(time.replace(microsecond=0))


def is_within(at: str, since: datetime | None, until: datetime | None) -> bool:
    """Return whether *at*, a time on the wire, is not before *since* and is before *until*."""
    return (since is None or at >= stamp(since)) and (until is None or at < stamp(until))
