"""The procedure of prosecution and court, line by line."""

from datetime import datetime

import pytest

from agencies import reference
from given import given, says
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.erasure import AccessHoldPlaced, AccessTerminated
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.justice import CaseOpened, MeasureGranted, VerdictRecorded
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.review import ReviewRequested
from nrmbus.justice import procedure

OPENED = CaseOpened(kind="criminal_case", article="CC-144-1", court="court")
DECISION = AccessTerminated(body="court", scope="case")


def verdict(outcome: str) -> VerdictRecorded:
    """A verdict of that outcome."""
    return VerdictRecorded.from_mapping({"outcome": outcome, "article": "CC-144-1", "confiscation": False})


def late(rule: str) -> DeadlineBreached:
    """A duty that is overdue."""
    return DeadlineBreached(rule=rule, due=datetime.fromisoformat("2026-03-09T20:00:00Z"), late_by_minutes=0)


def test_a_referral_is_a_prosecutors() -> None:
    """Line 1: somebody answers it; no proceedings are opened automatically."""
    referral = ReferralSubmitted(to=("prosecution",), mode="referral", reason="Other", urgency="urgent", services=())
    answer = given(procedure, me="prosecution").when(says("special-unit", referral, "R-1")).then("open_proceedings")

    assert answer.task.referral == reference("R-1")


@pytest.mark.parametrize("me", ["prosecution", "court"])
def test_the_witness_is_protected_before_anybody_is_heard(me: str) -> None:
    """Line 2: who opened the proceedings and the court that hears them both have to think of it."""
    given(procedure, me=me).when(says("prosecution", OPENED, "J-1")).then("measures")


def test_a_measure_of_the_other_side_is_noted() -> None:
    """Line 3: nobody has to read a task about it."""
    given(procedure, me="prosecution").when(says("court", MeasureGranted(article="CETS-197-28"), "J-1")).then()


@pytest.mark.parametrize(
    ("outcome", "tasks"),
    [("conviction", ["compensation"]), ("claim_granted", ["compensation"]), ("acquittal", []), ("discontinued", [])],
)
def test_a_court_that_decided_for_the_person_decides_on_compensation(outcome: str, tasks: list[str]) -> None:
    """Line 4: an acquittal leaves nothing to compensate."""
    given(procedure, me="court").when(says("court", verdict(outcome), "J-1")).then(*tasks)


def test_the_prosecution_notes_a_verdict() -> None:
    """Line 4: compensation is the court's."""
    given(procedure, me="prosecution").when(says("court", verdict("conviction"), "J-1")).then()


@pytest.mark.parametrize(("purpose", "tasks"), [("compensation", ["fund_granted"]), ("medical_expenses", ["read"])])
def test_a_court_counts_what_the_fund_has_granted(purpose: str, tasks: list[str]) -> None:
    """Line 9: the same harm is not made good twice; a hospital's bill is another matter."""
    granted = CompensationGranted.from_mapping({"purpose": purpose, "amount_band": "1000_to_5000", "source": "grants"})
    given(procedure, me="court").when(says("fund", granted, "C-1")).then(*tasks)


def test_a_review_waits_for_the_court() -> None:
    """Line 5: the task has the reference under which the court answers."""
    asked = ReviewRequested(kind="court", new_evidence=False)
    answer = given(procedure, me="court").when(says("ngo-a", asked, "V-1")).then("review")

    assert answer.task.referral == reference("V-1")


def test_the_prosecution_decides_no_review() -> None:
    """Line 5: the prosecution hears of a review of a person it referred, and an answer by the prosecution would be refused."""
    for kind in ("reconsideration", "court"):
        asked = ReviewRequested.from_mapping({"kind": kind, "new_evidence": True})
        given(procedure, me="prosecution").when(says("ngo-a", asked, "V-1")).then()


def test_a_decision_to_end_access_names_the_last_day_to_object() -> None:
    """Line 6: a week from 2 March, as the profile says."""
    answer = given(procedure, me="court").when(says("court", DECISION)).then("objections")

    assert "until the end of 2026-03-09" in answer.task.sentence


def test_after_the_decision_of_the_other_authority_an_agency_stops() -> None:
    """Lines 6 and 16: who did not decide only holds data."""
    given(procedure, me="prosecution").when(says("court", DECISION)).then("stop")


def test_an_objection_is_heard() -> None:
    """Line 7: the reason is in the event, and not in the task."""
    objection = AccessHoldPlaced(reasons=("objection",), until="2026-03-31")
    story = given(procedure, me="court").heard(says("court", DECISION))

    assert "objection" not in story.when(says("vac", objection)).then("objection").task.sentence
    given(procedure, me="court").when(says("court", objection)).then()


def test_who_has_not_erased_is_asked() -> None:
    """Line 8: other breaches are read by a person."""
    given(procedure, me="court").when(says("timekeeper", late("D-ERASE"))).then("not_erased")
    given(procedure, me="court").when(says("timekeeper", late("D-REVIEW"))).then("read")
