"""The international organisation's procedure, line by line."""

import pytest

from given import given, says
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.returns import (
    ReturnCompleted,
    ReturnConsented,
    ReturnMonitored,
    ReturnRiskAssessed,
    ReturnStopped,
    ReturnTravelArranged,
)
from nrmbus.events.safeguard import ChildFlagged
from nrmbus.events.stay import EmbassyBarred
from nrmbus.organisation import procedure

ME, UNIT = "iom", "special-unit"
WISH = ReturnConsented(given_by="individual", form="written")
SAFE, DANGEROUS = ReturnRiskAssessed(outcome="can_return_with_measures"), ReturnRiskAssessed(outcome="not_safe")


def test_a_referral_is_answered_by_a_case_worker() -> None:
    """1. Given a referral for a return, then a case worker answers it."""
    asked = ReferralSubmitted(to=(ME,), mode="referral", reason="Return", urgency="normal", services=("repatriation",))

    given(procedure, me=ME).when(says("vac", asked, "R-1")).then("referral")


class TestWish:
    """Line 2."""

    def test_a_wish_that_names_this_organisation_asks_for_an_assessment(self) -> None:
        """Given a wish recorded by the unit with this organisation as helper, then the risk is assessed first."""
        wish = ReturnConsented(given_by="individual", form="written", to=(ME,))

        given(procedure, me=ME).when(says(UNIT, wish)).then("assess_risk")

    def test_its_own_wish_is_a_duty_already(self) -> None:
        """Given a wish that the organisation recorded itself, then D-RISK says what is next, and no task repeats it."""
        given(procedure, me=ME).when(says(ME, WISH)).then()

    def test_a_wish_that_others_help_with_is_read(self) -> None:
        """Given a wish that does not name this organisation, then a person reads it."""
        given(procedure, me=ME).when(says(UNIT, WISH)).then("read")


class TestRisk:
    """Lines 3 and 4."""

    @pytest.mark.parametrize("by", [ME, UNIT])
    def test_who_can_return_gets_a_journey(self, by: str) -> None:
        """Given an assessment that allows the return, whoever made it, then the journey is arranged."""
        answer = given(procedure, me=ME).heard(says(ME, WISH)).when(says(by, SAFE)).then("arrange_travel")

        assert "best interests" not in answer.task.sentence

    def test_a_childs_journey_waits_for_the_decision(self) -> None:
        """Given a child, then the task names the decision that comes first."""
        story = given(procedure, me=ME).heard(says("school", ChildFlagged(to=("guardianship",), basis="document")))

        assert "best interests" in story.when(says(ME, SAFE)).then("arrange_travel").task.sentence

    def test_into_danger_nothing_is_arranged(self) -> None:
        """Given an assessment that found danger, then nobody arranges anything."""
        given(procedure, me=ME).heard(says(ME, WISH)).when(says(ME, DANGEROUS)).then("not_safe")


class TestAfterwards:
    """Lines 5 and 6."""

    def test_who_arranged_the_journey_agrees_on_the_report(self) -> None:
        """Given an arrival that this organisation recorded, then it agrees with the person how to ask; else nothing is to do."""
        given(procedure, me=ME).when(says(ME, ReturnCompleted())).then("agree_on_report")
        given(procedure, me=ME).when(says("embassy", ReturnCompleted())).then()

    @pytest.mark.parametrize("by", [ME, "vac"])
    def test_the_task_about_a_report_says_nothing_of_its_answer(self, by: str) -> None:
        """Given a report that says no, says yes, or stays closed, then somebody reads it, and the task is the same."""
        report = ReturnMonitored(again=True)
        tasks = [
            given(procedure, me=ME).when(says(by, report, letter=letter)).then("read_report").task
            for letter in ({"still_safe": "no"}, {"still_safe": "yes"}, {})
        ]

        assert tasks[0] == tasks[1] == tasks[2]
        assert "new referral" in tasks[0].sentence


class TestStopping:
    """Lines 7 and 8."""

    def test_a_stopped_return_is_cancelled(self) -> None:
        """Given that somebody else stopped the return, then bookings are cancelled."""
        given(procedure, me=ME).when(says("vac", ReturnStopped(reason="own_wish"))).then("cancel_travel")
        given(procedure, me=ME).when(says(ME, ReturnStopped(reason="own_wish"))).then()

    def test_a_bar_keeps_embassies_out(self) -> None:
        """Given a bar by another agency, then no papers are asked for at an embassy."""
        given(procedure, me=ME).when(says("migration", EmbassyBarred())).then("embassy_barred")
        given(procedure, me=ME).when(says(ME, EmbassyBarred())).then()


def test_a_journey_that_others_arranged_is_read() -> None:
    """No line is about it, so a person reads it."""
    given(procedure, me=ME).when(says("embassy", ReturnTravelArranged(days=10))).then("read")


def test_nothing_is_kept_and_nothing_taken_back() -> None:
    """The organisation's book is empty before and after."""
    story = given(procedure, me=ME).heard(says(ME, WISH))

    assert story.book == Referring()
    assert procedure.take_back(Referring(), story._event(says(ME, WISH), {})) == Referring()
