"""The profile of a case: the one of its time, by the activations in the history alone.

An activation says from which day a profile is in force, and whether cases that are open then keep the profile of their
time or move to it. It is registered a notice ahead of that day, so that everybody knows it in time: an opening event that
is registered on the day or later is under the new profile, whichever partition it is in.
A case moves by its first event from that day on. An event of the timekeeper moves no case: it says what the old profile
made due. Where another body decides in the new profile, no case moves: what one body has begun, it ends.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from nrmbus.events.codes import OpenCases
from nrmbus.events.values import frozen
from nrmbus.rules.calendar import FIRST
from nrmbus.rules.mark import Mark


@frozen
class Activation:
    """One activation: the profile with its digest, the instant from which it is in force, and what becomes of open cases."""

    profile: str
    digest: str
    since: datetime
    open_cases: OpenCases
    mark: Mark


class Timeline:
    """Activations that somebody knows, in the order in which they come into force; a bus begins under *first*.

    It only grows, and the order in which activations are taken makes no difference.
    """

    def __init__(self, first: str, zone: ZoneInfo) -> None:
        """Begin under the profile *first*, with no activation; days are those of *zone*."""
        self.first, self._zone = first, zone
        self._by_id: dict[str, Activation] = {}
        self._ordered: tuple[Activation, ...] = ()

    def take(self, activation: Activation) -> None:
        """Take *activation*, once however often it is taken."""
        if activation.mark.id not in self._by_id:
            self._by_id[activation.mark.id] = activation
            self._ordered = tuple(sorted(self._by_id.values(), key=_order))

    def __iter__(self) -> Iterator[Activation]:
        """Iterate over the activations in their order."""
        return iter(self._ordered)

    def __len__(self) -> int:
        """Return the number of activations."""
        return len(self._ordered)

    @property
    def newest(self) -> Activation | None:
        """Return the activation that comes into force last, or None."""
        return self._ordered[-1] if self._ordered else None

    def begins(self, day: str) -> datetime:
        """Return when *day* (``YYYY-MM-DD``) begins; the first instant there is if that lies before it."""
        try:
            return datetime.combine(date.fromisoformat(day), time(), self._zone).astimezone(UTC)
        except OverflowError:
            return FIRST

    def in_force(self, at: datetime) -> str:
        """Return the profile under which a case begins that is opened at *at*."""
        name = self.first
        for each in self._ordered:
            if each.since <= at:
                name = each.profile
        return name

    def moved(self, policy: str, since: datetime, now: datetime, fits: Callable[[str], bool]) -> str:
        """Return the profile at *now* of a case that came under *policy* at *since*: moved by each activation that moves open cases.

        Profiles that *fits* refuses move none: another body decides there, and could not go on with what it knows nothing of.
        """
        for each in self._ordered:
            if since < each.since <= now and each.open_cases == "move" and fits(each.profile):
                policy = each.profile
        return policy


def _order(activation: Activation) -> tuple[datetime, datetime, str]:
    return activation.since, activation.mark.registered, activation.mark.id
