"""The migration service's procedure, line by line."""

from agencies import reference
from given import given, says
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.events.case import Withdrawn
from nrmbus.events.identification import ReasonableGroundsDecided
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodReviewed, PeriodStarted
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.stay import HoldConfirmed, HoldEnded, HoldRequested, PermitIssued, PermitRefused
from nrmbus.migration import procedure

ME, UNIT = "migration", "special-unit"
FOUND = ReasonableGroundsDecided(outcome="positive", reasons=("indicators_met",))


def hold(days: int = 30) -> HoldRequested:
    """A request for a hold of so many days."""
    return HoldRequested(to=(ME,), ground="identification", until_days=days)


class TestHolding:
    """Line 1."""

    def test_a_hold_is_a_persons_to_confirm(self) -> None:
        """Given a request for a hold, then a person enters it in the register; nothing is confirmed automatically."""
        task = given(procedure, me=ME).when(says(UNIT, hold(), "H-1")).then("hold").task

        assert task.referral == reference("H-1")


class TestFollowing:
    """Line 2."""

    def test_a_hold_that_ends_before_the_recovery_period_follows_it(self) -> None:
        """Given a hold of ten days, when a recovery period of thirty begins, then the register has to follow."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(10), "H-1"))

        story.when(says(UNIT, PeriodStarted(days=30), at=24)).then("hold_follows")

    def test_an_extension_moves_the_hold_too(self) -> None:
        """Given a hold as long as the recovery period, when that is made longer, then the register has to follow."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(30), "H-1"), says(UNIT, PeriodStarted(days=30)))

        story.when(says(UNIT, PeriodExtended(days=15), at=24)).then("hold_follows")

    def test_a_hold_that_lasts_longer_stays_as_it_is(self) -> None:
        """Given a hold of a year, then a recovery period changes nothing."""
        given(procedure, me=ME).heard(says(UNIT, hold(365), "H-1")).when(says(UNIT, PeriodStarted(days=30))).then()

    def test_a_hold_that_was_ended_follows_nothing(self) -> None:
        """Given a hold that is over, then nothing has to be entered for it."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(10), "H-1"))
        story.heard(says(UNIT, HoldEnded(reason="left_country"), "H-1"))

        story.when(says(UNIT, PeriodStarted(days=30))).then()


class TestStanding:
    """Lines 3 and 4."""

    def test_decisions_and_a_withdrawal_leave_the_hold(self) -> None:
        """Given a hold, then neither a decision, nor a review or an end of the period, nor a withdrawal asks for anything."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(), "H-1"))

        for data in (
            FOUND,
            PeriodReviewed(outcome="continue"),
            PeriodEnded(reason="period_elapsed"),
            Withdrawn(stage="recovery", requested_by="person"),
        ):
            story.when(says(UNIT, data)).then()


class TestReleasing:
    """Line 5."""

    def test_the_last_hold_is_taken_out_of_the_register(self) -> None:
        """Given one hold, when the unit ends it, then a person takes it out."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(), "H-1"))

        story.when(says(UNIT, HoldEnded(reason="not_a_victim"), "H-1")).then("hold_ended")

    def test_while_another_hold_stands_nothing_is_taken_out(self) -> None:
        """Given a second hold, when the first is ended, then the person stays in the register."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(), "H-1"), says(UNIT, hold(365), "H-2"))

        story.when(says(UNIT, HoldEnded(reason="permit_issued"), "H-1")).then()


class TestPermits:
    """Line 6."""

    def test_a_refused_permit_is_explained_to_the_person(self) -> None:
        """Given a refusal of this service, then somebody tells the person about a review, and prepares no removal."""
        given(procedure, me=ME).when(says(ME, PermitRefused())).then("permit_refused")

    def test_a_permit_asks_for_nothing(self) -> None:
        """Given a permit or a confirmation of this service, then nothing is to do."""
        story = given(procedure, me=ME).heard(says(UNIT, hold(), "H-1"))

        story.when(says(ME, HoldConfirmed(until_days=30), "H-1"), says(ME, PermitIssued(valid_days=365))).then()

    def test_another_offices_refusal_is_read(self) -> None:
        """Given a refusal by another office, then a person reads it."""
        given(procedure, me=ME).when(says("migration-2", PermitRefused())).then("read")


class TestReceiving:
    """Line 7."""

    def test_a_referral_is_answered_by_an_officer(self) -> None:
        """Given a referral to this service, then an officer answers; a referral of its own is the receiver's."""
        asked = ReferralSubmitted(
            to=(ME,), mode="referral", reason="MigrationOrChangeOfLocation", urgency="normal", services=()
        )

        given(procedure, me=ME).when(says("vac", asked, "R-1")).then("referral")
        given(procedure, me=ME).when(says(ME, asked, "R-2")).then()


def test_nothing_is_kept_and_nothing_taken_back() -> None:
    """The service's book is empty before and after."""
    story = given(procedure, me=ME).heard(says(UNIT, hold(), "H-1"))

    assert story.book == Referring()
    assert procedure.take_back(Referring(), story._event(says(ME, PermitRefused()), {})) == Referring()
