"""P2: an agency without a part in a case learns nothing from refusals, whatever it publishes, and however often."""

from datetime import timedelta
from typing import Any, Final

import pytest

from agencies import NOW, ROLES, reference
from nrmbus.events.registry import TYPES
from nrmbus.rules import Refusal
from rules.given import DEFAULTS, Bench
from rules.stories import accepted, child_signalled, closed, erasing

SEEING: Final = {"court", "prosecution", "auditor", "timekeeper"}
"""Roles that may publish about cases unknown to them; RULES.md and SECURITY.md say what they learn by it."""
STRANGERS: Final = ("embassy", "school", "police-x", "ngo-shelter", "guardianship")
SAID: Final = {
    "to": ["vac"], "receivers": ["vac"], "shelter": "shelter", "other_case": reference("another"), "holder": "vac",
    "rule": "D-REFER", "due": "2026-03-03T05:00:00Z", "late_by_minutes": 0, "status": "NotAVictimOfTrafficking",
}  # fmt: skip
OPENING: Final = ("case.signal_recorded", "case.re_referred", "incident.opened")


def incident() -> Bench:
    """Something that the NGO saw, and that is no case."""
    b = Bench()
    b.say("ngo-a", "incident.opened")
    return b


def cases() -> dict[str, Bench]:
    """Cases of others in every state that somebody could wish to know of."""
    return {
        "open": accepted(Bench()), "a child's": child_signalled(Bench()), "closed": closed(Bench()),
        "ended by a court": erasing(Bench()), "an incident": incident(),
    }  # fmt: skip


def answers(b: Bench, type: str) -> set[str]:
    """Return the refusals that strangers get for *type* on *b*: dated now and the day before, with and without a letter."""
    data = TYPES[type, 1]
    said: dict[str, Any] = {name: value for name, value in SAID.items() if name in data.model_fields}
    found: list[Refusal | None] = []
    for by in STRANGERS:
        assert ROLES[by] not in SEEING
        if b.view.count_for(by):
            continue
        for at in (b.now, NOW - timedelta(days=1)):
            for letter in {False, data.letter is not None}:
                more = {"ref": "R-1", "actor": "A-1", "approver": "A-2", "letter": letter, "at": at}
                found.append(b.ask(by, type, **{**said, **more}))
    return {f"{each.code} {each.rule} {each.article}" if each else "registered" for each in found}


@pytest.mark.thorough
@pytest.mark.parametrize("type", sorted({name for name, version in TYPES if version == 1} & DEFAULTS.keys()))
def test_p2_a_stranger_gets_the_same_answer_about_every_case(type: str) -> None:
    """Open or closed, a child's or ended by a court: one answer a role; but for what opens a case, also of none at all."""
    there = {name: answers(b, type) for name, b in cases().items()}
    if type in OPENING:
        of_none = answers(Bench(), type)
        assert "registered" in of_none
        there = {name: found - of_none for name, found in there.items()}
    else:
        there["none"] = answers(Bench(), type)

    assert len({frozenset(found) for found in there.values()}) == 1, there


@pytest.mark.parametrize("type", OPENING)
def test_p2_opening_a_taken_reference_shows_only_that_it_is_taken(type: str) -> None:
    """The refusal reads as one for an unknown case: neither the case's beginning nor the end of access shows."""
    for name, b in cases().items():
        for at in (b.now, NOW - timedelta(days=1)):
            refusal = b.ask("embassy", type, letter=True, at=at)
            assert refusal is not None
            assert refusal.rule == "G-02", name
