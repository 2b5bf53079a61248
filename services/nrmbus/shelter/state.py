"""What a shelter's procedure keeps: how many places there are, and which beds are not free."""

from typing import Final, Literal

from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.events.model import Event, Frozen

UNKNOWN: Final = ""
"""The category of a bed that a person offered without one: which unit it is in, nothing here can tell."""
FEW: Final = 3
"""Most free places that are a few."""
SMALL: Final = 8
"""Fewest places of a category for which a few are told from more: in a smaller unit that step would tell of one person."""


class Bed(Frozen):
    """A bed of a *category* that is held for the person of one request, or *taken* by that person.

    It is *offered* once an offer is registered, by the desk or by a person.
    """

    subject: str
    ref: str | None
    category: str
    offered: bool = False
    taken: bool = False


class State(Referring):
    """How many places there are by category, and which beds are not free; referrals that ask for services."""

    places: dict[str, int]
    beds: tuple[Bed, ...] = ()

    def free(self, category: str) -> int:
        """Return how many beds of *category* are neither taken nor held.

        A bed of unknown category may be one of them, so it counts in each.
        """
        return self.places.get(category, 0) - sum(bed.category in (category, UNKNOWN) for bed in self.beds)

    def step(self, category: str) -> Literal["free", "few", "none"]:
        """Return how many beds of *category* are free, as others are told: offered beds count, beds merely asked for do not."""
        given = sum(bed.category in (category, UNKNOWN) for bed in self.beds if bed.offered or bed.taken)
        left = self.places[category] - given
        if left <= 0:
            return "none"
        return "few" if left <= FEW and self.places[category] >= SMALL else "free"

    def bed(self, event: Event) -> Bed | None:
        """Return the bed held or taken for the request that *event* is about."""
        return next((bed for bed in self.beds if (bed.subject, bed.ref) == (event.subject, event.referral)), None)

    def having(self, bed: Bed) -> "State":
        """Return the state with *bed* in place of the one for the same request."""
        others = tuple(each for each in self.beds if (each.subject, each.ref) != (bed.subject, bed.ref))
        return self.changed(beds=(*others, bed))

    def without(self, free: Bed | None) -> "State":
        """Return the state with the bed *free* again."""
        return self.changed(beds=tuple(bed for bed in self.beds if bed != free))
