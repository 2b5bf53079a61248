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


def test_an_allowance_that_came_back_is_ordered_again_while_the_status_stands() -> None:
    """Given a payment that failed, then the fund is offered the order again, and no more once the status is revoked."""
    case = made(stories.paid)
    case.say("fund", "payment.failed", ref="P-1")
    assert [each.act for each in rows(case, "fund", "payments-failed", "fund")] == ["payment.ordered"]

    case.say("special-unit", "identification.status_revoked")
    assert [each.act for each in rows(case, "fund", "payments-failed", "fund")] == [""]
    assert [each for each in rows(case, "fund", "waits") if each.about == "payment"] == []


def test_other_money_that_came_back_is_ordered_again_once() -> None:
    """Given a failed payment of other assistance, then the step is offered until a later order stands; for a grant, the grant's row leads to the step."""
    kind, amount = "other_financial_assistance", {"value": "3000.00", "currency": "AZN"}

    def offered(case: Bench) -> list[tuple[str, str | None]]:
        found = rows(case, "fund", "waits")
        return [(each.about, each.ref) for each in found if each.act == "payment.ordered"]

    for order in ("P-3", "P-2"):  # under another reference, and under the same
        case = made(stories.paid)
        case.say("fund", "payment.executed", ref="P-1")
        case.say("fund", "payment.ordered", ref="P-2", kind=kind, amount=amount)
        case.say("fund", "payment.failed", ref="P-2", kind=kind)
        assert [about for about, _ in offered(case)] == ["payment"]
        case.say("fund", "payment.ordered", ref=order, kind=kind, amount=amount)
        assert offered(case) == []
        case.say("fund", "payment.executed", ref=order, kind=kind)
        assert offered(case) == []
        case.say("fund", "payment.ordered", ref="P-4", kind=kind, amount=amount)
        case.say("fund", "payment.failed", ref="P-4", kind=kind)
        assert [about for about, _ in offered(case)] == ["payment"], "what is paid hides no later money"

    case = made(stories.paid)
    case.say("fund", "fund.compensation_granted", ref="C-1", purpose="medical_expenses", source="contributions")
    case.say("fund", "payment.ordered", ref="P-2", kind=kind, amount=amount)
    case.say("fund", "payment.failed", ref="P-2", kind=kind)
    assert [about for about, _ in offered(case)] == ["grant"]


@pytest.mark.parametrize("granted", [True, False], ids=["of a grant", "without a grant"])
def test_money_that_is_paid_since_it_came_back_is_on_no_list_of_what_failed(*, granted: bool) -> None:
    """Given a payment that failed twice, then the list of failed ones has its last order alone, and none once the money is paid."""
    kind, amount = "other_financial_assistance", {"value": "3000.00", "currency": "AZN"}
    case = made(stories.paid)
    case.say("fund", "payment.executed", ref="P-1")
    if granted:
        case.say("fund", "fund.compensation_granted", ref="C-1", purpose="medical_expenses", source="contributions")
    for order in ("P-2", "P-3"):
        case.say("fund", "payment.ordered", ref=order, kind=kind, amount=amount)
        assert rows(case, "fund", "payments-failed", "fund") == []
        case.say("fund", "payment.failed", ref=order, kind=kind)
        assert [each.ref for each in rows(case, "fund", "payments-failed", "fund")] == [reference(order)]
        assert len([each for each in rows(case, "fund", "waits") if each.act == "payment.ordered"]) == 1
    case.say("fund", "payment.ordered", ref="P-4", kind=kind, amount=amount)
    case.say("fund", "payment.executed", ref="P-4", kind=kind)

    assert rows(case, "fund", "payments-failed", "fund") == []
    assert {each.ref for each in rows(case, "fund", "payments-paid", "fund")} == {reference("P-1"), reference("P-4")}


def test_the_task_about_money_that_came_back_ends_with_the_next_order() -> None:
    """Given a task to order a payment again, then it is on the fund's list until the money is ordered, under another reference or the same."""
    kind, amount = "other_financial_assistance", {"value": "3000.00", "currency": "AZN"}
    for order in ("P-3", "P-2"):
        case = made(stories.paid)
        case.say("fund", "payment.ordered", ref="P-2", kind=kind, amount=amount)
        case.say("fund", "payment.failed", ref="P-2", kind=kind)
        task = Task(7, "came_back", case.now, "payment.failed", "fund", reference("P-2"))
        assert [each.code for each in rows(case, "fund", "payments-next", "fund", tasks=(task,))] == ["came_back"]
        case.say("fund", "payment.ordered", ref=order, kind=kind, amount=amount)
        assert rows(case, "fund", "payments-next", "fund", tasks=(task,)) == []
