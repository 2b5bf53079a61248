"""Endable duties: after any history, no agency has a duty for which the Rules refuse every event that ends it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies import AGENCIES, POLICY
from nrmbus.events.model import Fact
from nrmbus.rules import Agency, Rules, load_profile
from rules.ending import can_be_ended
from rules.given import Bench
from rules.stories import (
    acknowledged,
    arranged,
    begun,
    child_housed,
    child_presumed,
    child_referred,
    consented,
    erasing,
    home,
    housed,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    served,
    signalled,
    under_review,
    wishing,
    without_status,
)

UNIT: Final = "special-unit"
EVERYBODY: Final = {
    **AGENCIES,
    "court-2": Agency("court-2", "court"),
    "migration-2": Agency("migration-2", "migration"),
}
PROFILE: Final = load_profile(POLICY)


def courts_asked(b: Bench) -> Bench:
    """The NGO goes to court, and there are two."""
    under_review(b).say("ngo-a", "review.requested", ref="X-1", kind="court")
    return b


def holds_asked(b: Bench) -> Bench:
    """Two offices are to hold her removal."""
    begun(b).consents("migration-2")
    b.say(UNIT, "stay.hold_requested", ref="X-2", to=["migration", "migration-2"])
    return b


STORIES: Final[tuple[Callable[[Bench], Bench], ...]] = (
    signalled, consented, referred, acknowledged, begun, housed, presumed, planned, served, refused_by_grounds, under_review,
    without_status, erasing, courts_asked, holds_asked, child_referred, child_housed, child_presumed, wishing, arranged, home,
)  # fmt: skip

Said = tuple[str, str, dict[str, Any]]
_HELPERS = ("ngo-l", "vac", "shelter", "fund", "migration", UNIT, "ngo-a", "guardianship", "hospital", "iom", "embassy")
_REFERENCES = ("R-1", "R-2", "R-4", "R-5", "R-10", "B-1", "B-10", "H-1", "V-1", "X-1", "X-2")
_EVENTS: list[Said] = [
    *((by, f"consent.{kind}", {"receivers": [each]})
      for by in ("ngo-a", "vac", "school") for each in _HELPERS for kind in ("withdrawn", "refused", "given")),
    *((each, "consent.stop_confirmed", {"answer": "deleted"}) for each in _HELPERS),
    *((each, "consent.stop_confirmed", {"answer": "must_retain", "legal_basis": "a law"}) for each in _HELPERS),
    *((by, f"referral.{kind}", {"ref": ref})
      for by in ("ngo-l", "vac", "fund", "hospital", UNIT) for ref in _REFERENCES
      for kind in ("accepted", "declined", "acknowledged", "completed", "info_requested")),
    *((by, f"referral.{kind}", {"ref": ref})
      for by in ("ngo-a", "vac", UNIT) for ref in _REFERENCES for kind in ("revoked", "info_supplied")),
    *((by, "referral.submitted", {"ref": ref, "to": to, "legal_basis": "a law", "mode": mode})
      for by in ("ngo-a", "vac", UNIT) for ref in ("X-1", "X-2")
      for to, mode in ((["ngo-l"], "referral"), (["vac"], "transfer"), (["hospital", "ngo-l"], "referral"), ([UNIT], "referral"))),
    *((by, "service.requested", {"ref": ref, "to": to})
      for by in ("vac", "ngo-a") for ref in ("X-1", "X-2") for to in (["ngo-l"], ["fund"], ["ngo-l", "shelter"], ["migration"])),
    *((by, "shelter.bed_requested", {"ref": "X-1", "to": ["ngo-shelter", "shelter"]}) for by in (UNIT, "vac")),
    *((by, f"shelter.{kind}", {"ref": ref}) for by in ("shelter", "ngo-shelter") for ref in ("X-1", "B-1", "B-10")
      for kind in ("bed_offered", "bed_refused", "admitted", "discharged")),
    (UNIT, "stay.hold_requested", {"ref": "X-2", "to": ["migration", "migration-2"]}),
    *((by, "stay.hold_confirmed", {"ref": "X-2"}) for by in ("migration", "migration-2")),
    *(("ngo-a", "review.requested", {"ref": ref, "kind": kind}) for ref in ("X-1", "V-1") for kind in ("reconsideration", "court")),
    *((by, "review.decided", {"ref": ref, "outcome": outcome})
      for by in (UNIT, "court", "court-2") for ref in ("X-1", "V-1") for outcome in ("reopen", "upheld")),
    *((UNIT, f"identification.{kind}", {})
      for kind in ("stage_entered", "reasonable_grounds_decided", "status_decided", "status_revoked")),
    *((UNIT, f"recovery.{kind}", {}) for kind in ("period_started", "ended", "reviewed")),
    *((UNIT, "safeguard.age_assessed", {"result": result}) for result in ("adult", "child")),
    *((by, "plan.adopted", {"to": ["ngo-l", "shelter"]}) for by in ("vac", "ngo-a")),
    *((by, f"case.{kind}", {}) for by in ("ngo-a", "vac", UNIT) for kind in ("withdrawn", "closed", "reopened", "signal_dismissed")),
    *((by, f"return.{kind}", {}) for by in ("iom", "embassy", UNIT)
      for kind in ("consented", "risk_assessed", "travel_arranged", "completed", "monitored", "stopped")),
    (UNIT, "return.risk_assessed", {"outcome": "not_safe"}),
    ("migration", "stay.embassy_barred", {}),
    ("court", "access.terminated", {"approver": "A-2"}),
    *((UNIT, "access.revoked", {"receivers": [each], "approver": "A-2"}) for each in ("ngo-l", "vac", "ngo-a", "hospital")),
    *((each, "access.erasure_confirmed", {}) for each in ("ngo-a", "vac", "ngo-l")),
]  # fmt: skip
NUMBERS: Final = st.integers(0, len(_EVENTS) - 1)
HOURS: Final = st.sampled_from([0, 0, 1, 30, 24 * 8])


def _pass(b: Bench, hours: int) -> None:
    """Let time pass, in which the timekeeper says what is due."""
    b.now += timedelta(hours=hours)
    until = b.now
    while (due := next(iter(b.rules.due(b.view)), None)) is not None and due.at <= until:
        b.say_due(due.type)
    b.now = until


def _say_next(b: Bench, first: int) -> None:
    """The first of all events, from that number on, which the Rules let in."""
    for by, name, fields in (*_EVENTS[first:], *_EVENTS[:first]):
        event = b.event(by, name, **fields)
        if b.rules.judge(b.view, event, b.now) is None:
            b.hear(Fact.of(event, b.rules.audience(b.view, event).recipients, b.now, len(b.facts) + 1))
            return


@pytest.mark.thorough
@given(st.sampled_from(STORIES), st.lists(st.tuples(HOURS, NUMBERS), max_size=10))
@settings(max_examples=100, deadline=None)
def test_every_duty_can_be_ended_by_the_agency_that_owes_it(
    story: Callable[[Bench], Bench], steps: list[tuple[int, int]]
) -> None:
    """After any allowed events, the agency may end its duty at once, or take the step that comes first."""
    b = Bench()
    b.rules = Rules(PROFILE, EVERYBODY)
    story(b)
    for hours, number in steps:
        _pass(b, hours)
        _say_next(b, number)
        stuck = [f"{clock.code} {clock.answerable}" for clock in b.rules.clocks(b.view) if not can_be_ended(b, clock)]
        assert not stuck, [f"{fact.event.type} {fact.event.source}" for fact in b.facts]


# What the long runs found


@pytest.mark.parametrize("first", ["referral.accepted", "identification.stage_entered"])
def test_a_late_unreadable_letter_revives_no_duty_to_refer(first: str) -> None:
    """Given a child that the unit took on, when it reports the letter unreadable, then the police owe no second referral."""
    b = Bench()
    b.say("police-x", "case.signal_recorded", detector="police_other", child=True)
    b.say("police-x", "safeguard.child_flagged", to=["child-commission", "guardianship"])
    letter = b.say("police-x", "referral.submitted", ref="R-1", to=[UNIT], letter=True, legal_basis="a law")
    b.say(UNIT, "referral.accepted", ref="R-1")
    if first == "identification.stage_entered":
        b.say(UNIT, first)
    b.say(UNIT, "letter.unreadable", cause=letter.id)

    assert "D-REFER" not in b.codes


def test_an_unreadable_letter_revives_the_duty_until_the_unit_takes_the_person_on() -> None:
    """Nobody has read of the child yet, so the referral has to come again."""
    b = Bench()
    b.say("police-x", "case.signal_recorded", detector="police_other", child=True)
    b.say("police-x", "safeguard.child_flagged", to=["child-commission", "guardianship"])
    letter = b.say("police-x", "referral.submitted", ref="R-1", to=[UNIT], letter=True, legal_basis="a law")
    b.say(UNIT, "letter.unreadable", cause=letter.id)

    assert "D-REFER" in b.codes


@pytest.mark.parametrize(("to", "told"), [([UNIT], ("ngo-a", "ngo-l")), ([UNIT, "vac"], ("ngo-l",))])
def test_the_agency_that_has_to_refer_again_is_told(to: list[str], told: tuple[str, ...]) -> None:
    """Given a referral by a lawyer that the unit cannot read, then the NGO that met her hears that its duty runs again, and later that it is over.

    The NGO was told of that referral, since it ended the NGO's duty. Where the referral names others too, the NGO never
    heard of it: its desk still shows the duty, and it is told nothing.
    """
    b = consented(Bench())
    b.consents("ngo-l")
    b.say("ngo-a", "referral.submitted", ref="R-0", to=["ngo-l"])
    letter = b.say("ngo-l", "referral.submitted", ref="R-1", to=to, letter=True, legal_basis="a law")
    assert "D-REFER" not in b.codes
    unread = b.event(UNIT, "letter.unreadable", cause=letter.id)
    assert b.rules.audience(b.view, unread).recipients == told

    b.say(UNIT, "letter.unreadable", cause=letter.id)
    assert {clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-REFER"} == {"ngo-a"}
    assert b.rules.audience(b.view, b.event(UNIT, "letter.opened", cause=letter.id)).recipients == told


@pytest.mark.parametrize("stopped", [False, True])
def test_a_report_on_the_return_before_is_still_given(*, stopped: bool) -> None:
    """Given another return that begins, and perhaps stops, then the report on the first one is not refused, and moves no step."""
    b = home(Bench())
    b.say(UNIT, "return.consented", to=["iom"])
    if stopped:
        b.say(UNIT, "return.stopped")
    assert "D-MONITOR" in b.codes
    before = b.view.returning
    b.say("iom", "return.monitored")

    assert "D-MONITOR" not in b.codes
    assert b.view.returning == before
    assert b.ask("iom", "return.monitored") is not None


def test_a_unit_that_goes_on_after_a_merge_can_ask_the_person() -> None:
    """Given a unit that had deleted, was asked again, merged and declined, then it can still record what the person says."""
    b = referred(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
    b.say(UNIT, "consent.stop_confirmed")
    b.say_due("referral.expired")
    b.consents(UNIT)
    b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis="a law")
    b.say(UNIT, "case.merged", approver="A-2")
    b.say(UNIT, "referral.declined", ref="R-9")
    assert "D-MERGE" in b.codes
    b.say(UNIT, "consent.given", receivers=["vac"])

    assert "D-MERGE" not in b.codes


def test_of_two_units_the_one_that_begins_answers_for_both() -> None:
    """Given two units that accepted, when the second begins, then the first owes no beginning, and is told."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")})
    consented(b).consents("special-unit-2")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "special-unit-2"], legal_basis="a law")
    for each in (UNIT, "special-unit-2"):
        b.say(each, "referral.accepted", ref="R-1")
    begun = b.say("special-unit-2", "identification.stage_entered")

    assert "D-ANSWER" not in b.codes
    assert UNIT in begun.audience.recipients


def test_an_embassy_is_asked_nothing_while_a_bar_stands() -> None:
    """It would not hear the question that it has to answer."""
    b = Bench()
    b.say("embassy", "case.signal_recorded", detector="embassy")
    b.consents(UNIT, by="embassy")
    b.say("embassy", "referral.submitted", ref="R-1", to=[UNIT], legal_basis="a law")
    assert b.ask(UNIT, "referral.info_requested", ref="R-1") is None
    b.say(UNIT, "stay.embassy_barred")
    refusal = b.ask(UNIT, "referral.info_requested", ref="R-1")

    assert refusal
    assert refusal.rule == "G-51"


def test_no_duty_waits_for_an_embassy_under_a_bar() -> None:
    """Asked before the bar, it may not hear of the person any more: the unit's time to answer runs on."""
    b = Bench()
    b.say("embassy", "case.signal_recorded", detector="embassy")
    b.consents(UNIT, by="embassy")
    b.say("embassy", "referral.submitted", ref="R-1", to=[UNIT], legal_basis="a law")
    b.say(UNIT, "referral.acknowledged", ref="R-1")
    b.say(UNIT, "referral.info_requested", ref="R-1")
    assert "D-ANSWER paused" in b.deadlines
    b.at("2:00").say(UNIT, "stay.embassy_barred")

    assert "D-ANSWER 3 Mar 11:00" in b.deadlines


def test_a_unit_that_completed_and_did_not_begin_still_can() -> None:
    """Given two units, when one has completed the referral and the other declines, then the first can still begin."""
    b = Bench()
    b.rules = Rules(load_profile(POLICY), {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")})
    consented(b).consents("special-unit-2")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT, "special-unit-2"], legal_basis="a law")
    b.say("special-unit-2", "referral.accepted", ref="R-1")
    b.say("special-unit-2", "referral.completed", ref="R-1")
    b.say(UNIT, "referral.declined", ref="R-1")

    assert b.view.status == "REFERRED"
    b.say("special-unit-2", "identification.stage_entered")
    assert "D-ANSWER" not in b.codes
