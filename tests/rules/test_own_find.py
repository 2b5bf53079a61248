"""Case found by the special unit: from SUSPECTED it begins at once, after a referral only once it has accepted."""

from rules.given import Bench
from rules.stories import LEGAL, accepted

UNIT = "special-unit"


def found(b: Bench) -> Bench:
    """The unit gives the signal; another agency records her consent to the unit."""
    b.say(UNIT, "case.signal_recorded", detector="special_unit")
    b.say(UNIT, "consent.overridden", receivers=[UNIT])
    return b


def found_and_referred(b: Bench) -> Bench:
    """An NGO that she lets help refers the same person to the unit, which has found her already."""
    found(b).consents("ngo-a", by=UNIT)
    b.say(UNIT, "referral.submitted", ref="R-1", to=["ngo-a"], legal_basis=LEGAL)
    b.say("ngo-a", "referral.submitted", ref="R-2", to=[UNIT], legal_basis=LEGAL)
    return b


def test_initial_assistance_needs_no_acceptance_from_suspicion() -> None:
    """T08: nobody asked the unit, so there is nothing to accept."""
    assert found(Bench()).ask(UNIT, "identification.stage_entered") is None


def test_initial_assistance_after_a_referral_needs_acceptance() -> None:
    """T08: a referral waits for an answer, also where the unit gave the signal; its clock could not end otherwise."""
    b = found_and_referred(Bench())
    refusal = b.ask(UNIT, "identification.stage_entered")
    assert refusal is not None
    assert refusal.rule == "G-41"

    b.say(UNIT, "referral.accepted", ref="R-2")
    assert [clock.code for clock in b.rules.clocks(b.view) if clock.answerable == UNIT] == ["D-ANSWER"]
    b.say(UNIT, "identification.stage_entered")
    assert "D-ANSWER" not in b.codes


def test_a_first_stage_that_names_another_reference_is_an_answer_all_the_same() -> None:
    """The unit has taken the person on: a wrong reference in the form does not keep its answer owed for ever."""
    b = accepted(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
    b.say(UNIT, "identification.stage_entered", ref="R-9")

    assert "D-ANSWER" not in b.codes
