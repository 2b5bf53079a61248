"""What an agency owes ends by what was asked of it, and not by something else that somebody says in the case."""

import pytest

from rules.given import Bench
from rules.stories import planned, served


def owed(b: Bench, code: str) -> list[str]:
    """Who owes something by clocks of *code*, in the order in which they began."""
    return [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == code]


@pytest.mark.parametrize("by", ["vac", "ngo-l"])
@pytest.mark.parametrize("type", ["service.scheduled", "service.delivered", "service.not_delivered"])
@pytest.mark.parametrize("under", [{}, {"ref": "R-2"}])
def test_p6_a_service_given_unasked_answers_no_referral(by: str, type: str, under: dict[str, str]) -> None:
    """Two words of the receiver, or one of the sender about something else: the referral was neither late nor expired."""
    b = served(Bench())
    before = owed(b, "D-SERVICE")
    b.say(by, type, **under)

    assert owed(b, "D-SERVICE") == before == ["ngo-l", "fund"]
    assert any(said.startswith("referral.expired") for said in b.through("d60 9:00")), (
        "it expires as if nothing was said"
    )


def test_p6_a_service_given_unasked_answers_no_other_service() -> None:
    """The centre asks the legal NGO, and tells of help that it gave itself: the NGO still owes its answer."""
    b = planned(Bench())
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    b.say("vac", "service.delivered", service="psychosocial")
    b.say("ngo-l", "service.delivered", service="psychosocial")

    assert owed(b, "D-SERVICE") == ["ngo-l"]
    b.say("ngo-l", "service.delivered", ref="S-2")
    assert owed(b, "D-SERVICE") == []


def test_a_service_asked_for_and_a_referral_under_one_reference_are_answered_each_for_itself() -> None:
    """Who asks may use its own reference twice; one answer ends one of the two."""
    b = planned(Bench())
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"], urgency="urgent")
    b.say("vac", "referral.submitted", ref="S-2", to=["ngo-l"], urgency="normal", services=[])
    b.say("ngo-l", "service.delivered", ref="S-2")

    assert [clock.by for clock in b.view.running if clock.code == "D-SERVICE"] == ["referral.submitted"]
    b.say("ngo-l", "referral.declined", ref="S-2")
    assert owed(b, "D-SERVICE") == []


def test_p6_a_service_that_nobody_could_answer_for_is_not_asked_for() -> None:
    """Without a reference it stood open for ever, and the case could not be closed."""
    refusal = planned(Bench()).ask("vac", "service.requested", to=["ngo-l"])

    assert refusal is not None
    assert refusal.rule == "G-03"
