"""References belong to their first user: nobody hears another's answer under one, or stops another's clock."""

from typing import Any, Final

import pytest

from rules.given import Bench
from rules.stories import LEGAL, accepted, planned, served

SHELTERS: Final = ["ngo-shelter", "shelter"]


def beds_asked() -> Bench:
    """The special unit has asked two shelters for a bed; what one answers is nothing to the other."""
    b = accepted(Bench())
    b.consents("ngo-shelter", "shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-9", to=SHELTERS)
    return b


@pytest.mark.parametrize(
    ("type", "said"),
    [
        ("referral.submitted", {"to": ["ngo-shelter"]}),
        ("referral.submitted", {"to": ["special-unit"], "legal_basis": LEGAL}),
        ("service.requested", {"to": ["ngo-shelter"]}),
        ("shelter.bed_requested", {"to": ["ngo-shelter"]}),
        ("review.requested", {}),
    ],
)
def test_p2_a_receiver_cannot_take_the_answers_of_the_others(type: str, said: dict[str, Any]) -> None:
    """A shelter opens something of its own under the reference of the bed: it would be told of the other's offer."""
    b = beds_asked()
    refusal = b.ask("ngo-shelter", type, ref="B-9", **said)

    assert refusal is not None
    assert refusal.rule == "G-04"
    assert b.say("shelter", "shelter.bed_offered", ref="B-9").audience.recipients == ("special-unit",)
    assert b.say("shelter", "shelter.admitted", ref="B-9").audience.recipients == ("special-unit",)


def test_an_agency_cannot_stop_the_clock_of_its_own_answer() -> None:
    """A referral under the service's reference, and a question about that referral, would pause the agency's own clock."""
    b = planned(Bench())
    b.consents("ngo-l", by="vac")
    b.say("vac", "service.requested", ref="S-9", to=["ngo-l"])
    refusal = b.ask("ngo-l", "referral.submitted", ref="S-9", to=["vac"])

    assert refusal is not None
    assert refusal.rule == "G-04"
    assert "D-SERVICE" in b.codes


def test_an_agency_may_use_its_own_reference_several_times() -> None:
    """An agency's own reference is free to it, and a service given unasked takes nobody's reference."""
    b = served(Bench())
    b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], services=[])
    b.say("shelter", "service.scheduled", ref="X-9")

    assert b.ask("vac", "service.requested", ref="R-9", to=["ngo-l"]) is None
    assert b.ask("vac", "referral.submitted", ref="X-9", to=["ngo-l"]) is None
