"""Check whether an agency that owes something may publish an event that ends its duty."""

from collections.abc import Iterator
from typing import Any, Final

from agencies import POLICY
from nrmbus.events.model import Event, Fact
from nrmbus.rules import Clock, load_profile
from rules.given import Bench

UNIT: Final = "special-unit"
PROFILE: Final = load_profile(POLICY)
FOR_GOOD: Final = frozenset(
    {"G-01", "G-02", "G-03", "G-04", "G-05", "G-06", "G-10", "G-30", "G-31", "G-36", "G-40", "G-51", "G-52"}
)
"""Refusals that the sender cannot resolve: by its role or part, by the person's refusal, or because it is too late.

Every other refusal names a step that comes first: enter a stage, name a law, ask the person, name a second officer.
"""

_NOTHING: Final[tuple[dict[str, Any], ...]] = ({},)
_SAID: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "referral.submitted": ({"to": [UNIT]}, {"to": ["vac"], "withhold_from": [UNIT]}),
    "consent.refused": ({"receivers": [UNIT]}, {"receivers": ["vac"]}),
    **dict.fromkeys(("consent.given", "consent.withdrawn", "consent.overridden"), ({"receivers": ["vac"]},)),
    "shelter.bed_requested": ({"to": ["shelter"]},),
    "shelter.discharged": ({"reason": "own_request"},),
    **dict.fromkeys(("plan.adopted", "needs.assessed"), tuple({"to": [to]} for to in ("vac", "ngo-l"))),
    "service.requested": tuple({"to": [to]} for to in ("vac", "ngo-l")),
}  # fmt: skip


def _tried(b: Bench, clock: Clock) -> Iterator[Event]:
    """Yield the events with which the agency could end *clock*, in all variants that may make a difference."""
    refs = dict.fromkeys((clock.ref, None, *b.view.referrals, *b.view.beds, *b.view.reviews))
    for end in PROFILE.clocks[clock.code].ends_by:
        for name in end.events:
            for said in _SAID.get(name, _NOTHING):
                for ref in refs:
                    more = {"approver": "A-2", "legal_basis": "a law", "reference": ref}
                    yield b.event(clock.answerable, name, **more, **said)


def can_be_ended(b: Bench, clock: Clock) -> bool:
    """Return whether the agency may end *clock* at once, or may take a step that has to come first."""
    for event in _tried(b, clock):
        refusal = b.rules.judge(b.view, event, b.now)
        if refusal is None and clock not in b.rules.clocks(_after(b, event)):
            return True
        if refusal is not None and refusal.rule not in FOR_GOOD:
            return True
    return False


def _after(b: Bench, event: Event) -> Any:
    return b.rules.evolve(b.view, Fact.of(event, (), b.now, len(b.facts) + 1))
