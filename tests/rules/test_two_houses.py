"""Two houses hold a bed for her, and she is in one of them."""

from rules.given import Bench
from rules.stories import begun

EXTENDED = "recovery.extended"


def two_offers(b: Bench) -> Bench:
    """The special unit asked two shelters, and both hold a bed: the NGO's for thirty days."""
    begun(b).consents("ngo-shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["ngo-shelter", "shelter"], letter=True)
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-1", valid_hours=720)
    b.say("shelter", "shelter.bed_offered", ref="B-1")
    return b


def recovering(b: Bench) -> Bench:
    """… and there are reasonable grounds."""
    b.say("special-unit", "identification.reasonable_grounds_decided")
    b.say("special-unit", "recovery.period_started")
    return b


def test_p2_a_house_where_she_does_not_live_receives_nothing_more() -> None:
    """A house with an open offer once read the ground of her extended recovery, her health, while she lived elsewhere."""
    before = recovering(two_offers(Bench())).say("special-unit", EXTENDED, letter=True).audience
    admitted = two_offers(Bench())
    admitted.say("shelter", "shelter.admitted", ref="B-1")
    after = recovering(admitted).say("special-unit", EXTENDED, letter=True).audience

    assert before.opens["health"] == ("ngo-shelter", "shelter", "vac")
    assert after.opens["health"] == ("shelter", "vac")
    assert "ngo-shelter" not in after.recipients


def test_its_bed_is_free_again_and_it_receives_the_events_that_end_all() -> None:
    """The other house's offer lapses in time; before that, a withdrawal of the person reaches it."""
    b = two_offers(Bench())
    b.say("shelter", "shelter.admitted", ref="B-1")

    assert "ngo-shelter" in b.fork().say("special-unit", "case.withdrawn").audience.recipients
    assert any(said.startswith("shelter.offer_lapsed") for said in b.through("d40 9:00"))


def test_it_may_have_to_do_with_her_again_when_she_has_left_the_other() -> None:
    """The other house's offer stands, so that she may go there."""
    b = two_offers(Bench())
    b.say("shelter", "shelter.admitted", ref="B-1")
    b.say("shelter", "shelter.discharged", ref="B-1", reason="own_request")

    assert "ngo-shelter" in recovering(b).say("special-unit", EXTENDED).audience.recipients
    assert b.ask("ngo-shelter", "shelter.admitted", ref="B-1") is None


def test_a_house_that_asks_itself_too_answers_for_itself_alone() -> None:
    """Each house owes its own answer (section 5), also if the asking house is among those asked."""
    b = begun(Bench())
    b.consents("ngo-shelter")
    b.say("special-unit", "referral.submitted", ref="R-7", to=["ngo-shelter"], legal_basis="a law")
    b.say("ngo-shelter", "shelter.bed_requested", ref="B-1", to=["ngo-shelter", "shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-1")

    assert [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-BED"] == ["shelter"]


def test_a_provider_that_asks_itself_too_answers_for_itself_alone() -> None:
    """A service that was asked of several providers is answered by each for itself."""
    b = begun(Bench())
    b.consents("vac")
    b.say("special-unit", "referral.submitted", ref="R-7", to=["vac"], legal_basis="a law")
    b.say("vac", "service.requested", ref="S-1", to=["ngo-l", "vac"])
    b.say("vac", "service.scheduled", ref="S-1")

    owing = [clock.answerable for clock in b.view.running if clock.by == "service.requested"]
    assert owing == ["ngo-l"]
