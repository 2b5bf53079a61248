"""Proceedings and the money that follows, G-64 to G-68."""

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


def test_a_grant_opens_a_case_that_is_over_for_its_own_payment_alone() -> None:
    """Compensation waits to be paid: neither the allowance nor another help, which nobody granted, is ordered by it."""
    b = closed(granted(Bench()))
    assert refused(b, "fund", ORDER, ref="P-2") == "G-40"
    assert refused(b, "fund", ORDER, ref="P-2", **REHABILITATION) == "G-40"
    assert refused(b, "fund", ORDER, ref="P-2", **COMPENSATION) is None


def test_a_grant_is_paid_once() -> None:
    """A second order waits for a second grant; an order that failed leaves the grant open again."""
    b = granted(Bench())
    b.say("fund", ORDER, ref="P-2", **COMPENSATION)
    assert refused(b, "fund", ORDER, ref="P-3", **COMPENSATION) == "G-66"

    b.say("fund", "payment.failed", ref="P-2", kind="compensation")
    b.say("fund", ORDER, ref="P-3", **COMPENSATION)
    b.say("fund", "payment.executed", ref="P-3", kind="compensation")
    assert refused(b, "fund", ORDER, ref="P-4", **COMPENSATION) == "G-66"
    b.say("court", "fund.compensation_granted", ref="C-2")
    assert refused(b, "fund", ORDER, ref="P-4", **COMPENSATION) is None


def test_rehabilitation_money_pays_no_compensation() -> None:
    """The two purposes are paid apart, so that everybody can see what the fund's money was for."""
    b = identified(Bench())
    b.say("fund", "fund.compensation_granted", ref="C-1", purpose="social_rehabilitation", amount_band="up_to_1000")
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


def test_an_order_pays_the_grant_that_it_names_or_none() -> None:
    """Given two grants, when the one that is paid already is named again, then the order is refused, and does not pay the other."""
    b = granted(Bench())
    second = b.say("court", "fund.compensation_granted", ref="C-2")
    b.say("fund", ORDER, ref="P-2", cause=second.id, **COMPENSATION)
    b.say("fund", "payment.executed", ref="P-2", kind="compensation")

    assert refused(b, "fund", ORDER, ref="P-3", cause=second.id, **COMPENSATION) == "G-66"
    assert refused(b, "fund", ORDER, ref="P-3", **COMPENSATION) is None, "for the first grant"


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


class TestTheSameHarm:
    """No harm is made good twice: by the court's word and by the fund's."""

    def test_is_not_made_good_by_the_fund_after_the_court(self) -> None:
        """The fund pays what the court granted, and grants nothing beside it; other purposes stay open."""
        b = granted(Bench())
        assert refused(b, "fund", "fund.compensation_granted", ref="C-2") == "G-65"
        assert refused(b, "fund", "fund.compensation_granted", ref="C-2", purpose="medical_expenses") is None

    def test_is_not_made_good_by_the_fund_again(self) -> None:
        """What the fund granted and ordered is not granted once more."""
        b = convicted(Bench())
        b.say("fund", "fund.compensation_granted", ref="C-1")
        b.say("fund", ORDER, ref="P-2", **COMPENSATION)
        assert refused(b, "fund", "fund.compensation_granted", ref="C-2") == "G-65"

        b.say("fund", "payment.failed", ref="P-2", kind="compensation")
        assert refused(b, "fund", "fund.compensation_granted", ref="C-2") is None

    def test_is_not_made_good_by_a_court_that_was_not_told(self) -> None:
        """The court that hears the proceedings hears what the fund granted, and counts it."""
        b = prosecuted(Bench())
        said = b.say("fund", "fund.compensation_granted", ref="C-1")
        bill = b.say("fund", "fund.compensation_granted", ref="C-2", purpose="medical_expenses")
        assert (said.audience.recipients, bill.audience.recipients) == (("court",), ())

    def test_is_made_good_by_the_court_in_place_of_the_fund(self) -> None:
        """A grant of the fund that is not ordered yet falls, so that one sum is paid."""
        b = convicted(Bench())
        b.say("fund", "fund.compensation_granted", ref="C-1")
        b.say("court", "fund.compensation_granted", ref="C-2")
        b.say("fund", ORDER, ref="P-2", **COMPENSATION)
        assert refused(b, "fund", ORDER, ref="P-3", **COMPENSATION) == "G-66"

    def test_is_two_harms_if_two_courts_say_so(self) -> None:
        """A criminal court and a civil one grant a sum each, and both are paid."""
        b = granted(Bench())
        b.say("court", "fund.compensation_granted", ref="C-2")
        for order in ("P-2", "P-3"):
            b.say("fund", ORDER, ref=order, **COMPENSATION)
        assert [each.order for each in b.view.grants.values()] == [reference("P-2"), reference("P-3")]


@pytest.mark.parametrize(
    ("band", "sum_", "fits"),
    [
        ("up_to_1000", "1000.00", True),
        ("up_to_1000", "1000.01", False),
        ("1000_to_5000", "999.99", False),
        ("1000_to_5000", "5000.00", True),
        ("5000_to_20000", "99000.00", False),
        ("over_20000", "20000.00", True),
        ("over_20000", "5000.00", False),
    ],
)
def test_an_order_stays_within_the_band_that_was_granted(band: str, sum_: str, fits: bool) -> None:  # noqa: FBT001 - a column
    """The published band says what was paid, and nobody pays ten times as much by a slip of the finger."""
    b = convicted(Bench())
    b.say("court", "fund.compensation_granted", ref="C-1", amount_band=band)
    order = {"kind": "compensation", "amount": {"value": sum_, "currency": "AZN"}}
    assert refused(b, "fund", ORDER, ref="P-2", **order) == (None if fits else "G-68")


def test_a_grant_of_the_wrong_band_is_put_right_by_another() -> None:
    """The fund grants again before anything is ordered: the second band stands, and the first waits for nobody."""
    b = convicted(Bench())
    b.say("fund", "fund.compensation_granted", ref="C-1", amount_band="over_20000")
    b.say("fund", "fund.compensation_granted", ref="C-2")
    b.say("fund", ORDER, ref="P-2", **COMPENSATION)
    assert {ref: each.order for ref, each in b.view.grants.items()} == {reference("C-2"): reference("P-2")}
