"""Version of each event type that the Rules and procedures of this release read; other versions are cast to it.

So a new version of a type needs no new Rules, and Rules written for a new version need no new events.
"""

from collections.abc import Mapping
from typing import Final

from nrmbus.events.casting import in_version
from nrmbus.events.model import Event
from nrmbus.events.registry import versions

READS: Final[Mapping[str, int]] = {}
"""Types that are read in another version than the first."""


UNDERSTANDS: Final[Mapping[str, int]] = {
    "referral.submitted": 3, "referral.info_requested": 2, "referral.accepted": 2, "referral.declined": 2,
    "shelter.bed_requested": 2, "shelter.bed_refused": 2,
}  # fmt: skip
"""Newest version that the Rules read without a cast, since the fields that they use are alike up to that version.

A cast to the version that procedures read would drop the roles in `withhold_from` (T03, G-33), and the letter of an answer,
so that nobody could open it.
"""


def understood(event: Event) -> Event:
    """Return *event* unchanged if the Rules understand its version, else cast by `read`."""
    newest = UNDERSTANDS.get(event.type)
    if newest is None:
        return read(event)
    return event if event.version <= newest else in_version(versions(event.type), event, newest)[0]


def read(event: Event) -> Event:
    """Return *event* in the version that Rules and procedures read; they use no field that this version lacks."""
    wanted = READS.get(event.type, 1)
    return event if event.version == wanted else in_version(versions(event.type), event, wanted)[0]
