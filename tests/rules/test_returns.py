"""Return: the journey home is voluntary, safe and in order, nobody loses sight of it, and embassies are kept out."""

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.events.model import Fact
from nrmbus.rules import Profile, load_profile
from rules.given import Bench
from rules.stories import REPORTED, arranged, assessed, found_abroad, home, identified, presumed, signalled, wishing

UNIT = "special-unit"


def _from_arrival() -> Profile:
    """The profile after a lawyer has found that the 24 hours begin with the arrival."""
    profile = load_profile(POLICY)
    return profile.model_copy(update={"abroad": profile.abroad.model_copy(update={"refer_from": "arrival"})})


def test_a_return_has_a_duty_at_every_step() -> None:
    """From the wish to the last report somebody owes the next step, by a day that is known."""
    b = wishing(Bench())
    assert b.deadlines == ["D-RISK 8 May 24:00", "D-SHELTER 8 Jul 24:00"]
    b.at("d62 9:00").say("iom", "return.risk_assessed")
    assert b.codes == ["D-SHELTER"]
    b.at("d63 9:00").say("iom", "return.travel_arranged", days=14)
    assert b.deadlines == ["D-SHELTER 8 Jul 24:00", "D-TRAVEL 18 May 24:00"]
    b.at("d70 9:00").say("iom", "return.completed")
    assert b.deadlines == ["D-MONITOR 10 Jun 24:00", "D-SHELTER 8 Jul 24:00"]


def test_a_journey_that_is_arranged_again_has_another_day() -> None:
    """A flight is cancelled: the duty follows the newer journey."""
    b = arranged(Bench()).at("d70 9:00")
    b.say("iom", "return.travel_arranged", days=21)
    assert b.deadlines == ["D-SHELTER 8 Jul 24:00", "D-TRAVEL 1 Jun 24:00"]


def test_reports_go_on_until_one_says_that_it_is_the_last() -> None:
    """A report that promises another starts the duty again; the last one ends it."""
    b = home(Bench()).at("d100 9:00")
    b.say("iom", "return.monitored", again=True)
    assert "D-MONITOR 10 Jul 24:00" in b.deadlines
    b.at("d130 9:00").say("iom", "return.monitored", again=False)
    assert b.codes == ["D-SHELTER"]


def test_the_report_is_owed_though_the_case_is_closed() -> None:
    """Who went home is asked how life goes, whatever became of the file; a missing report is a breach."""
    b = home(Bench())
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", "case.closed", reason="returned_home", follow_up=False)
    assert b.codes == ["D-MONITOR"]
    assert b.through("d102 0:00") == ["D-MONITOR 10 Jun 24:00 iom,vac"]
    b.say("iom", "return.monitored")
    assert b.codes == []


@pytest.mark.parametrize("by", ["vac", "ngo-l", "shelter", "ngo-a", UNIT, "iom"])
def test_anybody_to_whom_she_says_so_stops_the_return(by: str) -> None:
    """She changes her mind: whoever hears it stops the journey, and nothing is owed for it any more."""
    b = arranged(Bench())
    b.say(by, "return.stopped")
    assert b.codes == ["D-SHELTER"]
    assert b.ask("iom", "return.completed") is not None


def test_a_holder_that_came_later_stops_the_return() -> None:
    """An agency that adopts the plan after the wish was recorded can stop the return, and then close the case."""
    b = arranged(Bench())
    b.consents("ngo-shelter", by="vac")
    b.say("vac", "referral.submitted", ref="R-8", to=["ngo-shelter"])
    b.say("ngo-shelter", "plan.adopted", to=["vac"])
    b.say("ngo-shelter", "return.stopped")
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("ngo-shelter", "referral.accepted", ref="R-8")
    b.say("ngo-shelter", "case.closed")


def test_a_withdrawal_of_the_case_stops_the_return() -> None:
    """Who leaves the mechanism owes nobody a journey; arrival and reports are no more recorded."""
    b = arranged(Bench())
    b.say("vac", "case.withdrawn")
    assert b.view.returning is not None
    assert b.view.returning.step == "stopped"
    assert "D-TRAVEL" not in b.codes


def test_a_return_ends_when_all_who_helped_have_deleted() -> None:
    """Nobody is left to arrange anything, so the return no longer bars closing."""
    b = assessed(Bench())
    b.say("vac", "consent.withdrawn", receivers=["iom"])
    b.say("iom", "consent.stop_confirmed")
    assert b.view.returning is not None
    assert not b.view.returning.open


def test_a_person_may_go_home_while_a_hold_stands() -> None:
    """A hold protects from removal; it keeps nobody here who wants to go, and ends when the person has arrived."""
    b = presumed(Bench())
    b.say(UNIT, "return.consented")
    b.say(UNIT, "return.risk_assessed")
    b.say(UNIT, "return.travel_arranged")
    ended = {"ref": "H-1", "reason": "left_country"}
    refusal = b.ask(UNIT, "stay.hold_ended", **ended)
    assert refusal is not None
    assert refusal.rule == "G-47"
    b.say(UNIT, "return.completed")
    assert b.ask(UNIT, "stay.hold_ended", **ended) is None
    other = b.ask(UNIT, "stay.hold_ended", ref="H-1", reason="not_a_victim")
    assert other is not None
    assert other.rule == "G-47"


def test_a_bar_outweighs_the_consent_and_takes_the_embassy_out() -> None:
    """She claims asylum: the embassy that she agreed to before hears of no step any more, and gets no letter."""
    b = identified(Bench())
    b.consents("embassy", "iom", by="vac")
    b.say(UNIT, "return.consented", to=["embassy", "iom"])
    b.say("migration", "stay.embassy_barred")
    again = b.say("vac", "consent.given", receivers=["embassy"])
    assert "embassy" not in again.audience.recipients
    step = b.say("iom", "return.risk_assessed")
    assert "embassy" not in step.audience.recipients
    refusal = b.ask("vac", "document.shared", to=["embassy"])
    assert refusal is not None
    assert refusal.rule == "G-55"


def test_an_embassy_under_a_bar_is_not_told_that_she_is_home() -> None:
    """Given an embassy that arranged the journey, when a bar is set, then its duty ends by the arrival, of which it is not told (reading 97)."""
    b = identified(Bench())
    b.consents("embassy", "iom", by="vac")
    b.say(UNIT, "return.consented", to=["embassy", "iom"])
    b.say("iom", "return.risk_assessed")
    b.say("embassy", "return.travel_arranged")
    b.say("migration", "stay.embassy_barred")
    assert [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-TRAVEL"] == ["embassy"]
    arrived = b.say("iom", "return.completed")

    assert "embassy" not in arrived.audience.recipients
    assert "D-TRAVEL" not in b.codes


def test_an_organisation_that_comes_after_a_bar_hears_of_the_bar_first() -> None:
    """It would ask an embassy for travel papers: the standing bar comes just before its first event, and once."""
    b = identified(Bench())
    b.consents("iom", "embassy", "ngo-l", by="vac")
    bar = b.say("migration", "stay.embassy_barred")
    sent = b.say("vac", "referral.submitted", ref="R-9", to=["iom", "ngo-l"])
    again = b.say("vac", "referral.submitted", ref="R-8", to=["iom"])

    assert sent.audience.earlier["iom"][-1] == bar.id
    assert set(sent.audience.earlier) == {"iom"}
    assert again.audience.earlier == {}


def test_a_bar_that_was_lifted_is_told_to_nobody_who_comes_later() -> None:
    """And one that comes after it is told anew."""
    b = identified(Bench())
    b.consents("iom", by="vac")
    b.say("migration", "stay.embassy_barred")
    b.say("migration", "stay.embassy_bar_lifted")
    sent = b.say("vac", "referral.submitted", ref="R-9", to=["iom"])
    second = b.say("migration", "stay.embassy_barred")
    later = b.say("vac", "referral.submitted", ref="R-8", to=["iom"])

    assert len(sent.audience.earlier["iom"]) == 1, "the consent alone"
    assert "iom" not in second.audience.recipients
    assert later.audience.earlier == {"iom": (second.id,)}


def test_the_24_hours_begin_with_the_report_from_abroad() -> None:
    """As the profile has it, the consulate refers within a day of its own report."""
    b = Bench()
    b.say("consulate", "case.signal_recorded", **REPORTED)
    assert b.deadlines == ["D-REFER 3 Mar 9:00"]
    assert "abroad" in b.rules.profile.unverified


def test_the_24_hours_begin_with_the_arrival_where_the_profile_says_so() -> None:
    """With the other value of the profile, the report starts nothing, and the arrival starts the day."""
    b = found_abroad(Bench(_from_arrival()))
    assert b.codes == ["D-TRAVEL"]
    b.at("d5 12:00").say("consulate", "return.completed")
    assert b.deadlines == ["D-MONITOR 6 Apr 24:00", "D-REFER 8 Mar 12:00"]
    assert signalled(Bench(_from_arrival())).codes == ["D-REFER"]


def test_who_was_referred_before_arrival_starts_no_second_day() -> None:
    """With the arrival as beginning, a person whom the consulate has referred from abroad is referred already."""
    b = found_abroad(Bench(_from_arrival()))
    b.consents(UNIT, by="consulate")
    b.say("consulate", "referral.submitted", ref="R-1", to=[UNIT], legal_basis="a law")
    b.at("d5 12:00").say("consulate", "return.completed")
    assert "D-REFER" not in b.codes


def test_the_unit_owes_no_referral_to_itself_by_an_arrival() -> None:
    """Who arrives in the hands of the special unit is with it already."""
    b = Bench(_from_arrival())
    b.say("consulate", "case.signal_recorded", **REPORTED)
    for kind in ("consented", "risk_assessed", "travel_arranged", "completed"):
        b.say(UNIT, f"return.{kind}")
    assert b.codes == ["D-MONITOR"]


def test_a_step_of_a_return_of_which_the_beginning_is_missing_changes_nothing() -> None:
    """An agency that lacks the wish folds the later steps without an error, and stops nothing."""
    b = Bench()
    for number, kind in enumerate(("risk_assessed", "travel_arranged", "completed", "monitored", "stopped"), 1):
        fact = Fact.of(b.event("iom", f"return.{kind}"), (), b.now, number)
        b.view = b.rules.evolve(b.view, fact)
    assert b.view.returning is None
    assert AGENCIES["iom"].role == "international_organisation"
