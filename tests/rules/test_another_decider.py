"""Several bodies that decide, as the teams of a country's districts do: an adult may refuse one and agree to another."""

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.rules import Agency, Rules, load_profile
from rules.given import Bench
from rules.stories import LEGAL, signalled

HERE = "special-unit"
THERE = "special-unit-2"
ROLES = {**AGENCIES, THERE: Agency(THERE, "special_unit")}


def agreed_to_one() -> Bench:
    """She agrees to one body and to a legal NGO, and refuses the other body, where a relative works."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), ROLES)
    signalled(b).at("0:40").consents(HERE, "ngo-l")
    b.at("0:45").say("ngo-a", "consent.refused", receivers=[THERE])
    return b


def rule(b: Bench, **said: object) -> str | None:
    """Return the rule that refuses a referral to the legal NGO, or None."""
    refusal = b.ask("ngo-a", "referral.submitted", ref="R-5", to=["ngo-l"], letter=True, **said)
    return refusal.rule if refusal else None


def test_p10_the_time_to_refer_to_the_one_goes_on() -> None:
    """Given consent to one body, when she refuses the other, then she is still to be referred, and its lateness is a breach."""
    b = agreed_to_one()
    assert "D-REFER" in b.codes

    b.say("ngo-a", "referral.submitted", ref="R-1", to=[HERE], legal_basis=LEGAL, letter=True)
    assert "D-REFER" not in b.codes


def test_her_refusal_of_each_ends_it() -> None:
    """Given refusals of both, then nobody is to refer her, and help by others is withheld from both."""
    b = agreed_to_one().at("0:50")
    b.say("ngo-a", "consent.refused", receivers=[HERE])

    assert "D-REFER" not in b.codes
    assert rule(b) == "G-34"
    assert rule(b, withhold_from=[HERE, THERE]) is None


def test_help_by_others_is_withheld_from_nobody_by_force() -> None:
    """Given consent to one body, when others are asked to help, then the sender may withhold it from the one that she refuses."""
    b = agreed_to_one()

    assert rule(b) is None
    assert rule(b, withhold_from=[THERE]) is None


@pytest.mark.parametrize("withheld", [[HERE], [HERE, THERE]])
def test_nothing_is_withheld_from_the_one_that_she_agrees_to(withheld: list[str]) -> None:
    """Given consent to one body, when a sender names it as withheld, then G-33 refuses: nobody dodges the time to refer."""
    assert rule(agreed_to_one(), withhold_from=withheld) == "G-33"


def test_a_referral_that_is_withheld_from_one_ends_no_time_to_refer() -> None:
    """Given consent to one body, when a provider is asked and the other body is left out, then no support without a status begins."""
    b = agreed_to_one()
    b.say("ngo-a", "referral.submitted", ref="R-5", to=["ngo-l"], withhold_from=[THERE], letter=True)

    assert b.view.status == "SUSPECTED"
    assert "D-REFER" in b.codes


def test_a_body_that_is_admitted_later_opens_no_duty_again() -> None:
    """Given her refusal of the only body, when another is admitted and the history is folded anew, then nobody owes a referral."""
    b = Bench()
    signalled(b).at("0:45").say("ngo-a", "consent.refused", receivers=[HERE])
    b.at("0:50").consents("vac")
    b.say("ngo-a", "referral.submitted", ref="R-5", to=["vac"], withhold_from=[HERE], letter=True)

    later = Bench()
    later.rules = Rules(load_profile(POLICY), ROLES)
    for fact in b.facts:
        later.hear(fact)
    assert later.view == b.view
    assert b.view.status == "SUPPORT_NO_STATUS"
