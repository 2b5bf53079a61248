"""The hotline's procedure, line by line."""

import pytest

from agencies import AGENCIES, POLICY
from given import Story, Word, given, says
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentGiven, ConsentRefused
from nrmbus.events.referral import (
    ReferralAccepted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralSubmitted,
)
from nrmbus.hotline import procedure
from nrmbus.rules import Agency, Rules, load_profile

ME = "hotline"
UNIT = "special-unit"
CALL = {"detector": "hotline", "urgency": "urgent", "detected_abroad": False, "basis": ["help_requested"]}


def call(*, child: bool = False) -> Word:
    """Somebody calls, and a worker records a signal."""
    return says(ME, SignalRecorded.from_mapping({**CALL, "child": child}))


def consent(receiver: str) -> Word:
    """The caller agrees to *receiver*."""
    purposes = ["information_sharing", "services"]
    said = {"purposes": purposes, "receivers": [receiver], "given_by": "individual", "form": "oral"}
    return says(ME, ConsentGiven.from_mapping(said))


def refusal(receiver: str, purpose: str = "information_sharing") -> Word:
    """The caller refuses *receiver*."""
    said = {"purposes": [purpose], "receivers": [receiver], "given_by": "individual"}
    return says(ME, ConsentRefused.from_mapping(said))


def referred(*to: str) -> Story:
    """The hotline has referred the caller, who agreed to *to* and to the centre."""
    said = {"to": list(to), "mode": "referral", "reason": "LegalAid", "urgency": "urgent", "services": ["legal"]}
    words = [call(), *(consent(each) for each in (*to, "vac")), says(ME, ReferralSubmitted.from_mapping(said), "R-1")]
    return given(procedure, me=ME).heard(*words)


class TestCalls:
    """Lines 1 and 2."""

    def test_an_adult_is_asked_first(self) -> None:
        """The notice is anonymous until the caller agrees to more."""
        given(procedure, me=ME).when(call()).then("ask_first")

    def test_of_a_child_the_guardian_bodies_come_first(self) -> None:
        """Nobody asks a child for consent, and a child is never left at a notice."""
        given(procedure, me=ME).when(call(child=True)).then("children_first")

    def test_a_signal_of_others_is_read(self) -> None:
        """The hotline has no part in it by its procedure."""
        other = says("ngo-a", SignalRecorded.from_mapping({**CALL, "child": False}))
        given(procedure, me=ME).when(other).then("read")

    def test_a_second_case_of_the_same_person_asks_again(self) -> None:
        """No consent comes over from the case before."""
        again = says(ME, ReReferred.from_mapping({**CALL, "child": False}), case="again")
        given(procedure, me=ME).heard(call()).when(again).then("ask_first")


class TestWithoutThePolice:
    """Lines 3 and 4."""

    def test_a_refusal_of_the_special_unit_offers_another_door(self) -> None:
        """The hotline sits in the police's ministry; the caller may want none of it."""
        given(procedure, me=ME).heard(call()).when(refusal(UNIT)).then("without_police")

    def test_a_refusal_of_one_unit_leaves_the_other_to_which_she_agrees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given consent to one deciding body, when she refuses another one, then she is referred to the first."""
        agencies = {**AGENCIES, "other-unit": Agency("other-unit", "special_unit")}
        monkeypatch.setattr("given.AGENCIES", agencies)
        monkeypatch.setattr("given.RULES", Rules(load_profile(POLICY), agencies))
        story = given(procedure, me=ME).heard(call(), consent(UNIT))
        story.when(refusal("other-unit")).then()
        story.when(refusal(UNIT)).then("without_police")

    def test_a_refusal_of_anybody_else_does_not(self) -> None:
        """Nor does a refusal for another purpose."""
        story = given(procedure, me=ME).heard(call())
        story.when(refusal("fund")).then()
        story.when(refusal(UNIT, "tracing")).then()

    def test_a_child_s_refusal_changes_nothing(self) -> None:
        """A child is not asked."""
        given(procedure, me=ME).heard(call(child=True)).when(refusal(UNIT)).then()

    def test_a_consent_after_all_is_a_task_to_refer(self) -> None:
        """The person may change her mind at any time; a consent to somebody else is none to the unit."""
        story = given(procedure, me=ME).heard(call(), refusal(UNIT))
        story.when(consent("vac")).then()
        story.when(consent(UNIT)).then("refer_now")


class TestHandOffs:
    """Lines 5 to 8."""

    def test_a_question_is_a_call_to_return(self) -> None:
        """The worker calls at a safe hour; the receiver's clock stands until then."""
        referred("ngo-l").when(says("ngo-l", ReferralInfoRequested(question="safe_contact"), "R-1")).then("call_back")

    def test_a_decline_and_a_silence_name_the_others_who_may_hear(self) -> None:
        """A caller who waits on the line does not hear that nobody can help."""
        no = ReferralDeclined(reason="no_capacity", declined_by="provider")
        assert referred("ngo-l").when(says("ngo-l", no, "R-1")).then("refer_again").task.alternatives == ("vac",)
        silence = says("timekeeper", ReferralExpired(reason="no_answer"), "R-1")
        assert referred("ngo-l").when(silence).then("refer_again").task.alternatives == ("vac",)

    def test_an_acceptance_needs_nobody(self) -> None:
        """Good news is noted."""
        referred("ngo-l").when(says("ngo-l", ReferralAccepted(next_step="plan"), "R-1")).then()
