"""Papers of the person: the special unit gets them only with a referral to it, and with her consent."""

import pytest

from rules.given import Bench
from rules.stories import LEGAL, accepted, child_flagged, child_referred, consented, signalled

PAPERS = "handover.document_transferred"


def referred_to_the_centre(b: Bench) -> Bench:
    """The NGO has referred her to the assistance centre."""
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"], services=[])
    return b


def test_p3_no_papers_reach_the_special_unit_by_a_referral_to_somebody_else() -> None:
    """She let the centre help, and nobody has asked her about the special unit: it would open her passport all the same."""
    b = signalled(Bench()).at("0:40")
    b.consents("vac")
    refusal = referred_to_the_centre(b).ask("ngo-a", PAPERS, ref="R-9", letter=True)
    asked = referred_to_the_centre(consented(Bench())).ask("ngo-a", PAPERS, ref="R-9", letter=True)

    assert refusal is not None
    assert refusal.rule == "G-04"
    assert asked is not None
    assert asked.rule == "G-04", "her consent to the special unit makes no referral to it of this one"


@pytest.mark.parametrize(("type", "rule"), [("consent.refused", "G-30"), ("consent.withdrawn", "G-31")])
def test_p3_no_papers_reach_the_special_unit_against_her_word(type: str, rule: str) -> None:
    """The referral was accepted before; the sender is refused instead of being told that the papers were sent."""
    b = accepted(Bench())
    went_on = b.ask("ngo-a", PAPERS, ref="R-1", letter=True)
    b.say("ngo-a", type, receivers=["special-unit"])
    refusal = b.ask("ngo-a", PAPERS, ref="R-1", letter=True)

    assert went_on is None
    assert refusal is not None
    assert refusal.rule == rule


def test_p3_a_consent_that_has_expired_sends_no_papers() -> None:
    """Nothing is on record any more that lets the special unit have them."""
    b = signalled(Bench()).at("0:40")
    b.consents("special-unit", expires="2026-03-02")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], legal_basis=LEGAL)
    b.say("special-unit", "referral.accepted", ref="R-1")
    refusal = b.at("d2 9:00").ask("ngo-a", PAPERS, ref="R-1", letter=True)

    assert refusal is not None
    assert refusal.rule == "G-32"


def test_a_childs_papers_go_to_the_special_unit_that_was_asked_and_with_no_other_referral() -> None:
    """A child is not asked; the referral has to be one to the special unit all the same."""
    elsewhere = child_flagged(Bench()).at("0:40")
    elsewhere.say("school", "referral.submitted", ref="R-9", to=["vac"], child=True, legal_basis=LEGAL)
    refusal = elsewhere.ask("school", PAPERS, ref="R-9", letter=True)

    assert child_referred(Bench()).ask("school", PAPERS, ref="R-10", letter=True) is None
    assert refusal is not None
    assert refusal.rule == "G-04"
