"""The NGO's procedure, line by line."""

from typing import Any

import pytest

from agencies import reference
from given import Story, Word, given, says
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.events.case import FollowUpDue, SignalRecorded
from nrmbus.events.codes import Purpose
from nrmbus.events.consent import ConsentGiven, ConsentOverridden, ConsentRefused, ConsentWithdrawn
from nrmbus.events.identification import StageEntered, StatusDecided
from nrmbus.events.referral import (
    ReferralAccepted,
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralSubmitted,
)
from nrmbus.events.shelter import BedOffered
from nrmbus.ngo import procedure

ME = "ngo-a"
BOTH: tuple[Purpose, ...] = ("services", "information_sharing")
SHARING: tuple[Purpose, ...] = ("information_sharing",)


def referral(*to: str, services: tuple[str, ...] = ("legal",)) -> ReferralSubmitted:
    """A referral for help."""
    said = {"to": list(to), "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": list(services)}
    return ReferralSubmitted.from_mapping(said)


def consent(receiver: str, purposes: tuple[str, ...] = BOTH, *, expires: str | None = None) -> Word:
    """The person lets *receiver* have what *purposes* need."""
    given_for = {"purposes": list(purposes), "receivers": [receiver], "given_by": "individual", "form": "written"}
    return says(ME, ConsentGiven.from_mapping({**given_for, **({"expires": expires} if expires else {})}))


def declined(alternative: str | None = None, *, by: str = "ngo-l", at: float = 0) -> Word:
    """The receiver of R-1 declines, and may name whom to ask instead."""
    data = ReferralDeclined(reason="no_capacity", declined_by="provider", alternative=alternative)
    return says(by, data, "R-1", at=at)


def sent(*consents: Word, services: tuple[str, ...] = ("legal",)) -> Story:
    """The NGO has recorded *consents* and sent R-1 to the legal NGO."""
    return given(procedure, me=ME).heard(*consents, says(ME, referral("ngo-l", services=services), "R-1"))


class TestReceiving:
    """Line 1."""

    def test_a_referral_is_a_task(self) -> None:
        """A hand-over is on a case worker's list, under its reference."""
        task = given(procedure, me=ME).when(says("vac", referral(ME), "R-9")).then("referral").task

        assert task.referral == reference("R-9")

    def test_its_own_referral_is_no_task(self) -> None:
        """Its own hand-over is on the receiver's list."""
        given(procedure, me=ME).when(says(ME, referral("ngo-l"), "R-1")).then()


class TestDeclined:
    """Line 2."""

    def test_the_alternatives_are_those_that_consent_covers(self) -> None:
        """After a decline, the task names agencies that the person allowed, and nothing is sent automatically."""
        story = sent(consent("ngo-l"), consent("vac"), consent("special-unit"))

        assert story.when(declined()).then("refer_again").task.alternatives == ("special-unit", "vac")

    def test_the_one_that_the_receiver_named_comes_first(self) -> None:
        """A declining agency often knows who can help."""
        story = sent(consent("ngo-l"), consent("fund"), consent("vac"))

        assert story.when(declined("vac")).task.alternatives == ("vac", "fund")

    def test_one_that_the_receiver_named_without_consent_is_none(self) -> None:
        """A hint is no consent."""
        assert sent(consent("ngo-l"), consent("fund")).when(declined("vac")).task.alternatives == ("fund",)

    def test_services_need_consent_to_services(self) -> None:
        """Sharing information is not enough where services are asked for, except of the special unit."""
        story = sent(consent("ngo-l"), consent("vac", SHARING), consent("special-unit", SHARING))

        assert story.when(declined()).task.alternatives == ("special-unit",)

    def test_without_services_sharing_is_enough(self) -> None:
        """A referral that asks for no service rests on information sharing alone."""
        story = sent(consent("ngo-l"), consent("vac", SHARING), services=())

        assert story.when(declined()).task.alternatives == ("vac",)

    def test_refused_and_withdrawn_agencies_are_none(self) -> None:
        """The last word of the person counts."""
        refused = ConsentRefused(purposes=BOTH, receivers=("vac",), given_by="individual")
        withdrawn = ConsentWithdrawn(purposes=BOTH, receivers=("fund",))
        story = sent(consent("ngo-l"), consent("vac"), says(ME, refused), consent("fund"), says(ME, withdrawn))

        assert story.when(declined()).task.alternatives == ()

    def test_an_expired_consent_covers_nobody(self) -> None:
        """A consent holds to the end of its last day in Baku, and not a minute longer."""
        story = sent(consent("ngo-l"), consent("vac", expires="2026-03-02"))

        assert story.when(declined(at=14.9)).task.alternatives == ("vac",)
        assert story.when(declined(at=15)).task.alternatives == ()

    def test_an_override_covers(self) -> None:
        """A legal ground replaces the consent."""
        override = ConsentOverridden(receivers=("vac",), ground="imminent_danger", approver_role="head_of_agency")
        story = sent(consent("ngo-l"), says(ME, override))

        assert story.when(declined()).task.alternatives == ("vac",)

    def test_agencies_that_may_not_receive_are_none(self) -> None:
        """Consent or not: other police never receive a person."""
        assert sent(consent("ngo-l"), consent("police-x")).when(declined()).task.alternatives == ()

    def test_an_agency_that_was_asked_is_no_alternative(self) -> None:
        """A second receiver of the same referral still has it on its list."""
        story = given(procedure, me=ME).heard(consent("ngo-l"), consent("vac"), consent("fund"))
        story.heard(says(ME, referral("ngo-l", "vac"), "R-1"))

        assert story.when(declined()).task.alternatives == ("fund",)

    def test_a_child_goes_to_the_one_that_was_named(self) -> None:
        """A child needs no consent, so the named agency is an alternative if the agency may receive at all."""
        signal = SignalRecorded(
            detector="ngo_outreach", child=True, urgency="urgent", detected_abroad=False, basis=("indicators",)
        )
        story = sent(says(ME, signal))

        assert story.when(declined("vac")).task.alternatives == ("vac",)
        assert story.when(declined("police-x")).task.alternatives == ()
        assert story.when(declined()).task.alternatives == ()

    @pytest.mark.parametrize("named", [ME, "ngo-l", "vac"])
    def test_a_child_goes_to_nobody_who_was_asked(self, named: str) -> None:
        """Given a child and two receivers, then neither the sender, nor who declines, nor the other one is an alternative."""
        signal = SignalRecorded(
            detector="ngo_outreach", child=True, urgency="urgent", detected_abroad=False, basis=("indicators",)
        )
        story = given(procedure, me=ME).heard(says(ME, signal), says(ME, referral("ngo-l", "vac"), "R-1"))

        assert story.when(declined(named)).task.alternatives == ()


class TestExpired:
    """Line 3."""

    def test_silence_is_followed_up_as_a_refusal_is(self) -> None:
        """Nobody answered in twice the time: the task names the alternatives."""
        story = sent(consent("ngo-l"), consent("vac"))
        expired = says("timekeeper", ReferralExpired(reason="no_answer"), "R-1")

        assert story.when(expired).then("refer_again").task.alternatives == ("vac",)

    def test_a_referral_that_it_did_not_answer_is_read(self) -> None:
        """Where the NGO itself was the silent receiver, there is nothing to send again: a person reads it."""
        story = given(procedure, me=ME).heard(says("vac", referral(ME), "R-9"))

        story.when(says("timekeeper", ReferralExpired(reason="no_answer"), "R-9")).then("read")


class TestAsked:
    """Line 4."""

    def test_a_question_is_a_task(self) -> None:
        """The receiver's clock stands until somebody answers."""
        sent().when(says("ngo-l", ReferralInfoRequested(question="safe_contact"), "R-1")).then("supply")


class TestNoted:
    """Line 5."""

    def test_good_news_needs_nobody(self) -> None:
        """Acknowledged, accepted, completed: the case shows it, and no list grows."""
        story = sent()

        story.when(says("ngo-l", ReferralAcknowledged(receipt_no="N-1", duty_role="other"), "R-1")).then()
        story.when(says("ngo-l", ReferralAccepted(next_step="other"), "R-1")).then()
        story.when(says("ngo-l", ReferralCompleted(outcome="referred"), "R-1")).then()


def test_an_event_outside_the_procedure_is_read_by_a_person() -> None:
    """An offer of a bed is no hand-off."""
    story = given(procedure, me=ME)
    draft = story.when(says("shelter", BedOffered(valid_hours=24), "B-1")).then("read")

    assert draft.task.sentence.startswith("shelter.bed_offered from shelter")


def test_nothing_is_taken_back() -> None:
    """The NGO publishes nothing automatically, so a refusal changes no state."""
    state = Referring(services=("0" * 32,))
    story = sent()

    assert procedure.take_back(state, story._event(declined(), {})) == state


def test_a_follow_up_is_asked_where_asking_is_safe() -> None:
    """Line 6: the holder of a closed case is reminded, and a person asks."""
    given(procedure, me=ME).when(says("timekeeper", FollowUpDue(month=3))).then("follow_up")


class TestWhomItReferred:
    """Lines 10 and 11."""

    @pytest.mark.parametrize(("stage", "tasks"), [("inquiry", ["attend"]), ("indicator_screening", [])])
    def test_it_is_asked_about_the_interview_when_the_inquiry_begins(self, stage: Any, tasks: list[str]) -> None:
        """Who referred a person may attend the interview; a later stage asks for nothing."""
        given(procedure, me=ME).when(says("special-unit", StageEntered(stage=stage))).then(*tasks)

    def test_a_negative_decision_is_a_task_about_a_review(self) -> None:
        """New evidence reaches the deciding body by who knows the person."""
        no = StatusDecided(
            status="NotAVictimOfTrafficking",
            deciding_body="Police",
            reasons=("indicators_not_met",),
            review_until_days=30,
        )
        given(procedure, me=ME).when(says("special-unit", no)).then("review_for_person")

    def test_a_positive_decision_is_noted(self) -> None:
        """Nothing is to be done about it."""
        yes = StatusDecided(status="ActualVictimOfTrafficking", deciding_body="Police")
        given(procedure, me=ME).when(says("special-unit", yes)).then()
