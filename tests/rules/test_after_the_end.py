"""Events that a closed or withdrawn case still allows: the end of a hold, and the outcome of payments."""

import pytest

from rules.given import Bench
from rules.stories import begun, left, paid

UNIT = "special-unit"


def test_the_hold_of_a_closed_case_can_be_ended() -> None:
    """Closing asks for no end of a hold: nobody is removed because a file is closed. It ends by the unit's word, later."""
    b = left(Bench()).at("d150 9:00")
    b.say("vac", "case.closed")
    said = b.say(UNIT, "stay.hold_ended", ref="H-1", reason="left_country")

    assert said.audience.recipients == ("migration",)
    assert all(hold.ended for hold in b.view.holds.values())


@pytest.mark.parametrize("outcome", ["payment.executed", "payment.failed"])
@pytest.mark.parametrize("end", ["case.closed", "case.withdrawn"])
def test_the_outcome_of_a_payment_is_published_after_the_end(end: str, outcome: str) -> None:
    """The payment was ordered before the end; the bank answers later, and the figures need the answer."""
    b = paid(Bench())
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", end)
    b.at("d43 9:00").say("fund", outcome, ref="P-1")

    assert b.view.payments[b.facts[-1].event.referral or ""].state == outcome.removeprefix("payment.")
    assert b.ask("fund", outcome, ref="P-1") is not None, "once"


@pytest.mark.parametrize("end", ["case.closed", "case.withdrawn"])
def test_no_money_is_ordered_after_the_end(end: str) -> None:
    """Nothing new begins in a case that is over."""
    b = left(Bench())
    b.say("vac", end)
    for type in ("payment.ordered", "payment.executed"):
        refusal = b.ask("fund", type, ref="P-1", kind="compensation")

        assert refusal is not None
        assert refusal.rule == "G-40"


def test_a_duty_settled_while_the_case_was_closed_is_not_owed_again() -> None:
    """The hold was not confirmed yet when the unit closed the case, and ended meanwhile: there is nothing to confirm."""
    b = begun(Bench())
    b.say(UNIT, "stay.hold_requested", ref="H-1", to=["migration"])
    b.say(UNIT, "case.closed", reason="lost_contact")
    b.say(UNIT, "stay.hold_ended", ref="H-1")
    b.say(UNIT, "case.reopened")

    assert "D-HOLD" not in b.codes
