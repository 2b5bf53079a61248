"""Endings of each clock: every ending in the profile's clocks, shown at work. Section 5 of RULES.md."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from agencies import POLICY
from nrmbus.events.model import Fact
from nrmbus.rules import load_profile
from rules.given import Bench
from rules.stories import (
    BODIES,
    acknowledged,
    arranged,
    begun,
    child_flagged,
    child_referred,
    child_waiting,
    consented,
    erasing,
    home,
    housed,
    identified,
    merging,
    planned,
    presumed,
    referred,
    served,
    signalled,
    under_review,
    unit_refused,
    wishing,
)

UNIT = "special-unit"
Story = Callable[[Bench], Bench]


def _service_asked(b: Bench) -> Bench:
    planned(b).say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    return b


def _taken_on(b: Bench) -> Bench:
    """The legal NGO has accepted, and owes the first step."""
    served(b).say("ngo-l", "referral.accepted", ref="R-2")
    b.say("fund", "referral.accepted", ref="R-4")
    return b


def _prosecution_asked(b: Bench) -> Bench:
    identified(b).consents("prosecution")
    b.say(UNIT, "referral.submitted", ref="R-7", to=["prosecution"], legal_basis="x")
    b.say("prosecution", "referral.accepted", ref="R-7")
    return b


def _guardianship_asked(b: Bench) -> Bench:
    child_referred(b).say("school", "referral.submitted", ref="R-8", to=["guardianship"], child=True, legal_basis="x")
    b.say("guardianship", "referral.accepted", ref="R-8")
    return b


def _unread(b: Bench) -> Bench:
    """The special unit cannot read the referral."""
    consented(b)
    letter = b.say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT], letter=True, legal_basis="x")
    b.say(UNIT, "letter.unreadable", cause=letter.id)
    return b


def _bed_asked(b: Bench) -> Bench:
    begun(b).say(UNIT, "shelter.bed_requested", ref="B-1", to=["shelter"])
    return b


def _hold_asked(b: Bench) -> Bench:
    begun(b).say(UNIT, "stay.hold_requested", ref="H-1", to=["migration"])
    return b


def _organisation_taken_on(b: Bench) -> Bench:
    """An organisation has accepted a referral for the way home."""
    identified(b).consents("iom")
    b.say("vac", "referral.submitted", ref="R-7", to=["iom"], reason="Return", letter=True)
    b.say("iom", "referral.accepted", ref="R-7")
    return b


def _organisation_helps(b: Bench) -> Bench:
    """It accepted while a return was under way."""
    identified(b).say(UNIT, "return.consented")
    b.say(UNIT, "return.risk_assessed")
    b.consents("iom")
    b.say("vac", "referral.submitted", ref="R-7", to=["iom"], reason="Return", letter=True)
    b.say("iom", "referral.accepted", ref="R-7")
    return b


def _period_over(b: Bench) -> Bench:
    presumed(b).say(UNIT, "recovery.ended", reason="period_elapsed")
    return b


def _questioned(b: Bench) -> Bench:
    acknowledged(b).say(UNIT, "referral.info_requested", ref="R-1")
    return b


def _shelter_asked(b: Bench) -> Bench:
    """The shelter has accepted a referral, and offered the bed that was asked for."""
    begun(b).consents("ngo-shelter")
    b.say(UNIT, "referral.submitted", ref="R-7", to=["ngo-shelter"], legal_basis="x")
    b.say("ngo-shelter", "referral.accepted", ref="R-7")
    b.say(UNIT, "shelter.bed_requested", ref="B-7", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-7")
    return b


def _migration_asked(b: Bench) -> Bench:
    """The migration service has accepted a referral, and is asked for a hold too."""
    identified(b).say(UNIT, "referral.submitted", ref="R-7", to=["migration"], legal_basis="x")
    b.say("migration", "referral.accepted", ref="R-7")
    b.say(UNIT, "stay.hold_requested", ref="H-7", to=["migration"])
    return b


def _bodies_asked(b: Bench) -> Bench:
    """The child commission has accepted a referral, and decided before where the child may live."""
    child_referred(b).say("child-commission", "safeguard.best_interests_decided")
    b.say("school", "referral.submitted", ref="R-8", to=["child-commission"], child=True, legal_basis="x")
    b.say("child-commission", "referral.accepted", ref="R-8")
    return b


def _stopping(b: Bench) -> Bench:
    planned(b).say("vac", "consent.withdrawn", receivers=["ngo-l"])
    return b


R1, R2, R4 = {"ref": "R-1"}, {"ref": "R-2"}, {"ref": "R-4"}
ENDINGS: Final[list[tuple[str, Story, str, str, dict[str, Any]]]] = [
    ("D-REFER", signalled, "ngo-a", "referral.submitted", {"ref": "R-1", "to": [UNIT]}),
    ("D-REFER", signalled, "ngo-a", "referral.submitted", {"ref": "R-1", "to": ["vac"], "withhold_from": [UNIT]}),
    ("D-REFER", signalled, "ngo-a", "plan.adopted", {"to": ["vac"]}),
    ("D-REFER", signalled, "ngo-a", "case.signal_dismissed", {}),
    ("D-REFER", signalled, "ngo-a", "consent.refused", {"receivers": [UNIT]}),
    ("D-REFER", _unread, UNIT, "referral.accepted", R1),
    ("D-REFER", _unread, UNIT, "identification.stage_entered", {}),
    *(("D-ACK", referred, UNIT, f"referral.{kind}", R1) for kind in ("acknowledged", "accepted", "declined")),
    ("D-ACK", referred, "ngo-a", "referral.revoked", R1),
    ("D-ANSWER", acknowledged, UNIT, "referral.declined", R1),
    ("D-ANSWER", acknowledged, "ngo-a", "referral.revoked", R1),
    ("D-ANSWER", acknowledged, UNIT, "identification.stage_entered", {}),
    ("D-SERVICE", served, "ngo-l", "referral.accepted", R2),
    ("D-SERVICE", served, "ngo-l", "referral.declined", R2),
    ("D-SERVICE", served, "vac", "referral.revoked", R2),
    ("D-SERVICE", served, "timekeeper", "referral.expired", R2),
    *(("D-SERVICE", _service_asked, "ngo-l", f"service.{kind}", {"ref": "S-2"}) for kind in ("scheduled", "delivered", "not_delivered")),
    ("D-INFO", _questioned, "ngo-a", "referral.info_supplied", R1),
    ("D-INFO", _questioned, "ngo-a", "referral.revoked", R1),
    ("D-ASSIGN", _shelter_asked, "ngo-shelter", "shelter.admitted", {"ref": "B-7"}),
    ("D-ASSIGN", _migration_asked, "migration", "stay.hold_confirmed", {"ref": "H-7"}),
    *(("D-ASSIGN", _migration_asked, "migration", f"stay.permit_{kind}", {}) for kind in ("issued", "refused", "renewed")),
    ("D-ASSIGN", _bodies_asked, "child-commission", "safeguard.returned_to_family", {}),
    ("D-ASSIGN", _taken_on, "fund", "fund.compensation_granted", {"ref": "C-1"}),
    ("D-ASSIGN", _taken_on, "ngo-l", "needs.assessed", {"to": ["vac"]}),
    ("D-ASSIGN", _taken_on, "ngo-l", "plan.adopted", {"to": ["vac"]}),
    *(("D-ASSIGN", _taken_on, "ngo-l", f"plan.{kind}", {}) for kind in ("revised", "completed")),
    *(("D-ASSIGN", _taken_on, "ngo-l", f"service.{kind}", {}) for kind in ("requested", "scheduled", "delivered", "not_delivered")),
    *(("D-ASSIGN", _taken_on, "fund", f"payment.{kind}", {}) for kind in ("ordered", "executed", "failed")),
    ("D-ASSIGN", _taken_on, "fund", "referral.completed", R4),
    ("D-ASSIGN", _prosecution_asked, "prosecution", "justice.case_opened", {"ref": "J-1"}),
    *(("D-ASSIGN", _guardianship_asked, "guardianship", f"safeguard.{kind}", {}) for kind in ("representative_assigned", "best_interests_decided")),
    ("D-REPRESENT", child_waiting, "guardianship", "safeguard.representative_assigned", {}),
    ("D-REPRESENT", child_waiting, UNIT, "safeguard.age_assessed", {}),
    ("D-RG", begun, UNIT, "identification.reasonable_grounds_decided", {}),
    ("D-RECOVERY", presumed, UNIT, "identification.status_decided", {}),
    ("D-RECOVERY", presumed, UNIT, "recovery.ended", {}),
    ("D-CG", _period_over, UNIT, "identification.status_decided", {}),
    ("D-CG", _period_over, UNIT, "recovery.period_started", {}),
    *(("D-REVIEW30", presumed, UNIT, f"recovery.{kind}", {}) for kind in ("reviewed", "extended", "ended")),
    ("D-REVIEW30", presumed, UNIT, "identification.status_decided", {}),
    *(("D-BED", _bed_asked, "shelter", f"shelter.bed_{kind}", {"ref": "B-1"}) for kind in ("offered", "refused")),
    ("D-SHELTER", housed, "shelter", "shelter.discharged", {"ref": "B-1"}),
    ("D-HOLD", _hold_asked, "migration", "stay.hold_confirmed", {"ref": "H-1"}),
    ("D-HOLD", _hold_asked, UNIT, "stay.hold_ended", {"ref": "H-1"}),
    ("D-STOP", _stopping, "ngo-l", "consent.stop_confirmed", {}),
    ("D-ERASE", erasing, "ngo-a", "access.erasure_confirmed", {}),
    *(("D-RISK", wishing, "iom", f"return.{kind}", {}) for kind in ("risk_assessed", "travel_arranged", "completed", "stopped")),
    *(("D-TRAVEL", arranged, "iom", f"return.{kind}", {}) for kind in ("completed", "stopped")),
    ("D-MONITOR", home, "iom", "return.monitored", {}),
    ("D-ASSIGN", _organisation_taken_on, "iom", "return.consented", {}),
    *(("D-ASSIGN", _organisation_helps, "iom", f"return.{kind}", {}) for kind in ("risk_assessed", "travel_arranged", "stopped")),
    *(("D-MERGE", merging, UNIT, f"consent.{kind}", {"receivers": ["shelter"]}) for kind in ("given", "refused", "withdrawn", "overridden")),
    ("D-MERGE", merging, UNIT, "referral.submitted", {"ref": "R-5", "to": ["vac"]}),
    ("D-MERGE", merging, UNIT, "shelter.bed_requested", {"ref": "B-5", "to": ["ngo-shelter"]}),
    ("D-REVIEW", under_review, UNIT, "review.decided", {"ref": "V-1", "outcome": "upheld"}),
]  # fmt: skip
IDS = [f"{n} {code} {type}" for n, (code, _, _, type, _) in enumerate(ENDINGS)]


def _after(story: Story, by: str, type: str, said: dict[str, Any]) -> tuple[list[str], list[str]]:
    b = story(Bench())
    before = [f"{clock.code} {clock.answerable}" for clock in b.rules.clocks(b.view)]
    b.hear(Fact.of(b.event(by, type, **said), (), b.now, 99))
    return before, [f"{clock.code} {clock.answerable}" for clock in b.rules.clocks(b.view)]


@pytest.mark.parametrize(("code", "story", "by", "type", "said"), ENDINGS, ids=IDS)
def test_a_clock_ends_by_this(code: str, story: Story, by: str, type: str, said: dict[str, Any]) -> None:
    """A clock of the code ran before the event, and one fewer runs after it."""
    before, after = _after(story, by, type, said)
    count = sum(clock.startswith(f"{code} ") for clock in before)
    assert count
    assert sum(clock.startswith(f"{code} ") for clock in after) == count - 1


@pytest.mark.parametrize(("code", "story", "by", "type", "said"), ENDINGS, ids=IDS)
def test_a_clock_of_a_reference_or_an_agency_does_not_end_by_somebody_elses_doing(
    code: str, story: Story, by: str, type: str, said: dict[str, Any]
) -> None:
    """The same said by a hospital that nobody asked ends nothing; a clock of the whole case asks not who."""
    if load_profile(POLICY).clocks[code].scope == "case":
        assert by != "hospital"
        return
    before, after = _after(story, "hospital", type, said)
    count = sum(clock.startswith(f"{code} ") for clock in before)
    assert sum(clock.startswith(f"{code} ") for clock in after) == count


def test_every_ending_of_the_profile_is_shown_above() -> None:
    """So that one taken out of the profile fails here."""
    profile = load_profile(POLICY)
    written = {(code, name) for code, rule in profile.clocks.items() for end in rule.ends_by for name in end.events}
    assert {(code, type) for code, _, _, type, _ in ENDINGS} == written


@pytest.mark.parametrize(
    ("story", "by", "type", "said"),
    [
        (signalled, "ngo-a", "referral.submitted", {"ref": "R-1", "to": ["vac"]}),
        (signalled, "ngo-a", "consent.refused", {"receivers": [UNIT], "purposes": ["services"]}),
        (signalled, "vac", "plan.adopted", {"to": ["ngo-l"]}),
        (child_flagged, "school", "consent.refused", {"receivers": [UNIT]}),
        (signalled, "ngo-a", "safeguard.child_flagged", {"to": BODIES}),
    ],
)
def test_the_24_hours_do_not_end_by_this(story: Story, by: str, type: str, said: dict[str, Any]) -> None:
    """A referral to anybody, a child's refusal, a plan of others: the duty to refer stays."""
    _, after = _after(story, by, type, said)
    assert any(clock.startswith("D-REFER") for clock in after)


def test_each_clock_starts_and_is_owed_as_the_profile_says() -> None:
    """Every code with its answerable agency, and who else is told."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    stories = [
        child_waiting,
        signalled,
        referred,
        acknowledged,
        _questioned,
        _period_over,
        begun,
        presumed,
        merging,
        served,
        _taken_on,
        _bed_asked,
        _hold_asked,
        under_review,
        _stopping,
        erasing,
        _organisation_taken_on,
        wishing,
        arranged,
        home,
    ]
    for story in stories:
        b = story(Bench())
        found |= {(clock.code, clock.answerable): clock.told for clock in b.rules.clocks(b.view)}
    assert found == {
        ("D-REFER", "ngo-a"): (),
        ("D-ACK", UNIT): ("ngo-a",),
        ("D-ANSWER", UNIT): ("ngo-a",),
        ("D-INFO", "ngo-a"): (UNIT,),
        ("D-RG", UNIT): ("ngo-a",),
        ("D-REPRESENT", "guardianship"): (UNIT,),
        ("D-RECOVERY", UNIT): (),
        ("D-REVIEW30", UNIT): (),
        ("D-CG", UNIT): ("ngo-a",),
        ("D-SERVICE", "ngo-l"): ("vac",),
        ("D-SERVICE", "fund"): ("vac",),
        ("D-ASSIGN", "ngo-l"): ("vac",),
        ("D-ASSIGN", "fund"): ("vac",),
        ("D-BED", "shelter"): (UNIT,),
        ("D-SHELTER", "shelter"): ("vac",),
        ("D-HOLD", "migration"): (UNIT,),
        ("D-STOP", "ngo-l"): ("vac",),
        ("D-REVIEW", UNIT): ("ngo-a",),
        ("D-ASSIGN", "iom"): ("vac",),
        **{(code, "iom"): ("vac",) for code in ("D-RISK", "D-TRAVEL", "D-MONITOR")},
        ("D-MERGE", UNIT): (),
        **{("D-ERASE", each): ("court",) for each in ("court", "migration", "ngo-a", "ngo-l", "shelter", UNIT, "vac")},
    }
    assert {code for code, _ in found} == set(load_profile(POLICY).clocks)
    court = unit_refused(Bench())
    court.hear(Fact.of(court.event("ngo-a", "review.requested", ref="V-1", kind="court"), (), court.now, 99))
    assert [clock.answerable for clock in court.rules.clocks(court.view)] == ["court"]
