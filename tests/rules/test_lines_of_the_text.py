"""Lines of the text that no other test holds: questions to a sender, the shield, the end of support, re-opening, complaints."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from agencies import reference
from rules.given import NOT_A_VICTIM, Bench
from rules.stories import (
    acknowledged,
    begun,
    child_identified,
    closed,
    housed,
    identified,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    signalled,
)

UNIT = "special-unit"


def refused_by(b: Bench, by: str, type: str, **said: object) -> str | None:
    """Return the rule that refuses the event, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


class TestAQuestion:
    """The receiver's clock stands still while the sender is asked, so the sender has a clock of its own."""

    def test_binds_the_sender_for_as_long_as_the_urgency_of_the_referral_says(self) -> None:
        """An emergency: 24 hours; then the sender, its supervisor and the agency that asked hear of the breach."""
        b = acknowledged(Bench()).at("3:00")
        b.say(UNIT, "referral.info_requested", ref="R-1")

        [duty] = [each for each in b.rules.clocks(b.view) if each.code == "D-INFO"]

        assert (duty.answerable, duty.told, duty.ref) == ("ngo-a", (UNIT,), reference("R-1"))
        assert [said.split(" ")[0] for said in b.through("d1 13:00")] == ["D-INFO"]

    def test_is_one_duty_however_often_it_is_put(self) -> None:
        """A second question before the answer to the first gives the sender no more time, and no second duty."""
        b = acknowledged(Bench()).at("3:00")
        b.say(UNIT, "referral.info_requested", ref="R-1")
        b.at("5:00").say(UNIT, "referral.info_requested", ref="R-1", question="documents")

        assert [each for each in b.deadlines if each.startswith("D-INFO")] == ["D-INFO 3 Mar 12:00"]

    def test_of_each_receiver_is_answered_for_itself(self) -> None:
        """Two agencies ask; one declines: the other one's question stands."""
        b = referred(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["ngo-l", "vac"])
        b.say("vac", "referral.info_requested", ref="R-9")
        b.say("ngo-l", "referral.info_requested", ref="R-9")
        assert b.codes.count("D-INFO") == 2

        b.say("vac", "referral.declined", ref="R-9")

        assert b.codes.count("D-INFO") == 1


class TestTheShield:
    """A victim is not removed inside the first year, and a child victim not at all [S28]."""

    def test_stands_for_a_year_from_the_recognition(self) -> None:
        """The last hold is not ended before 13 April 2027, 24:00."""
        b = identified(Bench())

        assert refused_by(b.at("d406 9:00"), UNIT, "stay.hold_ended", ref="H-1") == "G-47"
        assert refused_by(b.at("d408 9:00"), UNIT, "stay.hold_ended", ref="H-1") is None

    def test_is_the_last_hold_and_no_other(self) -> None:
        """With a second hold the first one may go."""
        b = identified(Bench())
        b.say(UNIT, "stay.hold_requested", ref="H-2", to=["migration"], ground="status", until_days=365)

        b.say(UNIT, "stay.hold_ended", ref="H-1")

        assert refused_by(b, UNIT, "stay.hold_ended", ref="H-2") == "G-47"

    @pytest.mark.parametrize(("days", "rule"), [(90, None), (1, "G-47")])
    def test_gives_way_to_a_permit_in_force(self, days: int, rule: str | None) -> None:
        """A permit that has run out protects nobody."""
        b = identified(Bench())
        b.say("migration", "stay.permit_issued", valid_days=days)

        assert refused_by(b.at("d50 9:00"), UNIT, "stay.hold_ended", ref="H-1", reason="permit_issued") == rule

    def test_of_a_child_has_no_end(self) -> None:
        """The rules on deportation do not apply to a child victim."""
        b = child_identified(Bench())
        b.say(UNIT, "stay.hold_requested", ref="H-1", to=["migration"])

        assert refused_by(b.at("d900 9:00"), UNIT, "stay.hold_ended", ref="H-1") == "G-47"
        assert refused_by(b, UNIT, "stay.hold_ended", ref="H-1", reason="left_country") is None


class TestSupportAfterANo:
    """Support ends after a negative decision on the status by a plan for the time afterwards (T14)."""

    def test_a_shelter_plans_where_nobody_else_does(self) -> None:
        """Nobody has a plan: the house makes one, and then lets her go."""
        b = presumed(Bench()).at("d40 9:00")
        b.say(UNIT, "identification.status_decided", **NOT_A_VICTIM)
        b.at("d80 9:00")
        assert refused_by(b, "shelter", "shelter.discharged", ref="B-1", reason="not_identified") == "G-58"
        assert refused_by(b, "shelter", "shelter.discharged", ref="B-1", reason="own_request") is None

        b.say("shelter", "plan.adopted", to=["shelter"])

        assert refused_by(b, "shelter", "shelter.discharged", ref="B-1", reason="not_identified") is None

    def test_a_shelter_need_not_plan_while_another_agency_helps(self) -> None:
        """The centre's plan goes on; the centre owes the plan for the time afterwards."""
        b = planned(Bench())
        b.say(UNIT, "identification.status_decided", **NOT_A_VICTIM)
        b.at("d80 9:00").say("shelter", "shelter.discharged", ref="B-1", reason="not_identified")

        assert refused_by(b, "vac", "case.closed", reason="not_a_victim") == "G-58"
        b.say("vac", "plan.revised", planned_end_days=14)
        assert refused_by(b, "vac", "case.closed", reason="not_a_victim") is None

    @pytest.mark.parametrize("story", [presumed, planned])
    def test_is_not_asked_for_once_the_person_has_withdrawn(self, story: Callable[[Bench], Bench]) -> None:
        """Nobody may plan in her case any more: the house lets her go, and the holder closes, for whatever reason it is."""
        b = story(Bench()).at("d40 9:00")
        b.say(UNIT, "identification.status_decided", **NOT_A_VICTIM)
        b.at("d80 9:00").say("ngo-a", "case.withdrawn")
        b.say("shelter", "shelter.discharged", ref="B-1", reason="not_identified")
        holder = "vac" if story is planned else UNIT

        assert refused_by(b, holder, "case.closed", reason="not_a_victim") is None

    def test_is_asked_for_after_no_other_decision(self) -> None:
        """Without reasonable grounds nothing of the kind was begun; a recognised victim moves on."""
        assert (
            refused_by(refused_by_grounds(Bench()).at("d60 9:00"), "shelter", "shelter.discharged", ref="B-1") is None
        )
        assert refused_by(identified(Bench()), "shelter", "shelter.discharged", ref="B-1") is None


class TestReopening:
    """A case that is opened again rests on new consent (T22)."""

    def test_asks_the_person_anew(self) -> None:
        """What she allowed before does not let the case go on; what she refused stays refused."""
        b = closed(Bench())
        b.say("vac", "consent.refused", receivers=["ngo-l"])
        b.say("vac", "case.reopened", reason="person_returned")

        assert refused_by(b, "vac", "referral.submitted", ref="R-9", to=["fund"], services=["cash"]) == "G-32"
        assert refused_by(b, "vac", "referral.submitted", ref="R-9", to=["ngo-l"]) == "G-30"
        b.consents("fund")
        assert refused_by(b, "vac", "referral.submitted", ref="R-9", to=["fund"], services=["cash"]) is None

    def test_of_a_case_closed_in_error_goes_on_as_if_nothing_had_been(self) -> None:
        """Nobody told her that it was over, so nothing is asked twice."""
        b = closed(Bench())
        b.say("vac", "case.reopened", reason="closed_in_error")

        assert refused_by(b, "vac", "referral.submitted", ref="R-9", to=["fund"], services=["cash"]) is None


def test_a_complaint_is_decided_with_the_signature_of_a_superior() -> None:
    """Who decided does not decide on the complaint alone."""
    b = refused_by_grounds(Bench()).at("d5 9:00")
    b.say("ngo-a", "review.requested", ref="V-1", kind="complaint_to_superior")

    assert refused_by(b, UNIT, "review.decided", ref="V-1") == "G-20"
    assert refused_by(b, UNIT, "review.decided", ref="V-1", approver="m-01") is None


def test_lateness_of_an_agency_that_no_law_binds_is_no_breach() -> None:
    """Whether NGOs are bound by the 24 hours is not known: a profile may remind them, and count nothing."""
    profile = Bench().rules.profile
    rule = profile.clocks["D-REFER"].model_copy(update={"binds": ("special_unit", "police_other")})
    b = signalled(Bench(profile.model_copy(update={"clocks": {**profile.clocks, "D-REFER": rule}})))

    assert b.deadlines == ["D-REFER 3 Mar 9:00"]
    assert b.through("d3 9:00") == []
    assert [said.split(" ")[0] for said in signalled(Bench()).through("d3 9:00")] == ["D-REFER"]


def test_who_was_admitted_or_got_a_permit_waits_for_nothing_more_of_that_agency() -> None:
    """A house that admits, and a service that decides on a permit, have taken the first step after accepting."""
    b = housed(Bench())
    b.say(UNIT, "referral.submitted", ref="R-7", to=["migration"], legal_basis="x")
    b.say("migration", "referral.accepted", ref="R-7")
    assert "D-ASSIGN" in b.codes

    b.say("migration", "stay.permit_issued")

    assert "D-ASSIGN" not in b.codes
    assert begun(Bench()).codes == ["D-RG"]


def test_a_period_that_ends_without_a_decision_leaves_a_duty_to_decide() -> None:
    """Ended on Monday 6 April: the status is due five working days later; the period is over, and is not made longer."""
    b = presumed(Bench()).at("d35 9:00")
    b.say(UNIT, "recovery.ended", reason="period_elapsed")

    assert "D-CG 13 Apr 24:00" in b.deadlines
    for type in ("recovery.ended", "recovery.extended", "recovery.reviewed"):
        assert refused_by(b, UNIT, type) == "G-51"
    b.say(UNIT, "identification.status_decided")
    assert "D-CG" not in b.codes


def test_a_case_that_the_unit_transfers_is_the_receivers() -> None:
    """The centre has accepted the transfer, and closes the case; a referral leaves it with the unit."""
    for mode, closer in (("transfer", "vac"), ("referral", UNIT)):
        b = presumed(Bench())
        b.say(UNIT, "identification.status_decided", letter=True)
        b.say(UNIT, "referral.submitted", ref="R-9", to=["vac"], mode=mode, legal_basis="x")
        b.say("vac", "referral.accepted", ref="R-9")
        b.say("shelter", "shelter.discharged", ref="B-1")

        assert refused_by(b, closer, "case.closed") is None
        assert refused_by(b, UNIT if closer == "vac" else "vac", "case.closed") == "G-06"


def test_an_offer_that_comes_late_stands_for_its_hours() -> None:
    """The desk of the house was away for two days: its offer is dated from the request, and stands for 24 hours from now on."""
    b = begun(Bench()).at("d1 9:00")
    b.say(UNIT, "shelter.bed_requested", ref="B-1", to=["shelter"], letter=True)
    b.at("d3 9:00").say("shelter", "shelter.bed_offered", ref="B-1", occurred="d1 9:00")

    assert [each.at for each in b.rules.due(b.view) if each.type == "shelter.offer_lapsed"] == [
        b.now + timedelta(hours=24)
    ]
