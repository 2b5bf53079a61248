"""Duties that are open as far as an agency can tell."""

from desk.web.work.test_items import facts
from nrmbus.desk.state.open_duties import open_duties
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
