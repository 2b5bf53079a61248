"""The procedure of guardianship and child commission, line by line."""

from typing import Final

import pytest

from agencies import AGENCIES, POLICY
from given import Story, given, says
from nrmbus.events.case import Closed, Reopened
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.handover import PersonReceived
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered
from nrmbus.events.justice import CaseOpened, VerdictRecorded
from nrmbus.events.model import Data
from nrmbus.events.payment import Amount, PaymentFailed, PaymentOrdered
from nrmbus.events.recovery import PeriodReviewed
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.returns import ReturnConsented, ReturnMonitored
from nrmbus.events.review import ReviewDecided
from nrmbus.events.safeguard import (
    AgeAssessed,
    BestInterestsDecided,
    ChildFlagged,
    RepresentativeAssigned,
    ReturnedToFamily,
)
from nrmbus.events.shelter import Discharged
from nrmbus.guardianship import procedure
from nrmbus.rules import Rules, load_profile, read_profile

BODIES: Final = ("child-commission", "guardianship")
FLAG: Final = ChildFlagged(to=BODIES, basis="stated_age")
RECEIVED: Final = PersonReceived(place_type="reception", duty_role="duty_officer", items=0)
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
    given(procedure, me="guardianship").when(says("fund", PaymentFailed(kind="one_time_allowance"), "P-1")).then()
    given(procedure, me="guardianship").when(
        says("fund", CompensationGranted(purpose="compensation", amount_band="up_to_1000", source="contributions"))
    ).then()


def referred_by(body: str, *before: Data) -> Story:
    """The body has referred a flagged child to the special unit itself."""
    flagged = [says("school", FLAG), *(says("child-commission", each) for each in before)]
    return given(procedure, me=body).heard(*flagged, says(body, referral("special-unit"), "R-1"))


def test_the_representative_goes_where_the_child_is_received() -> None:
    """Line 15: guardianship referred the child itself, and hears of the reception."""
    received = says("special-unit", RECEIVED, "R-1")

    assert referred_by("guardianship").when(received).task.code == "child_received"
    assert "representative" in referred_by("guardianship").when(received).task.sentence


def test_the_commission_decides_while_the_child_is_with_the_unit() -> None:
    """Line 16: it referred the child itself; a child with a decision needs no other one."""
    received = says("special-unit", RECEIVED, "R-1")

    assert "where the child may live" in referred_by("child-commission").when(received).task.sentence
    referred_by("child-commission", KIN).when(received).then()


@pytest.mark.parametrize("body", BODIES)
def test_an_adult_who_is_received_is_no_task_of_these_lines(body: str) -> None:
    """Lines 15 and 16: the person has turned out to be grown up, so somebody reads of the reception."""
    story = referred_by(body).heard(says("special-unit", AgeAssessed(result="adult")))

    story.when(says("special-unit", RECEIVED, "R-1")).then("read")


@pytest.mark.parametrize(("body", "tasks"), [("guardianship", ["review_decided"]), ("child-commission", [])])
def test_the_child_hears_how_a_review_ended(body: str, tasks: list[str]) -> None:
    """Line 17: by the representative, whom guardianship assigned."""
    decided = ReviewDecided(outcome="upheld", reasons=("indicators_not_met",))

    referred_by(body).when(says("special-unit", decided, "V-1")).then(*tasks)


@pytest.mark.parametrize(
    ("outcome", "tasks"),
    [("not_to_return", ["journey_home"]), ("return_to_parents", []), ("institutional_care", [])],
)
def test_no_journey_home_before_best_interests_allow_it(outcome: str, tasks: list[str]) -> None:
    """Line 18: a decision against it is as good as none."""
    decided = BestInterestsDecided.from_mapping({"outcome": outcome, "conditions": []})
    wish = ReturnConsented(given_by="caregiver", form="written")

    referred_by("guardianship", decided).when(says("special-unit", wish)).then(*tasks)
    referred_by("guardianship").when(says("special-unit", wish)).then("journey_home")


def test_a_journey_home_waits_under_a_profile_that_names_no_decision_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line 18: given a profile without such decisions, when a child is to travel, then the journey waits as rule G-24 has it."""
    slim = read_profile(f"name: xa@2026-01-01\nextends: {POLICY}\nwithout: {{statuses: {{return_needs: [country]}}}}\n")
    monkeypatch.setattr("given.RULES", Rules(slim, AGENCIES))
    wish = ReturnConsented(given_by="caregiver", form="written")

    referred_by("guardianship", KIN).when(says("special-unit", wish)).then("journey_home")


@pytest.mark.parametrize(
    "said", [ReturnMonitored(again=False), PeriodReviewed(outcome="continue"), Discharged(reason="other")]
)
def test_what_others_do_with_the_child_is_noted(said: Data) -> None:
    """Lines 19 and 20: whoever takes the step answers for it."""
    referred_by("guardianship").when(says("special-unit", said, "B-1")).then()


def test_proceedings_that_end_are_noted() -> None:
    """Line 21: the representative went along."""
    verdict = VerdictRecorded(outcome="conviction", article="CC-144-1", confiscation=False)

    referred_by("guardianship").when(says("court", verdict, "J-1")).then()


def test_an_open_case_is_looked_at_again() -> None:
    """Line 22: a closed one is noted."""
    closed = referred_by("guardianship").heard(says("vac", Closed(reason="integrated", follow_up=False)))

    referred_by("guardianship").when(says("vac", Closed(reason="integrated", follow_up=False))).then()
    closed.when(says("vac", Reopened(reason="person_returned"))).then("child_again")


def test_a_body_that_may_not_decide_is_not_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines 1, 2 and 16: under a profile that leaves both acts to the commission, guardianship has neither to do."""
    profile = load_profile(POLICY)
    acts = ("safeguard.representative_assigned", "safeguard.best_interests_decided")
    rows = {name: profile.types[name].model_copy(update={"by": ("child_commission",)}) for name in acts}
    monkeypatch.setattr("given.RULES", Rules(profile.model_copy(update={"types": {**profile.types, **rows}}), AGENCIES))

    given(procedure, me="guardianship").when(says("school", FLAG)).then()
    given(procedure, me="child-commission").when(says("school", FLAG)).then("representative", "best_interests")
