"""The procedure of guardianship and child commission, line by line."""

from typing import Final

import pytest

from given import given, says
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered
from nrmbus.events.justice import CaseOpened
from nrmbus.events.payment import Amount, PaymentOrdered
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.safeguard import (
    AgeAssessed,
    BestInterestsDecided,
    ChildFlagged,
    RepresentativeAssigned,
    ReturnedToFamily,
)
from nrmbus.guardianship import procedure

BODIES: Final = ("child-commission", "guardianship")
FLAG: Final = ChildFlagged(to=BODIES, basis="stated_age")
KIN: Final = BestInterestsDecided(outcome="kinship_care", conditions=("monthly_visits",))


def referral(*to: str) -> ReferralSubmitted:
    """A child is referred."""
    return ReferralSubmitted(
        to=to, mode="referral", reason="ChildSafeguarding", urgency="emergency", services=(), child=True
    )


def test_a_reported_child_needs_a_representative_first() -> None:
    """Lines 1 and 2: guardianship has both to do, the representative first; the commission decides on best interests."""
    given(procedure, me="guardianship").when(says("school", FLAG)).then("representative", "best_interests")
    given(procedure, me="child-commission").when(says("school", FLAG)).then("best_interests")


def test_best_interests_that_are_decided_are_not_asked_for_again() -> None:
    """Line 2: flagged once more, the child has its decision."""
    story = given(procedure, me="child-commission").heard(says("child-commission", KIN))

    story.when(says("school", FLAG)).then()


def test_the_inquiry_is_no_task_beside_its_clock() -> None:
    """Line 3: D-REPRESENT stands in the lists, and one row is enough."""
    story = given(procedure, me="guardianship").heard(says("school", FLAG))

    story.when(says("special-unit", StageEntered(stage="inquiry"))).then()


def test_a_notice_needs_no_answer_and_a_referral_does() -> None:
    """Line 4: the child went to the special unit, or to this body."""
    story = given(procedure, me="guardianship").heard(says("school", FLAG))

    story.when(says("school", referral("special-unit"), "R-1")).then()
    story.when(says("special-unit", referral("guardianship"), "R-2")).then("referral")


def test_the_other_body_keeps_to_the_decision() -> None:
    """Line 5: guardianship brings the child where the commission allows; who decided needs no task."""
    given(procedure, me="guardianship").when(says("child-commission", KIN)).then("conditions")
    given(procedure, me="child-commission").when(says("child-commission", KIN)).then()
    given(procedure, me="guardianship").when(
        says("guardianship", RepresentativeAssigned(representative="REP-1"))
    ).then()


def test_a_child_that_is_back_with_family_is_visited() -> None:
    """Line 6: by both bodies' word."""
    given(procedure, me="child-commission").when(says("guardianship", ReturnedToFamily(returned_to="kin"))).then(
        "visits"
    )


@pytest.mark.parametrize(("outcome", "tasks"), [("negative", ["review_window"]), ("positive", [])])
def test_a_decision_against_the_child_is_contested_in_time(outcome: str, tasks: list[str]) -> None:
    """Line 7: a positive decision is noted."""
    said = {"outcome": outcome, "reasons": ["indicators_not_met"], "review_until_days": 30}

    given(procedure, me="guardianship").when(says("special-unit", ReasonableGroundsDecided.from_mapping(said))).then(
        *tasks
    )


@pytest.mark.parametrize(("result", "tasks"), [("adult", ["adult"]), ("unclear", []), ("child", [])])
def test_the_representation_of_an_adult_ends(result: str, tasks: list[str]) -> None:
    """Line 8: while the age is unclear the person is a child."""
    story = given(procedure, me="guardianship").heard(says("school", FLAG))

    story.when(says("special-unit", AgeAssessed.from_mapping({"result": result}))).then(*tasks)


def test_nobody_lets_a_child_go_to_court_alone() -> None:
    """Line 9: proceedings about what was done to the child."""
    opened = CaseOpened(kind="criminal_case", article="CC-144-1")

    given(procedure, me="guardianship").when(says("prosecution", opened, "J-1")).then("child_in_court")


def test_money_for_a_child_is_noted() -> None:
    """Line 10: the registrar holds everybody to the deposit."""
    order = PaymentOrdered(
        kind="other_financial_assistance", amount=Amount(value="50.00", currency="AZN"), payee="deposit"
    )

    given(procedure, me="guardianship").when(says("fund", order, "P-1")).then()
