"""A shelter: its automatic answers about beds. One function per numbered line of ``README.md``."""

from typing import Final, cast

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.interface import Heard, Result, Settings, announced, by_itself, line
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.consent import ConsentStopConfirmed
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.events.model import Data, Event
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.shelter import Admitted, BedOffered, BedRefused, BedRequested, Discharged, OfferLapsed
from nrmbus.shelter import residents
from nrmbus.shelter.state import UNKNOWN, Bed, State


def begin(settings: Settings) -> State:
    """Return the state of a shelter with all its beds free."""
    return State(places=settings.capacity)


def settled(state: State, settings: Settings) -> tuple[State, CapacityChanged | None]:
    """Return *state* with the places that are set now, and the steps of the house if one is another by that."""
    after = state.changed(places=settings.capacity)
    return after, _steps_after(state, after)


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
    """3. A bed is free again when its offer lapses, when the person has left the house, and when the house has left the case ([S7], [D])."""
    subject = heard.event.subject
    if _has_lapsed(heard) or (heard.own and isinstance(heard.event.data, Discharged)):
        return state.without(state.bed(heard.event))
    if heard.own and isinstance(heard.event.data, BedRefused):
        # A colleague refuses what the desk offered in an event that waits for the house's suspension to end, and keeps its bed.
        return state.without(_not_offered(state, heard.event))
    if _has_left(heard):
        return state.changed(beds=tuple(bed for bed in state.beds if bed.subject != subject))
    return state


@line(BedOffered, OfferLapsed, Discharged, ConsentStopConfirmed, AccessErasureConfirmed)
def tell(_: Data, heard: Heard, state: State) -> Result | None:
    """4. When the step of a category changes, all senders are told the steps of the house, and never a number ([S3], [D])."""
    steps = _steps_after(state, keep(state, heard))
    if steps is not None:
        return Result(drafts=(announced(heard, "capacity", steps),))
    return Result() if _has_lapsed(heard) else None


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """5. A referral comes: the house acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


meet = first_contact.meeting(6, "Somebody of an NGO's house", "Ask the person alone whom you may tell.")
refuse = first_contact.refusal(7)
supply, decline, expire, note = handoffs.answers(8, "the house")
course, outcome = handoffs.outcomes(
    12, "nobody is put out while a review may be asked for or is undecided (rule G-48), and the house asks about a review",
    "put nobody out while a review may be asked for. Ask the person about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip
ask, recover, grow_up = support.service(14, "the house"), support.recovery(15), support.grown_up(16)
bed_again, stop = support.bed(17), support.taken_back(18, "the house")
stay_on, keep_to, bring_home = residents.stay_on, support.home(20, "the house"), residents.bring_home


def keep(state: State, heard: Heard) -> State:
    """Return the beds and referrals after *heard*."""
    return release(hold(state, heard), heard).after(heard)


def take_back(state: State, refused: Event) -> State:
    """Free the bed of a refused offer, unless another offer for the same request was registered."""
    return state.without(_not_offered(state, refused)) if isinstance(refused.data, BedOffered) else state


_CATEGORIES: Final = frozenset(CapacityChanged.model_fields)


def _steps_after(before: State, after: State) -> CapacityChanged | None:
    """Return the steps of the house *after* a change, or None if they are the same as *before*."""
    was, now = ({each: state.step(each) for each in state.places if each in _CATEGORIES} for state in (before, after))
    return CapacityChanged(**now) if now != was else None


def _not_offered(state: State, event: Event) -> Bed | None:
    """Return the bed that is held for the request of *event* without a registered offer; None if there is none."""
    bed = state.bed(event)
    return bed if bed is not None and not (bed.offered or bed.taken) else None


def _has_lapsed(heard: Heard) -> bool:
    """Return whether an offer of the house has lapsed."""
    return isinstance(heard.event.data, OfferLapsed) and heard.event.data.shelter == heard.me


def _has_left(heard: Heard) -> bool:
    """Return whether the house has left the case by this event of its own: it can no more record that somebody has left it."""
    data = heard.event.data
    stopped = isinstance(data, ConsentStopConfirmed) and not heard.view.on_case(heard.me)
    return heard.own and (stopped or isinstance(data, AccessErasureConfirmed))


def _asked(heard: Heard) -> str | None:
    """Return the category of bed that this shelter was asked for, or None if it was not asked, or cannot read the category."""
    data = heard.event.data
    if heard.own or not isinstance(data, BedRequested) or heard.me not in data.to:
        return None
    return cast("str | None", heard.letter.get("category"))
