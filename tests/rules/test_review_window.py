"""The days for asking for a review: nobody loses them because the decision is said late."""

from rules.given import NEGATIVE, Bench
from rules.stories import screened


def told_late() -> Bench:
    """On 11 April the special unit says that it found no grounds on 6 March, with a review within 30 days."""
    b = screened(Bench()).at("d40 11:00")
    b.say("special-unit", "identification.reasonable_grounds_decided", occurred="d4 11:00", **NEGATIVE)
    return b


def test_p5_a_decision_that_is_dated_back_may_be_reviewed() -> None:
    """The days would have been over before anybody was told, so they count from registration."""
    b = told_late().at("d69 9:00")

    assert b.ask("ngo-a", "review.requested", ref="V-1") is None
    refusal = b.at("d71 9:00").ask("ngo-a", "review.requested", ref="V-1")
    assert refusal is not None
    assert refusal.rule == "G-46"


def test_p5_her_protection_stands_until_the_review_window_ends() -> None:
    """The hold on her removal is not ended, and she is not put out of the house, in the minute of the decision."""
    b = told_late()
    hold = b.ask("special-unit", "stay.hold_ended", ref="H-1")
    house = b.ask("shelter", "shelter.discharged", ref="B-1", reason="not_identified")
    b.at("d71 9:00")

    assert [refusal and refusal.rule for refusal in (hold, house)] == ["G-47", "G-48"]
    assert b.ask("special-unit", "stay.hold_ended", ref="H-1") is None
    assert b.ask("shelter", "shelter.discharged", ref="B-1", reason="not_identified") is None
