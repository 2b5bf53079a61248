"""Breaking the glass in a play without a broker: the desks of holder and asking agency, the timekeeper, and the clock."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from nrmbus.play.memory import MemoryBus
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Outcome
from play.stories import CONSENT, REFERRAL, SIGNAL, scenario
from play.test_memory import CASE, MONDAY, signal, words

MINUTE: Final = timedelta(minutes=1)
REF: Final = "e" * 32
HELD: Final = {
    "name": "Alina Example", "birth_date": "1996-02-29", "facts": "Example: held by an employer",
    "contact": {"method": "phone", "value": "+994000000001", "safe_hours": "10:00-12:00"},
}  # fmt: skip


@pytest.fixture(name="bus")
def _bus() -> MemoryBus:
    """The NGO holds the case and has sent the assistance centre what it knows; the special unit has the signal alone."""
    bus = MemoryBus()
    bus.admit(scenario(SIGNAL, CONSENT, REFERRAL).agencies, "az@2022-04-29", MONDAY)
    assert bus.publish(signal()).code is None
    given = {
        "purposes": ["services", "information_sharing"],
        "receivers": ["vac"],
        "given_by": "individual",
        "form": "written",
    }
    assert bus.publish(words("ngo-a", "consent.given", data=given)).code is None
    asked = {"mode": "referral", "reason": "AdditionalServicesRequired", "urgency": "normal", "services": ["health"]}
    sent = words("ngo-a", "referral.submitted", to=("vac",), ref="d" * 32, data=asked, sealed=HELD)
    assert bus.publish(sent).code is None
    assert (
        bus.publish(words("vac", "referral.accepted", ref="d" * 32, data={"next_step": "needs_assessment"})).code
        is None
    )
    return bus


def asks(bus: MemoryBus, reason: str = "missing_person", **more: object) -> Outcome:
    """Two of the special unit's staff ask in an emergency."""
    said = words("special-unit", "access.break_glass", approver="A-2", ref=REF, data={"reason": reason})
    return bus.publish(replace(said, **more))  # type: ignore[arg-type]  # as given


def objects(bus: MemoryBus) -> Outcome:
    """The NGO's duty officer objects."""
    said = {"reason": "person_safe", "duty_role": "duty_officer"}
    return bus.publish(words("ngo-a", "access.break_glass_objected", ref=REF, data=said))


def types(bus: MemoryBus) -> list[str]:
    """Return the registered events of the emergency, in order."""
    return [each.type for each in bus.history(CASE, technical=True) if each.type.startswith("access.")]


def resealed(bus: MemoryBus) -> dict[str, dict[str, object]]:
    """Return the parts that the special unit's desk can open."""
    (event,) = (each.id for each in bus.history(CASE) if each.type == "access.resealed")
    assert all(readers == ("special-unit",) for readers in bus.opens(event).values())
    desk = bus._desks["special-unit"]
    return {part: dict(fields) for part, fields in desk.opened(event).items()}


def test_asked_and_not_objected_to_it_is_sealed_after_ten_minutes_and_by_nobodys_hand(bus: MemoryBus) -> None:
    """Holder and second agency are notified at once; then the parts that the reason needs arrive, from the holder's own letters."""
    asked = asks(bus)
    assert asked.code is None
    assert bus.received(asked.id) == ("ngo-a", "vac")
    bus.advance(MONDAY + 9 * MINUTE)
    assert types(bus) == ["access.break_glass"]
    bus.advance(MONDAY + 10 * MINUTE)
    assert types(bus) == ["access.break_glass", "access.reseal_due", "access.resealed"]
    assert resealed(bus) == {
        "contact": {"contact": HELD["contact"]},
        "identity": {"name": "Alina Example", "birth_date": "1996-02-29"},
    }
    assert bus.replay() == ()


def test_objected_in_time_nothing_is_handed_over(bus: MemoryBus) -> None:
    """Whatever the timekeeper's clock says afterwards; and the asking agency hears of the objection."""
    asks(bus)
    bus.advance(MONDAY + 9 * MINUTE)
    assert objects(bus).code is None
    bus.advance(MONDAY + timedelta(days=2))
    assert types(bus) == ["access.break_glass", "access.break_glass_objected"]
    assert "access.break_glass_objected" in bus.inbox("special-unit", CASE)


def test_objected_too_late_it_is_handed_over_all_the_same(bus: MemoryBus) -> None:
    """The objection is refused."""
    asks(bus)
    bus.advance(MONDAY + 11 * MINUTE)
    assert objects(bus).code == "not_open"


def test_imminent_danger_does_not_wait(bus: MemoryBus) -> None:
    """Sealed in the same moment, and nobody could have objected."""
    asks(bus, "imminent_danger")
    assert types(bus) == ["access.break_glass", "access.reseal_due", "access.resealed"]
    assert objects(bus).code == "not_open"


def test_only_the_parts_that_the_reason_needs(bus: MemoryBus) -> None:
    """To warn her, how to reach her is enough; her name stays where it is."""
    asks(bus, "security_breach")
    bus.advance(MONDAY + 10 * MINUTE)
    assert resealed(bus) == {"contact": {"contact": HELD["contact"]}}


def test_three_a_month_and_not_a_fourth(bus: MemoryBus) -> None:
    """Each ended before the next; the month after, there are three again."""
    for number in range(3):
        assert asks(bus, "imminent_danger", ref=f"{number:032x}").code is None
    assert asks(bus, "imminent_danger", ref="f" * 32).code == "not_available"
    bus.advance(MONDAY + timedelta(days=31))
    assert asks(bus, "imminent_danger", ref="f" * 32, time=MONDAY + timedelta(days=31)).code is None


@pytest.mark.parametrize("purposes", [["information_sharing"], ["tracing"]])
def test_never_to_an_agency_that_she_has_refused(bus: MemoryBus, purposes: list[str]) -> None:
    """Not even in danger, and for any purpose that she refused."""
    said = {"purposes": purposes, "receivers": ["special-unit"], "given_by": "individual"}
    assert bus.publish(words("ngo-a", "consent.refused", data=said)).code is None
    assert asks(bus, "imminent_danger").code == "not_available"


def test_a_refusal_within_the_ten_minutes_stops_it(bus: MemoryBus) -> None:
    """Asked before, refused meanwhile: nothing is due."""
    asks(bus)
    said = {"purposes": ["tracing"], "receivers": ["special-unit"], "given_by": "individual"}
    assert bus.publish(words("ngo-a", "consent.refused", data=said)).code is None
    bus.advance(MONDAY + timedelta(hours=1))
    assert types(bus) == ["access.break_glass"]


@pytest.mark.parametrize("approver", [None, "A-1"])
def test_one_alone_is_not_enough(bus: MemoryBus, approver: str | None) -> None:
    """Two actors, and two different ones."""
    assert asks(bus, "imminent_danger", approver=approver).code == "not_available"


def test_of_no_case_a_strangers_and_a_refused_one_the_answer_is_one_and_the_same(bus: MemoryBus) -> None:
    """The refusal's words do not reveal whether the case exists."""
    answers = [
        asks(bus, subject="9" * 32),
        bus.publish(
            words("shelter", "access.break_glass", approver="A-2", ref=REF, data={"reason": "imminent_danger"})
        ),
        asks(bus, approver=None),
    ]
    assert {(each.code, each.rule, each.article) for each in answers} == {
        ("not_available", "G-70", "RULES.md#g-70 [D]")
    }


def test_a_holder_without_data_answers_too(bus: MemoryBus) -> None:
    """The asking agency is not left waiting: what is sealed is empty, and the parts that are named are none."""
    case = "7" * 32
    for said in (
        signal(),
        words("ngo-a", "consent.given", data={"purposes": ["services", "information_sharing"], "receivers": ["vac"], "given_by": "individual", "form": "written"}),
        words("ngo-a", "referral.submitted", to=("vac",), ref="c" * 32, data={"mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": []}),
    ):  # fmt: skip
        assert bus.publish(replace(said, subject=case)).code is None
    asks(bus, "imminent_danger", subject=case)
    (answer,) = (each.data for each in bus.history(case) if each.type == "access.resealed")
    assert answer == {"parts": []}


def test_the_supervisor_is_notified_instead_of_an_agency_on_the_case() -> None:
    """If the directory names a supervisor of either side, the supervisor is the second agency, and no other agency is notified."""
    agencies = {
        **scenario(SIGNAL).agencies,
        "special-unit": Participant(role="special_unit", supervisor="ministry"),
        "ministry": Participant(role="social_services"),
    }
    bus = MemoryBus()
    bus.admit(agencies, "az@2022-04-29", MONDAY)
    assert bus.publish(signal()).code is None
    asked = asks(bus)
    assert asked.code is None
    assert bus.received(asked.id) == ("ngo-a", "ministry")
