"""Events that the timekeeper publishes: exactly when, to which agencies, and only once. Section 5 of RULES.md."""

from datetime import datetime, timedelta

import pytest

from nrmbus.events.model import Fact
from nrmbus.rules.calendar import LAST
from nrmbus.rules.event_context import value
from rules.given import Bench, moment
from rules.stories import (
    accepted,
    begun,
    child_signalled,
    closed,
    consented,
    housed,
    identified,
    left,
    offered,
    planned,
    presumed,
    referred,
    served,
    signalled,
    under_review,
)


def test_the_24_hours_are_breached_once_and_exactly_at_their_end() -> None:
    """I-2: 24 h 00 min after the suspicion, told to the detector; nothing more on the days after."""
    b = signalled(Bench())
    assert b.through("23:59") == []
    assert b.through("24:00") == ["D-REFER 3 Mar 9:00 ngo-a"]
    assert value(b.facts[-1].event, "late_by_minutes") == 0
    assert b.through("d9 9:00") == []
    assert b.deadlines == ["D-REFER 3 Mar 9:00"], "an overdue duty stays open until it ends"


def test_a_withdrawal_leaves_the_time_to_refer_as_it_was_before_the_consent() -> None:
    """Given that she takes her consent to the unit back, then the NGO asks her again, or records her refusal, within the 24 hours."""
    b = consented(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    refused = b.fork()
    refused.say("ngo-a", "consent.refused", receivers=["special-unit"])

    assert "D-REFER 3 Mar 9:00 ngo-a" in b.through("d1 9:00")
    assert not [each for each in refused.through("d1 9:00") if each.startswith("D-REFER")]


def test_a_supervisor_is_notified_of_its_own_agencys_breach_and_has_no_part_by_it() -> None:
    """Having been told of a breach is no part of the case."""
    b = child_signalled(Bench())
    assert b.through("24:00") == ["D-REFER 3 Mar 9:00 district,school"]
    assert b.view.count_for("district") == 1
    assert not b.view.on_case("district")
    refusal = b.ask("district", "consent.refused", receivers=["fund"])
    assert refusal is not None
    assert refusal.rule == "G-05"


def test_a_breach_reaches_who_waits_for_the_answer() -> None:
    """The breach reaches the receiver, and the sender that asked."""
    assert referred(Bench()).through("d2 9:00")[0] == "D-ACK 3 Mar 24:00 ngo-a,special-unit"
    assert accepted(Bench()).through("d2 9:00") == ["D-ANSWER 3 Mar 11:00 ngo-a,special-unit"]
    b = presumed(Bench())
    b.say("special-unit", "consent.withdrawn", receivers=["shelter"])
    assert "D-STOP 12 Mar 24:00 shelter,special-unit" in b.through("d11 0:00")
    assert "D-REVIEW 2 Apr 24:00 ngo-a,special-unit" in under_review(Bench()).through("d32 9:00")


def test_the_breach_of_the_grounds_reaches_the_referrer_and_that_of_the_stay_the_holder_of_the_plan() -> None:
    """The recipients are those of the column `told` of section 5."""
    b = begun(Bench())
    assert b.through("d9 0:00") == ["D-RG 10 Mar 24:00 ngo-a,special-unit"]
    assert "D-SHELTER 8 Jul 24:00 shelter,vac" in identified(Bench()).through("d150 0:00")
    assert "D-RECOVERY 5 Apr 24:00 special-unit" in presumed(Bench()).through("d36 0:00")


def test_a_breach_stays_on_record_when_the_duty_is_done_afterwards() -> None:
    """The clock ends, and nothing is said twice."""
    b = served(Bench())
    assert "D-SERVICE 13 Mar 11:00 ngo-l,vac" in b.through("d12 9:00")
    b.say("ngo-l", "referral.accepted", ref="R-2")
    assert not any(line.startswith("D-SERVICE") for line in b.through("d20 9:00") if "13 Mar" in line)


def test_a_late_answer_to_one_of_two_shelters_breaches_that_clock_alone() -> None:
    """Two clocks alike in rule, cause and due time are two breaches, each to its own shelter, under ids of their own."""
    b = begun(Bench()).at("4:20")
    b.consents("ngo-shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["ngo-shelter", "shelter"])
    keys = [due.key for due in b.rules.due(b.view)]
    assert len(keys) == len(set(keys))
    assert b.through("7:20") == [
        "D-BED 2 Mar 16:20 ngo-shelter,special-unit",
        "D-BED 2 Mar 16:20 shelter,special-unit",
    ]
    assert b.through("8:00") == []


def test_a_referral_that_is_overdue_as_long_again_as_it_was_long_expires() -> None:
    """72 hours and 72 more; 14 days and 14 more; then both parties hear, and nothing is open."""
    b = served(Bench())
    ngo, fund = b.view.open_referrals
    said = b.through("d14 11:00")
    assert said[-1] == "referral.expired 16 Mar 11:00 ngo-l,vac"
    assert b.view.open_referrals == (fund,)
    assert "D-SERVICE 13 Mar 11:00" not in b.deadlines
    assert b.view.on_case("ngo-l"), "by the plan, not by the referral"
    said = b.through("d37 0:00")
    assert "referral.expired 7 Apr 24:00 fund,vac" in said
    assert not b.view.on_case("fund")
    assert ngo not in b.view.open_referrals


def test_a_referral_expires_as_a_whole_when_the_last_receiver_has_had_his_time() -> None:
    """A question to the sender moves the expiry of the whole referral with it."""
    b = presumed(Bench()).at("d8 9:00")
    b.say("special-unit", "referral.submitted", ref="R-6", to=["ngo-l", "vac"], urgency="emergency")
    b.say("vac", "referral.info_requested", ref="R-6")
    assert not any(due.type == "referral.expired" for due in b.rules.due(b.view)), "while a question is open"
    b.at("d8 19:00").say("special-unit", "referral.info_supplied", ref="R-6", letter=True)
    said = b.through("d12 9:00")
    assert "referral.expired 12 Mar 19:00 ngo-l,special-unit,vac" in said


def test_a_referral_expires_without_the_answer_of_an_agency_that_left_and_came_back() -> None:
    """Given two receivers, when one deletes, comes back by another referral and accepts the second, then the first expires all the same."""
    b = begun(Bench()).at("5:00")
    b.say("special-unit", "referral.submitted", ref="R-6", to=["ngo-l", "vac"], urgency="urgent")
    b.say("special-unit", "consent.withdrawn", receivers=["ngo-l"])
    b.say("ngo-l", "consent.stop_confirmed")
    b.at("6:00").consents("ngo-l", by="special-unit")
    b.say("special-unit", "referral.submitted", ref="R-9", to=["ngo-l"], urgency="urgent")
    b.say("ngo-l", "referral.accepted", ref="R-9")

    assert "referral.expired 8 Mar 14:00 ngo-l,special-unit,vac" in b.through("d15 9:00")
    assert b.view.on_case("ngo-l"), "by the later referral"


def test_a_referral_to_one_agency_alone_expires_though_that_agency_is_back() -> None:
    """Given a receiver back before the timekeeper spoke, then the earlier referral expires at once."""
    b = served(Bench()).at("d8 12:00")
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    b.say("ngo-l", "consent.stop_confirmed")
    b.at("d8 13:00").consents("ngo-l", by="vac")
    b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], urgency="urgent")

    assert b.through("d8 13:00") == ["referral.expired 10 Mar 12:00 ngo-l,vac"]
    assert [clock.code for clock in b.rules.clocks(b.view) if clock.answerable == "ngo-l"] == ["D-SERVICE"]


def test_a_referral_to_the_special_unit_never_expires() -> None:
    """A referral to the special unit stays overdue."""
    b = referred(Bench())
    b.through("d200 9:00")
    assert b.view.status == "REFERRED"
    assert len(b.view.open_referrals) == 1


def test_an_offer_lapses_after_its_hours_and_ends_the_shelters_part() -> None:
    """24 h from the offer; the shelter frees the bed and who asked hears."""
    b = offered(Bench())
    assert b.through("28:20") == ["shelter.offer_lapsed 3 Mar 13:20 shelter,special-unit"]
    assert not b.view.on_case("shelter")
    assert housed(Bench()).through("d3 9:00") == [], "an offer that was taken up does not lapse"


def test_an_offer_may_name_hours_of_its_own() -> None:
    """The profile's 24 hours hold for an offer that names none."""
    b = begun(Bench()).at("4:20")
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["shelter"])
    b.say("shelter", "shelter.bed_offered", ref="B-1", valid_hours=6)
    assert b.through("10:20") == ["shelter.offer_lapsed 2 Mar 19:20 shelter,special-unit"]


def test_follow_up_comes_three_six_and_twelve_months_after_closing_at_midnight() -> None:
    """Closed on 30 July; to the holder, once each."""
    b = closed(Bench())
    assert b.through("d600 9:00") == [
        "case.follow_up_due 29 Oct 24:00 vac",
        "case.follow_up_due 29 Jan 24:00 vac",
        "case.follow_up_due 29 Jul 24:00 vac",
    ]
    assert [value(fact.event, "month") for fact in b.facts[-3:]] == [3, 6, 12]
    assert b.facts[-3].event.time == moment("d242 0:00")


def test_follow_up_is_opt_in_and_stops_when_the_case_is_opened_again() -> None:
    """Without the person's agreement no follow-up is due."""
    b = left(Bench()).at("d150 9:00")
    asked = b.fork()
    b.say("vac", "case.closed", follow_up=False)
    assert b.through("d600 9:00") == []
    asked.say("vac", "case.closed")
    asked.at("d200 9:00").say("vac", "case.reopened")
    assert asked.through("d600 9:00") == []


def test_a_month_that_has_no_such_day_reminds_on_its_last() -> None:
    """Closed on 30 November: three months later is 28 February."""
    b = left(Bench()).at("d273 9:00")
    b.say("vac", "case.closed")
    assert b.through("d400 9:00")[0] == "case.follow_up_due 27 Feb 24:00 vac"


@pytest.mark.parametrize("story", [signalled, served, offered, closed, planned, under_review])
def test_due_events_are_the_same_at_every_call(story: object) -> None:
    """A restarted timekeeper derives the same ids: key, time and data do not hang on when it asks."""
    assert callable(story)
    b = story(Bench())
    assert isinstance(b, Bench)
    first = b.rules.due(b.view)
    again = b.rules.start(b.subject)
    for fact in b.facts:
        again = b.rules.evolve(again, fact)
    assert b.rules.due(again) == first
    assert len({due.key for due in first}) == len(first)


def test_a_clock_at_the_end_of_all_days_is_due_then() -> None:
    """A foolish time breaks no fold and no timekeeper."""
    b = consented(Bench())
    event = b.event("ngo-a", "case.signal_recorded")
    late = datetime.max.replace(microsecond=0, tzinfo=event.time.tzinfo)
    other = Bench(case="other")
    signal = event.model_copy()
    object.__setattr__(signal, "time", late)
    other.hear(Fact(event=signal, recipients=("special-unit",), registered=late - timedelta(days=1), number=1))
    assert [clock.due for clock in other.rules.clocks(other.view)] == [LAST]
