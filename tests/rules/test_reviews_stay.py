"""A stay under review: days on which a shelter may put nobody out do not count. D-SHELTER, G-48."""

from rules.given import NOT_A_VICTIM, Bench
from rules.stories import begun, housed, planned, presumed, refused_by_grounds, under_review


def stay(b: Bench) -> str | None:
    """When the stay in the shelter is due to end, or None if no stay runs."""
    return next((each.partition(" ")[2] for each in b.deadlines if each.startswith("D-SHELTER ")), None)


def test_a_stay_waits_for_the_days_for_a_review() -> None:
    """Thirty days from 2 March, and the 31 from the decision on 6 March to 5 April, the last on which she may ask for a review."""
    assert stay(housed(Bench())) == "1 Apr 24:00"

    b = refused_by_grounds(Bench())

    assert stay(b) == "2 May 24:00"
    assert not [each for each in b.through("d60 12:00") if "D-SHELTER" in each]
    assert b.ask("shelter", "shelter.discharged", ref="B-1") is None


def test_a_stay_stands_still_while_a_review_is_undecided() -> None:
    """Nobody knows when the stay ends, and the shelter is late with nothing."""
    b = under_review(Bench())

    assert stay(b) == "paused"
    assert not [each for each in b.through("d200 9:00") if "D-SHELTER" in each]


def test_a_review_that_upholds_lets_the_stay_run_on() -> None:
    """Decided on 12 March: the days for a review go on to 5 April and are counted once."""
    b = under_review(Bench()).at("d10 9:00")
    b.say("special-unit", "review.decided", ref="V-1", outcome="upheld")

    assert stay(b) == "2 May 24:00"


def test_a_review_decided_after_its_window_moves_the_stay_by_all_its_days() -> None:
    """Asked for on 10 March and decided on 21 April: the shelter could act on none of these days."""
    b = under_review(Bench())
    b.at("d50 9:00").say("special-unit", "review.decided", ref="V-1", outcome="upheld")

    assert stay(b) == "17 May 24:00"


def test_identification_taken_up_again_ends_the_days_for_a_review() -> None:
    """Refused on 6 March and taken up on 12 March: six days more, and not thirty."""
    b = under_review(Bench()).at("d10 9:00")
    b.say("special-unit", "review.decided", ref="V-1")

    assert stay(b) == "7 Apr 24:00"


def test_a_stay_that_begins_under_review_stands_still_at_once() -> None:
    """She moves into an NGO's house after she asked for a review."""
    b = begun(Bench())
    b.consents("ngo-shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
    for stage in ("inquiry", "indicator_screening"):
        b.say("special-unit", "identification.stage_entered", stage=stage)
    b.say(
        "special-unit",
        "identification.reasonable_grounds_decided",
        outcome="negative",
        reasons=["indicators_not_met"],
        review_until_days=10,
    )
    window = b.fork()
    b.say("ngo-a", "review.requested", ref="V-1")

    b.say("ngo-shelter", "shelter.admitted", ref="B-2")
    window.say("ngo-shelter", "shelter.admitted", ref="B-2")

    assert stay(b) == "paused"
    assert stay(window) == "12 Apr 24:00"


def test_a_withdrawal_ends_the_review_and_with_it_the_wait() -> None:
    """She wants nothing more of the mechanism; her bed is still hers until the stay ends."""
    b = under_review(Bench()).at("d10 9:00")
    b.say("ngo-a", "case.withdrawn")

    assert stay(b) == "2 May 24:00"


def test_no_other_duty_waits() -> None:
    """The unit's own duties go on: D-REVIEW runs while the stay stands still."""
    b = under_review(Bench())

    assert b.deadlines == ["D-REVIEW 2 Apr 24:00", "D-SHELTER paused"]


def test_a_letter_that_the_shelter_cannot_read_does_not_stop_the_days() -> None:
    """A decision that came with a letter: its end is a day, and not an answer that somebody waits for."""
    b = presumed(Bench()).at("d8 9:00")
    said = b.say("special-unit", "identification.status_decided", letter=True, **NOT_A_VICTIM)
    before = stay(b)
    b.say("shelter", "letter.unreadable", cause=said.id)

    assert stay(b) == before == "2 May 24:00"


def test_the_end_of_a_plan_waits_too() -> None:
    """Given a plan to 8 July and a negative decision on 13 April with 120 days for a review, then the stay ends later by the 121 days to 12 August.

    On 8 July the shelter may put nobody out, so it is late with nothing.
    """
    b = planned(Bench())
    assert stay(b) == "8 Jul 24:00"
    b.at("d42 9:00").say("special-unit", "identification.status_decided", **{**NOT_A_VICTIM, "review_until_days": 120})

    assert stay(b) == "6 Nov 24:00"
    assert not [each for each in b.through("d240 9:00") if "D-SHELTER" in each]


def test_a_plan_that_is_made_on_such_days_waits_for_the_rest_of_them() -> None:
    """Given 30 days for a review from 13 April on, and a plan of 23 April to 1 August, then the 21 days that are left of the wait move it."""
    b = planned(Bench()).at("d42 9:00")
    b.say("special-unit", "identification.status_decided", **{**NOT_A_VICTIM, "review_until_days": 30})
    assert stay(b) == "8 Aug 24:00"
    b.at("d52 9:00").say("vac", "plan.revised", planned_end_days=100)

    assert stay(b) == "22 Aug 24:00"


def test_an_answer_to_a_question_ends_no_wait_for_a_review_of_the_same_reference() -> None:
    """Given a review under the reference of the referral, when the referrer answers a question, then the stay still waits."""
    b = refused_by_grounds(Bench()).at("d8 9:00")
    b.say("ngo-a", "review.requested", ref="R-1")
    b.at("d9 9:00").say("special-unit", "referral.info_requested", ref="R-1")
    b.at("d10 9:00").say("ngo-a", "referral.info_supplied", ref="R-1")

    assert stay(b) == "paused"
    assert not [each for each in b.through("d120 9:00") if "D-SHELTER" in each]


def test_a_referrer_that_left_ends_no_wait_for_a_review_of_the_same_reference() -> None:
    """Given that review, when the referrer deletes its data, then the unit still decides, and the stay waits."""
    b = refused_by_grounds(Bench()).at("d8 9:00")
    b.say("ngo-a", "review.requested", ref="R-1")
    b.say("special-unit", "consent.withdrawn", receivers=["ngo-a"])
    b.say("ngo-a", "consent.stop_confirmed")

    assert stay(b) == "paused"


def test_a_review_that_is_over_ends_no_wait_for_an_answer_of_the_same_reference() -> None:
    """Given a review that reopened the case, when the unit asks under the same reference, then D-RG waits for the answer."""
    b = refused_by_grounds(Bench()).at("d8 9:00")
    b.say("ngo-a", "review.requested", ref="R-1")
    b.at("d9 9:00").say("special-unit", "review.decided", ref="R-1")
    b.at("d10 9:00").say("special-unit", "referral.info_requested", ref="R-1")

    assert "D-RG paused" in b.deadlines
