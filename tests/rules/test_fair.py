"""Fair treatment: whoever sends and whoever the person is, verdicts, recipients and clocks are the same, or the Rules say why not.

The same attempts, refused ones too, are judged in two worlds that differ in one role. What may differ stands in `MAY_DIFFER`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import pytest

from nrmbus.events.model import Fact
from nrmbus.events.registry import TYPES
from nrmbus.rules import Profile, Rules
from nrmbus.rules.why import FOR
from rules.given import Bench
from rules.wandering import _BY, _CHOICES, _NEW, _SAID, PROFILE, WAITS, WORLD, attempt, opened, references, wait

SEEDS: Final = range(12)
STEPS: Final = 40
MAY_DIFFER: Final[Mapping[str, str]] = {
    "SHELTERS": "only a house offers a bed, admits and discharges (section 3, G-10) [S3, S7]",
    "RECEIVERS": "only a role with a task of its own in the mechanism is handed a person (G-10) [S2]",
    "SERVICE_PROVIDERS": "only a role that may answer is asked for a service (G-10, reading 36)",
    "PROVIDERS": "a plan, a withdrawal and a closing belong to who looks after the person (section 3) [S26]",
    "BED_ASKERS": "a bed is asked for by who hands a person over or looks after her (section 3) [S3]",
    "RESCUERS": "an emergency concerns who is with the person (section *Emergency access*) [D]",
    "NGOS": "an NGO that referred may attend the interview (section 3) [S2]",
    "NEVER_RECIPIENTS": "other police refer, and are handed nobody (G-10) [S2]",
    "DECIDERS": "one body decides (section 1) [S2]",
    "SELF_CONSENT": "only the deciding body may record its own consent (G-37) [D]",
    "RETURN_HELPERS": "a return has its own helpers (G-10) [S17]",
    "ENVOYS": "an embassy or consulate hears of a person by her own consent alone (G-55)",
}
"""Groups of the profile by which two senders may be treated differently, and why."""
PERSONAL: Final = frozenset({"sex", "citizenship", "language", "region", "age_band", "nationality", "religion"})
"""Facts about a person that no verdict, recipient or clock may depend on."""


def treated_by(profile: Profile, role: str) -> frozenset[str]:
    """Return the places of *profile* where *role* has its place: groups, rows of types that name it, terms, and parts."""
    places = {name for name in profile.roles if role in profile.expand((name,))}
    places |= {f"types.{name}" for name, row in profile.types.items() if role in row.by}
    places |= {f"terms.{term}" for term, roles in FOR.items() if role in roles}
    own = profile.referral_parts.get(role)
    return frozenset(places | ({f"parts.{','.join(sorted(own))}"} if own else set()))


def unequal(profile: Profile, one: str, other: str) -> frozenset[str]:
    """Return the places where *profile* treats two roles differently, without groups that only add up others."""
    sums = {
        name
        for name, names in profile.roles.items()
        if any(each.isupper() for each in names) and name not in MAY_DIFFER
    }
    return (treated_by(profile, one) ^ treated_by(profile, other)) - sums


@dataclass(frozen=True)
class Attempt:
    """One thing that somebody tried, at its time."""

    by: str
    type: str
    hours: int
    said: Mapping[str, Any]


def attempts(seed: int) -> list[Attempt]:
    """Return what agencies try in the case of that *seed*: allowed and refused alike."""
    dice = random.Random(seed)
    b = Bench(PROFILE)
    b.rules = Rules(PROFILE, WORLD)
    tried: list[Attempt] = []
    opened(b, dice)
    for _ in range(STEPS):
        hours = dice.choice(WAITS)
        wait(b, hours)
        refs = tuple(references(b))
        for number in range(12):
            type = dice.choice(_CHOICES)
            said = dict(dice.choice(_SAID.get(type, ({},))))
            ref = dice.choice(refs)
            said |= {"ref": dice.choice(_NEW)} if ref is None else {"reference": ref}
            tried.append(Attempt(dice.choice(_BY[type]), type, hours if number == 0 else 0, said))
            if attempt(b, tried[-1].by, type, **said):
                break
    return tried


def outcomes(seed: int, tried: list[Attempt], profile: Profile = PROFILE, **roles: str) -> list[Any]:
    """Return verdict, recipients, openers and clocks of each attempt, in a world where agencies have other *roles*."""
    b = Bench(profile)
    world = {id: replace(agency, role=roles.get(id.replace("-", "_"), agency.role)) for id, agency in WORLD.items()}
    b.rules = Rules(profile, world)
    opened(b, random.Random(seed))
    found: list[Any] = []
    for each in tried:
        wait(b, each.hours)
        event = b.event(each.by, each.type, legal_basis="a law", approver="A-2", **each.said)
        refusal = b.rules.judge(b.view, event, b.now)
        audience = b.rules.audience(b.view, event)
        if refusal is None:
            b.hear(Fact.of(event, audience.recipients, b.now, len(b.facts) + 1))
        clocks = sorted((clock.code, clock.answerable, clock.due) for clock in b.rules.clocks(b.view) if clock.due)
        found.append((refusal.rule if refusal else None, audience.recipients, dict(audience.opens), clocks))
    return found


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ngo_outreach", "ngo_legal"),
        pytest.param("border", "labour_inspection", marks=pytest.mark.slow),
        pytest.param("border", "religious", marks=pytest.mark.slow),
    ],
)
def test_senders_whom_the_rules_do_not_tell_apart_get_the_same(one: str, other: str) -> None:
    """The kind of NGO, or of inspection, changes no verdict, no recipient and no clock, whatever is tried."""
    assert unequal(PROFILE, one, other) == frozenset()
    for seed in SEEDS:
        tried = attempts(seed)
        assert outcomes(seed, tried, ngo_a=one) == outcomes(seed, tried, ngo_a=other), seed


@pytest.mark.thorough
def test_two_ngos_may_change_places() -> None:
    """Each is treated as the other was: an NGO's word weighs the same."""
    for seed in SEEDS:
        tried = attempts(seed)
        assert outcomes(seed, tried) == outcomes(seed, tried, ngo_a="ngo_legal", ngo_l="ngo_outreach"), seed


def test_every_difference_between_two_senders_has_its_reason() -> None:
    """Of all pairs of detectors: a group in which one stands and the other does not is in the table, with its rule.

    A row of a type that names a role itself has its basis beside it.
    """
    assert set(MAY_DIFFER) <= set(PROFILE.roles)
    for one, other in combinations(sorted(PROFILE.expand(("DETECTORS",))), 2):
        for place in unequal(PROFILE, one, other):
            assert place in MAY_DIFFER or not place.isupper(), (
                f"{one} and {other} differ by {place}: say why in MAY_DIFFER"
            )


def test_the_three_kinds_of_ngo_differ_by_the_house_alone() -> None:
    """A shelter of an NGO has beds; nothing else sets it apart."""
    differing = {place for pair in combinations(PROFILE.expand(("NGOS",)), 2) for place in unequal(PROFILE, *pair)}

    assert differing <= {"SHELTERS"}


def test_nothing_that_a_verdict_rests_on_says_who_the_person_is() -> None:
    """Sex, citizenship, language, age and region are sealed in every version of every type; the Rules never read a letter."""
    assert {
        name: data.model_fields.keys() & PERSONAL
        for (name, _), data in TYPES.items()
        if data.model_fields.keys() & PERSONAL
    } == {}


def test_a_profile_that_treats_one_kind_of_ngo_worse_is_found() -> None:
    """Sabotage: legal NGOs may adopt no plan; the table, and the same attempts, both tell."""
    by = tuple(role for role in PROFILE.expand(("PROVIDERS",)) if role != "ngo_legal")
    types = {**PROFILE.types, "plan.adopted": PROFILE.types["plan.adopted"].model_copy(update={"by": by})}
    unfair = PROFILE.model_copy(update={"types": types})

    assert "types.plan.adopted" in unequal(unfair, "ngo_outreach", "ngo_legal")
    assert any(
        outcomes(seed, tried, unfair, ngo_a="ngo_outreach") != outcomes(seed, tried, unfair, ngo_a="ngo_legal")
        for seed in SEEDS
        for tried in [[*attempts(seed), Attempt("ngo-a", "plan.adopted", 0, {"to": ["ngo-l"]})]]
    )
