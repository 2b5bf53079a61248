"""An agency that is gone, or that keeps somebody: the person finds another bed and other help, and her case comes to an end."""

from typing import Any

import pytest

from rules.given import Bench
from rules.stories import (
    LEGAL,
    begun,
    child_begun,
    child_housed,
    child_planned,
    housed,
    kept_after_closing,
    planned,
    presumed,
    without_status,
)

UNIT = "special-unit"


def refused(b: Bench, by: str, type: str, **said: Any) -> str | None:
    """Return the rule that refuses this, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


def second_bed(b: Bench) -> Bench:
    """Another house offers a bed to somebody who lives in the state's."""
    housed(b)
    b.consents("ngo-shelter")
    b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
    return b


class TestAHouseThatDischargesNobody:
    """It closed its doors, or its people keep her."""

    def test_keeps_no_other_house_from_admitting_once_she_has_taken_her_consent_back(self) -> None:
        """Given two houses, when she no longer agrees to the first, then the second admits her; before that it may not."""
        b = second_bed(Bench())
        assert refused(b, "ngo-shelter", "shelter.admitted", ref="B-2") == "G-53"
        b.say("ngo-a", "consent.withdrawn", receivers=["shelter"])
        b.say("ngo-shelter", "shelter.admitted", ref="B-2")

        assert refused(b, "shelter", "shelter.discharged", ref="B-1") is None

    def test_keeps_no_case_open(self) -> None:
        """Given that she has left without a word of the house, then her case can be closed."""
        b = housed(Bench())
        assert refused(b, UNIT, "case.closed", reason="lost_contact") == "G-49"
        b.say("ngo-a", "consent.withdrawn", receivers=["shelter"])

        assert refused(b, UNIT, "case.closed", reason="lost_contact") is None

    def test_records_that_she_has_left_after_her_case_was_closed(self) -> None:
        """Given a closed case, when she leaves, then the house says so once: its book would keep her bed taken for years."""
        b = kept_after_closing(Bench())
        assert b.view.status == "CLOSED"
        assert refused(b, "ngo-shelter", "shelter.discharged", ref="B-1") is not None
        b.say("shelter", "shelter.discharged", ref="B-1", reason="own_request")

        assert refused(b, "shelter", "shelter.discharged", ref="B-1") == "G-40"
        assert refused(b, "shelter", "shelter.admitted", ref="B-1") == "G-40"

    def test_is_shut_out_once_there_is_another_bed(self) -> None:
        """Given a house whose people endanger her, when another house offers a bed, then the first one's access can be ended."""
        b = housed(Bench())
        assert refused(b, UNIT, "access.revoked", receivers=["shelter"], approver="A-2") == "G-69"
        b.consents("ngo-shelter")
        b.say(UNIT, "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
        assert refused(b, UNIT, "access.revoked", receivers=["shelter"], approver="A-2") == "G-69"
        b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
        b.say(UNIT, "access.revoked", receivers=["shelter"], approver="A-2")
        b.say("ngo-shelter", "shelter.admitted", ref="B-2")

        assert refused(b, "shelter", "shelter.discharged", ref="B-1") == "G-05"

    @pytest.mark.parametrize("answer", [None, "deleted"])
    def test_is_not_shut_out_for_a_bed_that_she_refuses(self, answer: str | None) -> None:
        """She has taken back her consent to the house that offered, which may have deleted all: nobody stands on the street."""
        b = second_bed(Bench())
        assert refused(b, UNIT, "access.revoked", receivers=["shelter"], approver="A-2") is None
        b.say("ngo-a", "consent.withdrawn", receivers=["ngo-shelter"])
        if answer:
            b.say("ngo-shelter", "consent.stop_confirmed", answer=answer)

        assert refused(b, UNIT, "access.revoked", receivers=["shelter"], approver="A-2") == "G-69"

    def test_is_not_shut_out_for_the_bed_of_a_house_that_has_left_a_child(self) -> None:
        """A child's word bars nobody; the house that deleted its data has no bed any more."""
        b = child_housed(Bench())
        b.say(UNIT, "shelter.bed_requested", ref="B-11", to=["shelter"])
        b.say("shelter", "shelter.bed_offered", ref="B-11")
        assert refused(b, UNIT, "access.revoked", receivers=["ngo-shelter"], approver="A-2") is None
        b.say(UNIT, "consent.withdrawn", receivers=["shelter"])
        b.say("shelter", "consent.stop_confirmed")

        assert refused(b, UNIT, "access.revoked", receivers=["ngo-shelter"], approver="A-2") == "G-69"


class TestAServiceThatNobodyAnswersFor:
    """The agency that was asked is gone."""

    def test_is_taken_back_by_who_asked_for_it(self) -> None:
        """Its duty ends, its part ends, it is told, and the case can be closed; nobody else may do that."""
        b = planned(Bench())
        b.consents("school")
        b.say("vac", "service.requested", ref="S-9", to=["school"], service="education")
        assert b.view.on_case("school")
        assert refused(b, "ngo-l", "service.not_delivered", ref="S-9", service="education") == "G-04"
        taken = b.event("vac", "service.not_delivered", ref="S-9", service="education")
        assert b.rules.audience(b.view, taken).recipients == ("school",)
        b.say("vac", "service.not_delivered", ref="S-9", service="education")

        assert "D-SERVICE" not in b.codes
        assert not b.view.on_case("school")
        assert refused(b, "vac", "service.not_delivered", ref="S-9", service="education") == "G-04"

    def test_is_waited_for_until_each_who_was_asked_has_answered(self) -> None:
        """Of two, one says no and the other nothing: the case stays open, and the request is taken back from the silent one alone."""
        b = without_status(Bench())
        b.say("vac", "referral.accepted", ref="R-5")
        b.consents("hospital", "school", by="vac")
        b.say("vac", "service.requested", ref="S-9", to=["hospital", "school"], service="health")
        b.say("school", "service.delivered", ref="S-9", service="health")
        assert refused(b, "vac", "case.closed") == "G-49"
        b.say("vac", "service.not_delivered", ref="S-9", service="health")

        assert "D-SERVICE" not in b.codes
        assert b.view.on_case("school")
        assert not b.view.on_case("hospital")
        assert refused(b, "vac", "case.closed") is None

    def test_is_over_once_the_last_who_was_asked_has_answered(self) -> None:
        """Also where another one has deleted its data instead."""
        b = without_status(Bench())
        b.say("vac", "referral.accepted", ref="R-5")
        b.consents("hospital", "school", by="vac")
        b.say("vac", "service.requested", ref="S-9", to=["hospital", "school"], service="health")
        gone = b.fork()
        b.say("school", "service.not_delivered", ref="S-9", service="health")
        b.say("hospital", "service.delivered", ref="S-9", service="health")
        assert refused(b, "vac", "case.closed") is None

        gone.say("school", "service.not_delivered", ref="S-9", service="health")
        gone.say("vac", "consent.withdrawn", receivers=["hospital"])
        gone.say("hospital", "consent.stop_confirmed")
        assert refused(gone, "vac", "case.closed") is None

    def test_is_not_taken_back_by_one_of_those_who_were_asked(self) -> None:
        """Given a provider that asked itself and another, then its answer is its own."""
        b = planned(Bench())
        b.consents("school")
        b.say("vac", "service.requested", ref="S-9", to=["school", "vac"], service="education")
        b.say("vac", "service.not_delivered", ref="S-9", service="education")

        assert {clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-SERVICE"} == {"school"}


class TestAReferrerThatDeleted:
    """Given the referrer to the special unit, after its confirmation of the deletion."""

    def deleted(self) -> Bench:
        """The person withdraws the services of the NGO, and not the sharing of information."""
        b = begun(Bench())
        b.say(UNIT, "consent.withdrawn", receivers=["ngo-a"], purposes=["services"])
        b.say("ngo-a", "consent.stop_confirmed")
        return b

    def test_hears_of_no_stage_and_opens_no_interview(self) -> None:
        """When the unit goes on, then no stage reaches the NGO, and no story of the interview it attended."""
        b = self.deleted()
        stage = b.say(UNIT, "identification.stage_entered", stage="inquiry").audience
        attended = ["special_unit", "ngo_outreach"]
        interview = b.say(UNIT, "identification.interview_held", attended=attended, letter=True).audience

        assert stage.recipients == ()
        assert interview.recipients == ()
        assert not any(interview.opens.values())

    def test_hears_of_no_decision_about_a_child(self) -> None:
        """When the agency was a school, which a child's refusal does not bar, then no decision reaches the school either."""
        b = child_begun(Bench())
        b.say(UNIT, "consent.withdrawn", receivers=["school"])
        b.say("school", "consent.stop_confirmed")
        decided = b.event(UNIT, "identification.reasonable_grounds_decided")

        assert "school" not in b.rules.audience(b.view, decided).recipients

    def test_hears_of_no_breach_of_what_it_waited_for(self) -> None:
        """When the unit is late with its decision, then the unit alone is told."""
        assert self.deleted().through("d20 9:00") == ["D-RG 10 Mar 24:00 special-unit"]

    def test_hears_again_once_it_has_a_part_again(self) -> None:
        """When the unit refers the person to the NGO again, then the NGO hears of the next stage."""
        b = self.deleted()
        b.consents("ngo-a", by=UNIT)
        b.say(UNIT, "referral.submitted", ref="R-8", to=["ngo-a"], legal_basis=LEGAL)

        assert b.say(UNIT, "identification.stage_entered", stage="inquiry").audience.recipients == ("ngo-a",)

    def test_still_hears_whether_others_stop(self) -> None:
        """When it recorded a withdrawal from another agency, then it hears of the other one's delay and of the end."""
        b = planned(Bench())
        b.say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
        b.say(UNIT, "consent.withdrawn", receivers=["ngo-a"])
        b.say("ngo-a", "consent.stop_confirmed")
        late = b.fork()

        assert "ngo-a" in b.say("ngo-l", "consent.stop_confirmed").audience.recipients
        assert "D-STOP 13 Mar 24:00 ngo-a,ngo-l" in late.through("d20 9:00")


def test_who_asked_for_a_bed_and_deleted_hears_nothing_of_it() -> None:
    """Given an NGO's request of a bed for a child, when the NGO has deleted all, then nobody tells the NGO of the admission."""
    b = child_begun(Bench())
    b.say(UNIT, "referral.submitted", ref="R-20", to=["ngo-a"], child=True, legal_basis=LEGAL)
    b.say("ngo-a", "referral.accepted", ref="R-20")
    b.say("ngo-a", "shelter.bed_requested", ref="B-5", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-5")
    b.say(UNIT, "consent.withdrawn", receivers=["ngo-a"])
    b.say("ngo-a", "consent.stop_confirmed")

    assert b.say("ngo-shelter", "shelter.admitted", ref="B-5").audience.recipients == ("guardianship",)


def test_who_asked_for_a_service_and_deleted_hears_nothing_of_it() -> None:
    """Given a house that asked for a service, when it has deleted all, then the answer reaches the holder of the plan alone."""
    b = planned(Bench())
    b.say("shelter", "service.requested", ref="S-1", to=["ngo-l"])
    b.say("ngo-a", "consent.withdrawn", receivers=["shelter"], purposes=["services"])
    b.say("shelter", "consent.stop_confirmed")

    assert b.say("ngo-l", "service.delivered", ref="S-1").audience.recipients == ("vac",)


def test_a_plans_holder_that_deleted_what_it_had_hears_of_no_service() -> None:
    """Given a child, whose word bars nobody, then an agency that confirmed `deleted` is told nothing more as holder of the plan."""
    b = child_planned(Bench())
    holder = b.view.plan.holder if b.view.plan else ""
    b.say(UNIT, "consent.withdrawn", receivers=[holder])
    b.say(holder, "consent.stop_confirmed", answer="deleted")
    given = b.event("shelter", "service.delivered", ref="S-7", service="psychosocial")

    assert holder == "vac"
    assert holder not in b.rules.audience(b.view, given).recipients


def test_a_period_that_begins_again_puts_the_decision_off() -> None:
    """Given a period that was ended, when she may reflect again, then nobody is late with the decision; its end owes it anew."""
    b = presumed(Bench())
    b.say(UNIT, "recovery.ended")
    assert "D-CG" in b.codes
    b.say(UNIT, "recovery.period_started")
    assert "D-CG" not in b.codes
    b.say(UNIT, "recovery.ended")
    assert "D-CG" in b.codes


@pytest.mark.parametrize("by", ["ngo-a", UNIT])
def test_the_consulate_that_found_her_is_not_told_that_she_fears_her_state(by: str) -> None:
    """Given a consulate that gave the signal and holds the case, when a bar is set and lifted, then it hears of neither."""
    b = Bench()
    b.say("consulate", "case.signal_recorded", detector="consulate")
    b.consents(UNIT, "ngo-a", by="consulate")
    b.say("consulate", "referral.submitted", ref="R-0", to=["ngo-a"])
    barred = b.event(by, "stay.embassy_barred")
    assert "consulate" not in b.rules.audience(b.view, barred).recipients
    b.say(by, "stay.embassy_barred")

    assert "consulate" not in b.rules.audience(b.view, b.event(by, "stay.embassy_bar_lifted")).recipients
