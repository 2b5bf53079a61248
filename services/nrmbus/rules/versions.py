"""Which version of each type the Rules and the procedures of this release are written for; any other is read as that one.

So whoever publishes a further version needs no new Rules, and Rules written for it need no new events.
"""

from collections.abc import Mapping
from typing import Final

from nrmbus.events import in_version, versions
from nrmbus.events.model import Event

READS: Final[Mapping[str, int]] = {}
"""Types that are read in another version than the first."""


def read(event: Event) -> Event:
    """*event* in the version that the Rules and the procedures read. What that version cannot carry, they do not ask for."""
    wanted = READS.get(event.type, 1)
    return event if event.version == wanted else in_version(versions(event.type), event, wanted)[0]
