"""Letters to who was turned to before: they go on as long as something on record lets that agency have them."""

from agencies import POLICY
from nrmbus.rules import load_profile
from rules.given import Bench
from rules.stories import LEGAL, child_begun, child_planned, planned, signalled

SUPPLY = "referral.info_supplied"


def asked_under_a_consent_for_a_day() -> Bench:
    """She let the special unit help for that day; it asks a question."""
    b = signalled(Bench()).at("0:40")
    b.consents("special-unit", expires="2026-03-02")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], legal_basis=LEGAL, letter=True)
    b.say("special-unit", "referral.acknowledged", ref="R-1")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    return b


def test_p3_no_answer_is_sealed_to_who_had_a_consent_that_has_expired() -> None:
    """On the last day of the consent the answer is sealed; on the next day the person has to be asked first."""
    b = asked_under_a_consent_for_a_day()
    in_time = b.ask("ngo-a", SUPPLY, ref="R-1", letter=True)
    refusal = b.at("d2 9:00").ask("ngo-a", SUPPLY, ref="R-1", letter=True)

    assert in_time is None
    assert refusal is not None
    assert refusal.rule == "G-32"
    assert b.ask("ngo-a", SUPPLY, ref="R-1") is None, "that there is an answer holds nothing of her"
    b.consents("special-unit")
    assert b.ask("ngo-a", SUPPLY, ref="R-1", letter=True) is None


def test_p3_an_assessed_adult_is_asked_before_more_is_shared() -> None:
    """Until then nobody needed a consent, so that none is on record."""
    b = child_begun(Bench())
    b.say("special-unit", "referral.info_requested", ref="R-10")
    as_a_child = b.ask("school", SUPPLY, ref="R-10", letter=True)
    b.say("special-unit", "safeguard.age_assessed")
    refusal = b.ask("school", SUPPLY, ref="R-10", letter=True)

    assert as_a_child is None
    assert refusal is not None
    assert refusal.rule == "G-32"
    b.consents("special-unit", by="school")
    assert b.ask("school", SUPPLY, ref="R-10", letter=True) is None


def test_p3_no_change_of_a_plan_is_sealed_to_a_member_whose_consent_has_expired() -> None:
    """A member that she refused is left out, and the others get the change."""
    b = planned(Bench())
    b.consents("ngo-l", by="vac", expires="2026-03-20")
    lapsed, withdrawn = b.fork().at("d30 9:00"), b.fork()
    withdrawn.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    refusals = [lapsed.ask("vac", type, letter=True) for type in ("plan.revised", "plan.completed")]

    assert [refusal and refusal.rule for refusal in refusals] == ["G-32"] * 2
    assert withdrawn.say("vac", "plan.revised", letter=True).audience.recipients == ("shelter",)


def test_p3_an_assessed_adult_is_asked_before_a_plan_is_changed() -> None:
    """A change names the services that the adult gets, in the clear; that the plan ends tells no more of them."""
    b = child_planned(Bench())
    as_a_child = b.ask("vac", "plan.revised")
    b.at("d20 9:00").say("special-unit", "safeguard.age_assessed")
    refusal = b.ask("vac", "plan.revised")

    assert as_a_child is None
    assert refusal is not None
    assert refusal.rule == "G-32"
    assert b.ask("vac", "plan.completed") is None
    b.consents("ngo-shelter", by="vac")
    assert b.say("vac", "plan.revised").audience.recipients == ("ngo-shelter",)


def test_p3_a_plan_without_letters_is_changed_by_consent_too() -> None:
    """A profile in which nobody opens a letter of a changed plan, since it has none, asks the adult all the same."""
    profile = load_profile(POLICY)
    row = profile.types["plan.revised"].model_copy(update={"opens": {}})
    b = child_planned(Bench(profile.model_copy(update={"types": {**profile.types, "plan.revised": row}})))
    b.at("d20 9:00").say("special-unit", "safeguard.age_assessed")
    refusal = b.ask("vac", "plan.revised")

    assert refusal is not None
    assert refusal.rule == "G-32"


def test_p3_a_plan_is_changed_without_a_member_whom_the_adult_refuses() -> None:
    """Whoever grew up and says no is heard, and the plan goes on without that member."""
    b = child_planned(Bench()).at("d20 9:00")
    b.say("special-unit", "safeguard.age_assessed")
    b.say("vac", "consent.refused", receivers=["ngo-shelter"])

    assert b.say("vac", "plan.revised").audience.recipients == ()
