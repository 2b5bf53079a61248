"""The procedure of health, education and employment, line by line."""

from given import given, says
from nrmbus.events.case import SignalRecorded
from nrmbus.events.consent import ConsentRefused
from nrmbus.events.referral import ReferralAccepted, ReferralDeclined, ReferralInfoRequested, ReferralSubmitted
from nrmbus.events.support import PlanAdopted, ServiceDelivered, ServiceRequested
from nrmbus.public_services import procedure

ME = "hospital"
MET = {"detector": "health", "urgency": "urgent", "detected_abroad": False, "basis": ["indicators"]}


def referral(*to: str) -> ReferralSubmitted:
    """A referral for treatment."""
    said = {
        "to": list(to),
        "mode": "referral",
        "reason": "AdditionalServicesRequired",
        "urgency": "urgent",
        "services": ["health"],
    }
    return ReferralSubmitted.from_mapping(said)


class TestMeeting:
    """Lines 1 and 2."""

    def test_a_child_comes_first(self) -> None:
        """A teacher or a doctor notifies the guardian bodies before the referral."""
        given(procedure, me=ME).when(says(ME, SignalRecorded.from_mapping({**MET, "child": True}))).then(
            "children_first"
        )

    def test_an_adult_is_asked_and_treated_whatever_the_answer(self) -> None:
        """Treatment does not wait for a consent."""
        answer = given(procedure, me=ME).when(says(ME, SignalRecorded.from_mapping({**MET, "child": False})))
        assert "does not wait" in answer.then("ask_first").task.sentence

    def test_who_refuses_the_police_is_helped_otherwise(self) -> None:
        """The notice stays anonymous."""
        said = {"purposes": ["information_sharing"], "receivers": ["special-unit"], "given_by": "individual"}
        story = given(procedure, me=ME).heard(says(ME, SignalRecorded.from_mapping({**MET, "child": False})))
        story.when(says(ME, ConsentRefused.from_mapping(said))).then("without_police")


class TestServing:
    """Lines 3 to 5."""

    def test_a_referral_and_a_request_are_answered(self) -> None:
        """Each has its clock, and is a worker's task."""
        asked = ServiceRequested(to=(ME,), service="health", urgency="emergency")
        given(procedure, me=ME).when(says("vac", referral(ME), "R-1")).then("referral")
        given(procedure, me=ME).when(says("vac", asked, "S-1")).then("service")

    def test_what_it_gives_itself_needs_nobody(self) -> None:
        """Nor does a plan that names it, or the answer of another provider."""
        given_ = ServiceDelivered(service="health", outcome="provided_by_own_agency")
        plan = PlanAdopted(to=(ME,), services=("health",), planned_end_days=60)
        story = given(procedure, me=ME)
        story.when(says(ME, given_, "S-1")).then()
        story.when(says("ngo-l", given_, "S-2")).then()
        story.when(says("vac", plan)).then()


def test_its_own_referrals_are_kept_alive() -> None:
    """Lines 6 to 9."""
    story = given(procedure, me=ME).heard(says(ME, referral("special-unit"), "R-2"))
    story.when(says("special-unit", ReferralInfoRequested(question="health_risk"), "R-2")).then("supply")
    story.when(says("special-unit", ReferralAccepted(next_step="reception"), "R-2")).then()
    story.when(says("special-unit", ReferralDeclined(reason="duplicate", declined_by="provider"), "R-2")).then(
        "refer_again"
    )
