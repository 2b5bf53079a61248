"""Agencies that do not read their inboxes: when the silence is published, and when the return. Pure.

A running desk is a member of its inbox's group at the broker, on any host. No agency can be a member for another, and
an idle desk is a member too, so silence shows before somebody turns to the agency.
A desk may be connected and stand still: a full disk, a ledger that another program holds, a fault of its inbox. Such a desk
acknowledges nothing more, while its inbox has records.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.events import bulletin
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.model import Draft
from nrmbus.rules import View
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER

LOOKS: Final = 2
"""Looks in a row that must find no desk: a restart between two looks is no silence, however far the clock was set."""


STILL_LOOKS: Final = 6
"""Looks in a row in which a connected desk must not have moved on: a record that is handled slowly is no silence either."""
_FIRST_ID: Final = partial(said_by_itself, TIMEKEEPER)
MARKER: Final = 1
"""Offsets behind the last record of an inbox in which there is nothing to read: the end of the registrar's transaction."""


class Reading(NamedTuple):
    """One partition of an inbox at a look: what the desk has acknowledged, and the end of the partition."""

    reached: int
    end: int

    @property
    def is_over(self) -> bool:
        """Return whether the desk has read everything."""
        return self.end - self.reached <= MARKER


class Stillness:
    """Compares each look with the look before: a desk stands still that acknowledged nothing in between, while records wait.

    An aborted transaction at the end of a partition looks like a record that waits. The registrar writes there again at
    once, since it judges the same submissions again.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], int] = {}

    def look(self, found: Mapping[str, Mapping[int, Reading]]) -> frozenset[str]:
        """Return those of *found*, agencies with their partitions, that have something to read and read nothing since the look before.

        A first look compares with itself: an agency that was published as silent is not back because the timekeeper restarted.
        """
        now = {(agency, place): each for agency, places in found.items() for place, each in places.items()}
        before, self._before = self._before, {key: each.reached for key, each in now.items()}
        return frozenset(
            key[0] for key, each in now.items() if not each.is_over and before.get(key, each.reached) == each.reached
        )


def told(view: View) -> Mapping[str, bool]:
    """Return for each agency in the timekeeper's bulletin whether the agency listens."""
    found = (each.data for each in view.bulletin.values())
    return {data.agency: data.listening for data in found if isinstance(data, ListeningChanged)}


class Silence:
    """Looks at all agencies, one after the other in time. A restart repeats no event, since the history has them."""

    def __init__(self, after: timedelta) -> None:
        """Tell of a silence that lasts longer than *after*, until another profile says otherwise."""
        self.after = after
        self._since: dict[tuple[str, bool], datetime] = {}
        self._looks: dict[str, int] = {}

    def stands_still(self, agency: str) -> bool:
        """Return whether no look of the last minute found that the desk of *agency* takes what is delivered."""
        return self._looks.get(agency, 0) >= STILL_LOOKS

    def look(
        self,
        taking: Mapping[str, bool],
        published: Mapping[str, bool],
        now: datetime,
        still: Collection[str] = (),
        id_of: Callable[[str, str], str | None] = _FIRST_ID,
    ) -> Iterator[Draft]:
        """Yield what is to be published after a look.

        *taking* says which agencies have a desk at the broker that moves on. *still* names those whose desk does not. An
        agency missing there, because it is suspended, is watched from the start once it is back.
        *id_of* gives the id under which a cause and a type are said, None while it is too soon after a refusal.

        Yielded again, under the same id, until *published* has it. An agency of which nothing was published listens.
        """
        self._since = {key: since for key, since in self._since.items() if key[0] in taking}
        self._looks = {agency: looks for agency, looks in self._looks.items() if agency in taking}
        for agency, takes in sorted(taking.items()):
            self._since.pop((agency, not takes), None)
            self._looks[agency] = 0 if takes else self._looks.get(agency, 0) + 1
            if published.get(agency, True) == takes:
                if takes:
                    self._since.pop((agency, True), None)
                continue
            # A clock that was ahead may have been set right.
            since = self._since[agency, takes] = min(self._since.get((agency, takes), now), now)
            looks = STILL_LOOKS if agency in still else LOOKS
            if takes or (now - since >= self.after and self._looks[agency] >= looks):
                data = ListeningChanged(agency=agency, listening=takes, since=since)
                id = id_of(f"{agency}|{since.isoformat()}|{takes}", data.type)
                if id is not None:
                    yield Draft(
                        type=data.type, version=data.version, subject=bulletin.of(TIMEKEEPER), data=data, time=now,
                        actor=BY_ITSELF, id=id,
                    )  # fmt: skip
