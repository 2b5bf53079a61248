"""Lifted duties: a confirmation that is overdue and that nobody is left to give, as of an agency that was dissolved."""

from typing import Any

import pytest

from nrmbus.rules import View
from rules.given import Bench
from rules.stories import LEGAL, planned

UNIT = "special-unit"


def withdrawn(b: Bench, *, late: bool = True) -> Bench:
    """She takes her consent to the legal NGO back; the NGO was dissolved, and never answers."""
    planned(b).say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
    if late:
        while not any(clock.code == "D-STOP" and clock.breached for clock in b.rules.clocks(b.view)):
            b.say_due(next(iter(b.rules.due(b.view))).type)
    return b


def lifting(**said: Any) -> dict[str, Any]:
    """The fields of the act."""
    return {"rule": "D-STOP", "agency": "ngo-l", "ground": "agency_dissolved", "approver": "A-2", **said}


def test_an_overdue_confirmation_of_an_agency_that_is_gone_is_lifted() -> None:
    """Given a breach, when two members of staff say why nobody is left to confirm, then the duty ends, and who waited for it is told."""
    b = withdrawn(Bench())
    assert "D-STOP" in b.codes
    said = b.say(UNIT, "deadline.lifted", **lifting())

    assert "D-STOP" not in b.codes
    assert said.audience.recipients == ("ngo-a", "ngo-l")
    assert b.view.stops["ngo-l"].answer is None, "the answer counts as missing"


def twice(b: Bench, first: str, second: str) -> Bench:
    """Two agencies record that she takes her consent to the legal NGO back, the first for services alone."""
    planned(b).at("d9 9:00").say(first, "consent.withdrawn", receivers=["ngo-l"], purposes=["services"])
    b.at("d9 10:00").say(second, "consent.withdrawn", receivers=["ngo-l"])
    return b


def as_shown(b: Bench, agency: str) -> View:
    """Return the case on the desk of *agency*, by the events of that desk alone."""
    view = b.rules.start(b.subject)
    for fact in b.facts:
        if agency in (fact.event.source, *fact.recipients):
            view = b.rules.evolve(view, fact)
    return view


def shown(b: Bench, agency: str) -> list[str]:
    """Return the duties on the desk of *agency*."""
    return [clock.code for clock in b.rules.clocks(as_shown(b, agency))]


@pytest.mark.parametrize(("first", "second"), [("ngo-a", "vac"), ("vac", "ngo-a")])
def test_each_that_recorded_a_withdrawal_is_told_of_the_confirmation(first: str, second: str) -> None:
    """Given two withdrawals, when the NGO confirms, then both agencies that recorded one are told, and no desk waits on."""
    b = twice(Bench(), first, second)
    said = b.at("d10 9:00").say("ngo-l", "consent.stop_confirmed")

    assert said.audience.recipients == ("ngo-a", "vac")
    assert "D-STOP" not in b.codes + shown(b, first) + shown(b, second)


@pytest.mark.parametrize("answered", ["after both", "in between"])
@pytest.mark.parametrize(("first", "second"), [("ngo-a", "vac"), ("vac", "ngo-a")])
def test_p7_each_that_recorded_a_withdrawal_is_told_that_what_was_retained_is_deleted(
    first: str, second: str, answered: str
) -> None:
    """P7: given an NGO that had to retain something, when it has deleted all, then each desk that showed the missing deletion shows that it came."""
    b = planned(Bench()).at("d9 9:00")
    b.say(first, "consent.withdrawn", receivers=["ngo-l"], purposes=["services"])
    retained: dict[str, Any] = {"answer": "must_retain", "legal_basis": LEGAL}
    if answered == "in between":
        b.say("ngo-l", "consent.stop_confirmed", **retained)
    b.at("d9 10:00").say(second, "consent.withdrawn", receivers=["ngo-l"])
    if answered == "after both":
        b.say("ngo-l", "consent.stop_confirmed", **retained)
    said = b.at("d60 9:00").say("ngo-l", "consent.stop_confirmed", answer="deleted")

    assert said.audience.recipients == ("ngo-a", "vac")
    assert {as_shown(b, each).stops["ngo-l"].answer for each in (first, second)} == {"deleted"}


def test_a_withdrawal_after_the_deletion_is_answered_to_its_recorder_alone() -> None:
    """Given an NGO that deleted all and was let in again, when another agency records a withdrawal, then that agency alone hears of the stop."""
    b = planned(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
    b.say("ngo-l", "consent.stop_confirmed", answer="deleted")
    b.say("vac", "consent.given", receivers=["ngo-l"])
    b.say("vac", "service.requested", ref="S-9", to=["ngo-l"])
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])

    assert b.say("ngo-l", "consent.stop_confirmed", answer="deleted").audience.recipients == ("vac",)


def test_p7_who_recorded_a_withdrawal_and_deleted_is_not_told_what_is_deleted_later() -> None:
    """P7: given an NGO that recorded a withdrawal, and then deleted its own data, when what was retained is deleted, then the NGO is told nothing."""
    b = twice(Bench(), "ngo-a", "vac")
    b.say("ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis=LEGAL)
    b.say("vac", "consent.withdrawn", receivers=["ngo-a"])
    b.say("ngo-a", "consent.stop_confirmed")

    assert b.say("ngo-l", "consent.stop_confirmed").audience.recipients == ("vac",)


@pytest.mark.parametrize(("first", "second"), [("ngo-a", "vac"), ("vac", "ngo-a")])
def test_each_that_recorded_a_withdrawal_is_told_that_nobody_waits_for_the_confirmation(
    first: str, second: str
) -> None:
    """Given two withdrawals and their breaches, when the duty is lifted, then both agencies that recorded one are told."""
    b = twice(Bench(), first, second)
    b.through("d20 9:00")
    said = b.say(UNIT, "deadline.lifted", **lifting())

    assert said.audience.recipients == ("ngo-a", "ngo-l", "vac")
    assert "D-STOP" not in b.codes + shown(b, first) + shown(b, second)


def test_an_agency_that_comes_back_may_still_confirm() -> None:
    """Given a lifted duty, then the confirmation is registered, and the agency has no part any more."""
    b = withdrawn(Bench())
    b.say(UNIT, "deadline.lifted", **lifting())
    b.say("ngo-l", "consent.stop_confirmed", answer="deleted")

    assert not b.view.on_case("ngo-l")


@pytest.mark.parametrize(
    ("late", "more", "rule"),
    [
        (False, {}, "G-51"),
        (True, {"approver": None}, "G-20"),
        (True, {"agency": "vac"}, "G-51"),
        (True, {"rule": "D-ASSIGN"}, "G-51"),
    ],
    ids=["in time", "one person", "another agency", "a duty that ends otherwise"],
)
def test_nothing_else_is_lifted(*, late: bool, more: dict[str, Any], rule: str) -> None:
    """Not before the breach, not by one person, not of an agency that owes nothing, and no duty that somebody else can end."""
    refusal = withdrawn(Bench(), late=late).ask(UNIT, "deadline.lifted", **lifting(**more))

    assert refusal
    assert refusal.rule == rule


def test_no_agency_lifts_its_own_duty() -> None:
    """Given an NGO that has not confirmed that it stopped, when it says that nobody can reach it, then it is refused: it can confirm."""
    b = withdrawn(Bench())
    refusal = b.ask("ngo-l", "deadline.lifted", **lifting(ground="no_contact"))

    assert refusal
    assert refusal.rule == "G-04"
    assert "D-STOP" in b.codes


def test_it_is_lifted_once() -> None:
    """A duty that is over is not lifted again."""
    b = withdrawn(Bench())
    b.say(UNIT, "deadline.lifted", **lifting())
    refusal = b.ask(UNIT, "deadline.lifted", **lifting())

    assert refusal
    assert refusal.rule == "G-51"
