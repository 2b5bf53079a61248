"""Payments: a payment follows its order, and rests on a recognition that stood when it was paid."""

from typing import Any, Final

import pytest

from rules.given import Bench
from rules.stories import paid

OTHER: Final[dict[str, Any]] = {
    "kind": "other_financial_assistance",
    "amount": {"value": "57.00", "currency": "AZN"},
}


def two_orders() -> Bench:
    """The fund has ordered the allowance, and 57 manat for a bus."""
    b = paid(Bench())
    b.say("fund", "payment.ordered", ref="P-3", **OTHER)
    return b


@pytest.mark.parametrize("type", ["payment.executed", "payment.failed"])
def test_i3_no_order_is_settled_by_the_payment_of_another(type: str) -> None:
    """The allowance under the reference of the 57 manat: one of the two was never paid, and looked as if it was."""
    b = two_orders()
    asked = [
        b.ask("fund", type, ref="P-3", kind="one_time_allowance"),
        b.ask("fund", type, ref="P-1", kind=OTHER["kind"]),
        b.ask("fund", type, ref="P-3", kind=OTHER["kind"], decision=b.view.effective),
        b.ask("fund", type, ref="P-9", kind="one_time_allowance"),
    ]

    assert [refusal and refusal.rule for refusal in asked] == ["G-51"] * 4
    assert b.ask("fund", type, ref="P-3", kind=OTHER["kind"]) is None
    assert b.ask("fund", type, ref="P-1", decision=b.view.effective) is None
    assert b.ask("fund", type, kind=OTHER["kind"]) is None, "without a reference it is found by its kind"


def test_i4_nothing_is_paid_out_on_a_recognition_that_was_taken_back() -> None:
    """The order stays open and fails; what was paid an hour before may be told later, and other help goes on."""
    b = two_orders()
    b.at("d50 9:00").say("special-unit", "identification.status_revoked")
    refusal = b.at("d51 9:00").ask("fund", "payment.executed", ref="P-1")
    before = b.at("d50 8:00").event("fund", "payment.executed", ref="P-1")
    b.at("d51 9:00")

    assert refusal is not None
    assert refusal.rule == "G-60"
    assert b.rules.judge(b.view, before, b.now) is None, "no claw-back"
    assert b.ask("fund", "payment.executed", ref="P-3", kind=OTHER["kind"]) is None
    assert b.ask("fund", "payment.failed", ref="P-1") is None


def test_i4_an_order_of_before_is_not_paid_on_a_later_recognition() -> None:
    """She is recognised again after a review: that decision has an allowance of its own, and two are not paid."""
    b = paid(Bench()).at("d50 9:00")
    b.say("special-unit", "identification.status_revoked")
    b.say("ngo-a", "review.requested", ref="V-1")
    b.say("special-unit", "review.decided", ref="V-1")
    b.say("special-unit", "identification.reasonable_grounds_decided")
    b.say("special-unit", "identification.status_decided")
    b.say("fund", "payment.ordered", ref="P-2")
    refusal = b.ask("fund", "payment.executed", ref="P-1")

    assert refusal is not None
    assert refusal.rule == "G-60"
    assert b.ask("fund", "payment.executed", ref="P-2") is None


@pytest.mark.parametrize("type", ["payment.executed", "payment.failed"])
def test_of_two_orders_the_one_that_is_named_by_its_event_is_settled(type: str) -> None:
    """Given an order without a reference and a later one of the same kind, when the first is the cause of the payment, then that one is settled, once."""
    b = paid(Bench())
    first = b.say("fund", "payment.ordered", **OTHER)
    second = b.say("fund", "payment.ordered", ref="P-3", **OTHER)
    b.say("fund", type, kind=OTHER["kind"], cause=first.id)
    again = b.ask("fund", type, kind=OTHER["kind"], cause=first.id)
    other = b.ask("fund", type, kind="one_time_allowance", cause=second.id)

    states = {each.mark.id: each.state for each in b.view.payments.values()}
    assert (states[first.id], states[second.id]) == (type.removeprefix("payment."), "ordered")
    assert [refusal and refusal.rule for refusal in (again, other)] == ["G-51", "G-51"]
