"""The shelter's procedure, line by line, and the promise that no bed is booked twice."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from agencies import reference
from given import Answer, Story, Word, given, moment, says
from nrmbus.desk.procedure.interface import Settings
from nrmbus.events import bulletin
from nrmbus.events.consent import ConsentGiven, ConsentStopConfirmed, ConsentWithdrawn
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.events.identification import ReasonableGroundsDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.review import ReviewDecided, ReviewRequested
from nrmbus.events.safeguard import BestInterestsDecided, ReturnedToFamily
from nrmbus.events.shelter import Admitted, BedOffered, BedRefused, BedRequested, Discharged, OfferLapsed
from nrmbus.shelter import procedure
from nrmbus.shelter.state import State

ME = "shelter"
OFFER = BedOffered(valid_hours=24)
FULL = BedRefused(reason="no_capacity")


def asked(ref: str, category: str | None = "women", *, by: str = "special-unit", to: tuple[str, ...] = (ME,)) -> Word:
    """A request for a bed of *category*, in a case of its own; without category the letter did not open."""
    letter = {"category": category, "accessibility": False} if category else {}
    return says(by, BedRequested(to=to, urgency="emergency"), ref, letter=letter, case=ref)


def lapsed(ref: str, shelter: str = ME) -> Word:
    """The timekeeper ends an offer of *shelter*."""
    return says("timekeeper", OfferLapsed(shelter=shelter), ref, case=ref)


def admitted(ref: str) -> Word:
    """The person of the request has come to this house."""
    return says(ME, Admitted(), ref, case=ref)


def offered(ref: str) -> Word:
    """A member of staff has offered a bed."""
    return says(ME, OFFER, ref, case=ref)


def discharged(ref: str) -> Word:
    """The person of the request has left this house."""
    return says(ME, Discharged(reason="independent_living"), ref, case=ref)


def house(**capacity: int) -> Story:
    """A shelter with so many places by category."""
    return given(procedure, me=ME, capacity=capacity)


class TestPlaces:
    """The setting of the house."""

    def test_more_beds_are_told_where_a_step_changes(self) -> None:
        """Given a full house, when its places become more, then its held bed stays held and senders are told; else they are not."""
        story = house(women=1).heard(asked("B-1"), offered("B-1"))
        assert isinstance(story.book, State)

        after, told = procedure.settled(story.book, Settings(capacity={"women": 2, "children": 1}))
        assert (after.free("women"), told) == (1, CapacityChanged(women="free", children="free"))
        assert procedure.settled(after, Settings(capacity={"women": 3, "children": 1}))[1] is None
        assert procedure.settled(after, Settings(capacity={"women": 1}))[1] == CapacityChanged(women="none")


class TestAnswer:
    """Line 1."""

    def test_a_free_bed_is_offered(self) -> None:
        """The house offers a free bed for 24 hours in answer to the request."""
        answer = house(women=1).when(asked("B-1")).then(OFFER)

        assert answer.draft.referral == reference("B-1")

    def test_a_full_house_refuses(self) -> None:
        """Asked for a bed it has not, the house says so at once."""
        house(women=0).when(asked("B-1")).then(FULL)

    def test_only_the_category_counts(self) -> None:
        """A free bed for men is none for a child."""
        house(women=4, children=0, men=6).when(asked("B-1", "children")).then(FULL)

    def test_a_category_that_the_house_does_not_have_is_full(self) -> None:
        """A house for children has no bed for women."""
        house(children=3).when(asked("B-1", "women")).then(FULL)

    @pytest.mark.parametrize("by", ["special-unit", "vac", "ngo-a"])
    def test_every_asker_gets_an_answer(self, by: str) -> None:
        """Nobody's request is worth less."""
        house(women=1).when(asked("B-1", by=by)).then(OFFER)

    def test_a_request_that_does_not_open_is_a_persons(self) -> None:
        """Without the category the house cannot know: a person reads it, and nothing is held."""
        story = house(women=1)

        story.when(asked("B-1", None)).then("read")
        story.when(asked("B-2")).then(OFFER)

    def test_its_own_request_to_another_house_is_not_answered(self) -> None:
        """A house that asks for a bed elsewhere does not answer itself."""
        house(women=1).when(asked("B-1", by=ME, to=("ngo-shelter",))).then()

    def test_the_offer_has_the_time_of_the_delivery(self) -> None:
        """The offer's 24 hours begin when the house was told, not when the request was written."""
        late = Word(
            "special-unit", BedRequested(to=(ME,), urgency="normal"), "B-1", {"category": "women"}, registered=30
        )

        assert house(women=1).when(late).draft.time == moment(30)

    def test_a_replayed_request_publishes_the_same_answer(self) -> None:
        """Heard again after a restart, a request gives the same id and the same words."""
        first, again = (house(women=1).when(asked("B-1")).draft for _ in range(2))

        assert again == first


class TestHold:
    """Line 2."""

    def test_the_last_bed_is_offered_once(self) -> None:
        """Two ask for the last bed, one after the other: one gets the offer, the other a refusal."""
        house(women=1).when(asked("B-1"), asked("B-2")).then(OFFER, FULL)

    def test_a_bed_taken_is_held(self) -> None:
        """Once the person has come, the bed stays hers."""
        house(women=1).heard(asked("B-1"), admitted("B-1")).when(asked("B-2")).then(FULL)

    def test_a_request_repeated_is_offered_the_same_bed(self) -> None:
        """A repeated request is offered the bed that is held for it, and no second one."""
        story = house(women=2).heard(asked("B-1"), asked("B-1"))

        story.when(asked("B-2")).then(OFFER)
        story.when(asked("B-3")).then(FULL)

    def test_a_bed_offered_by_hand_is_held(self) -> None:
        """A request without a category is answered by a person: the place that was offered is given once."""
        story = house(women=1)
        story.when(asked("B-1", None)).then("read")

        story.heard(offered("B-1")).when(asked("B-2")).then(FULL)

    def test_a_bed_that_the_house_offers_itself_is_held(self) -> None:
        """The house asked itself and another house: a person answers, and the place is taken."""
        story = house(women=1).heard(asked("B-1", by=ME, to=("ngo-shelter", ME)), offered("B-1"))

        story.when(asked("B-2")).then(FULL)

    @pytest.mark.parametrize("category", ["women", "children", "men"])
    def test_a_bed_of_unknown_category_counts_in_each(self, category: str) -> None:
        """The unit of the bed is unknown: no offer is better than one place given twice."""
        house(women=1, children=1, men=1).heard(offered("B-1")).when(asked("B-2", category)).then(FULL)

    def test_a_bed_offered_by_hand_is_held_once_she_has_come(self) -> None:
        """And free again when she has left."""
        story = house(women=1).heard(offered("B-1"), admitted("B-1"))
        story.when(asked("B-2")).then(FULL)

        story.heard(discharged("B-1")).when(asked("B-3")).then(OFFER)

    def test_a_lapsed_offer_by_hand_frees_its_bed(self) -> None:
        """As any other."""
        house(women=1).heard(offered("B-1"), lapsed("B-1")).when(asked("B-2")).then(OFFER)

    def test_a_bed_whose_offer_stands_is_held_though_a_second_offer_is_refused(self) -> None:
        """The procedure and a person offered at once; the registrar took one, and the place is given."""
        story = house(women=1)
        draft = story.when(asked("B-1")).draft
        story.heard(offered("B-1"))
        story.refused(draft, "not_open").then("refused")

        story.when(asked("B-2")).then(FULL)


class TestRelease:
    """Line 3."""

    def test_a_lapsed_offer_frees_its_bed(self) -> None:
        """Nobody came within the hours: the bed is offered to the next."""
        house(women=1).heard(asked("B-1"), lapsed("B-1")).when(asked("B-2")).then(OFFER)

    def test_a_lapse_is_nobodys_task(self) -> None:
        """The procedure has handled it: nobody needs to read it, also where the book knew of no bed."""
        house(women=1).heard(asked("B-1")).when(lapsed("B-1")).then()
        house(women=1).when(lapsed("B-1")).then()

    def test_a_discharge_frees_its_bed(self) -> None:
        """A departure frees a bed."""
        house(women=1).heard(asked("B-1"), admitted("B-1"), discharged("B-1")).when(asked("B-2")).then(OFFER)

    @pytest.mark.parametrize(
        ("own", "then"),
        [
            (ConsentStopConfirmed(answer="deleted"), OFFER),
            (ConsentStopConfirmed(answer="must_retain"), FULL),
            (AccessErasureConfirmed(ground="decision", horizon=moment(3)), OFFER),
        ],
        ids=["deleted", "retained", "erased"],
    )
    def test_a_house_that_has_left_the_case_has_its_bed_back(self, own: Data, then: Data) -> None:
        """She took back her consent or a court ended access, and the house can record no departure any more."""
        withdrawn = ConsentWithdrawn(purposes=("information_sharing",), receivers=(ME,))
        story = house(women=1).heard(asked("B-1"), admitted("B-1"))
        story.heard(says("special-unit", withdrawn, case="B-1"), says(ME, own, case="B-1"))

        story.when(asked("B-2")).then(then)

    def test_another_houses_lapse_frees_nothing(self) -> None:
        """The same request was offered a bed by another house too; only that offer has lapsed."""
        story = house(women=1).heard(asked("B-1", to=("ngo-shelter", ME)))

        story.heard(lapsed("B-1", "ngo-shelter")).when(asked("B-2")).then(FULL)

    def test_a_refused_offer_frees_its_bed(self) -> None:
        """The registrar refused the offer, say because the case was withdrawn: the bed was never promised."""
        story = house(women=1)
        story.refused(story.when(asked("B-1")).draft).then("refused")

        story.when(asked("B-2")).then(OFFER)

    def test_a_refusal_by_hand_frees_the_bed_of_an_offer_without_a_verdict(self) -> None:
        """Given an offer that got a passing answer, when a colleague refuses the request instead, then the bed is offered to the next."""
        house(women=1).heard(asked("B-1"), says(ME, FULL, "B-1", case="B-1")).when(asked("B-2")).then(OFFER)

    def test_a_refusal_by_hand_frees_no_bed_that_was_offered(self) -> None:
        """Given a registered offer, then a refusal of the same request leaves the bed to the offer."""
        story = house(women=1).heard(asked("B-1"), offered("B-1"), says(ME, FULL, "B-1", case="B-1"))

        story.when(asked("B-2")).then(FULL)

    def test_a_refused_refusal_frees_nothing(self) -> None:
        """A request without a bed returns none."""
        story = house(women=1).heard(asked("B-1"))
        story.refused(story.when(asked("B-2")).draft).then("refused")

        story.when(asked("B-3")).then(FULL)


def test_an_event_that_is_not_about_beds_is_read_by_a_person() -> None:
    """The consent that comes before the first request is no line of this procedure."""
    consent = ConsentGiven(purposes=("services",), receivers=(ME,), given_by="individual", form="written")

    house(women=1).when(says("ngo-a", consent)).then("read")


Move = tuple[Literal["ask", "hand", "lapse", "admit", "leave", "refuse"], int]


@dataclass
class Ledger:
    """A hand-written model of the house: requests with a promised bed or a guest."""

    story: Story
    places: int
    promised: dict[str, Answer] = field(default_factory=dict)
    guests: set[str] = field(default_factory=set)

    def move(self, kind: str, ref: str) -> None:
        """Do one possible thing to the request *ref*; anything that the Rules would refuse is left out."""
        promised, guest = ref in self.promised, ref in self.guests
        if kind == "ask" and not promised and not guest:
            answer = self.story.when(asked(ref))
            if answer.draft.data == OFFER:
                self.promised[ref] = answer
        elif kind == "hand" and not promised and not guest and len(self.promised) + len(self.guests) < self.places:
            self.promised[ref] = self.story.when(offered(ref))
        elif kind == "lapse" and promised:
            self.story.heard(lapsed(ref))
            del self.promised[ref]
        elif kind == "admit" and promised:
            self.story.heard(admitted(ref))
            del self.promised[ref]
            self.guests.add(ref)
        elif kind == "leave" and guest:
            self.story.heard(discharged(ref))
            self.guests.remove(ref)
        elif kind == "refuse" and promised and [each.data for each in self.promised[ref].said.drafts] == [OFFER]:
            self.story.refused(self.promised.pop(ref).draft)


@for_all(
    places=st.integers(0, 3),
    moves=st.lists(
        st.tuples(st.sampled_from(["ask", "hand", "lapse", "admit", "leave", "refuse"]), st.integers(0, 5)), max_size=40
    ),
)
def test_no_bed_is_ever_booked_twice(places: int, moves: list[Move]) -> None:
    """Whatever happens in whatever order: never more promises and guests than beds, and a free bed is always offered."""
    keeper = Ledger(house(women=places), places)

    for kind, number in moves:
        keeper.move(kind, f"B-{number}")
        assert len(keeper.promised) + len(keeper.guests) <= places

    free = places - len(keeper.promised) - len(keeper.guests)
    keeper.story.when(asked("B-last")).then(OFFER if free else FULL)


class TestTell:
    """Line 4."""

    def test_a_full_house_says_so_when_its_last_bed_is_offered(self) -> None:
        """Not when somebody comes: an offer may lapse, and the person comes at another hour."""
        story = house(women=1, children=2).heard(asked("B-1"))

        story.when(offered("B-1")).then(CapacityChanged(women="none", children="free"))
        story.when(admitted("B-1")).then()

    def test_a_bed_that_is_free_again_is_told(self) -> None:
        """A lapsed offer and a departure alike."""
        for end in (lapsed("B-1"), discharged("B-1")):
            story = house(women=1).heard(asked("B-1"), offered("B-1"))

            story.when(end).then(CapacityChanged(women="free"))

    def test_in_a_small_unit_nothing_is_told_before_it_is_full(self) -> None:
        """With four places, each step in between would tell of one person."""
        refs = ("B-1", "B-2", "B-3", "B-4")
        story = house(women=4).heard(*map(asked, refs))

        for ref in refs[:3]:
            story.when(offered(ref)).then()
        story.when(offered("B-4")).then(CapacityChanged(women="none"))

    def test_a_larger_unit_says_that_few_places_are_left(self) -> None:
        """Once, at the third place that is left, and never how many."""
        refs = tuple(f"B-{number}" for number in range(1, 9))
        story = house(women=8).heard(*map(asked, refs))
        said = [story.hear(offered(ref)).drafts for ref in refs]

        assert [[draft.data for draft in each] for each in said] == [
            [], [], [], [], [CapacityChanged(women="few")], [], [], [CapacityChanged(women="none")],
        ]  # fmt: skip

    def test_what_is_told_leads_to_no_case(self) -> None:
        """It stands in the bulletin, and names neither the case nor the request nor a cause."""
        draft = house(women=1).heard(asked("B-1")).when(offered("B-1")).draft

        assert draft.subject == bulletin.of(ME)
        assert (draft.causationid, draft.correlationid, draft.referral, draft.incident) == (None, None, None, None)


class TestResidents:
    """Lines 19 to 21."""

    def test_nobody_is_put_out_after_a_no_about_a_resident_whom_another_agency_referred(self) -> None:
        """Given a negative decision of any kind, then the house has that task; a positive one is noted."""
        revoked = StatusRevoked(reasons=("breach_of_rules",), review_until_days=30)
        positive = ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",))
        negative = ReasonableGroundsDecided(outcome="negative", reasons=("indicators_not_met",), review_until_days=30)

        given(procedure, me=ME).when(says("special-unit", negative)).then("stay_on")
        given(procedure, me=ME).when(says("special-unit", positive)).then()
        given(procedure, me=ME).when(says("special-unit", revoked)).then("stay_on")

    @pytest.mark.parametrize("referred", [False, True])
    def test_nobody_is_put_out_while_a_review_is_undecided(self, referred: bool) -> None:  # noqa: FBT001 - a column
        """Given a request for a review, then the house waits for its end, whoever referred the resident; the decision on it is noted."""
        story = given(procedure, me=ME)
        if referred:
            sent = ReferralSubmitted(
                to=("special-unit",), mode="referral", reason="Other", urgency="normal", services=()
            )
            story = story.heard(says(ME, sent, "R-1"))

        story.when(says("ngo-a", ReviewRequested(kind="court", new_evidence=True), "V-1")).then("stay_on")
        story.when(says("court", ReviewDecided(outcome="upheld", reasons=("indicators_not_met",)), "V-1")).then()

    def test_a_child_leaves_for_where_the_decision_says_and_frees_the_bed(self) -> None:
        """Given a decision on best interests and the return of a child of the house, then both are tasks; of another child, neither is the bed's."""
        decided = BestInterestsDecided(outcome="return_to_parents", conditions=())
        back = ReturnedToFamily(returned_to="parents")
        story = house(children=1).heard(asked("B-1", "children"), admitted("B-1"))

        story.when(says("guardianship", decided, case="B-1")).then("conditions")
        story.when(says("guardianship", back, case="B-1")).then("has_left")
        story.when(says("guardianship", back, case="B-2")).then()
