"""The procedure of labour inspection and border service, line by line."""

import pytest

from given import Story, Word, given, moment, says
from nrmbus.events.access import AccessRevoked
from nrmbus.events.case import IncidentOpened, SignalRecorded
from nrmbus.events.consent import ConsentGiven, ConsentRefused, ConsentWithdrawn
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.events.identification import ReasonableGroundsDecided
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralAccepted, ReferralInfoRequested, ReferralSubmitted
from nrmbus.inspection import procedure

ME = "labour"
UNIT = "special-unit"
SITE = IncidentOpened(place_type="construction_site", head_count=5)
NO = ReasonableGroundsDecided(outcome="negative", reasons=("indicators_not_met",), review_until_days=30)
YES = ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",))


def found(case: str, *, child: bool = False, incident: str | None = "site") -> Word:
    """One of a group."""
    said = {"detector": "labour_inspection", "child": child, "urgency": "urgent", "detected_abroad": False}
    data = SignalRecorded.from_mapping({**said, "basis": ["indicators"]})
    return says(ME, data, case=case, incident=incident)


def consent(case: str, receiver: str) -> Word:
    """That one agrees to *receiver*."""
    said = {"purposes": ["information_sharing"], "receivers": [receiver], "given_by": "individual", "form": "written"}
    return says(ME, ConsentGiven.from_mapping(said), case=case)


def group() -> Story:
    """Three of a site: two agreed to the unit, the legal NGO or the centre; a fourth was found elsewhere."""
    story = given(procedure, me=ME).heard(says(ME, SITE, case="site"))
    story.heard(*(found(each) for each in ("ana", "ben", "foreman")), found("elsewhere", incident=None))
    said = {"ana": ("ngo-l", UNIT), "ben": (UNIT, "vac"), "foreman": ("ngo-l", UNIT), "elsewhere": ("ngo-l",)}
    return story.heard(*(consent(case, each) for case, receivers in said.items() for each in receivers))


class TestGroups:
    """Lines 1 and 2."""

    def test_an_incident_asks_for_one_case_each(self) -> None:
        """The head count is a number; no list of persons is made."""
        task = given(procedure, me=ME).when(says(ME, SITE, case="site")).then("one_case_each").task
        assert "5 people" in task.sentence

    def test_each_is_asked_alone(self) -> None:
        """Whoever answers for the others may be the one who brought them."""
        assert "alone" in given(procedure, me=ME).when(found("ana")).then("ask_first").task.sentence

    def test_a_child_of_the_group_is_safeguarded_first(self) -> None:
        """A child found at work is a child first."""
        given(procedure, me=ME).when(found("boy", child=True)).then("children_first")


class TestOneOfThem:
    """Lines 3 and 4."""

    def test_one_refuses_and_the_others_go_on(self) -> None:
        """A refusal stands in one case alone."""
        said = {"purposes": ["information_sharing"], "receivers": [UNIT], "given_by": "individual"}
        story = group()
        story.when(says(ME, ConsentRefused.from_mapping(said), case="ana")).then("without_police")
        assert not story.views[next(iter(story.views))].consents

    def test_whoever_helps_a_recruiter_and_the_others_is_asked_about_again(self) -> None:
        """A negative decision names the agencies that hold this person's case and one of the others'."""
        assert group().when(says(UNIT, NO, case="foreman")).then("cut_access").task.alternatives == ("ngo-l",)

    def test_a_positive_decision_cuts_nothing(self) -> None:
        """A victim of the group is no danger to the others; a person reads the decision."""
        group().when(says(UNIT, YES, case="foreman")).then("read")

    def test_somebody_found_alone_has_no_group(self) -> None:
        """Without an incident there are no others."""
        group().when(says(UNIT, NO, case="elsewhere")).then("read")


class TestForgetting:
    """The book knows no more of a person than the person lets the service know."""

    def test_an_erased_case_is_forgotten(self) -> None:
        """Given a case of the group, erased here, then the book names neither the case nor its helpers, and the others stay."""
        erased = AccessErasureConfirmed(ground="decision", horizon=moment(0))
        story = group().heard(says(ME, erased, case="ana"))
        alone = given(procedure, me=ME).heard(says(ME, SITE, case="site"), found("ben"), found("foreman"))
        alone.heard(
            *(
                consent(case, each)
                for case, each in (("ben", UNIT), ("ben", "vac"), ("foreman", "ngo-l"), ("foreman", UNIT))
            )
        )

        assert story.book == alone.book

    def test_the_erasure_of_another_agency_changes_nothing(self) -> None:
        """Each holder erases its own data."""
        erased = AccessErasureConfirmed(ground="decision", horizon=moment(0))

        assert group().heard(says("ngo-l", erased, case="ana")).book == group().book

    @pytest.mark.parametrize(
        ("by", "ended"),
        [
            (ME, ConsentWithdrawn(purposes=("information_sharing",), receivers=("ngo-l",))),
            ("ngo-l", ConsentWithdrawn(purposes=("information_sharing",), receivers=("ngo-l",))),
            (ME, ConsentRefused(purposes=("information_sharing",), receivers=("ngo-l",), given_by="individual")),
            (UNIT, AccessRevoked(receivers=("ngo-l",))),
        ],
        ids=["withdrawn", "withdrawn elsewhere", "refused", "ended"],
    )
    def test_an_agency_that_helps_no_more_is_not_named(self, by: str, ended: Data) -> None:
        """Given a helper without the consent of one of the group, when the foreman is no victim, then the task does not name the helper."""
        story = group().heard(says(by, ended, case="ana"))

        assert story.when(says(UNIT, NO, case="foreman")).then("cut_access").task.alternatives == ()

    def test_an_agency_that_still_helps_with_something_is_named(self) -> None:
        """The withdrawal of one purpose leaves a helper with the person's consent for another."""
        said = {"purposes": ["services"], "receivers": ["ngo-l"], "given_by": "individual", "form": "written"}
        story = group().heard(says(ME, ConsentGiven.from_mapping(said), case="ana"))
        story.heard(says(ME, ConsentWithdrawn(purposes=("information_sharing",), receivers=("ngo-l",)), case="ana"))

        assert story.when(says(UNIT, NO, case="foreman")).then("cut_access").task.alternatives == ("ngo-l",)

    def test_an_agency_whose_other_consent_has_expired_is_not_named(self) -> None:
        """Given a consent for another purpose until 3 March, when the person takes the lasting one back after that day, then nobody helps any more."""
        said = {"purposes": ["services"], "receivers": ["ngo-l"], "given_by": "individual", "form": "written"}
        taken = ConsentWithdrawn(purposes=("information_sharing",), receivers=("ngo-l",))
        story = group().heard(says(ME, ConsentGiven.from_mapping({**said, "expires": "2026-03-03"}), case="ana"))
        story.heard(says(ME, taken, case="ana", at=72))

        assert story.when(says(UNIT, NO, case="foreman")).then("cut_access").task.alternatives == ()


def test_a_question_is_supplied_and_good_news_is_noted() -> None:
    """Lines 5 and 8; lines 6 and 7 are those of the other agencies that refer."""
    said = {"to": [UNIT], "mode": "referral", "reason": "FormalIdentification", "urgency": "urgent", "services": []}
    story = group().heard(says(ME, ReferralSubmitted.from_mapping(said), "R-1", case="ana"))
    story.when(says(UNIT, ReferralInfoRequested(question="language"), "R-1", case="ana")).then("supply")
    story.when(says(UNIT, ReferralAccepted(next_step="reception"), "R-1", case="ana")).then()


def test_the_same_history_gives_the_same_book() -> None:
    """After a loss of its ledger the desk reads all again, and knows the groups again."""
    assert group().book == group().book
    assert procedure.State.from_json(group().book.model_dump_json()) == group().book
