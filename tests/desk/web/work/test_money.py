"""Money that came back: it stays on the fund's lists until an order of the same money stands for it."""

import pytest

from agencies import reference
from desk.web.work.test_items import made, rows
from nrmbus.desk.web.work.item import Task
from rules import stories
from rules.given import Bench

KIND = "other_financial_assistance"


def ordered(case: Bench, ref: str, value: str) -> None:
    """Order other assistance, without a grant."""
    case.say("fund", "payment.ordered", ref=ref, kind=KIND, amount={"value": value, "currency": "AZN"})


def came(case: Bench, ref: str, what: str) -> None:
    """Record that the money was paid, or came back."""
    case.say("fund", f"payment.{what}", ref=ref, kind=KIND)


def failed(case: Bench) -> list[str | None]:
    """Return the references on the fund's list of failed payments."""
    return [each.ref for each in rows(case, "fund", "payments-failed", "fund")]


def still_waits(case: Bench, ref: str) -> bool:
    """Return whether failed payment *ref* is in the fund's lists with its step, and its task in the next steps."""
    ref, task = reference(ref), Task(7, "came_back", case.now, "payment.failed", "fund", reference(ref))
    steps = [(each.code, each.ref) for each in rows(case, "fund", "payments-next", "fund", tasks=(task,))]
    waits = [each.ref for each in rows(case, "fund", "waits") if each.act == "payment.ordered"]
    shown = {ref in failed(case), ("came_back", ref) in steps, ref in waits}
    assert len(shown) == 1
    return shown.pop()


@pytest.mark.parametrize("first", ["failed", "ordered"])
def test_money_that_came_back_waits_beside_an_order_of_another_sum(first: str) -> None:
    """P7: given money for the rent that came back before or after other money was ordered and paid, then the fund's lists still have it."""
    case = made(stories.paid)
    ordered(case, "P-2", "200.00")
    if first == "failed":
        came(case, "P-2", "failed")
    ordered(case, "P-3", "80.00")
    came(case, "P-3", "executed")
    if first == "ordered":
        came(case, "P-2", "failed")

    assert still_waits(case, "P-2")
    ordered(case, "P-4", "200.00")
    assert not still_waits(case, "P-2")


def test_an_order_of_before_the_money_came_back_does_not_stand_for_it() -> None:
    """Given two orders of one sum, when the first comes back and the second is paid, then the first waits until it is ordered again."""
    case = made(stories.paid)
    ordered(case, "P-2", "200.00")
    ordered(case, "P-3", "200.00")
    came(case, "P-2", "failed")
    came(case, "P-3", "executed")

    assert still_waits(case, "P-2")
    ordered(case, "P-4", "200.00")
    assert not still_waits(case, "P-2")


def test_one_order_stands_for_one_of_two_equal_sums_that_came_back() -> None:
    """Given two payments of one sum that both came back, when one is ordered again, then the other waits."""
    case = made(stories.paid)
    for each in ("P-2", "P-3"):
        ordered(case, each, "200.00")
    for each in ("P-3", "P-2"):
        came(case, each, "failed")

    ordered(case, "P-4", "200.00")
    assert (still_waits(case, "P-3"), still_waits(case, "P-2")) == (False, True)
    ordered(case, "P-5", "200.00")
    assert failed(case) == []
