"""Check whether an agency that owes something may publish an event that ends its duty."""

from collections.abc import Iterator
from typing import Any, Final

from nrmbus.events.model import Event, Fact
from nrmbus.rules import Clock
from rules.given import Bench

FOR_GOOD: Final = frozenset(
    {"G-01", "G-02", "G-03", "G-04", "G-05", "G-06", "G-10", "G-30", "G-31", "G-36", "G-40", "G-51", "G-52"}
)
"""Refusals that the sender cannot resolve: by its role or part, by the person's refusal, or because it is too late.

Every other refusal names a step that comes first: enter a stage, name a law, ask the person, name a second officer.
"""

_NOTHING: Final[tuple[dict[str, Any], ...]] = ({},)


def _said(b: Bench) -> dict[str, tuple[dict[str, Any], ...]]:
    """Return what each type may say: with each agency that decides, and with some that help."""
    rules, profile = b.rules, b.rules.profile_for(b.view)
    agencies = sorted(rules._roles.agencies)

    def having(group: str) -> list[str]:
        roles = profile.expand((group,))
        return [each for each in agencies if rules.role_of(each) in roles]

    units, providers = having("DECIDERS"), having("PROVIDERS")
    agreed = [each for each in providers if (each, "information_sharing") in b.view.consents]
    helpers = [*agreed, *(each for each in providers if each not in agreed)][:2]
    return {
        "referral.submitted": (
            *({"to": [unit]} for unit in units),
            *({"to": [helper], "withhold_from": [unit]} for unit in units for helper in helpers),
        ),
        "consent.refused": tuple({"receivers": [each]} for each in (*units, helpers[0])),
        **dict.fromkeys(("consent.given", "consent.withdrawn", "consent.overridden"), ({"receivers": [helpers[0]]},)),
        "shelter.bed_requested": tuple({"to": [each]} for each in having("SHELTERS")[:1]),
        "shelter.discharged": ({"reason": "own_request"},),
        **dict.fromkeys(("plan.adopted", "needs.assessed"), tuple({"to": [each]} for each in helpers)),
        "service.requested": tuple({"to": [each]} for each in helpers),
    }  # fmt: skip


def _tried(b: Bench, clock: Clock) -> Iterator[Event]:
    """Yield the events with which the agency could end *clock*, in all variants that may make a difference."""
    refs = dict.fromkeys((clock.ref, None, *b.view.referrals, *b.view.beds, *b.view.reviews))
    fields = _said(b)
    for end in b.rules.profile_for(b.view).clocks[clock.code].ends_by:
        for name in end.events:
            for said in fields.get(name, _NOTHING):
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
