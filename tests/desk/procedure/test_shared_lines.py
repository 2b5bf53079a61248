"""Lines that several procedures share: first contact, and answers to one's own referrals."""

from importlib import import_module

import pytest

from given import Story, given, says
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.events.case import SignalRecorded
from nrmbus.events.codes import Detector
from nrmbus.events.consent import ConsentGiven, ConsentRefused
from nrmbus.events.handover import PersonReceived
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered, StatusDecided
from nrmbus.events.referral import (
    ReferralAccepted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralSubmitted,
)
from nrmbus.events.safeguard import ChildFlagged

DETECTORS: dict[str, Detector] = {
    "ngo-a": "ngo_outreach",
    "ngo-l": "ngo_legal",
    "ngo-shelter": "ngo_shelter",
    "migration": "migration",
    "iom": "international_organisation",
    "consulate": "consulate",
    "hotline": "hotline",
    "vac": "vac",
    "hospital": "health",
    "school": "education",
    "police-x": "police_other",
}
SENDERS = {**DETECTORS, "special-unit": "special_unit", "guardianship": "guardianship", "prosecution": "prosecution"}
REFUSED = ConsentRefused(purposes=("information_sharing",), receivers=("special-unit",), given_by="individual")


def signal(detector: Detector, *, child: bool = False) -> SignalRecorded:
    """The agency has met somebody."""
    return SignalRecorded(
        detector=detector, child=child, urgency="urgent", detected_abroad=False, basis=("help_requested",)
    )


@pytest.mark.parametrize("me", DETECTORS)
def test_an_adult_is_asked_and_a_child_protected_first(me: str) -> None:
    """An agency's people have one task after their own signal."""
    procedure = import_module(f"nrmbus.{ROOMS[DETECTORS[me]]}.procedure")

    given(procedure, me=me).when(says(me, signal(DETECTORS[me]))).then("ask_first")
    given(procedure, me=me).when(says(me, signal(DETECTORS[me], child=True))).then("children_first")


@pytest.mark.parametrize("me", [each for each in DETECTORS if each != "vac"])
def test_an_adult_who_refuses_the_special_unit_gets_help_without_it(me: str) -> None:
    """A police station refers to the special unit alone, so it says where there is help; the centre helps itself."""
    procedure = import_module(f"nrmbus.{ROOMS[DETECTORS[me]]}.procedure")
    story = given(procedure, me=me).heard(says(me, signal(DETECTORS[me])))

    story.when(says(me, REFUSED)).then("address_given" if me == "police-x" else "without_police")


@pytest.mark.parametrize("me", DETECTORS)
def test_a_child_whom_everybody_took_for_an_adult_is_referred_after_all(me: str) -> None:
    """A refusal ends the duty to refer, and a child's word ends none: whoever finds the child has a task to refer, and nobody else."""
    procedure = import_module(f"nrmbus.{ROOMS[DETECTORS[me]]}.procedure")
    flagged = ChildFlagged(to=("child-commission", "guardianship"), basis="stated_age")
    refers = ReferralSubmitted(
        to=("special-unit",), mode="referral", reason="ChildSafeguarding", urgency="urgent", services=()
    )

    def refused() -> Story:
        return given(procedure, me=me).heard(says(me, signal(DETECTORS[me])), says(me, REFUSED))

    refused().when(says(me, flagged)).then("refer_child")
    refused().when(says("shelter", flagged)).then("read")
    refused().heard(says(me, refers, "R-1")).when(says(me, flagged)).then()
    willing = given(procedure, me=me).heard(says(me, signal(DETECTORS[me])))
    willing.when(says(me, flagged)).then()


@pytest.mark.parametrize("me", SENDERS)
def test_no_referral_of_an_agency_ends_in_silence(me: str) -> None:
    """A question, a refusal and silence are tasks for whoever referred; an acceptance is noted, or begins a plan."""
    procedure = import_module(f"nrmbus.{ROOMS[SENDERS[me]]}.procedure")
    to = "special-unit" if me != "special-unit" else "ngo-legal"
    sent = ReferralSubmitted(to=(to,), mode="referral", reason="Other", urgency="normal", services=())
    refused = ReferralDeclined(reason="no_capacity", declined_by="provider")
    story = given(procedure, me=me).heard(says(me, sent, "R-1"))

    asked = story.when(says(to, ReferralInfoRequested(question="language"), "R-1")).task
    assert asked.code in ("supply", "call_back")
    story.when(says(to, ReferralAccepted(next_step="other"), "R-1")).then()
    given(procedure, me=me).heard(says(me, sent, "R-1")).when(says(to, refused, "R-1")).then("refer_again")
    given(procedure, me=me).heard(says(me, sent, "R-1")).when(
        says("timekeeper", ReferralExpired(reason="no_answer"), "R-1")
    ).then("refer_again")


REFERRERS = {
    **{me: role for me, role in SENDERS.items() if role not in ("vac", "special_unit", "guardianship")},
    "fund": "fund",
    "embassy": "embassy",
    "border": "border",
    "shelter": "shelter_state",
    "social-services": "social_services",
}
NO = StatusDecided(
    status="NotAVictimOfTrafficking", deciding_body="Police", reasons=("indicators_not_met",), review_until_days=30
)


@pytest.mark.parametrize("me", REFERRERS)
def test_who_referred_learns_what_a_decision_asks_for(me: str) -> None:
    """After a no the person hears of a review; a yes, the reception and a stage are noted."""
    procedure = import_module(f"nrmbus.{ROOMS[REFERRERS[me]]}.procedure")
    sent = ReferralSubmitted(to=("special-unit",), mode="referral", reason="Other", urgency="normal", services=())
    story = given(procedure, me=me).heard(says(me, sent, "R-1"))

    story.when(
        says("special-unit", PersonReceived(place_type="reception", duty_role="duty_officer", items=0), "R-1")
    ).then()
    story.when(says("special-unit", StageEntered(stage="initial_assistance"))).then()
    story.when(says("special-unit", ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",)))).then()
    task = story.when(says("special-unit", NO)).task
    assert task.code == ("tell_of_review" if me in ("fund", "prosecution") else "review_for_person")


@pytest.mark.parametrize("me", ["shelter", "migration", "fund"])
def test_a_decision_about_somebody_else_s_referral_is_no_such_task(me: str) -> None:
    """The house where she lives, or the fund that a consent names, referred nobody."""
    procedure = import_module(f"nrmbus.{ROOMS[REFERRERS[me]]}.procedure")
    sent = ReferralSubmitted(to=("special-unit",), mode="referral", reason="Other", urgency="normal", services=())
    story = given(procedure, me=me).heard(says("ngo-a", sent, "R-1"))

    assert "review" not in story.when(says("special-unit", NO)).task.code


def test_a_police_station_is_named_nobody_but_the_special_unit() -> None:
    """A consent that covers the assistance centre does not let a station refer there (G-10)."""
    procedure = import_module("nrmbus.inspection.procedure")
    sent = ReferralSubmitted(to=("special-unit",), mode="referral", reason="Other", urgency="normal", services=())
    consent = ConsentGiven(
        purposes=("information_sharing", "services"), receivers=("vac",), given_by="individual", form="written"
    )
    story = given(procedure, me="police-x").heard(says("police-x", consent), says("police-x", sent, "R-1"))

    refused = ReferralDeclined(reason="outside_mandate", declined_by="provider", alternative="vac")
    assert story.when(says("special-unit", refused, "R-1")).task.alternatives == ()
