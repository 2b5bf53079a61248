"""The procedure of embassies and consulates, line by line."""

import pytest

from given import given, says
from nrmbus.consulate import procedure
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.events.case import SignalRecorded
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralAccepted, ReferralAcknowledged, ReferralSubmitted
from nrmbus.events.returns import (
    ReturnCompleted,
    ReturnConsented,
    ReturnRiskAssessed,
    ReturnStopped,
    ReturnTravelArranged,
)

ME, EMBASSY, UNIT = "consulate", "embassy", "special-unit"


def signal(*, abroad: bool, child: bool = False) -> SignalRecorded:
    """The signal of a citizen."""
    return SignalRecorded(
        detector="consulate", child=child, urgency="normal", detected_abroad=abroad, basis=("help_requested",)
    )


class TestFinding:
    """Line 1."""

    def test_a_citizen_who_was_found_abroad_is_asked(self) -> None:
        """Given the consulate's own signal from abroad, then an officer asks about the unit and the way home."""
        given(procedure, me=ME).when(says(ME, signal(abroad=True))).then("found_abroad")

    def test_a_child_who_was_found_abroad_is_protected_first(self) -> None:
        """Given the signal of a child, then the guardian bodies come first, as they do in the country: no child consents."""
        given(procedure, me=ME).when(says(ME, signal(abroad=True, child=True))).then("children_first")

    def test_somebody_who_comes_to_the_consulate_here_is_asked(self) -> None:
        """8. Given a signal about somebody in the country, then that person is asked as by every detector."""
        given(procedure, me=ME).when(says(ME, signal(abroad=False))).then("ask_first")


def test_a_referral_is_answered_by_an_officer() -> None:
    """2. Given a referral to an embassy, then an officer answers it."""
    asked = ReferralSubmitted(to=(EMBASSY,), mode="referral", reason="Return", urgency="normal", services=())

    given(procedure, me=EMBASSY).when(says("vac", asked, "R-1")).then("referral")


@pytest.mark.parametrize("child", [False, True])
def test_a_childs_journey_waits_for_the_decision_on_best_interests(child: bool) -> None:  # noqa: FBT001 - a column
    """4. Given a safe return, then a consulate arranges an adult's journey, and a child's once best interests are decided."""
    story = given(procedure, me=ME).heard(says(ME, signal(abroad=True, child=child)))

    task = story.when(says("iom", ReturnRiskAssessed(outcome="can_return"))).then("arrange_travel").task
    assert ("best interests" in task.sentence) is child


class TestPapers:
    """Lines 3 and 5."""

    def test_a_wish_that_names_the_embassy_asks_for_papers(self) -> None:
        """Given a wish with this embassy as helper, then papers are made ready; a wish without it is read."""
        wish = ReturnConsented(given_by="individual", form="written", to=(EMBASSY,))

        given(procedure, me=EMBASSY).when(says("iom", wish)).then("travel_papers")
        given(procedure, me=ME).when(says("iom", wish)).then("read")
        given(procedure, me=ME).when(says(ME, wish)).then()

    def test_papers_are_handed_over_before_a_journey_that_others_arranged(self) -> None:
        """Given a journey of somebody else, then the papers are handed over; of its own nothing more is to do."""
        given(procedure, me=EMBASSY).when(says("iom", ReturnTravelArranged(days=10))).then("hand_over_papers")
        given(procedure, me=EMBASSY).when(says(EMBASSY, ReturnTravelArranged(days=10))).then()


class TestRisk:
    """Line 4."""

    @pytest.mark.parametrize("by", [ME, UNIT])
    def test_the_consulate_arranges_only_what_is_safe(self, by: str) -> None:
        """Given an assessment, whoever made it, then the journey is arranged or left alone."""
        given(procedure, me=ME).when(says(by, ReturnRiskAssessed(outcome="can_return"))).then("arrange_travel")
        given(procedure, me=ME).when(says(by, ReturnRiskAssessed(outcome="not_safe"))).then("not_safe")


def test_a_stopped_return_is_cancelled() -> None:
    """6. Given that somebody else stopped the return, then papers and bookings are cancelled."""
    given(procedure, me=EMBASSY).when(says("vac", ReturnStopped(reason="own_wish"))).then("cancel_travel")
    given(procedure, me=EMBASSY).when(says(EMBASSY, ReturnStopped(reason="own_wish"))).then()


@pytest.mark.parametrize(
    ("data", "ref"),
    [
        (ReferralAcknowledged(receipt_no="SU-1", duty_role="duty_officer"), "R-1"),
        (ReferralAccepted(next_step="reception"), "R-1"),
        (ReturnCompleted(), None),
    ],
)
def test_an_answer_or_an_arrival_is_noted(data: Data, ref: str | None) -> None:
    """7. Given an answer to its referral or an arrival, then nothing is to do."""
    given(procedure, me=ME).when(says(UNIT, data, ref)).then()


def test_nothing_is_kept_and_nothing_taken_back() -> None:
    """The book is empty before and after."""
    story = given(procedure, me=ME).heard(says(ME, signal(abroad=True)))

    assert story.book == Referring()
    assert procedure.take_back(Referring(), story._event(says(ME, signal(abroad=True)), {})) == Referring()
