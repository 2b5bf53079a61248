"""Agencies that do not take what is delivered to them: when everybody is told so, and when that they are back. Pure.

A desk is a member of its inbox's group at the broker for as long as it runs, wherever it runs. No agency can be a member
for another, and an idle desk is one too, so silence shows before somebody turns to the agency.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from nrmbus.events import bulletin
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.model import Draft
from nrmbus.rules import View
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER

BY_ITSELF: Final = "by-itself"
LOOKS: Final = 2
"""Looks in a row that must find no desk: a restart between two looks is no silence, however far the clock was set."""


def told(view: View) -> Mapping[str, bool]:
    """Return what the timekeeper has published of each agency, by its bulletin: whether it listens."""
    found = (each.data for each in view.bulletin.values())
    return {data.agency: data.listening for data in found if isinstance(data, ListeningChanged)}


class Silence:
    """Looks at all agencies, one after the other in time. What was published lies in the history, so a restart repeats nothing."""

    def __init__(self, after: timedelta) -> None:
        """Tell of a silence that lasts longer than *after*."""
        self._after = after
        self._since: dict[tuple[str, bool], datetime] = {}
        self._looks: dict[str, int] = {}

    def look(self, taking: Mapping[str, bool], published: Mapping[str, bool], now: datetime) -> Iterator[Draft]:
        """Yield what is to be published after a look: *taking* says which agencies have a desk at the broker now.

        Yielded again, under the same id, until *published* has it. An agency of which nothing was published listens.
        """
        for agency, takes in sorted(taking.items()):
            self._since.pop((agency, not takes), None)
            self._looks[agency] = 0 if takes else self._looks.get(agency, 0) + 1
            if published.get(agency, True) == takes:
                if takes:
                    self._since.pop((agency, True), None)
                continue
            since = self._since.setdefault((agency, takes), now)
            if takes or (now - since >= self._after and self._looks[agency] >= LOOKS):
                yield _draft(agency, since, now, listening=takes)


def _draft(agency: str, since: datetime, now: datetime, *, listening: bool) -> Draft:
    data = ListeningChanged(agency=agency, listening=listening, since=since)
    key = f"{agency}|{since.isoformat()}|{listening}"
    return Draft(
        type=data.type, version=data.version, subject=bulletin.of(TIMEKEEPER), data=data, time=now, actor=BY_ITSELF,
        id=said_by_itself(TIMEKEEPER, key, data.type),
    )  # fmt: skip
