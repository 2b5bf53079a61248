"""The special unit's procedure, line by line."""

import pytest

from agencies import reference
from given import Word, given, moment, says
from nrmbus.desk.procedure.interface import Heard, Result, Settings, lines_of
from nrmbus.events.case import Closed, Linked, Merged, Reopened, SignalRecorded
from nrmbus.events.handover import DocumentTransferred
from nrmbus.events.identification import (
    InterviewHeld,
    ReasonableGroundsDecided,
    StageEntered,
    StatusDecided,
    StatusRevoked,
)
from nrmbus.events.justice import MeasureGranted
from nrmbus.events.model import Data, Event
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodStarted
from nrmbus.events.referral import ReferralAccepted, ReferralSubmitted
from nrmbus.events.returns import ReturnCompleted, ReturnConsented, ReturnRiskAssessed, ReturnTravelArranged
from nrmbus.events.review import ReviewDecided, ReviewRequested
from nrmbus.events.safeguard import AgeAssessed, BestInterestsDecided, ChildFlagged, RepresentativeAssigned
from nrmbus.events.stay import HoldConfirmed, HoldEnded, HoldRequested
from nrmbus.events.support import ServiceRequested
from nrmbus.police import procedure
from nrmbus.police.state import State

UNIT = "special-unit"
POSITIVE = ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",))
NEGATIVE = ReasonableGroundsDecided(outcome="negative", reasons=("indicators_not_met",), review_until_days=30)


def referral(*to: str) -> ReferralSubmitted:
    """A referral for formal identification."""
    return ReferralSubmitted(
        to=to, mode="referral", reason="FormalIdentification", urgency="emergency", services=("health",)
    )


def interview(number: int) -> InterviewHeld:
    """The interview of that number."""
    return InterviewHeld(number=number, attended=("special_unit", "interpreter"))


class TestReceiving:
    """Line 1."""

    def test_a_referral_is_the_duty_officers(self) -> None:
        """An incoming referral is a task for the duty officer; nothing is accepted automatically."""
        task = given(procedure, me=UNIT).when(says("ngo-a", referral(UNIT), "R-1")).then("duty_officer").task

        assert task.referral == reference("R-1")

    def test_papers_are_the_duty_officers(self) -> None:
        """33. Papers that the sender hands over are received by the duty officer alone."""
        papers = DocumentTransferred(document_types=("passport",), items=1)

        task = given(procedure, me=UNIT).when(says("ngo-a", papers, "R-1")).then("duty_officer").task
        assert "papers" in task.sentence

    def test_the_units_own_referral_is_nobodys_task(self) -> None:
        """A hand-over by the unit is the receiver's task, not the duty officer's."""
        given(procedure, me=UNIT).when(says(UNIT, referral("vac"), "R-2")).then()

    def test_an_acceptance_of_its_own_referral_is_noted(self) -> None:
        """The next step is the receiver's."""
        story = given(procedure, me=UNIT).heard(says(UNIT, referral("vac"), "R-2"))

        story.when(says("vac", ReferralAccepted(next_step="plan"), "R-2")).then()


class TestInterviews:
    """Line 2."""

    def test_the_first_interview_warns_nobody(self) -> None:
        """One interview is what identification needs."""
        given(procedure, me=UNIT).when(says(UNIT, interview(1))).then()

    def test_every_further_interview_warns(self) -> None:
        """From the second interview on somebody is told to share the record instead of asking again."""
        story = given(procedure, me=UNIT).heard(says(UNIT, interview(1)))

        story.when(says(UNIT, interview(2))).then("interviewed_again")
        story.when(says(UNIT, interview(3))).then("interviewed_again")


class TestReflection:
    """Line 3."""

    def test_positive_grounds_start_thirty_days(self) -> None:
        """A positive decision starts the recovery and reflection period of thirty days."""
        given(procedure, me=UNIT).when(says(UNIT, POSITIVE)).then(PeriodStarted(days=30), "ask_hold")

    def test_the_period_runs_from_the_decision(self) -> None:
        """However late the decision is typed, the person's days run from when it was taken."""
        answer = given(procedure, me=UNIT).when(says(UNIT, POSITIVE, at=2, registered=30))

        assert answer.draft.time == moment(2)

    def test_negative_grounds_start_nothing(self) -> None:
        """A negative decision starts no period."""
        assert given(procedure, me=UNIT).when(says(UNIT, NEGATIVE)).said.drafts == ()

    def test_a_replayed_decision_publishes_the_same_event(self) -> None:
        """Heard again after a restart, the decision gives the same id, so that the registrar registers it once."""
        first = given(procedure, me=UNIT).when(says(UNIT, POSITIVE, alias="RG-1")).draft
        again = given(procedure, me=UNIT).when(says(UNIT, POSITIVE, alias="RG-1")).draft

        assert again == first

    def test_a_decision_after_a_review_starts_a_period_of_its_own(self) -> None:
        """Two decisions are two periods: their ids differ."""
        story = given(procedure, me=UNIT)

        first, second = (story.when(says(UNIT, POSITIVE, alias=alias)).draft for alias in ("RG-1", "RG-2"))
        assert first.id != second.id


HOLD = HoldRequested(to=("migration",), ground="identification", until_days=30)
VICTIM = StatusDecided(status="ActualVictimOfTrafficking", deciding_body="Police")


class TestShield:
    """Line 4."""

    def test_a_recognised_person_whose_removal_is_held_is_shielded(self) -> None:
        """Given a hold, when the person is recognised, then the second hold is asked for, as long as the profile says."""
        task = given(procedure, me=UNIT).heard(says(UNIT, HOLD, "H-1")).when(says(UNIT, VICTIM)).then("shield").task

        assert "365 days" in task.sentence

    def test_who_needs_no_hold_needs_no_shield(self) -> None:
        """Given nobody whose removal is held, or a negative decision, then nothing is to do."""
        negative = StatusDecided(
            status="NotAVictimOfTrafficking",
            deciding_body="Police",
            reasons=("indicators_not_met",),
            review_until_days=30,
        )

        given(procedure, me=UNIT).when(says(UNIT, VICTIM)).then()
        given(procedure, me=UNIT).heard(says(UNIT, HOLD, "H-1")).when(says(UNIT, negative)).then("tell_person")


class TestHome:
    """Line 5."""

    def test_the_hold_of_a_person_who_has_gone_home_is_ended(self) -> None:
        """Given a hold, when somebody records the arrival, then the unit ends the hold, which nobody else can."""
        given(procedure, me=UNIT).heard(says(UNIT, HOLD, "H-1")).when(says("iom", ReturnCompleted())).then("end_hold")

    def test_without_a_hold_an_arrival_is_noted(self) -> None:
        """Given no hold that stands, then nothing is to do."""
        story = given(procedure, me=UNIT).heard(
            says(UNIT, HOLD, "H-1"), says(UNIT, HoldEnded(reason="left_country"), "H-1")
        )

        story.when(says("iom", ReturnCompleted())).then()
        story.when(says(UNIT, ReturnCompleted())).then()


def test_nothing_is_kept_and_nothing_taken_back() -> None:
    """The unit's book is empty before and after; a refused period is a person's to look at."""
    story = given(procedure, me=UNIT)
    draft = story.when(says(UNIT, POSITIVE)).draft

    story.refused(draft).then("refused")
    assert story.book == State()


class TestANegativeDecision:
    """Lines 6 and 7."""

    def test_the_person_is_told_until_when_a_review_may_be_asked_for(self) -> None:
        """Decided on 2 March with 30 days: the last one is 1 April, and the task names it."""
        tasks = given(procedure, me=UNIT).when(says(UNIT, NEGATIVE)).then("tell_person", "ask_hold").said.tasks

        assert "until the end of 2026-04-01" in tasks[0].sentence

    def test_a_decision_registered_late_counts_from_then(self) -> None:
        """Nobody can ask before the decision is known."""
        said = given(procedure, me=UNIT).when(says(UNIT, NEGATIVE, registered=48)).said

        assert "until the end of 2026-04-03" in said.tasks[0].sentence

    def test_where_a_hold_stands_none_is_asked_for(self) -> None:
        """Removal is frozen already."""
        given(procedure, me=UNIT).heard(says(UNIT, HOLD, "H-1")).when(says(UNIT, NEGATIVE)).then("tell_person")

    def test_of_somebody_found_with_others_asks_who_helps_a_recruiter(self) -> None:
        """Line 10: the access of the helpers to the others' cases is ended by two, and never automatically."""
        signal = SignalRecorded(
            detector="border", child=False, urgency="urgent", detected_abroad=False, basis=("indicators",)
        )
        story = given(procedure, me=UNIT).heard(says("border", signal, incident=reference("lorry")))
        story.when(says(UNIT, NEGATIVE)).then("tell_person", "ask_hold", "end_access")

    def test_a_revocation_is_a_negative_decision_too(self) -> None:
        """A recognition that is taken back leaves the person as open to removal as a refusal."""
        revoked = StatusRevoked(reasons=("new_evidence",), review_until_days=30)

        given(procedure, me=UNIT).when(says(UNIT, revoked)).then("tell_person", "ask_hold")


class TestReviews:
    """Line 8."""

    def test_a_review_is_for_somebody_else_than_before(self) -> None:
        """The NGO asks: the task comes with the reference that the answer needs."""
        asked = ReviewRequested(kind="reconsideration", new_evidence=True)
        task = (
            given(procedure, me=UNIT).heard(says(UNIT, NEGATIVE)).when(says("ngo-a", asked, "V-1")).then("review").task
        )

        assert task.referral == reference("V-1")


class TestWitnesses:
    """Line 9."""

    def test_the_unit_carries_out_what_protects_a_witness(self) -> None:
        """The measures are in the letter, and not in the task."""
        granted = MeasureGranted(article="CETS-197-28")
        letter = {"protection": ["relocation"]}
        task = given(procedure, me=UNIT).when(says("court", granted, "J-1", letter=letter)).then("carry_out").task

        assert "relocation" not in task.sentence


def found(*, citizenship: str | None = None, by: str = "ngo-a") -> Word:
    """A signal whose letter says the citizenship, or nothing about it."""
    signal = SignalRecorded(
        detector="ngo_outreach", child=False, urgency="urgent", detected_abroad=False, basis=("indicators",)
    )
    return says(by, signal, letter={"citizenship": citizenship} if citizenship else {})


class TestForeignNationals:
    """Line 10."""

    @pytest.mark.parametrize("citizenship", ["XA", "AZ", None])
    def test_the_task_for_a_hold_says_nothing_of_the_citizenship(self, citizenship: str | None) -> None:
        """Given a foreign national, a citizen, or somebody of whom nothing is known, when reasonable grounds are found, then the task is the same.

        From then on nobody removes the person, and only the unit can ask for that; the citizenship stands in a sealed letter.
        """
        story = given(procedure, me=UNIT).heard(found(citizenship=citizenship))

        task = story.when(says(UNIT, POSITIVE)).then(PeriodStarted(days=30), "ask_hold").task
        assert task.sentence == "No hold on removal stands: ask migration for one, if the person is a foreign national."

    def test_a_hold_that_stands_is_enough(self) -> None:
        """Nothing is asked for twice."""
        hold = HoldRequested(to=("migration",), ground="identification", until_days=30)
        story = given(procedure, me=UNIT).heard(found(citizenship="XA"), says(UNIT, hold, "H-1"))

        story.when(says(UNIT, POSITIVE)).then(PeriodStarted(days=30))

    def test_the_book_notes_nothing_of_a_letter(self) -> None:
        """Given a letter with a citizenship, then the unit's book stays as it began."""
        story = given(procedure, me=UNIT).heard(found(citizenship="XA"))

        assert story.book == procedure.begin(Settings())

    def test_what_another_agency_says_is_read(self) -> None:
        """A foreign national's signal, and the end and the opening of the case, are tasks as those of a citizen are."""
        ends, again = Closed(reason="lost_contact", follow_up=False), Reopened(reason="closed_in_error")
        for citizenship in ("AZ", "XA"):
            story = given(procedure, me=UNIT)
            for said in (found(citizenship=citizenship), says("vac", ends), says("vac", again)):
                story.when(said).then("read")

    def test_a_stored_book_of_before_is_read_without_its_foreign_nationals(self) -> None:
        """Given a book of an earlier release, then its referrals are kept, and the cases that it noted from letters are not."""
        stored = '{"services": ["r"], "foreign": ["a"], "reopened": ["b"]}'

        assert State.from_json(stored) == State(services=("r",))


class TestFoundAdult:
    """Line 11."""

    def test_an_adult_is_asked_from_then_on(self) -> None:
        """The unit may not go on by what was done for a child."""
        flag = ChildFlagged(to=("guardianship",), basis="appearance")
        story = given(procedure, me=UNIT).heard(says("ngo-a", flag))

        story.when(says(UNIT, AgeAssessed(result="adult"))).then("ask_adult")
        given(procedure, me=UNIT).when(says(UNIT, AgeAssessed(result="unclear"))).then()


class TestOwnFind:
    """Line 12."""

    def test_the_unit_asks_whom_it_finds(self) -> None:
        """A signal of another agency is read by a person."""
        given(procedure, me=UNIT).when(found(by=UNIT)).then("ask_first")
        given(procedure, me=UNIT).when(found()).then("read")


def test_a_complaint_is_for_the_superior() -> None:
    """Line 8: the superior signs, and the task says so."""
    complaint = ReviewRequested(kind="complaint_to_superior", new_evidence=False)

    task = given(procedure, me=UNIT).when(says("ngo-a", complaint, "V-1")).then("review").task

    assert "superior" in task.sentence


class Listening:
    """Procedure without a line, which keeps what was heard last."""

    heard: Heard

    def begin(self, _: Settings) -> State:
        """Return a state with nothing in it."""
        return State()

    def keep(self, book: State, heard: Heard) -> State:
        """Keep *heard*."""
        self.heard = heard
        return book

    def take_back(self, book: State, _: Event) -> State:
        """Return *book*."""
        return book


def heard_by_unit(word: Word) -> Heard:
    """Return *word* as the unit hears it."""
    listening = Listening()
    given(listening, me=UNIT).heard(word)
    return listening.heard


OWN_STEPS: tuple[Data, ...] = (
    ReferralAccepted(next_step="reception"),
    StageEntered(stage="initial_assistance"),
    PeriodStarted(days=30),
    PeriodExtended(days=15),
    PeriodEnded(reason="period_elapsed"),
    Linked(confidence="certain"),
    Merged(outcome="continues"),
    ReturnConsented(given_by="individual", form="written"),
    ReturnRiskAssessed(outcome="can_return"),
    ReturnTravelArranged(days=10),
    ReturnCompleted(),
)


@pytest.mark.parametrize("step", OWN_STEPS, ids=lambda each: each.type)
def test_the_units_own_step_has_a_line_whose_clock_shows_the_next(step: Data) -> None:
    """23 to 28. Given the unit's own step, then one line alone is about it and gives no task; one of another agency is not its line's."""
    book = procedure.begin(Settings())
    own, other = (heard_by_unit(says(by, step)) for by in (UNIT, "vac"))
    lines = [
        each
        for each in lines_of(procedure)
        if each.name in ("assist", "inquire", "look", "conclude", "match", "go_home")
    ]

    assert [answer for each in lines if (answer := each(own, book)) is not None] == [Result()]
    assert [answer for each in lines if (answer := each(other, book)) is not None] == []


ANSWERS: tuple[Data, ...] = (
    ReviewDecided(outcome="upheld", reasons=("indicators_not_met",)),
    HoldConfirmed(until_days=30),
    RepresentativeAssigned(representative="REP-1"),
)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda each: each.type)
def test_an_answer_that_the_unit_waited_for_is_noted(answer: Data) -> None:
    """27, 29, 30. Given a court's decision, a hold or a representative, then nobody has to read it as something unknown."""
    given(procedure, me=UNIT).when(says("court", answer)).then()


def test_the_unit_brings_a_child_where_the_decision_says() -> None:
    """22. Given a decision on best interests, then an officer reads the conditions, as whoever has brought children home must."""
    decided = BestInterestsDecided(outcome="not_to_return", conditions=())

    given(procedure, me=UNIT).when(says("guardianship", decided)).then("conditions")


def test_a_social_service_that_does_not_decide_answers_as_every_service() -> None:
    """31. Given a referral or a request for a service to an agency that does not decide, here a hospital, then a worker answers it."""
    story = given(procedure, me="hospital")

    story.when(says("ngo-a", referral("hospital"), "R-1")).then("referral")
    asked = ServiceRequested(service="cash", urgency="normal", to=("hospital",))
    story.when(says("vac", asked, "S-1")).then("service")
