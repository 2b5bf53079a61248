"""Duties that are open as far as an agency can tell."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from desk.web.work.test_items import facts
from nrmbus.desk.state.open_duties import open_duties
from rules import stories
from rules.given import Bench


def codes(case: Bench, agency: str) -> set[str]:
    """Return the codes of the open duties at *agency*, now."""
    return {each.code for each in open_duties(facts(case, agency).duties, agency, case.now)}


def test_who_is_not_told_of_an_answer_counts_on_none() -> None:
    """Given a child who was referred to the special unit, sender and unit wait for its answer; guardianship would never hear of it."""
    case = Bench()
    case.say(
        "ngo-a",
        "case.signal_recorded",
        detector="ngo_outreach",
        child=True,
        urgency="emergency",
        detected_abroad=False,
        basis=["indicators"],
    )
    case.say("ngo-a", "safeguard.child_flagged", to=["child-commission", "guardianship"], basis="stated_age")
    case.say(
        "ngo-a",
        "referral.submitted",
        ref="R-1",
        to=["special-unit"],
        reason="ChildSafeguarding",
        child=True,
        legal_basis="CoM 21/2008 art. 7",
    )

    assert "D-ACK" in {each.code for each in facts(case, "guardianship").duties}
    assert {who: codes(case, who) for who in ("ngo-a", "special-unit", "guardianship")} == {
        "ngo-a": {"D-ACK"}, "special-unit": {"D-ACK"}, "guardianship": set(),
    }  # fmt: skip


def in_time(case: Bench) -> Bench:
    """Return *case* with a plan, and the recovery period reviewed and the status decided on the days for it."""
    stories.planned(case).at("d20 9:00").say("special-unit", "recovery.reviewed")
    case.at("d30 9:00").say("special-unit", "identification.status_decided", letter=True)
    return case


@pytest.mark.parametrize(
    ("story", "agency", "code"),
    [
        (in_time, "migration", "D-RECOVERY"),
        (stories.home, "migration", "D-RECOVERY"),
        (stories.child_planned, "school", "D-REPRESENT"),
    ],
)
def test_a_duty_whose_breach_an_agency_would_not_hear_is_never_missed_there(
    story: Callable[[Bench], Bench], agency: str, code: str
) -> None:
    """Given an agency that hears the start of another one's duty, and neither its end nor its breach, then the duty is shown until its day, and never as missed."""
    case = story(Bench())
    (duty,) = (each for each in facts(case, agency).duties if each.code == code)
    assert agency not in duty.told
    assert duty.due is not None
    moments = [duty.due + timedelta(seconds=each) for each in (-1, 0, 1)]
    assert [bool(open_duties([duty], agency, at)) for at in moments] == [True, False, False]
