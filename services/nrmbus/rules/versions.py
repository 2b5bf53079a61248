"""Which version of each type the Rules and the procedures of this release are written for; any other is read as that one.

So whoever publishes a further version needs no new Rules, and Rules written for it need no new events.
"""

from collections.abc import Mapping
from typing import Final

from nrmbus.events.casting import in_version
from nrmbus.events.model import Event
from nrmbus.events.registry import versions

READS: Final[Mapping[str, int]] = {}
"""Types that are read in another version than the first."""


UNDERSTANDS: Final[Mapping[str, int]] = {"referral.submitted": 3, "shelter.bed_requested": 2}
"""The newest version that the Rules read as it was said: what they ask for by name is alike up to there.

A cast to the version that procedures read would take the roles out of `withhold_from` (T03, G-33).
"""


def understood(event: Event) -> Event:
    """Return *event* as the Rules read it: as it was said where they understand its version, else as `read` has it."""
    newest = UNDERSTANDS.get(event.type)
    if newest is None:
        return read(event)
    return event if event.version <= newest else in_version(versions(event.type), event, newest)[0]


def read(event: Event) -> Event:
    """*event* in the version that the Rules and the procedures read. What that version cannot carry, they do not ask for."""
    wanted = READS.get(event.type, 1)
    return event if event.version == wanted else in_version(versions(event.type), event, wanted)[0]
