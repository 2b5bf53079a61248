"""Withdrawn cases are over for good, so an agency that could question the withdrawal is notified."""

from rules.given import Bench
from rules.stories import begun, identified

WITHDRAWN = "case.withdrawn"


def test_p7_no_case_is_withdrawn_before_nobody() -> None:
    """The special unit has begun to assist her; the NGO that referred her knows whether she wanted it to end."""
    b = begun(Bench())

    assert b.say("special-unit", WITHDRAWN).audience.recipients == ("ngo-a",)
    assert b.deadlines == []


def test_p7_it_is_notified_even_if_it_may_receive_nothing_else() -> None:
    """An event that stops something reaches the NGO, although the person refuses that it hears how she is."""
    b = begun(Bench())
    b.say("special-unit", "consent.refused", receivers=["ngo-a"])

    assert b.say("special-unit", WITHDRAWN).audience.recipients == ("ngo-a",)


def test_p7_the_holder_is_notified_of_every_withdrawal() -> None:
    """The legal NGO holds the case by a plan without being its member; migration reports that she has gone."""
    b = identified(Bench())
    b.say("ngo-l", "plan.adopted", to=["shelter"])

    assert "ngo-l" in b.say("migration", WITHDRAWN).audience.recipients
