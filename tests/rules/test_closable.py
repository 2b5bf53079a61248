"""Closable cases: after any history, some agency may close the case, or publish the events that have to come first."""

from collections.abc import Callable
from typing import Final

import pytest

from agencies import reference
from rules.ending import can_be_ended
from rules.given import NEGATIVE, Bench
from rules.wandering import UNIT, attempt, bench, is_closable, said_in, wandered

SEEDS: Final = 200
EACH: Final = 50


def stuck(b: Bench) -> list[str]:
    """Return the duties that no agency may meet, not even after a step that comes first."""
    return [f"{clock.code} {clock.answerable}" for clock in b.rules.clocks(b.view) if not can_be_ended(b, clock)]


def helped(b: Bench) -> Bench:
    """An NGO meets somebody who agrees to three agencies, and refers to the assistance centre."""
    attempt(b, "ngo-a", "case.signal_recorded")
    for each in ("vac", "ngo-l", UNIT):
        attempt(b, "ngo-a", "consent.given", receivers=[each])
    attempt(b, "ngo-a", "referral.submitted", ref="R-1", to=[UNIT])
    attempt(b, "ngo-a", "referral.submitted", ref="R-2", to=["vac"])
    return b


def begun(b: Bench) -> Bench:
    """… and the special unit takes the person on."""
    attempt(helped(b), UNIT, "referral.accepted", ref="R-1")
    attempt(b, UNIT, "identification.stage_entered")
    return b


def withdrawn_when_the_holder_had_deleted(b: Bench) -> Bench:
    """D1: the centre, which holds the plan, has deleted all; then the person withdraws."""
    attempt(helped(b), "vac", "plan.adopted", to=["ngo-l"])
    attempt(b, "ngo-a", "consent.withdrawn", receivers=["vac"])
    attempt(b, "vac", "consent.stop_confirmed", answer="deleted")
    attempt(b, "ngo-a", "case.withdrawn")
    return b


def reviewed_before_nobody(b: Bench) -> Bench:
    """D2: a review is asked for of a unit that the person refuses."""
    attempt(begun(b), UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    attempt(b, "ngo-a", "consent.refused", receivers=[UNIT])
    attempt(b, "ngo-a", "review.requested", ref="V-1")
    attempt(b, "ngo-a", "safeguard.child_flagged", to=["child-commission", "guardianship"])
    return b


def reviewed_by_no_court(b: Bench) -> Bench:
    """D3: a court is asked, and the directory has none."""
    attempt(begun(b), UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    attempt(b, "ngo-a", "review.requested", ref="V-1", kind="court")
    return b


def unit_back_after_deleting(b: Bench) -> Bench:
    """D4: the unit has deleted all, and the person agrees to it again."""
    attempt(begun(b), "ngo-a", "consent.withdrawn", receivers=[UNIT])
    attempt(b, UNIT, "consent.stop_confirmed", answer="deleted")
    attempt(b, "ngo-a", "consent.given", receivers=[UNIT])
    return b


def holder_by_its_plan_alone(b: Bench) -> Bench:
    """D5: the centre adopts a plan without accepting the referral, which is then taken back."""
    attempt(begun(b), "vac", "plan.adopted", to=["ngo-l"])
    attempt(b, "ngo-a", "referral.revoked", ref="R-2")
    return b


def everybody_gone(b: Bench) -> Bench:
    """All who had a part have deleted what they were told."""
    for each in ("vac", "ngo-l", UNIT, "ngo-a"):
        attempt(b, "ngo-a", "consent.withdrawn", receivers=[each])
        attempt(b, each, "consent.stop_confirmed", answer="deleted")
    return b


def all_gone_from_a_plan(b: Bench) -> Bench:
    """… where the centre held a plan."""
    attempt(begun(b), "vac", "plan.adopted", to=["ngo-l"])
    return everybody_gone(b)


def all_gone_from_a_referral(b: Bench) -> Bench:
    """… while the special unit's answer to a referral was waited for."""
    return everybody_gone(helped(b))


def taken_on_after_it_had_begun(b: Bench) -> Bench:
    """D6: the unit found the person itself, begins without answering a referral, and accepts it afterwards."""
    attempt(b, UNIT, "case.signal_recorded", detector="special_unit")
    attempt(b, UNIT, "consent.overridden", receivers=[UNIT])
    attempt(b, UNIT, "consent.given", receivers=["ngo-a"])
    attempt(b, UNIT, "referral.submitted", ref="R-1", to=["ngo-a"])
    attempt(b, "ngo-a", "referral.submitted", ref="R-2", to=[UNIT])
    attempt(b, UNIT, "identification.stage_entered")
    attempt(b, UNIT, "referral.accepted", ref="R-2")
    return b


def out_by_a_flag(b: Bench) -> Bench:
    """The agency that gave the signal is out, the unit has deleted, and a child-protection body, which closes no case, is left."""
    attempt(b, "ngo-a", "case.signal_recorded", child=True)
    attempt(b, "ngo-a", "safeguard.child_flagged", to=["child-commission", "guardianship"])
    attempt(b, "ngo-a", "consent.withdrawn", receivers=[UNIT])
    attempt(b, UNIT, "consent.stop_confirmed", answer="deleted")
    attempt(b, "guardianship", "access.revoked", receivers=["ngo-a"], approver="A-2")
    attempt(b, "ngo-a", "consent.stop_confirmed", answer="deleted")
    return b


def out_and_withdrawn(b: Bench) -> Bench:
    """The only agency that may close a withdrawn case is out, and the unit has deleted."""
    attempt(helped(b), "ngo-a", "case.withdrawn")
    attempt(b, UNIT, "access.revoked", receivers=["ngo-a"], approver="A-2")
    attempt(b, UNIT, "consent.withdrawn", receivers=[UNIT])
    attempt(b, UNIT, "consent.stop_confirmed", answer="deleted")
    return b


STORIES: Final[tuple[Callable[[Bench], Bench], ...]] = (
    withdrawn_when_the_holder_had_deleted, reviewed_before_nobody, reviewed_by_no_court, unit_back_after_deleting,
    holder_by_its_plan_alone, taken_on_after_it_had_begun, all_gone_from_a_plan, all_gone_from_a_referral,
    out_by_a_flag, out_and_withdrawn,
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])
def test_a_former_dead_end_can_be_closed(story: Callable[[Bench], Bench]) -> None:
    """The case can be closed, else its retention never begins; and no agency owes anything that it cannot do."""
    b = story(bench(court=False))

    assert is_closable(b), said_in(b)
    assert not stuck(b), said_in(b)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "first", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in range(EACH, SEEDS, EACH))]
)
def test_any_case_can_be_closed_by_somebody(first: int) -> None:
    """Cases that wander, each the same at every run: adults and children, with a court and without."""
    for seed in range(first, first + EACH):
        b = wandered(seed)
        assert is_closable(b), (seed, b.view.status, said_in(b))
        assert not stuck(b), (seed, stuck(b), said_in(b))


def test_the_adopter_of_a_plan_is_on_the_case_by_its_plan() -> None:
    """D5, reading 49: with its referral revoked, the centre goes on with its plan, and can do more than close."""
    b = holder_by_its_plan_alone(bench())

    assert b.view.on_case("vac")
    assert b.ask("vac", "plan.revised") is None
    assert b.ask("vac", "service.requested", ref="S-1", to=["ngo-l"]) is None
    assert b.ask("vac", "plan.completed") is None


def test_the_special_unit_comes_back_after_it_has_deleted() -> None:
    """D4: after a new consent and referral, the unit begins identification again, with its usual duties."""
    b = unit_back_after_deleting(bench())
    b.say("ngo-a", "referral.submitted", ref="R-9", to=[UNIT], legal_basis="a law")
    assert str(b.view.status) == "REFERRED"
    assert "D-ACK" in b.codes

    b.say(UNIT, "referral.accepted", ref="R-9")
    b.say(UNIT, "identification.stage_entered")
    assert b.view.status == "UNDER_IDENTIFICATION"
    assert "D-RG" in b.codes


def test_the_special_unit_that_declines_to_come_back_leaves_the_status_as_it_was() -> None:
    """T07: and it may be asked once more."""
    b = unit_back_after_deleting(bench())
    for ref in ("R-8", "R-9"):
        b.say("ngo-a", "referral.submitted", ref=ref, to=[UNIT], legal_basis="a law")
        b.say(UNIT, "referral.declined", ref=ref)

        assert b.view.status == "UNDER_IDENTIFICATION"


def test_a_referral_expires_when_the_special_unit_has_deleted() -> None:
    """Nobody is left who could answer the referral, which would bar closing for ever."""
    b = helped(bench())
    b.say("vac", "consent.withdrawn", receivers=[UNIT])
    b.say(UNIT, "consent.stop_confirmed")
    b.say_due("referral.expired")

    assert b.view.status == "SUSPECTED"
    assert b.view.open_referrals == (reference("R-2"),)


def test_the_next_holder_is_notified() -> None:
    """The centre held the plan; the special unit holds the case from there on, and hears it."""
    b = begun(bench())
    b.say("vac", "plan.adopted", to=["ngo-l"])
    b.say("ngo-a", "consent.withdrawn", receivers=["vac"])
    said = b.say("vac", "consent.stop_confirmed")

    assert said.audience.recipients == ("ngo-a", UNIT)
    assert b.rules.holder(b.view, said.event) == UNIT


def test_a_review_reaches_a_special_unit_that_had_deleted() -> None:
    """D2: being asked gives it a part, so it may decide."""
    b = begun(bench())
    b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    b.say("ngo-a", "consent.withdrawn", receivers=[UNIT])
    b.say(UNIT, "consent.stop_confirmed")
    b.say("ngo-a", "consent.given", receivers=[UNIT])
    b.say("ngo-a", "review.requested", ref="V-1")

    assert b.ask(UNIT, "review.decided", ref="V-1") is None


@pytest.mark.parametrize(
    ("court", "kind", "refused", "rule"),
    [
        (False, "court", None, "G-10"),
        (True, "court", "court", "G-30"),
        (True, "reconsideration", UNIT, "G-30"),
        (True, "court", UNIT, None),
        (True, "reconsideration", "court", None),
    ],
)
def test_a_review_is_requested_from_a_role_that_may_receive_it(
    *, court: bool, kind: str, refused: str | None, rule: str | None
) -> None:
    """D2, D3: what reaches nobody is refused at once, and the sender learns what else to do."""
    b = begun(bench(court=court))
    b.say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    if refused:
        b.say("ngo-a", "consent.refused", receivers=[refused])
    refusal = b.ask("ngo-a", "review.requested", ref="V-1", kind=kind)

    assert (refusal.rule if refusal else None) == rule


def test_a_service_that_was_asked_for_is_answered_after_the_special_unit_has_declined() -> None:
    """The case is one of suspicion again, and what was asked before still waits for an answer."""
    b = helped(bench())
    b.say("ngo-a", "service.requested", ref="S-1", to=["ngo-l", "vac"])
    b.say("vac", "service.not_delivered", ref="S-1")
    b.say(UNIT, "referral.declined", ref="R-1")
    assert b.view.status == "SUSPECTED"

    assert b.ask("ngo-l", "service.delivered") is not None, "one given unasked waits for a referral"
    b.say("ngo-l", "service.not_delivered", ref="S-1")


def test_nobody_who_has_left_does_more_than_close() -> None:
    """If every agency has deleted its data, the former holder closes the case, and can do nothing else in it."""
    b = all_gone_from_a_plan(bench())
    b.say_due("referral.expired")
    assert b.view.parts == {}

    assert b.ask("ngo-a", "case.closed", reason="lost_contact") is not None
    assert b.ask("vac", "plan.adopted", to=["ngo-l"]) is not None
    assert b.ask("vac", "case.closed", reason="lost_contact") is None
