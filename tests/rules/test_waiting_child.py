"""A child that waits for a representative: guardianship is told, and owes one within a day. D-REPRESENT."""

from rules.given import Bench
from rules.stories import BODIES, child_begun, child_flagged, child_housed, child_waiting

STAGE = "identification.stage_entered"


def test_guardianship_is_told_and_owes_a_representative() -> None:
    """The inquiry begins on 3 March at noon; nobody may ask the boy anything, and a day later it is late."""
    b = child_begun(Bench()).at("d1 12:00")
    said = b.say("special-unit", STAGE, stage="inquiry")

    assert said.audience.recipients == ("guardianship", "school")
    assert "D-REPRESENT 4 Mar 12:00" in b.deadlines
    assert b.through("d2 12:00") == ["D-REPRESENT 4 Mar 12:00 guardianship,special-unit"]
    assert b.ask("special-unit", "identification.interview_held", attended=["special_unit", "doctor"]).rule == "G-22"  # type: ignore[union-attr]


def test_a_represented_child_waits_for_nobody() -> None:
    """The representative came first, so guardianship hears of no stage."""
    b = child_housed(Bench()).at("d1 12:00")
    said = b.say("special-unit", STAGE, stage="inquiry")

    assert said.audience.recipients == ("ngo-shelter", "school")
    assert "D-REPRESENT" not in b.codes


def test_before_the_inquiry_nobody_is_late() -> None:
    """Initial assistance asks the child nothing."""
    assert "D-REPRESENT" not in child_begun(Bench()).codes
    assert child_flagged(Bench()).codes == ["D-REFER"]


def test_the_next_stage_does_not_begin_the_day_again() -> None:
    """Whoever goes on without a representative gives nobody more time."""
    b = child_waiting(Bench())
    b.at("d1 20:00").say("special-unit", STAGE, stage="indicator_screening")

    assert "D-REPRESENT 4 Mar 12:00" in b.deadlines


def test_a_child_of_which_guardianship_learns_during_the_inquiry_waits_from_then_on() -> None:
    """She was thought to be grown up; the NGO that met her finds out on the third day."""
    b = Bench()
    b.say("special-unit", "case.signal_recorded", detector="special_unit", child=True)
    b.say("special-unit", STAGE)
    b.at("5:00").say("special-unit", STAGE, stage="inquiry")
    assert "D-REPRESENT" not in b.codes

    b.at("d2 9:00").say("special-unit", "safeguard.child_flagged", to=["child-commission"])
    assert "D-REPRESENT" not in b.codes
    b.say("special-unit", "safeguard.child_flagged", to=BODIES)
    assert "D-REPRESENT 5 Mar 9:00" in b.deadlines
    b.at("d2 12:00").say("special-unit", "safeguard.child_flagged", to=BODIES)
    assert "D-REPRESENT 5 Mar 9:00" in b.deadlines


def test_a_child_that_is_flagged_again_waits_again() -> None:
    """Found adult, and flagged again by an NGO: guardianship, flagged before, owes a representative as after another assessment."""
    b = child_waiting(Bench())
    b.at("d1 15:00").say("special-unit", "safeguard.age_assessed", result="adult")
    b.at("d1 18:00").say("school", "safeguard.child_flagged", to=["child-commission"])

    assert "D-REPRESENT 4 Mar 18:00" in b.deadlines
    b.at("d1 20:00").say("school", "safeguard.child_flagged", to=BODIES)
    assert "D-REPRESENT 4 Mar 18:00" in b.deadlines


def test_a_child_that_is_found_one_again_waits_again() -> None:
    """A wrong assessment ended the duty; the next one brings it back."""
    b = child_waiting(Bench())
    b.at("d1 15:00").say("special-unit", "safeguard.age_assessed", result="adult")
    assert "D-REPRESENT" not in b.codes

    b.at("d1 18:00").say("special-unit", "safeguard.age_assessed", result="child")
    assert "D-REPRESENT 4 Mar 18:00" in b.deadlines
    b.at("d1 20:00").say("special-unit", "safeguard.age_assessed", result="unclear")
    assert "D-REPRESENT 4 Mar 18:00" in b.deadlines
