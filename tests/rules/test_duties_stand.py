"""Duties that stand: a duty ends by the answer that was asked for, and not by another event in the case."""

import pytest

from rules.given import NEGATIVE, Bench
from rules.stories import LEGAL, begun, child_begun, housed, planned, presumed, referred, served, signalled


def owed(b: Bench, code: str) -> list[str]:
    """Return the agencies that owe something by clocks of *code*, oldest first."""
    return [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == code]


@pytest.mark.parametrize("by", ["vac", "ngo-l"])
@pytest.mark.parametrize("type", ["service.scheduled", "service.delivered", "service.not_delivered"])
@pytest.mark.parametrize("under", [{}, {"ref": "R-2"}])
def test_p6_a_service_given_unasked_answers_no_referral(by: str, type: str, under: dict[str, str]) -> None:
    """A receiver's two events, or a sender's unrelated one, once kept a referral from being late or expiring."""
    b = served(Bench())
    before = owed(b, "D-SERVICE")
    b.say(by, type, **under)

    assert owed(b, "D-SERVICE") == before == ["ngo-l", "fund"]
    assert any(said.startswith("referral.expired") for said in b.through("d60 9:00")), (
        "it expires as if nothing was said"
    )


def test_p6_a_service_given_unasked_answers_no_other_service() -> None:
    """The centre asks the legal NGO for a service and gives another service: the NGO still owes its answer."""
    b = planned(Bench())
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    b.say("vac", "service.delivered", service="psychosocial")
    b.say("ngo-l", "service.delivered", service="psychosocial")

    assert owed(b, "D-SERVICE") == ["ngo-l"]
    b.say("ngo-l", "service.delivered", ref="S-2")
    assert owed(b, "D-SERVICE") == []


def test_a_service_asked_for_and_a_referral_under_one_reference_are_answered_each_for_itself() -> None:
    """An asker may use its own reference twice; one answer ends one of the two clocks."""
    b = planned(Bench())
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"], urgency="urgent")
    b.say("vac", "referral.submitted", ref="S-2", to=["ngo-l"], urgency="normal", services=[])
    b.say("ngo-l", "service.delivered", ref="S-2")

    assert [clock.by for clock in b.view.running if clock.code == "D-SERVICE"] == ["referral.submitted"]
    b.say("ngo-l", "referral.declined", ref="S-2")
    assert owed(b, "D-SERVICE") == []


def test_p6_a_service_that_nobody_could_answer_for_is_not_asked_for() -> None:
    """Without a reference it stood open for ever, and the case could not be closed."""
    refusal = planned(Bench()).ask("vac", "service.requested", to=["ngo-l"])

    assert refusal is not None
    assert refusal.rule == "G-03"


@pytest.mark.parametrize("type", ["plan.revised", "plan.completed"])
def test_p6_nobody_revises_or_ends_the_plan_of_another(type: str) -> None:
    """A shelter cannot prolong the stay in its own house, or end the plan, behind the centre that holds the plan."""
    b = planned(Bench())
    refusals = [b.ask("shelter", type), b.ask("ngo-l", type), housed(Bench()).ask("shelter", type)]

    assert [refusal and refusal.rule for refusal in refusals] == ["G-04"] * 3
    assert b.ask("vac", type) is None


def test_p6_another_plan_is_adopted_before_everybody() -> None:
    """An agency takes over with a plan of its own: the former holder is notified, and revises nothing more."""
    b = planned(Bench())
    taken = b.say("ngo-l", "plan.adopted", to=["shelter"])
    refusal = b.ask("vac", "plan.revised")

    assert "vac" in taken.audience.recipients
    assert refusal is not None
    assert refusal.rule == "G-04"
    assert b.ask("ngo-l", "plan.revised") is None


@pytest.mark.parametrize("type", ["plan.revised", "plan.completed"])
def test_a_plan_that_was_completed_is_over(type: str) -> None:
    """A completed plan once moved the end of the stay with nobody told; a new plan has to be adopted."""
    b = planned(Bench())
    b.say("vac", "plan.completed")
    refusal = b.ask("vac", type)

    assert refusal is not None
    assert refusal.rule == "G-51"
    assert b.ask("vac", "plan.adopted", to=["shelter"]) is None


def test_p6_the_recovery_period_is_extended_and_not_begun_again() -> None:
    """Begun again, the day by which the status is owed moved on, and again, without a ground that anybody reads."""
    b = presumed(Bench()).at("d20 9:00")
    refusal = b.ask("special-unit", "recovery.period_started", days=1)
    b.say("special-unit", "recovery.extended", days=15)

    assert refusal is not None
    assert refusal.rule == "G-51"
    assert "D-RECOVERY 20 Apr 24:00" in b.deadlines
    b.say("special-unit", "recovery.ended")
    assert b.ask("special-unit", "recovery.period_started") is None, "she may ask for it again"


def test_p6_the_24_hours_are_not_over_by_dismissing_and_opening_again() -> None:
    """Dismissed after an hour, opened again ten days later: 23 hours are left, and then it is late."""
    b = signalled(Bench()).at("1:00")
    b.say("ngo-a", "case.signal_dismissed")
    assert b.deadlines == []
    b.at("d10 9:00").say("ngo-a", "case.reopened")

    assert b.deadlines == ["D-REFER 13 Mar 8:00"]
    assert [said.split(" ")[0] for said in b.through("d13 9:00")] == ["D-REFER"]


def test_p6_a_decision_that_is_owed_is_owed_after_closing_and_opening_again() -> None:
    """The unit closed its own case for lost contact: each time it is closed for, and no longer, the decision waits."""
    b = begun(Bench()).at("d1 9:00")
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.at("d1 17:00").say("special-unit", "case.reopened")
    assert b.deadlines == ["D-RG 10 Mar 24:00"], "not a day was lost"
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.at("d4 9:00").say("special-unit", "case.reopened")

    assert b.deadlines == ["D-RG 13 Mar 24:00"], "three working days were"
    b.consents("special-unit")
    b.say("special-unit", "identification.reasonable_grounds_decided")
    assert b.deadlines == []


def test_p6_a_breach_before_the_closing_stays_a_breach() -> None:
    """The breach is on record, and comes only once."""
    b = begun(Bench())
    assert [said.split(" ")[0] for said in b.through("d15 9:00")] == ["D-RG"]
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.at("d20 9:00").say("special-unit", "case.reopened")

    assert b.deadlines == ["D-RG 10 Mar 24:00"]
    assert b.through("d60 9:00") == []


def test_p6_a_missed_breach_is_published_after_the_re_opening() -> None:
    """The timekeeper was away until the unit had closed the case: the breach is dated after the re-opening."""
    b = begun(Bench()).at("d15 9:00")
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.at("d20 9:00").say("special-unit", "case.reopened")
    due = b.rules.due(b.view)

    assert [(each.rule, each.at) for each in due] == [("D-RG", b.now)]


def test_a_question_that_was_open_when_it_was_closed_still_waits() -> None:
    """The question is answered when the case is open again."""
    b = begun(Bench()).at("d1 9:00")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.at("d4 9:00").say("special-unit", "case.reopened")
    assert b.deadlines == ["D-INFO 7 Mar 9:00", "D-RG paused"]
    b.say("ngo-a", "referral.info_supplied", ref="R-1")

    assert b.deadlines == ["D-RG 13 Mar 24:00"]


def test_nothing_comes_back_of_what_somebody_may_not_do_any_more() -> None:
    """She took back her consent to the special unit while the case was closed."""
    b = begun(Bench()).at("d1 9:00")
    b.say("special-unit", "case.closed", reason="lost_contact")
    b.say("ngo-a", "consent.refused", receivers=["special-unit"])
    b.at("d4 9:00").say("special-unit", "case.reopened")

    assert b.deadlines == []


@pytest.mark.parametrize(("type", "rule"), [("consent.refused", "G-30"), ("consent.withdrawn", "G-31")])
def test_p6_no_duty_waits_for_an_agency_that_may_not_see_the_question(type: str, rule: str) -> None:
    """A question to the referrer, who is told nothing more, would stand for ever, and with it the decision."""
    b = begun(Bench())
    asked = b.fork()
    b.say("special-unit", type, receivers=["ngo-a"])
    refusal = b.ask("special-unit", "referral.info_requested", ref="R-1")

    assert refusal is not None
    assert refusal.rule == rule
    asked.at("d1 9:00").say("special-unit", "referral.info_requested", ref="R-1")
    assert asked.deadlines == ["D-INFO 4 Mar 9:00", "D-RG paused"]
    asked.at("d3 9:00").say("special-unit", type, receivers=["ngo-a"])
    assert "D-INFO" not in asked.codes
    assert "D-RG 12 Mar 24:00" in asked.deadlines, "two working days were waited, and no more"


def test_p6_no_duty_waits_for_who_has_left_the_case() -> None:
    """A child's referrer has deleted its data; a later statement about the referrer moves no clock."""
    b = child_begun(Bench()).at("d1 9:00")
    before = b.fork()
    b.say("special-unit", "referral.info_requested", ref="R-10")
    for each in (b, before):
        each.at("d3 9:00").say("special-unit", "consent.withdrawn", receivers=["school"])
        each.say("school", "consent.stop_confirmed")
    refusal = before.ask("special-unit", "referral.info_requested", ref="R-10")

    assert refusal is not None
    assert refusal.rule == "G-51"
    assert "D-RG 12 Mar 24:00" in b.deadlines
    b.at("d4 9:00").say("special-unit", "consent.given", receivers=["school"])
    assert "D-RG 12 Mar 24:00" in b.deadlines


def test_no_duty_waits_for_an_answer_that_the_asker_needs_no_more() -> None:
    """Given a unit that asks and then completes the referral, then nobody owes the answer, and D-RG runs on; so it does after a review."""
    b = begun(Bench()).at("5:00")
    b.say("special-unit", "referral.info_requested", ref="R-1")
    assert "D-RG paused" in b.deadlines
    b.at("d2 9:00").say("special-unit", "referral.completed", ref="R-1")
    assert b.deadlines == ["D-RG 12 Mar 24:00"]

    for stage in ("inquiry", "indicator_screening"):
        b.say("special-unit", "identification.stage_entered", stage=stage)
    b.say("special-unit", "identification.indicators_screened")
    b.say("special-unit", "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "review.requested", ref="V-1")
    b.at("d3 9:00").say("special-unit", "review.decided", ref="V-1")
    assert b.deadlines == ["D-RG 13 Mar 24:00"]


@pytest.mark.parametrize(("by", "type"), [("special-unit", "referral.declined"), ("ngo-a", "referral.revoked")])
def test_no_duty_waits_for_an_answer_about_a_referral_that_is_over(by: str, type: str) -> None:
    """Given a unit with a question about a referral now over, when the unit accepts a second referral and begins, then D-RG runs at once."""
    b = referred(Bench())
    b.say("special-unit", "referral.info_requested", ref="R-1")
    b.say(by, type, ref="R-1")
    b.say("ngo-a", "referral.submitted", ref="R-2", to=["special-unit"], legal_basis=LEGAL)
    b.say("special-unit", "referral.accepted", ref="R-2")
    b.say("special-unit", "identification.stage_entered")

    assert b.deadlines == ["D-RG 10 Mar 24:00"]


def back(b: Bench) -> Bench:
    """The referrer was asked, has deleted its data, and is referred the person again."""
    begun(b).at("5:00").say("special-unit", "referral.info_requested", ref="R-1")
    b.say("special-unit", "consent.withdrawn", receivers=["ngo-a"])
    b.say("ngo-a", "consent.stop_confirmed")
    b.at("6:00").consents("ngo-a", by="special-unit")
    b.say("special-unit", "referral.submitted", ref="R-8", to=["ngo-a"], urgency="normal", legal_basis=LEGAL)
    b.say("ngo-a", "referral.accepted", ref="R-8")
    return b


def test_an_agency_that_came_back_owes_the_answer_to_what_it_is_asked_again() -> None:
    """Given a referrer that left with a question open, when the unit asks again, then D-RG waits, and the referrer owes the answer."""
    b = back(Bench()).at("7:00")
    assert owed(b, "D-INFO") == []
    b.say("special-unit", "referral.info_requested", ref="R-1")

    assert owed(b, "D-INFO") == ["ngo-a"]
    assert "D-RG paused" in b.deadlines
    b.at("d2 9:00").say("ngo-a", "referral.info_supplied", ref="R-1")
    assert owed(b, "D-INFO") == []
    assert "D-RG paused" not in b.deadlines


def test_a_question_to_an_agency_that_left_holds_no_later_duty() -> None:
    """Given that question, when a review reopens the case, then the new D-RG runs: nobody owes an answer."""
    b = back(Bench()).at("d1 11:00")
    for stage in ("inquiry", "indicator_screening"):
        b.say("special-unit", "identification.stage_entered", stage=stage)
    b.say("special-unit", "identification.indicators_screened")
    b.say("special-unit", "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "review.requested", ref="V-1")
    b.at("d3 9:00").say("special-unit", "review.decided", ref="V-1")

    assert "D-RG 13 Mar 24:00" in b.deadlines
