"""Proceedings and the money that follows, G-64 to G-66."""

from typing import Any, Final

import pytest

from agencies import reference
from rules.given import Bench
from rules.stories import convicted, granted, identified, prosecuted

ORDER: Final = "payment.ordered"
COMPENSATION: Final[dict[str, Any]] = {"kind": "compensation", "amount": {"value": "3000.00", "currency": "AZN"}}
REHABILITATION: Final[dict[str, Any]] = {
    "kind": "other_financial_assistance", "amount": {"value": "800.00", "currency": "AZN"},
}  # fmt: skip


def refused(b: Bench, by: str, type: str, **said: Any) -> str | None:
    """The rule that refuses the event, or None."""
    refusal = b.ask(by, type, **said)
    return refusal.rule if refusal else None


def closed(b: Bench) -> Bench:
    """She has left the shelter, and the centre closes her case."""
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", "case.closed")
    return b


@pytest.mark.parametrize("end", ["closed", "withdrawn"])
def test_proceedings_outlive_the_case(end: str) -> None:
    """A verdict takes years: it is recorded, and what the court grants is paid, when her case is over."""
    b = prosecuted(Bench())
    if end == "closed":
        closed(b)
    else:
        b.say("vac", "case.withdrawn")
    b.at("d400 9:00").say("court", "justice.measure_granted", ref="J-1", letter=True)
    b.say("court", "justice.verdict_recorded", ref="J-1", letter=True)
    assert refused(b, "fund", ORDER, ref="P-2", **COMPENSATION) == "G-40"
    b.say("court", "fund.compensation_granted", ref="C-1")
    b.say("fund", ORDER, ref="P-2", **COMPENSATION)
    b.say("fund", "payment.executed", ref="P-2", kind="compensation")

    assert b.view.status == ("CLOSED" if end == "closed" else "WITHDRAWN")
    assert refused(b, "fund", ORDER, ref="P-3", **REHABILITATION) == "G-40"


def test_a_grant_is_paid_once() -> None:
    """A second order waits for a second grant; an order that failed leaves the grant open again."""
    b = granted(Bench())
    b.say("fund", ORDER, ref="P-2", **COMPENSATION)
    assert refused(b, "fund", ORDER, ref="P-3", **COMPENSATION) == "G-66"

    b.say("fund", "payment.failed", ref="P-2", kind="compensation")
    b.say("fund", ORDER, ref="P-3", **COMPENSATION)
    b.say("fund", "payment.executed", ref="P-3", kind="compensation")
    assert refused(b, "fund", ORDER, ref="P-4", **COMPENSATION) == "G-66"
    b.say("fund", "fund.compensation_granted", ref="C-2", source="contributions")
    assert refused(b, "fund", ORDER, ref="P-4", **COMPENSATION) is None


def test_rehabilitation_money_pays_no_compensation() -> None:
    """The two purposes are paid apart, so that everybody can see what the fund's money was for."""
    b = identified(Bench())
    b.say("fund", "fund.compensation_granted", ref="C-1", purpose="social_rehabilitation")
    assert refused(b, "fund", ORDER, ref="P-2", **COMPENSATION) == "G-66"

    b.say("fund", ORDER, ref="C-1", **REHABILITATION)
    assert {ref: each.order for ref, each in b.view.grants.items()} == {reference("C-1"): reference("C-1")}


def test_small_help_needs_no_grant() -> None:
    """People who are not recognised get help in cash too, so neither a status nor a grant is asked for."""
    assert refused(identified(Bench()), "fund", ORDER, ref="P-2", **REHABILITATION) is None


def test_an_order_pays_the_grant_that_it_names() -> None:
    """Two grants: the payment that has the second one as its cause leaves the first open."""
    b = granted(Bench())
    second = b.say("court", "fund.compensation_granted", ref="C-2")
    b.say("fund", ORDER, ref="P-2", cause=second.id, **COMPENSATION)

    assert [each.order for each in b.view.grants.values()] == [None, reference("P-2")]


def test_a_court_hears_what_it_opened_itself() -> None:
    """A civil claim: the court opens, decides and grants, and the prosecution hears of nothing."""
    b = prosecuted(Bench())
    b.say("court", "justice.case_opened", ref="J-2", kind="civil_claim", article="CC-21")
    assert refused(b, "prosecution", "justice.verdict_recorded", ref="J-2") == "G-03"

    said = b.say("court", "justice.verdict_recorded", ref="J-2", outcome="claim_granted")
    assert said.audience.recipients == ("fund", "special-unit")


def test_the_prosecution_decides_where_no_court_is_on_the_bus() -> None:
    """It types in what a court has sent on paper."""
    b = prosecuted(Bench())
    b.say("prosecution", "justice.case_opened", ref="J-2")

    assert refused(b, "prosecution", "justice.verdict_recorded", ref="J-2") is None


def test_a_verdict_gives_the_fund_a_part() -> None:
    """The fund is told by consent alone; from then on it may grant and pay."""
    b = convicted(Bench())

    assert b.view.on_case("fund")
    assert refused(b, "fund", "fund.compensation_granted", ref="C-1") is None
