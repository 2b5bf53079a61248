"""The fund's procedure, line by line."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import pytest

from agencies import NOW
from given import event_id, given, moment, says
from nrmbus.events.consent import ConsentGiven, ConsentOverridden, ConsentRefused
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.identification import StatusDecided, StatusRevoked
from nrmbus.events.justice import VerdictRecorded
from nrmbus.events.payment import Amount, PaymentExecuted, PaymentFailed, PaymentOrdered
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.safeguard import ChildFlagged
from nrmbus.fund import procedure

FUND = "fund"
VICTIM = StatusDecided(status="ActualVictimOfTrafficking", deciding_body="Police", reasons=("indicators_met",))
NO_VICTIM = StatusDecided(
    status="NotAVictimOfTrafficking",
    deciding_body="Police",
    reasons=("indicators_not_met",),
    review_until_days=30,
)
CONSENT = ConsentGiven(
    purposes=("services", "information_sharing"), receivers=(FUND,), given_by="individual", form="written"
)


def order(decision: str, *, payee: Literal["person", "deposit"] = "person", tariff: str = "az-2024") -> PaymentOrdered:
    """The allowance that the decision of that alias earns."""
    value = {"az-2016": "400.00", "az-2024": "700.00"}[tariff]
    return PaymentOrdered.from_mapping(
        {
            "kind": "one_time_allowance",
            "tariff": tariff,
            "amount": Amount(value=value, currency="AZN").to_mapping(),
            "payee": payee,
            "decision": event_id(decision),
        }
    )


def hours(year: int, month: int, day: int, hour: int) -> float:
    """Return a time in Baku, in hours after the story's Monday."""
    return (datetime(year, month, day, hour, tzinfo=ZoneInfo("Asia/Baku")) - NOW).total_seconds() / 3600


class TestAllowance:
    """Line 1."""

    def test_recognition_earns_the_allowance(self) -> None:
        """An adult who is recognised and let the fund know gets 700 AZN, once, on that decision."""
        story = given(procedure, me=FUND).heard(says("ngo-a", CONSENT))

        story.when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1"))

    def test_a_negative_decision_earns_nothing(self) -> None:
        """A decision that the person is no victim is read by a person, and nothing is ordered."""
        given(procedure, me=FUND).when(says("special-unit", NO_VICTIM)).then("read")

    @pytest.mark.parametrize(
        ("at", "tariff"),
        [
            (hours(2023, 12, 31, 23), "az-2016"),
            (hours(2024, 1, 1, 0), "az-2024"),
            (hours(2016, 1, 1, 0), "az-2016"),
        ],
        ids=["the last hour of 2023", "the first of 2024", "the first of 2016"],
    )
    def test_the_tariff_is_that_of_the_decisions_day_in_baku(self, at: float, tariff: str) -> None:
        """A tariff holds from midnight in Baku, whenever the decision is registered."""
        story = given(procedure, me=FUND).heard(says("ngo-a", CONSENT, at=at))

        story.when(says("special-unit", VICTIM, at=at, registered=0, alias="D-1")).then(order("D-1", tariff=tariff))

    def test_a_day_without_tariff_is_a_persons(self) -> None:
        """Before the first tariff there is no amount to order automatically."""
        given(procedure, me=FUND).when(says("special-unit", VICTIM, at=hours(2015, 12, 31, 23))).then("no_tariff")

    def test_the_order_has_the_time_of_the_delivery(self) -> None:
        """The order's own time is when the fund was told, not when the decision was taken."""
        answer = given(procedure, me=FUND).when(says("special-unit", VICTIM, at=0, registered=5))

        assert answer.draft.time == moment(5)


class TestPayee:
    """Line 2."""

    def test_a_child_known_as_one_gets_a_deposit(self) -> None:
        """Where the fund knows of the child, the money goes into a deposit, whatever consent there is."""
        flagged = ChildFlagged(to=("fund", "guardianship"), basis="stated_age")
        story = given(procedure, me=FUND).heard(says("school", flagged), says("ngo-a", CONSENT))

        story.when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1", payee="deposit"))

    def test_a_decision_without_consent_is_a_childs(self) -> None:
        """The fund hears of an adult under a consent only, so a decision that comes without is a child's."""
        given(procedure, me=FUND).when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1", payee="deposit"))

    def test_a_decision_in_spite_of_a_refusal_is_a_childs(self) -> None:
        """A refusal lets no decision about an adult through: it can only be a child's."""
        refusal = ConsentRefused(purposes=("information_sharing",), receivers=(FUND,), given_by="caregiver")
        story = given(procedure, me=FUND).heard(says("ngo-a", refusal))

        story.when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1", payee="deposit"))

    def test_an_overridden_consent_is_an_adults(self) -> None:
        """An override names the fund as a consent does: the money goes to the person."""
        override = ConsentOverridden(receivers=(FUND,), ground="legal_duty", approver_role="head_of_agency")
        story = given(procedure, me=FUND).heard(says("ngo-a", override))

        story.when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1"))


class TestAChildOfWhomTheFundDoesNotKnow:
    """Line 4."""

    def test_is_paid_into_a_deposit_after_the_registrar_refused(self) -> None:
        """A consent to the fund stands, and no event that the fund received says that the person is a child."""
        story = given(procedure, me=FUND).heard(says("ngo-a", CONSENT))
        first = story.when(says("special-unit", VICTIM, alias="D-1")).draft
        again = story.refused(first, "payee_not_allowed").then(order("D-1", payee="deposit")).draft

        assert again.id != first.id
        assert again.referral == first.referral

    def test_is_paid_once(self) -> None:
        """The refusal heard again after a restart says the very same order."""
        story = given(procedure, me=FUND).heard(says("ngo-a", CONSENT))
        first = story.when(says("special-unit", VICTIM, alias="D-1")).draft
        answers = [story.refused(first, "payee_not_allowed").draft for _ in range(2)]

        assert answers[0] == answers[1]
        assert story.when(says("special-unit", VICTIM, alias="D-1")).said.drafts == ()

    def test_is_a_persons_where_a_person_ordered(self) -> None:
        """An order made by hand is corrected by hand."""
        story = given(procedure, me=FUND).heard(says("ngo-a", CONSENT))
        draft = story.when(says("special-unit", VICTIM, alias="D-1")).draft

        story.refused(draft.model_copy(update={"actor": "A-1"}), "payee_not_allowed").then("refused")


class TestOnce:
    """Line 3."""

    def test_the_same_decision_earns_nothing_twice(self) -> None:
        """Delivered twice, a decision is answered once."""
        story = given(procedure, me=FUND)
        story.when(says("special-unit", VICTIM, alias="D-1")).then(order("D-1", payee="deposit"))

        assert story.when(says("special-unit", VICTIM, alias="D-1")).said.drafts == ()

    def test_a_fund_without_its_state_publishes_the_same_order(self) -> None:
        """With its book lost, the fund says the very same event again: same id, same reference, so it is registered once."""
        first = given(procedure, me=FUND).when(says("special-unit", VICTIM, alias="D-1")).draft
        again = given(procedure, me=FUND).when(says("special-unit", VICTIM, alias="D-1")).draft

        assert again == first

    def test_two_decisions_earn_two(self) -> None:
        """A person who is recognised again after a revocation earns the allowance again."""
        story = given(procedure, me=FUND)

        first, second = (story.when(says("special-unit", VICTIM, alias=alias)).draft for alias in ("D-1", "D-2"))
        assert first.id != second.id
        assert first.referral != second.referral

    def test_a_refused_order_becomes_a_task(self) -> None:
        """A refused order is not repeated automatically, and becomes a task."""
        story = given(procedure, me=FUND)
        draft = story.when(says("special-unit", VICTIM, alias="D-1")).draft

        story.refused(draft, "amount_not_in_tariff").then("refused")
        assert story.when(says("special-unit", VICTIM, alias="D-1")).said.drafts == ()


class TestGrants:
    """Lines 5 to 7."""

    def test_a_grant_is_ordered_by_a_person(self) -> None:
        """It has a band and no sum, whoever granted it."""
        granted = CompensationGranted(purpose="compensation", amount_band="1000_to_5000", source="confiscated_property")

        given(procedure, me=FUND).when(says("court", granted, "C-1")).then("order_grant")
        given(procedure, me=FUND).when(says(FUND, granted, "C-1")).then("order_grant")

    def test_a_second_compensation_is_asked_about_before_it_is_ordered(self) -> None:
        """A court may grant beside what the fund has paid: somebody sees that before the money goes."""
        first = CompensationGranted(purpose="compensation", amount_band="1000_to_5000", source="contributions")
        amount = {"value": "3000.00", "currency": "AZN"}
        order = PaymentOrdered.from_mapping({"kind": "compensation", "amount": amount, "payee": "person"})
        story = given(procedure, me=FUND).heard(says(FUND, first, "C-1"), says(FUND, order, "P-1"))

        answer = story.when(says("court", first, "C-2")).then("order_grant")
        assert "ask the court" in answer.task.sentence

    @pytest.mark.parametrize(("confiscation", "tasks"), [(True, ["confiscated"]), (False, [])])
    def test_confiscated_property_is_claimed(self, confiscation: bool, tasks: list[str]) -> None:  # noqa: FBT001 - a column
        """It feeds the fund; a verdict without it is noted."""
        verdict = VerdictRecorded(outcome="conviction", article="CC-144-1", confiscation=confiscation)

        given(procedure, me=FUND).when(says("court", verdict, "J-1")).then(*tasks)

    @pytest.mark.parametrize(
        ("kind", "tasks"), [("compensation", ["came_back"]), ("other_financial_assistance", ["came_back"]), ("one_time_allowance", [])]
    )  # fmt: skip
    def test_money_that_came_back_is_ordered_again(self, kind: str, tasks: list[str]) -> None:
        """The allowance has a row of its own in the lists."""
        given(procedure, me=FUND).when(says(FUND, PaymentFailed.from_mapping({"kind": kind}), "P-1")).then(*tasks)


def test_a_referral_is_answered_by_a_person() -> None:
    """8. A referral for another payment: the fund accepts, declines or asks."""
    referral = ReferralSubmitted(to=(FUND,), mode="referral", reason="Payment", urgency="normal", services=("cash",))

    given(procedure, me=FUND).when(says("vac", referral, "R-4")).then("referral")


def test_what_was_paid_stays_and_what_was_not_is_paid_no_more() -> None:
    """15. Given a revoked status, then an allowance that is only ordered is a task, and one that was paid is nobody's."""
    revoked = StatusRevoked(reasons=("breach_of_rules",), review_until_days=30)
    story = given(procedure, me=FUND).heard(
        says("ngo-a", CONSENT), says("special-unit", VICTIM, alias="D-1"), says(FUND, order("D-1"), "P-1")
    )

    story.when(says("special-unit", revoked)).then("do_not_pay")
    story.heard(says(FUND, PaymentExecuted(kind="one_time_allowance"), "P-1"))
    story.when(says("special-unit", revoked)).then()
