"""Statuses: for each event the statuses before and after. Section 2 of RULES.md, written out a second time."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.events.casting import in_version
from nrmbus.events.model import Event, Fact
from nrmbus.events.referral import ReferralSubmittedV3, ServiceAsked
from nrmbus.events.registry import versions
from nrmbus.events.shelter import BedRequestedV2
from nrmbus.rules import Status, load_profile
from nrmbus.rules.judge.check import Question
from nrmbus.rules.judge.course import hold_must_stand, shelter_not_open, wrong_state
from nrmbus.rules.tables import Roles, Tables
from rules.given import NEGATIVE, NOT_A_VICTIM, Bench
from rules.stories import closed, consented, offered, referred, signalled, unit_refused, without_status

PROFILE = load_profile(POLICY)
TABLES = Tables.of(PROFILE)
UNIT = "special-unit"
STATUSES: Final[dict[str, Status]] = {
    "S": "SUSPECTED",
    "R": "REFERRED",
    "U": "UNDER_IDENTIFICATION",
    "P": "PRESUMED",
    "I": "IDENTIFIED",
    "N": "NOT_IDENTIFIED",
    "A": "SUPPORT_NO_STATUS",
    "W": "WITHDRAWN",
    "C": "CLOSED",
}
GOING_ON = "SRUPINA"
HELPED = "RUPINA"
ANY = "SRUPINAWC"

FROM: Final[list[tuple[str, str, dict[str, Any], str]]] = [
    ("ngo-a", "case.signal_recorded", {}, ""),
    ("ngo-a", "case.re_referred", {}, ""),
    ("ngo-a", "incident.opened", {}, ""),
    ("ngo-a", "case.signal_dismissed", {}, "S"),
    (UNIT, "case.linked", {}, ANY),
    (UNIT, "case.merged", {"outcome": "ends"}, "SRU"),
    (UNIT, "case.merged", {}, GOING_ON),
    ("ngo-a", "case.copy_issued", {}, ANY),
    ("vac", "case.withdrawn", {}, GOING_ON),
    ("vac", "case.closed", {}, GOING_ON + "W"),
    ("vac", "case.reopened", {}, "C"),
    ("timekeeper", "case.follow_up_due", {}, GOING_ON + "C"),
    ("vac", "case.follow_up_recorded", {}, GOING_ON + "C"),
    ("ngo-a", "referral.submitted", {"to": [UNIT]}, "SA"),
    ("ngo-a", "referral.submitted", {"to": [UNIT, "vac"]}, "SA"),
    ("ngo-a", "referral.submitted", {"to": ["vac"]}, GOING_ON),
    ("ngo-a", "referral.submitted", {"to": ["vac"], "withhold_from": [UNIT]}, GOING_ON),
    ("vac", "plan.adopted", {"to": ["shelter"]}, HELPED),
    ("ngo-a", "plan.adopted", {"to": ["shelter"]}, "S" + HELPED),
    (UNIT, "identification.stage_entered", {}, "R"),
    (UNIT, "identification.stage_entered", {"stage": "inquiry"}, "UP"),
    (UNIT, "identification.interview_held", {}, "UP"),
    (UNIT, "identification.indicators_screened", {}, "UP"),
    (UNIT, "identification.reasonable_grounds_decided", {}, "U"),
    (UNIT, "identification.reasonable_grounds_decided", NEGATIVE, "U"),
    (UNIT, "identification.status_decided", {}, "P"),
    (UNIT, "identification.status_decided", NOT_A_VICTIM, "P"),
    (UNIT, "identification.status_revoked", {}, "I"),
    ("shelter", "shelter.discharged", {}, GOING_ON + "W"),
    (UNIT, "stay.hold_ended", {}, ANY),
    ("ngo-a", "review.requested", {}, "N"),
    (UNIT, "review.decided", {}, "RUPIN"),
    *(
        ("vac", f"consent.{kind}", {"receivers": ["shelter"]}, ANY)
        for kind in ("given", "refused", "withdrawn", "overridden")
    ),
    ("vac", "consent.objected", {"receivers": ["shelter"]}, ANY),
    ("vac", "consent.stop_confirmed", {}, ANY),
    *((UNIT, f"recovery.{kind}", {}, "P") for kind in ("period_started", "extended", "reviewed", "ended")),
    ("vac", "needs.assessed", {"to": ["shelter"]}, HELPED),
    *(("vac", f"plan.{kind}", {}, HELPED) for kind in ("revised", "completed")),
    *(("vac", f"service.{kind}", {}, HELPED) for kind in ("requested", "scheduled", "delivered", "not_delivered")),
    *(("fund", f"payment.{kind}", {}, HELPED) for kind in ("ordered", "executed", "failed")),
    ("fund", "fund.compensation_granted", {}, ANY),
    *(("court", f"justice.{kind}", {}, ANY) for kind in ("case_opened", "measure_granted", "verdict_recorded")),
    *(("migration", f"stay.permit_{kind}", {}, GOING_ON + "C") for kind in ("issued", "refused", "renewed")),
    (UNIT, "stay.hold_requested", {"to": ["migration"]}, GOING_ON),
    ("migration", "stay.hold_confirmed", {}, GOING_ON),
    *((UNIT, f"referral.{kind}", {}, GOING_ON) for kind in ("acknowledged", "accepted", "declined", "completed")),
    *((UNIT, f"referral.{kind}", {}, GOING_ON) for kind in ("info_requested", "info_supplied", "revoked", "expired")),
    *(
        ("iom", f"return.{kind}", {}, GOING_ON)
        for kind in ("consented", "risk_assessed", "travel_arranged", "completed")
    ),
    ("iom", "return.monitored", {}, GOING_ON + "C"),
    ("vac", "return.stopped", {}, GOING_ON),
    *((UNIT, f"stay.{kind}", {}, GOING_ON) for kind in ("embassy_barred", "embassy_bar_lifted")),
    (UNIT, "handover.person_received", {}, GOING_ON),
    ("ngo-a", "handover.document_transferred", {}, GOING_ON),
    ("ngo-a", "safeguard.child_flagged", {"to": ["guardianship"]}, GOING_ON),
    *((UNIT, f"safeguard.{kind}", {}, GOING_ON) for kind in ("age_assessed", "representative_assigned")),
    *((UNIT, f"safeguard.{kind}", {}, GOING_ON) for kind in ("best_interests_decided", "returned_to_family")),
    (UNIT, "shelter.bed_requested", {"to": ["shelter"]}, GOING_ON),
    *(("shelter", f"shelter.{kind}", {}, GOING_ON) for kind in ("bed_offered", "bed_refused", "admitted")),
    ("timekeeper", "shelter.offer_lapsed", {"shelter": "shelter"}, ANY),
    ("timekeeper", "deadline.breached", {"rule": "D-RG", "due": "2026-03-03T05:00:00Z", "late_by_minutes": 0}, ANY),
    (UNIT, "deadline.lifted", {"rule": "D-STOP", "agency": "ngo-l", "ground": "keys_lost"}, ANY),
    ("ngo-a", "document.shared", {"to": [UNIT]}, GOING_ON),
    ("ngo-a", "document.chunk_sent", {"to": [UNIT]}, GOING_ON),
    (UNIT, "letter.opened", {}, ANY),
    (UNIT, "letter.kept_shut", {}, ANY),
    (UNIT, "letter.unreadable", {}, ANY),
    (UNIT, "access.granted", {}, ANY),
    ("auditor", "access.granted", {}, ANY),
    ("ngo-l", "access.break_glass", {}, ANY),
    ("vac", "access.break_glass_objected", {}, ANY),
    ("timekeeper", "access.reseal_due", {}, ANY),
    ("vac", "access.resealed", {}, ANY),
    ("court", "access.terminated", {}, ANY),
    (UNIT, "access.revoked", {"receivers": ["ngo-a"]}, ANY),
    ("ngo-a", "access.hold_placed", {}, ANY),
    ("timekeeper", "access.erasure_due", {}, ANY),
    ("ngo-a", "access.erasure_confirmed", {}, ANY),
    ("shelter", "provider.capacity_changed", {}, GOING_ON),
    ("timekeeper", "agency.listening_changed", {}, GOING_ON),
    ("vac", "data.breach_reported", {}, GOING_ON),
    ("statistics", "stats.period_published", {}, GOING_ON),
    ("coordinator", "policy.profile_activated", {}, GOING_ON),
]


def _possible(b: Bench, by: str, type: str, said: dict[str, Any]) -> str:
    """The statuses, by their letters, from which G-40 lets this pass."""
    event = b.event(by, type, **said)
    roles = Roles(AGENCIES)
    return "".join(
        letter
        for letter, status in STATUSES.items()
        if not wrong_state(Question(TABLES, roles, dataclasses.replace(b.view, status=status), event))
    )


@pytest.mark.parametrize(("by", "type", "said", "expected"), FROM, ids=[f"{n} {row[1]}" for n, row in enumerate(FROM)])
def test_an_event_comes_from_the_statuses_of_section_2_and_no_other(
    by: str, type: str, said: dict[str, Any], expected: str
) -> None:
    """Each type at each of the nine statuses; her refusal of the special unit stands, so T03b is there too."""
    assert _possible(unit_refused(Bench()), by, type, said) == expected


def test_every_type_is_in_the_table_above() -> None:
    """No published type without its statuses."""
    assert {type for _, type, _, _ in FROM} == set(PROFILE.types)


def test_help_by_the_detector_needs_her_refusal_of_the_special_unit() -> None:
    """T03b hangs on a recorded refusal, else a plan would stop the 24 hours."""
    assert _possible(signalled(Bench()), "ngo-a", "plan.adopted", {"to": ["shelter"]}) == HELPED


def test_the_units_own_find_begins_from_suspicion() -> None:
    """T08: from suspicion the unit begins without a referral."""
    b = Bench()
    b.say(UNIT, "case.signal_recorded", detector="special_unit")
    assert _possible(b, UNIT, "identification.stage_entered", {}) == "SR"


def test_the_state_shelter_admits_and_a_hold_stands_in_the_statuses_that_the_profile_names() -> None:
    """G-54 and G-47, at each of the nine statuses."""
    b = offered(Bench())
    admitted, ended = b.event("shelter", "shelter.admitted", ref="B-1"), b.event(UNIT, "stay.hold_ended", ref="H-1")

    def refused(applies: Callable[[Question], bool], event: Event) -> str:
        views = {letter: dataclasses.replace(b.view, status=status) for letter, status in STATUSES.items()}
        return "".join(
            letter for letter, view in views.items() if applies(Question(TABLES, Roles(AGENCIES), view, event))
        )

    assert refused(shelter_not_open, admitted) == "SNAWC"
    assert refused(hold_must_stand, ended) == "RUP"


TO: Final[list[tuple[str, str, dict[str, Any], str, str]]] = [
    ("ngo-a", "referral.submitted", {"to": [UNIT]}, "S", "R"),
    ("ngo-a", "referral.submitted", {"to": [UNIT]}, "A", "R"),
    ("ngo-a", "referral.submitted", {"to": ["vac"], "withhold_from": [UNIT]}, "S", "A"),
    ("ngo-a", "referral.submitted", {"to": ["vac"], "withhold_from": [UNIT]}, "I", "I"),
    ("ngo-a", "referral.submitted", {"to": ["embassy"], "withhold_from": [UNIT]}, "S", "S"),
    ("ngo-a", "referral.submitted", {"to": ["vac"]}, "S", "S"),
    ("ngo-a", "plan.adopted", {"to": ["shelter"]}, "S", "A"),
    ("vac", "plan.adopted", {"to": ["shelter"]}, "P", "P"),
    ("ngo-a", "case.signal_dismissed", {}, "S", "C"),
    (UNIT, "identification.stage_entered", {}, "R", "U"),
    (UNIT, "identification.stage_entered", {"stage": "inquiry"}, "P", "P"),
    (UNIT, "identification.reasonable_grounds_decided", {}, "U", "P"),
    (UNIT, "identification.reasonable_grounds_decided", NEGATIVE, "U", "N"),
    (UNIT, "identification.status_decided", {}, "P", "I"),
    (UNIT, "identification.status_decided", NOT_A_VICTIM, "P", "N"),
    (UNIT, "identification.status_decided", {"status": "PossibleVictimOfTrafficking"}, "P", "N"),
    (UNIT, "identification.status_revoked", {}, "I", "N"),
    ("vac", "case.withdrawn", {}, "P", "W"),
    ("vac", "case.closed", {}, "I", "C"),
    (UNIT, "case.merged", {"outcome": "ends"}, "U", "C"),
    (UNIT, "case.merged", {}, "P", "P"),
    (UNIT, "review.decided", {}, "N", "U"),
    (UNIT, "review.decided", {}, "P", "P"),
    (UNIT, "review.decided", {"outcome": "upheld"}, "N", "N"),
    (UNIT, "recovery.ended", {}, "P", "P"),
    ("fund", "payment.ordered", {}, "I", "I"),
]


@pytest.mark.parametrize(("by", "type", "said", "before", "after"), TO, ids=[f"{n} {r[1]}" for n, r in enumerate(TO)])
def test_an_event_leads_to_the_status_of_section_2(
    by: str, type: str, said: dict[str, Any], before: str, after: str
) -> None:
    """T01 to T24 lead where section 2 says."""
    b = signalled(Bench())
    b.view = dataclasses.replace(b.view, status=STATUSES[before])
    b.hear(Fact.of(b.event(by, type, **said), (), b.now, 99))
    assert b.view.status == STATUSES[after]


def test_a_signal_opens_a_case_under_suspicion_and_an_incident_has_no_status() -> None:
    """T01, T18: a signal leads to SUSPECTED; an incident has no status."""
    assert signalled(Bench()).view.status == "SUSPECTED"
    b = Bench()
    b.say("ngo-a", "incident.opened")
    assert b.view.status is None


def test_a_closed_case_comes_back_to_what_it_was() -> None:
    """T22, by the holder, the special unit or a court that knows it."""
    b = closed(Bench())
    b.say(UNIT, "case.reopened")
    assert b.view.status == "IDENTIFIED"


WITHHELD: Final = {
    "referral.submitted": ReferralSubmittedV3.from_mapping(
        {"to": ["vac"], "mode": "referral", "reason": "Other", "urgency": "urgent", "services": [], "withhold_from": ["special_unit"]}
    ),
    "shelter.bed_requested": BedRequestedV2.from_mapping(
        {"to": ["ngo-shelter"], "urgency": "urgent", "withhold_from": ["special_unit"]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("type", WITHHELD)
def test_an_event_withheld_by_role_is_withheld_from_the_unit(type: str) -> None:
    """G-33, G-34: a refusal may be recorded by the unit's role, in a version with a field for it."""
    b = unit_refused(Bench())
    b.consents("ngo-shelter")
    plain = WITHHELD[type].model_copy(update={"withhold_from": None})

    assert b.ask("ngo-a", type, ref="R-9", data=WITHHELD[type]) is None
    refused = b.ask("ngo-a", type, ref="R-9", data=plain)
    assert refused is not None
    assert refused.rule == "G-34"


def test_the_role_is_withheld_from_only_where_the_person_refused() -> None:
    """G-33: the 24 hours are not to be dodged, whichever way the unit is named."""
    refused = consented(Bench()).ask("ngo-a", "referral.submitted", ref="R-9", data=WITHHELD["referral.submitted"])

    assert refused is not None
    assert refused.rule == "G-33"


def test_help_without_a_status_begins_by_naming_the_role() -> None:
    """T03: help without a status needs the unit's role in `withhold_from`."""
    b = unit_refused(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-9", data=WITHHELD["referral.submitted"], letter=True)

    assert b.view.status == "SUPPORT_NO_STATUS"
    assert "D-REFER" not in b.codes


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_a_referral_is_read_alike(version: int) -> None:
    """The fields that the Rules use are alike in all versions: child, services, receivers, `withhold_from`."""
    b = unit_refused(Bench())
    ids = WITHHELD["referral.submitted"].model_copy(
        update={"withhold_from": (UNIT,), "services": (ServiceAsked(code="legal"),)}
    )
    event = b.event("ngo-a", "referral.submitted", ref="R-9", data=ids)
    cast = in_version(versions("referral.submitted"), event, version)[0]

    assert b.rules.judge(b.view, cast, b.now) is None
    b.hear(Fact.of(cast, b.rules.audience(b.view, cast).recipients, b.now, 99))
    assert b.view.status == "SUPPORT_NO_STATUS"
    assert b.codes == ["D-SERVICE"]


def test_accepting_the_referral_without_a_status_gives_the_case() -> None:
    """Section 1, holder: accepting this referral makes the agency the holder."""
    b = without_status(Bench())
    b.say("vac", "referral.accepted", ref="R-5")
    assert b.view.taken_over_by == "vac"
    other = referred(Bench())
    other.say(UNIT, "referral.accepted", ref="R-1")
    assert other.view.taken_over_by is None
    assert consented(Bench()).view.detector == "ngo-a"
