"""Times on the wire: UTC, to the second, one spelling."""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

AHEAD_AT_MOST: Final = timedelta(minutes=5)
"""Largest lead of an event's time over its registration; beyond that, `time_in_future`."""
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


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
