"""Heads of the directory: signed hourly by wall-clock time, so that a reader notices when entries are withheld.

The wall clock counts on a bus for playing too: months pass there in seconds, but withholding takes real time.
"""

from datetime import datetime, timedelta
from typing import Final

from nrmbus.directory.directory import Directory

EVERY: Final = timedelta(hours=1)
STALE_AFTER: Final = timedelta(hours=3)


def is_due(directory: Directory, now: datetime) -> bool:
    """Return whether the next head should be signed at *now*."""
    return _age(directory, now) >= EVERY


def is_stale(directory: Directory, now: datetime) -> bool:
    """Return whether entries may be missing: the newest head is older than three hours at *now*, or there is none.

    A head dated more than three hours ahead does not count, since entries could be withheld until its date.
    """
    return _age(directory, now) > STALE_AFTER


def _age(directory: Directory, now: datetime) -> timedelta:
    # The last one too: one from years ahead stays the newest.
    heads = (directory.head, directory.last_head)
    return min((abs(now - each.time) for each in heads if each is not None), default=timedelta.max)
