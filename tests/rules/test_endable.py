"""Endable duties: after any history, no agency has a duty for which the Rules refuse every event that ends it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

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
