"""Taking a case over: no agency does so by its own event alone, and none whose consent the person took back."""

import pytest

from rules.given import Bench
from rules.stories import child_planned, consented, identified, unit_refused


def referred_on(mode: str) -> Bench:
    """The NGO that found her refers her to the embassy, which has not answered."""
    b = consented(Bench())
    b.consents("embassy")
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["embassy"], mode=mode)
    return b


@pytest.mark.parametrize("mode", ["referral", "transfer"])
def test_nobody_refers_to_itself(mode: str) -> None:
    """By a transfer to itself an embassy would hold the case, close it, and alone see the consents it records."""
    b = referred_on("referral")
    b.say("embassy", "referral.accepted", ref="R-9")
    refusal = b.ask("embassy", "referral.submitted", ref="R-10", to=["embassy"], mode=mode)

    assert refusal is not None
    assert refusal.rule == "G-10"
    consent = b.say("embassy", "consent.given", receivers=["ngo-l"])
    assert consent.audience.recipients == ("ngo-a",), "the holder hears of it, and may object"


@pytest.mark.parametrize(("type", "rule"), [("consent.refused", "G-30"), ("consent.withdrawn", "G-31")])
def test_no_transfer_is_accepted_against_her_word(type: str, rule: str) -> None:
    """A transfer sent before her withdrawal may be declined, or answered as a referral; the holder stays the same."""
    transfer, referral = referred_on("transfer"), referred_on("referral")
    for b in (transfer, referral):
        b.say("ngo-a", type, receivers=["embassy"])
    refusal = transfer.ask("embassy", "referral.accepted", ref="R-9")

    assert refusal is not None
    assert refusal.rule == rule
    assert transfer.ask("embassy", "referral.declined", ref="R-9") is None
    assert referral.ask("embassy", "referral.accepted", ref="R-9") is None


@pytest.mark.parametrize(("type", "rule"), [("consent.refused", "G-30"), ("consent.withdrawn", "G-31")])
def test_no_plan_is_adopted_against_her_word(type: str, rule: str) -> None:
    """The adopter of a plan holds the case; a refusal of another purpose or agency does not prevent that."""
    b = identified(Bench())
    told = b.fork()
    b.say("special-unit", type, receivers=["ngo-l"])
    refusal = b.ask("ngo-l", "plan.adopted", to=["shelter"])

    assert refusal is not None
    assert refusal.rule == rule
    assert b.ask("vac", "plan.adopted", to=["shelter"]) is None
    told.say("special-unit", type, receivers=["ngo-l"], purposes=["tracing"])
    assert told.ask("ngo-l", "plan.adopted", to=["shelter"]) is None


@pytest.mark.parametrize(("type", "rule"), [("consent.refused", "G-30"), ("consent.withdrawn", "G-31")])
def test_nothing_is_handed_on_in_a_letter_against_her_word(type: str, rule: str) -> None:
    """An agency that learned of the refusal late is refused by the registrar; without a letter, it may still ask for help."""
    b = identified(Bench())
    b.consents("hospital", by="vac")
    b.say("special-unit", type, receivers=["ngo-l"])
    said = {"ref": "R-9", "to": ["hospital"]}
    refusal = b.ask("ngo-l", "referral.submitted", letter=True, **said)

    assert refusal is not None
    assert refusal.rule == rule
    assert b.ask("ngo-l", "referral.submitted", **said) is None
    assert b.ask("vac", "referral.submitted", letter=True, **said) is None


def test_help_for_a_child_and_without_the_special_unit_goes_on() -> None:
    """A child is not asked; and an agency that she came to may help her when she refuses the special unit."""
    child = child_planned(Bench())
    child.say("special-unit", "consent.withdrawn", receivers=["vac"])

    assert child.ask("vac", "plan.adopted", to=["ngo-shelter"]) is None
    assert unit_refused(Bench()).ask("ngo-a", "plan.adopted", to=["vac"]) is None
