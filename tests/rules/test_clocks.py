"""Clocks: what starts, moves and ends them, and exactly when each is due. Section 5 of RULES.md."""

import pytest

from nrmbus.rules.event_context import value
from rules.given import Bench
from rules.stories import (
    LEGAL,
    accepted,
    acknowledged,
    begun,
    child_flagged,
    child_housed,
    child_identified,
    child_planned,
    child_presumed,
    child_referred,
    closed,
    consented,
    housed,
    identified,
    offered,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    served,
    signalled,
    under_review,
    unit_refused,
    without_status,
)


def test_open_deadlines_of_the_woman_are_those_of_the_rules_text() -> None:
    """Section 5, "What open_deadlines holds", file 1: every duty with its due instant."""
    assert signalled(Bench()).deadlines == ["D-REFER 3 Mar 9:00"]
    assert referred(Bench()).deadlines == ["D-ACK 3 Mar 24:00"]
    assert acknowledged(Bench()).deadlines == ["D-ANSWER 3 Mar 11:00"]
    assert begun(Bench()).deadlines == ["D-RG 10 Mar 24:00"]
    four = ["D-RECOVERY 5 Apr 24:00", "D-REVIEW30 26 Mar 24:00"]
    assert presumed(Bench()).deadlines == [*four, "D-SHELTER 1 Apr 24:00"]
    b = served(Bench())
    assert b.deadlines == [*four, "D-SERVICE 13 Mar 11:00", "D-SERVICE 24 Mar 24:00", "D-SHELTER 8 Jul 24:00"]
    b.at("d8 12:10").say("fund", "referral.declined", ref="R-4")
    b.at("d10 9:00").say("ngo-l", "referral.declined", ref="R-2")
    assert b.deadlines == [*four, "D-SHELTER 8 Jul 24:00"]
    b.at("d17 9:00").say("special-unit", "recovery.extended", letter=True)
    assert b.deadlines == ["D-RECOVERY 20 Apr 24:00", "D-SHELTER 8 Jul 24:00"]
    b.at("d42 9:00").say("special-unit", "identification.status_decided", letter=True)
    assert b.deadlines == ["D-SHELTER 8 Jul 24:00"]
    b.at("d77 9:00").say("vac", "consent.withdrawn", receivers=["ngo-l"])
    assert b.deadlines == ["D-SHELTER 8 Jul 24:00", "D-STOP 21 May 24:00"]
    b.at("d78 9:00").say("ngo-l", "consent.stop_confirmed")
    b.at("d112 10:00").say("shelter", "shelter.discharged", ref="B-1")
    assert b.deadlines == []
    b.at("d150 9:00").say("vac", "case.closed")
    assert b.deadlines == []


def test_open_deadlines_of_the_boy_are_those_of_the_rules_text() -> None:
    """Section 5, "What open_deadlines holds", file 2."""
    assert child_flagged(Bench()).deadlines == ["D-REFER 3 Mar 9:00"]
    assert child_referred(Bench()).deadlines == ["D-ACK 3 Mar 24:00"]
    assert child_housed(Bench()).deadlines == ["D-RG 10 Mar 24:00", "D-SHELTER 1 Apr 24:00"]
    four = ["D-RECOVERY 5 Apr 24:00", "D-REVIEW30 26 Mar 24:00", "D-SHELTER 1 Apr 24:00"]
    assert child_presumed(Bench()).deadlines == four
    b = child_presumed(Bench()).at("d8 10:00")
    b.say("special-unit", "referral.submitted", ref="R-11", to=["vac"], urgency="normal", child=True, legal_basis=LEGAL)
    assert "D-SERVICE 24 Mar 24:00" in b.deadlines
    b.at("d8 15:00").say("vac", "referral.accepted", ref="R-11")
    assert b.deadlines == ["D-ASSIGN 13 Mar 24:00", *four]
    assert "D-ASSIGN" not in child_planned(Bench()).codes
    assert child_identified(Bench()).deadlines == ["D-SHELTER 7 Sep 24:00"]


def test_a_question_to_the_sender_moves_the_answer_by_the_minutes_it_took() -> None:
    """D-ANSWER 11:00 becomes 11:35 when the unit asks at 2:30 and hears at 3:05; between them it is due at no time."""
    b = acknowledged(Bench()).at("2:30")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    assert b.deadlines == ["D-ANSWER paused", "D-INFO 3 Mar 11:30"]
    b.at("3:05").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-ANSWER 3 Mar 11:35"]
    b.at("4:00").say("special-unit", "referral.accepted", ref="R-1")
    assert b.deadlines == ["D-ANSWER 3 Mar 11:35"], "acceptance is no second receipt"


def test_an_answer_that_cannot_be_read_does_not_end_the_pause() -> None:
    """An answer that the receiver reports unreadable does not count; a second answer does."""
    b = acknowledged(Bench()).at("2:30")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    supplied = b.at("3:05").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-ANSWER 3 Mar 11:35"]
    b.at("3:06").say("special-unit", "letter.unreadable", cause=supplied.id)
    assert b.deadlines == ["D-ANSWER paused", "D-INFO 3 Mar 11:30"]
    b.at("4:30").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-ANSWER 3 Mar 13:00"]


@pytest.mark.parametrize("is_unreadable", [False, True], ids=["answered on Saturday", "answer opened on Saturday"])
def test_a_time_that_passed_during_a_wait_is_late_when_the_answer_comes(*, is_unreadable: bool) -> None:
    """Given a decision due on Friday 13 March, and an answer that reaches the unit on Saturday: it is late from then on, and not in the wait."""
    b = accepted(Bench()).at("d3 9:00")
    b.say("special-unit", "identification.stage_entered")
    b.at("d11 9:00").say("special-unit", "referral.info_requested", ref="R-1")
    if is_unreadable:
        supplied = b.at("d11 10:00").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
        b.at("d11 11:00").say("special-unit", "letter.unreadable", cause=supplied.id)
        assert "D-RG paused" in b.deadlines
        b.at("d12 10:00").say("special-unit", "letter.opened", cause=supplied.id)
    else:
        b.at("d12 10:00").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)

    assert "D-RG 13 Mar 24:00" in b.deadlines
    assert "D-RG 14 Mar 10:00 ngo-a,special-unit" in b.through("d20 9:00")


def test_a_question_moves_working_days_by_those_from_the_day_after_asking_to_the_day_of_the_answer() -> None:
    """Asked on Thursday 5 March, answered on Tuesday 10 March: Friday and Tuesday are worked, Monday 9 is off."""
    b = begun(Bench()).at("d3 10:00")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.at("d8 9:00").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-RG 12 Mar 24:00"]


def test_a_question_moves_a_normal_service_by_calendar_days() -> None:
    """Fourteen days from 10 March, and two days waited for the answer."""
    b = served(Bench()).at("d9 9:00")
    b.say("fund", "referral.info_requested", ref="R-4")
    b.at("d11 9:00").say("vac", "referral.info_supplied", ref="R-4", letter=True)
    assert "D-SERVICE 26 Mar 24:00" in b.deadlines


def test_a_question_that_was_open_when_the_clock_began_holds_it_from_its_beginning() -> None:
    """Asked before the receipt: the pause counts from the receipt on, not from before there was a clock."""
    b = referred(Bench()).at("1:30")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.at("2:00").say("special-unit", "referral.acknowledged", ref="R-1")
    assert b.deadlines == ["D-ANSWER paused", "D-INFO 3 Mar 10:30"]
    b.at("3:00").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-ANSWER 3 Mar 12:00"]


def test_two_questions_on_two_referrals_are_no_two_pauses() -> None:
    """Overlapping pauses of one clock count once."""
    b = accepted(Bench()).at("4:10")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.at("5:10").say("ngo-a", "referral.info_supplied", ref="R-1", letter=True)
    assert b.deadlines == ["D-ANSWER 3 Mar 12:00"]


def test_the_24_hours_run_from_the_suspicion_however_late_the_paper_is_typed() -> None:
    """`time` starts the clock, registration does not; what is typed after the end is breached at once."""
    b = Bench().at("d2 9:00")
    b.say("ngo-a", "case.signal_recorded", occurred="0:00", letter=True)
    assert b.deadlines == ["D-REFER 3 Mar 9:00"]
    assert b.through("d2 9:00") == ["D-REFER 4 Mar 9:00 ngo-a"]
    assert value(b.facts[-1].event, "late_by_minutes") == 24 * 60


def test_a_receivers_clock_runs_from_registration() -> None:
    """Nobody can answer before he was told: a bed request dated three hours back still leaves three hours."""
    b = begun(Bench()).at("8:00")
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["shelter"], occurred="5:00", letter=True)
    assert "D-BED 2 Mar 20:00" in b.deadlines


@pytest.mark.parametrize(
    ("urgency", "due"), [("emergency", "16:20"), ("urgent", "3 Mar 13:20"), ("normal", "5 Mar 13:20")]
)
def test_a_bed_is_answered_within_the_hours_of_its_urgency(urgency: str, due: str) -> None:
    """3, 24 or 72 hours, for each shelter asked."""
    b = begun(Bench()).at("4:20")
    b.consents("ngo-shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["ngo-shelter", "shelter"], urgency=urgency)
    expected = f"D-BED {due}" if " " in due else f"D-BED 2 Mar {due}"
    assert b.deadlines[:2] == [expected, expected]
    b.say("shelter", "shelter.bed_refused", ref="B-1")
    assert b.codes.count("D-BED") == 1


@pytest.mark.parametrize(
    ("urgency", "due"), [("emergency", "3 Mar 11:00"), ("urgent", "5 Mar 11:00"), ("normal", "16 Mar 24:00")]
)
def test_the_unit_answers_by_the_urgency_of_the_referral(urgency: str, due: str) -> None:
    """24 hours, 72 hours or 14 calendar days after its receipt."""
    b = consented(Bench()).at("1:10")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], urgency=urgency, legal_basis=LEGAL)
    b.at("2:00").say("special-unit", "referral.acknowledged", ref="R-1")
    assert b.deadlines == [f"D-ANSWER {due}"]


def test_each_receiver_of_a_referral_has_a_clock_of_its_own() -> None:
    """When one receiver accepts, the other's clock runs on."""
    b = presumed(Bench()).at("d8 9:00")
    b.say("special-unit", "referral.submitted", ref="R-6", to=["ngo-l", "vac"], urgency="urgent", services=["legal"])
    assert b.codes.count("D-SERVICE") == 2
    b.say("vac", "referral.accepted", ref="R-6")
    assert [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-SERVICE"] == ["ngo-l"]
    assert b.view.open_referrals == (b.facts[-2].event.referral,)


def test_a_service_asked_for_is_answered_in_time_and_a_service_given_unasked_owes_nothing() -> None:
    """D-SERVICE for each provider in `to`; scheduling ends it."""
    b = planned(Bench()).at("d9 9:00")
    b.say("vac", "service.delivered", ref="S-1")
    assert "D-SERVICE" not in b.codes
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    assert "D-SERVICE 14 Mar 9:00" in b.deadlines
    b.say("ngo-l", "service.scheduled", ref="S-2")
    assert "D-SERVICE" not in b.codes


def test_a_refusal_of_the_special_unit_ends_the_24_hours() -> None:
    """The adult's refusal, and help without a status, leave nothing to be late with."""
    assert unit_refused(Bench()).deadlines == []
    assert without_status(Bench()).deadlines == ["D-SERVICE 3 Mar 9:50"]


def test_a_refusal_of_somebody_else_does_not_end_the_24_hours() -> None:
    """Only that of the special unit does."""
    b = signalled(Bench())
    b.say("ngo-a", "consent.refused", receivers=["embassy"])
    assert b.codes == ["D-REFER"]


def test_the_units_own_find_owes_no_referral() -> None:
    """D-REFER is the detector's, and the unit needs not refer to itself."""
    b = Bench()
    b.say("special-unit", "case.signal_recorded", detector="special_unit")
    assert b.deadlines == []


def test_a_declined_referral_does_not_begin_the_24_hours_again() -> None:
    """T07: the status goes back, the clock does not."""
    b = referred(Bench())
    b.say("special-unit", "referral.declined", ref="R-1")
    assert (b.view.status, b.deadlines) == ("SUSPECTED", [])


def test_a_letter_that_the_unit_cannot_read_leaves_the_24_hours_running() -> None:
    """Counts as not referred; when it opens after all, the clock ends after all."""
    b = referred(Bench())
    submitted = b.facts[-1].event.id
    b.at("1:20").say("special-unit", "letter.unreadable", cause=submitted)
    assert b.deadlines == ["D-ACK 3 Mar 24:00", "D-REFER 3 Mar 9:00"]
    assert b.view.status == "REFERRED"
    b.at("1:30").say("special-unit", "letter.opened", cause=submitted)
    assert b.deadlines == ["D-ACK 3 Mar 24:00"]


def test_a_clock_that_a_letter_opens_again_after_its_end_is_breached_when_that_is_known() -> None:
    """Not in the past, which nobody could have met, but at the report's registration."""
    b = referred(Bench())
    submitted = b.facts[-1].event.id
    b.at("d2 10:00").say("special-unit", "letter.unreadable", cause=submitted)
    said = b.through("d2 10:00")
    assert "D-REFER 4 Mar 10:00 ngo-a" in said


def test_needs_that_their_receiver_cannot_read_do_not_show_that_somebody_was_assigned() -> None:
    """A letter that its receiver reports unreadable ends no clock."""
    b = served(Bench())
    b.say("fund", "referral.declined", ref="R-4")
    b.at("d9 9:00").say("ngo-l", "referral.accepted", ref="R-2")
    needs = b.at("d9 10:00").say("ngo-l", "needs.assessed", to=["vac"], letter=True)
    assert "D-ASSIGN" not in b.codes
    b.at("d9 11:00").say("vac", "letter.unreadable", cause=needs.id)
    assert "D-ASSIGN 16 Mar 24:00" in b.deadlines


def test_a_review_that_reopens_begins_the_five_days_again() -> None:
    """From the decision's registration; an upheld one leaves everything."""
    b = under_review(Bench())
    assert "D-REVIEW 2 Apr 24:00" in b.deadlines, "ten working days over the spring holidays"
    upheld = b.fork()
    upheld.say("special-unit", "review.decided", ref="V-1", outcome="upheld")
    assert (upheld.view.status, "D-RG" in upheld.codes) == ("NOT_IDENTIFIED", False)
    b.at("d9 9:00").say("special-unit", "review.decided", ref="V-1")
    assert b.view.status == "UNDER_IDENTIFICATION"
    assert "D-RG 18 Mar 24:00" in b.deadlines


def test_the_hold_is_confirmed_within_24_hours() -> None:
    """D-HOLD, from registration."""
    b = begun(Bench()).at("5:00")
    b.say("special-unit", "stay.hold_requested", ref="H-1", to=["migration"], letter=True)
    assert "D-HOLD 3 Mar 14:00" in b.deadlines
    assert "D-HOLD" not in housed(Bench()).codes


def test_a_stay_moves_with_the_plan_and_never_back() -> None:
    """To its planned end, if later; a plan made before the admission counts too."""
    b = planned(Bench()).at("d9 9:00")
    b.say("vac", "plan.revised", planned_end_days=10)
    assert "D-SHELTER 8 Jul 24:00" in b.deadlines
    b.say("vac", "plan.revised", planned_end_days=150)
    assert "D-SHELTER 8 Aug 24:00" in b.deadlines


def test_withdrawing_the_units_consent_ends_the_units_clocks() -> None:
    """D-RG goes, the stay in the shelter does not, and the unit owes the confirmation that it stopped."""
    b = housed(Bench()).at("7:00")
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    assert b.codes == ["D-SHELTER", "D-STOP"]


def test_withdrawing_a_consent_for_services_alone_leaves_the_units_clocks() -> None:
    """Sharing is what identification rests on."""
    b = housed(Bench()).at("7:00")
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"], purposes=["services"])
    assert b.codes == ["D-RG", "D-SHELTER", "D-STOP"]


def test_withdrawal_of_the_person_ends_all_but_the_stay_and_the_stop() -> None:
    """Closing ends the stay too, and leaves the stop."""
    b = served(Bench()).at("d9 9:00")
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    b.say("vac", "case.withdrawn")
    assert b.codes == ["D-SHELTER", "D-STOP"]
    assert b.view.open_referrals == ()
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", "case.closed", reason="withdrawn")
    assert b.codes == ["D-STOP"]


def test_a_dismissed_signal_owes_nothing() -> None:
    """T04."""
    b = signalled(Bench())
    b.say("ngo-a", "case.signal_dismissed")
    assert (b.view.status, b.deadlines) == ("CLOSED", [])


def test_reopening_does_not_bring_ended_clocks_back() -> None:
    """Duties that had ended before the closing stay ended after the re-opening."""
    b = closed(Bench()).at("d160 9:00")
    b.say("vac", "case.reopened")
    assert (b.view.status, b.deadlines) == ("IDENTIFIED", [])


def test_grounds_end_their_clock_either_way() -> None:
    """D-RG ends with the decision, and a negative one starts no recovery."""
    assert refused_by_grounds(Bench()).codes == ["D-SHELTER"]
    assert "D-BED" not in offered(Bench()).codes
    assert identified(Bench()).codes == ["D-SHELTER"]
