"""A shelter: its automatic answers about beds. One function per numbered line of ``README.md``."""

from typing import Final, Literal, cast

from nrmbus.desk.procedure import first_contact, handoffs
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard, Result, Settings, announced, by_itself, line
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.model import Data, Event, Frozen
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.shelter import Admitted, BedOffered, BedRefused, BedRequested, Discharged, OfferLapsed

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


def begin(settings: Settings) -> State:
    """Return the state of a shelter with all its beds free."""
    return State(places=settings.capacity)


@line(BedRequested)
def answer(_: BedRequested, heard: Heard, state: State) -> Result | None:
    """1. Each bed request gets one answer: an offer while a bed of the category is free, else a refusal ([S3, S7], [D])."""
    category = _asked(heard)
    if category is None:
        return None
    data: BedOffered | BedRefused = BedRefused(reason="no_capacity")
    if state.bed(heard.event) or state.free(category) > 0:
        data = BedOffered(valid_hours=heard.profile.periods.bed_offer_hours)
    return Result(drafts=(by_itself(heard, "bed-answer", data, ref=heard.event.referral),))


def hold(state: State, heard: Heard) -> State:
    """2. An offered bed is held for its person, whether the desk or a colleague offered it, and offered to nobody else; also once she has come ([D])."""
    bed, category = state.bed(heard.event), _asked(heard)
    subject, ref = heard.event.subject, heard.event.referral
    if category is not None and bed is None and state.free(category) > 0:
        return state.having(Bed(subject=subject, ref=ref, category=category))
    if heard.own and isinstance(heard.event.data, BedOffered | Admitted):
        taken = isinstance(heard.event.data, Admitted)
        of = bed.category if bed else UNKNOWN
        return state.having(Bed(subject=subject, ref=ref, category=of, offered=True, taken=taken))
    return state


def release(state: State, heard: Heard) -> State:
    """3. A bed is free again when its offer lapses, and when the person has left the house ([S7], [D])."""
    data = heard.event.data
    if (isinstance(data, OfferLapsed) and data.shelter == heard.me) or (heard.own and isinstance(data, Discharged)):
        return state.without(state.bed(heard.event))
    return state


@line(BedOffered, OfferLapsed, Discharged)
def tell(_: Data, heard: Heard, state: State) -> Result | None:
    """4. When the step of a category changes, all senders are told the steps of the house, and never a number ([S3], [D])."""
    after = keep(state, heard)
    steps = {category: after.step(category) for category in state.places if category in _CATEGORIES}
    if all(state.step(category) == step for category, step in steps.items()):
        return None
    return Result(drafts=(announced(heard, "capacity", CapacityChanged(**steps)),))


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """5. A referral comes: the house acknowledges it, and accepts, declines or asks before its clock ends ([S43, S46])."""
    return referral_came(heard)


meet = first_contact.meeting(6, "Somebody of an NGO's house", "Ask the person alone whom you may tell.")
refuse = first_contact.refusal(7)
supply, decline, expire, note = handoffs.answers(8, "the house")


def keep(state: State, heard: Heard) -> State:
    """Return the beds and referrals after *heard*."""
    return release(hold(state, heard), heard).after(heard)


def take_back(state: State, refused: Event) -> State:
    """Free the bed of a refused offer, unless another offer for the same request was registered."""
    bed = state.bed(refused)
    is_held = bed is not None and (bed.offered or bed.taken)
    return state if is_held or not isinstance(refused.data, BedOffered) else state.without(bed)


_CATEGORIES: Final = frozenset(CapacityChanged.model_fields)


def _asked(heard: Heard) -> str | None:
    """Return the category of bed that this shelter was asked for, or None if it was not asked, or cannot read the category."""
    data = heard.event.data
    if heard.own or not isinstance(data, BedRequested) or heard.me not in data.to:
        return None
    return cast("str | None", heard.letter.get("category"))
