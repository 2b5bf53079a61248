"""Readings of the Rules that no other test holds: where the texts were silent, or can be read in two ways."""

import pytest

from agencies import reference
from rules.given import NEGATIVE, Bench
from rules.stories import (
    BODIES,
    LEGAL,
    accepted,
    begun,
    child_flagged,
    child_planned,
    child_presumed,
    closed,
    consented,
    housed,
    left,
    offered,
    paid,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    screened,
    served,
    signalled,
    under_review,
)

UNIT = "special-unit"


def refused_by(b: Bench, by: str, type: str, **said: object) -> str | None:
    """Return the rule that refuses the event, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


def test_the_units_own_find_needs_a_consent_or_an_override_too() -> None:
    """An adult has to consent, whichever agency met her; if life is at stake, an override that the supervisor can read."""
    b = Bench()
    b.say(UNIT, "case.signal_recorded", detector="special_unit")
    assert refused_by(b, UNIT, "identification.stage_entered") == "G-32"

    b.say(UNIT, "consent.overridden", receivers=[UNIT])
    assert refused_by(b, UNIT, "identification.stage_entered") is None


def test_an_agency_on_the_case_deletes_what_it_had_to_retain() -> None:
    """When the law that obliged it has ended, the agency declares the deletion once, and has no part from then on."""
    b = planned(Bench())
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    b.say("ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis="a law")
    b.say("ngo-l", "consent.stop_confirmed", answer="deleted")

    assert not b.view.on_case("ngo-l")
    assert refused_by(b, "ngo-l", "consent.stop_confirmed") == "G-51"
    assert refused_by(b, "ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis="a law") == "G-51"


def test_a_review_asked_for_in_time_may_be_typed_later() -> None:
    """The paper came within the days: who types it late takes nothing from the person."""
    b = refused_by_grounds(Bench()).at("d40 9:00")

    assert refused_by(b, "ngo-a", "review.requested", ref="V-1", occurred="d30 9:00") is None
    assert refused_by(b, "ngo-a", "review.requested", ref="V-1") == "G-46"


def test_a_childs_consent_names_an_agency() -> None:
    """The assistance centre hears of the decision on a child under a consent that stands, as of an adult."""
    b = child_flagged(Bench())
    b.say("school", "referral.submitted", ref="R-10", to=[UNIT], child=True, legal_basis=LEGAL)
    b.say(UNIT, "referral.accepted", ref="R-10")
    b.say(UNIT, "identification.stage_entered")
    unnamed = b.fork().say(UNIT, "identification.reasonable_grounds_decided").audience
    b.say("school", "consent.given", receivers=["vac"])
    named = b.say(UNIT, "identification.reasonable_grounds_decided").audience

    assert "vac" not in unnamed.recipients
    assert "vac" in named.recipients
    assert set(named.earlier) == {"vac"}, "a child's consent is delivered before as well"


def test_a_withdrawal_ends_open_referrals_without_a_word_of_their_own() -> None:
    """Their parties hear of the withdrawal itself, so the timekeeper says nothing of it again."""
    b = served(Bench())
    said = b.say("vac", "case.withdrawn")

    assert {"ngo-l", "fund"} <= set(said.audience.recipients)
    assert b.view.open_referrals == ()
    assert not [due for due in b.rules.due(b.view) if due.type == "referral.expired"]


def test_a_withdrawal_takes_a_receiver_that_has_not_answered_out_of_the_case() -> None:
    """The fund was asked and said nothing: it has no part any more, and the centre that asked goes on holding the case."""
    b = served(Bench())
    assert b.view.on_case("fund")
    b.say("vac", "case.withdrawn")

    assert not b.view.on_case("fund")
    assert b.view.on_case("vac")


def test_a_withdrawal_ends_services_and_reviews() -> None:
    """Nobody answers for a service or decides a review in a case that is withdrawn, so neither keeps it from being closed."""
    asked = planned(Bench())
    asked.say("vac", "service.requested", ref="S-1", to=["ngo-l"])
    asked.say("shelter", "shelter.discharged", ref="B-1")
    assert refused_by(asked, "vac", "case.closed", reason="withdrawn") == "G-49"
    contested = under_review(Bench())
    contested.say("shelter", "shelter.discharged", ref="B-1", reason="own_request")
    for b, by in ((asked, "vac"), (contested, UNIT)):
        b.say("ngo-a", "case.withdrawn")
        b.at("d60 9:00")
        assert refused_by(b, by, "case.closed", reason="withdrawn") is None


@pytest.mark.parametrize("to", [["vac"], ["guardianship", "vac"], ["court"]])
def test_a_child_is_flagged_to_guardian_bodies_alone(to: list[str]) -> None:
    """Only agencies that protect children learn that somebody is a child."""
    assert refused_by(child_flagged(Bench()), "school", "safeguard.child_flagged", to=to) == "G-10"


def test_an_agency_that_names_itself_needs_no_consent_to_itself() -> None:
    """The agency was told by the person, and tells nobody else."""
    b = begun(Bench())
    b.consents("ngo-shelter")
    b.say(UNIT, "referral.submitted", ref="R-9", to=["ngo-shelter"], legal_basis="a law")
    b.say(UNIT, "consent.withdrawn", receivers=["ngo-l"])

    assert refused_by(b, "ngo-a", "service.requested", ref="S-1", to=["ngo-a"]) is None
    assert refused_by(b, "ngo-a", "service.requested", ref="S-1", to=["ngo-a", "ngo-l"]) == "G-31"


def test_an_answer_is_registered_and_leaves_out_agencies_refused_since() -> None:
    """The question stood, and its other askers wait for the answer."""
    b = served(Bench())
    b.say("ngo-l", "referral.info_requested", ref="R-2")
    b.say("vac", "consent.refused", receivers=["ngo-l"])
    said = b.say("vac", "referral.info_supplied", ref="R-2", letter=True)

    assert said.audience.recipients == ()


def test_nothing_is_answered_twice() -> None:
    """Not referrals and reviews alone: a receipt, a bed, a hold and its end, a completed referral."""
    b = housed(Bench())
    assert refused_by(b, UNIT, "referral.acknowledged", ref="R-1") == "G-51"
    assert refused_by(b, "shelter", "shelter.bed_offered", ref="B-1") == "G-51"
    assert refused_by(b, "migration", "stay.hold_confirmed", ref="H-1") == "G-51"
    b.say(UNIT, "referral.completed", ref="R-1")
    assert refused_by(b, UNIT, "referral.completed", ref="R-1") == "G-51"


def test_a_second_question_and_an_answer_after_completion() -> None:
    """No question is asked about a completed referral; the sender may still add what it owes."""
    b = accepted(Bench())
    b.say(UNIT, "referral.completed", ref="R-1")

    assert refused_by(b, UNIT, "referral.info_requested", ref="R-1") == "G-51"
    assert refused_by(b, "ngo-a", "referral.info_supplied", ref="R-1") is None


def test_an_allowance_that_failed_is_ordered_again() -> None:
    """The person has not had the money."""
    b = paid(Bench())
    b.say("fund", "payment.failed", ref="P-1")

    assert refused_by(b, "fund", "payment.ordered", ref="P-2") is None


def test_guardian_bodies_receive_a_childs_case_and_have_no_part_by_an_adult() -> None:
    """Found adult, the person is asked; the bodies are told so, and nothing after that."""
    b = child_planned(Bench())
    said = b.say(UNIT, "safeguard.age_assessed")
    assert set(BODIES) <= set(said.audience.recipients)

    assert not b.view.on_case("guardianship")
    assert not b.view.on_case("child-commission")
    assert refused_by(b, "guardianship", "safeguard.best_interests_decided") == "G-05"


def test_a_consent_to_services_alone_is_delivered_too() -> None:
    """The receiver has to know the consent; the consent itself lets no agency be told anything."""
    b = signalled(Bench())
    b.consents("vac", purposes=["services"])
    b.say("ngo-a", "consent.given", receivers=["vac"], purposes=["information_sharing"])
    said = b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])

    assert len(said.audience.earlier["vac"]) == 2


def test_a_notice_of_revocation_gives_a_part() -> None:
    """The agency helped on a recognition that was revoked, and may have to undo something."""
    b = planned(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["fund"])
    b.say(UNIT, "identification.status_decided")
    assert not b.view.on_case("fund")
    b.say("ngo-a", "consent.given", receivers=["fund"])
    said = b.say(UNIT, "identification.status_revoked")

    assert "fund" in said.audience.recipients
    assert "told" in b.view.parts["fund"]


def test_the_senders_part_ends_with_its_referral() -> None:
    """Revoked or expired, nothing of it stands, on either side."""
    b = housed(Bench())
    b.say("migration", "referral.submitted", ref="R-9", to=["vac"])
    part = f"referral {reference('R-9')}"
    assert part in b.view.parts["migration"]
    b.say("migration", "referral.revoked", ref="R-9")

    assert part not in b.view.parts["migration"]


def test_migration_receives_the_case_of_a_child_whose_removal_it_holds() -> None:
    """Migration hears how long she may stay, and of the end, after it has deleted its data, since the hold names whom not to remove."""
    b = child_presumed(Bench())
    b.say(UNIT, "stay.hold_requested", ref="H-1", to=["migration"])
    b.say("school", "consent.withdrawn", receivers=["migration"])
    b.say("migration", "consent.stop_confirmed")
    assert not b.view.on_case("migration")
    assert "migration" in b.say(UNIT, "recovery.extended").audience.recipients
    b.at("d80 9:00").say(UNIT, "identification.status_decided")
    said = b.say(UNIT, "stay.hold_ended", ref="H-1", reason="left_country")

    assert said.audience.recipients == ("migration",)


def test_a_question_pauses_by_registration() -> None:
    """Nobody gains time by dating a question back, nor loses it by a paper that is typed late."""
    b = accepted(Bench()).at("5:00")
    b.say(UNIT, "referral.info_requested", ref="R-1", occurred="4:00")
    b.at("6:00").say("ngo-a", "referral.info_supplied", ref="R-1", occurred="5:30")

    assert "D-ANSWER 3 Mar 12:00" in b.deadlines, "one hour was waited"


def test_the_referrer_of_the_breach_is_that_of_its_day() -> None:
    """The present referrer can act, so the present referrer is notified."""
    b = begun(Bench())
    (clock,) = [each for each in b.rules.clocks(b.view) if each.code == "D-RG"]

    assert clock.told == ("ngo-a",)


def test_an_offer_of_a_closed_case_lapses() -> None:
    """The bed becomes free again."""
    b = offered(Bench())
    b.say(UNIT, "case.closed", reason="lost_contact")

    assert [due.type for due in b.rules.due(b.view) if due.type == "shelter.offer_lapsed"] == ["shelter.offer_lapsed"]
    b.say_due("shelter.offer_lapsed")


def test_a_case_stays_referred_while_the_special_unit_owes_its_answer() -> None:
    """The centre, which was asked too, let its time pass; the referral goes on for the unit alone."""
    b = consented(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "vac"], legal_basis=LEGAL, letter=True)
    b.say_due("referral.expired")

    assert b.view.status == "REFERRED"
    assert refused_by(b, "vac", "referral.accepted", ref="R-1") == "G-05"
    b.say(UNIT, "referral.accepted", ref="R-1")
    b.say(UNIT, "identification.stage_entered")


def test_a_plan_from_before_the_admission_moves_the_stay() -> None:
    """The stay ends with the plan in force, whichever came first."""
    b = presumed(Bench())
    b.say("shelter", "shelter.discharged", ref="B-1", reason="own_request")
    b.say("vac", "plan.adopted", to=["shelter"], planned_end_days=120)
    b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["shelter"])
    b.say("shelter", "shelter.bed_offered", ref="B-2")
    b.say("shelter", "shelter.admitted", ref="B-2")

    (stay,) = [each for each in b.deadlines if each.startswith("D-SHELTER")]
    assert stay == "D-SHELTER 4 Jul 24:00"


def test_a_consent_that_gives_the_case_to_the_unit_reaches_the_holder_of_before() -> None:
    """The NGO held the case when the consent was recorded, and hears that it holds the case no more."""
    b = begun(Bench())
    b.say("ngo-a", "consent.refused", receivers=[UNIT])
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["ngo-l"], withhold_from=[UNIT])
    said = b.say("ngo-l", "consent.given", receivers=[UNIT])

    assert "ngo-a" in said.audience.recipients


def test_a_referral_that_was_made_by_a_negative_case_needs_a_new_signal() -> None:
    """T18: after a negative decision the way back is a review, or a new case."""
    b = begun(Bench())
    b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)

    assert refused_by(b, "ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis=LEGAL) == "G-40"


def test_a_hold_is_no_bar_to_closing() -> None:
    """Nobody is removed because a file is closed: the hold stands until the unit ends it."""
    assert refused_by(left(Bench()).at("d150 9:00"), "vac", "case.closed") is None
    assert any(not hold.ended for hold in closed(Bench()).view.holds.values())


def test_a_refusal_bars_no_receiver_of_what_stops_something() -> None:
    """A revocation reaches the unit, which is refused since, so that nobody goes on."""
    b = referred(Bench())
    b.say("ngo-a", "consent.refused", receivers=[UNIT])

    assert b.say("ngo-a", "referral.revoked", ref="R-1").audience.recipients == (UNIT,)
    assert screened(Bench()).view.screened
    assert consented(Bench()).view.detector == "ngo-a"
