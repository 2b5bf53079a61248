"""The assistance centre's procedure, line by line."""

from typing import Any

from given import Story, Word, given, says
from nrmbus.centre import procedure
from nrmbus.events.case import FollowUpDue, Reopened, ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.identification import ReasonableGroundsDecided
from nrmbus.events.referral import ReferralAccepted, ReferralDeclined, ReferralInfoRequested, ReferralSubmitted
from nrmbus.events.support import PlanAdopted, PlanCompleted, ServiceRequested

ME = "vac"
UNIT = "special-unit"
NO = ReasonableGroundsDecided(outcome="negative", reasons=("indicators_not_met",), review_until_days=30)
YES = ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",))
CAME = {"detector": "vac", "urgency": "urgent", "detected_abroad": False, "basis": ["help_requested"]}


def referral(*to: str, **more: Any) -> ReferralSubmitted:
    """A referral for help."""
    said = {"to": list(to), "mode": "referral", "reason": "AdditionalServicesRequired", "urgency": "urgent"}
    return ReferralSubmitted.from_mapping({**said, "services": [], **more})


def consent(receiver: str, by: str = ME) -> Word:
    """The person agrees to *receiver*."""
    said = {"purposes": ["information_sharing"], "receivers": [receiver], "given_by": "individual", "form": "written"}
    return says(by, ConsentGiven.from_mapping(said))


def without_status() -> Story:
    """An NGO sent somebody who wants no police, and the centre took her on."""
    sent = says("ngo-a", referral(ME, withhold_from=[UNIT]), "R-1")
    return given(procedure, me=ME).heard(sent, says(ME, ReferralAccepted(next_step="plan"), "R-1"))


class TestComing:
    """Lines 1 to 3."""

    def test_an_adult_is_asked_and_helped_whatever_the_answer(self) -> None:
        """Also somebody who comes a second time, in a new case."""
        for data in (SignalRecorded, ReReferred):
            given(procedure, me=ME).when(says(ME, data.from_mapping({**CAME, "child": False}))).then("ask_first")

    def test_a_child_is_safeguarded_first(self) -> None:
        """The guardian bodies are notified before anything else."""
        given(procedure, me=ME).when(says(ME, SignalRecorded.from_mapping({**CAME, "child": True}))).then(
            "children_first"
        )

    def test_a_referral_says_whether_the_police_may_hear_of_it(self) -> None:
        """A worker who answers sees it before writing to anybody."""
        given(procedure, me=ME).when(says("ngo-a", referral(ME), "R-1")).then("referral")
        for withheld in (["special-unit"], ["shelter", "special-unit"]):
            sent = says("ngo-a", referral(ME, withhold_from=withheld), "R-1")
            given(procedure, me=ME).when(sent).then("without_police")

    def test_after_acceptance_a_plan_is_owed(self) -> None:
        """Its own acceptance is a task; that of another agency is noted."""
        accepted = ReferralAccepted(next_step="plan")
        given(procedure, me=ME).heard(says("ngo-a", referral(ME), "R-1")).when(says(ME, accepted, "R-1")).then(
            "make_plan"
        )
        given(procedure, me=ME).heard(says(ME, referral("ngo-l"), "R-2")).when(says("ngo-l", accepted, "R-2")).then()


class TestChangingHerMind:
    """Line 4."""

    def test_a_consent_to_the_special_unit_is_a_task_to_refer(self) -> None:
        """She was helped without a status; whoever recorded the consent, the centre refers."""
        without_status().when(consent(UNIT)).then("refer_now")
        without_status().when(consent(UNIT, by="ngo-a")).then("refer_now")

    def test_a_consent_to_somebody_else_is_none(self) -> None:
        """Nor is one in a case that the unit knows."""
        without_status().when(consent("ngo-l")).then()
        given(procedure, me=ME).heard(says("ngo-a", referral(ME), "R-1")).when(consent(UNIT)).then()


class TestTheEnd:
    """Lines 6 to 9."""

    def test_support_ends_only_after_a_transition_plan(self) -> None:
        """A negative decision is no end."""
        given(procedure, me=ME).when(says(UNIT, NO)).then("transition")

    def test_a_person_who_is_presumed_a_victim_gets_a_plan(self) -> None:
        """The centre agrees on one with her; a plan that is in force needs no second one."""
        given(procedure, me=ME).when(says(UNIT, YES)).then("make_plan")
        adopted = PlanAdopted(to=("shelter",), services=("health",), planned_end_days=120)
        given(procedure, me=ME).heard(says(ME, adopted)).when(says(UNIT, YES)).then("read")

    def test_a_completed_plan_leads_to_closing(self) -> None:
        """Open services are settled first, and follow-up is offered."""
        task = given(procedure, me=ME).when(says(ME, PlanCompleted(outcome="achieved"))).then("close").task
        assert "3, 6 and 12 months" in task.sentence

    def test_a_follow_up_is_asked_where_asking_is_safe(self) -> None:
        """The timekeeper reminds; a person asks."""
        task = given(procedure, me=ME).when(says("timekeeper", FollowUpDue(month=6))).then("follow_up").task
        assert task.sentence.startswith("6 months after closing")

    def test_a_case_opened_again_asks_the_person_anew(self) -> None:
        """Whoever opened it."""
        for by in (ME, UNIT):
            given(procedure, me=ME).when(says(by, Reopened(reason="person_returned"))).then("make_plan")


def test_services_questions_and_declines_have_their_tasks() -> None:
    """Lines 5, 10 to 13."""
    asked = ServiceRequested(to=(ME,), service="psychosocial", urgency="normal")
    given(procedure, me=ME).when(says("ngo-l", asked, "S-1")).then("service")
    story = given(procedure, me=ME).heard(says(ME, referral("ngo-l"), "R-2"))
    story.when(says("ngo-l", ReferralInfoRequested(question="other"), "R-2")).then("supply")
    story.when(says("ngo-l", ReferralDeclined(reason="no_capacity", declined_by="provider"), "R-2")).then("refer_again")
