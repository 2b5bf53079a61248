"""Metamorphic tests over random stories: what must make no difference to verdicts, recipients, status and clocks makes none.

Two agencies of one role change places; consents that were recorded one after the other come the other way round.
Who the person is cannot make a difference: that is sealed (`test_fair.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest

from agencies import POLICY
from nrmbus.events.model import Data, Event, Fact
from nrmbus.rules import Agency, Rules, View, load_profile
from rules.roaming import Roaming

SEEDS: Final = range(8)
STEPS: Final = 40
NAMING: Final = ("to", "receivers", "withhold_from")
ONE: Final = ("court", "shelter", "holder", "alternative")
Outcome = tuple[frozenset[str], str | None, frozenset[tuple[str, str, datetime | None]]]


def story(seed: int) -> Roaming:
    """Return the case of that *seed* under the Rules of Azerbaijan, without an activation."""
    b = Roaming(seed)
    b.rules = Rules(load_profile(POLICY), b.agencies)
    b.view = b.rules.start(b.subject)
    b.cast = b._cast()
    b.open()
    for _ in range(STEPS):
        b.step()
    return b


def outcomes(facts: list[Fact], agencies: Mapping[str, Agency]) -> list[Outcome]:
    """Return recipients, status and duties after each of *facts*, all of which must be let in again."""
    rules = Rules(load_profile(POLICY), agencies)
    view: View = rules.start(facts[0].event.subject)
    found: list[Outcome] = []
    for fact in facts:
        refusal = rules.judge(view, fact.event, fact.registered)
        assert refusal is None, (fact.event.type, refusal)
        told = rules.audience(view, fact.event).recipients
        view = rules.evolve(view, Fact.of(fact.event, told, fact.registered, fact.number))
        duties = frozenset((clock.code, clock.answerable, clock.due) for clock in rules.clocks(view))
        heard = (
            () if fact.event.source == "timekeeper" else told
        )  # two breaches alike come in either order (reading 10)
        found.append((frozenset(heard), view.status, duties))
    return found


def renamed(data: Data, names: Mapping[str, str]) -> Data:
    """Return *data* with other agencies in the place of those of *names*."""
    update: dict[str, Any] = {}
    for field in NAMING:
        if getattr(data, field, None):
            update[field] = tuple(sorted(names.get(each, each) for each in getattr(data, field)))
    for field in ONE:
        if getattr(data, field, None):
            update[field] = names.get(getattr(data, field), getattr(data, field))
    return data.model_copy(update=update)


def swapped(fact: Fact, names: Mapping[str, str]) -> Fact:
    """Return *fact* with other agencies in the place of those of *names*."""
    event = fact.event
    said = {"source": names.get(event.source, event.source), "data": renamed(event.data, names)}
    return replace(fact, event=event.model_copy(update=said), recipients=())


@pytest.mark.thorough
def test_two_agencies_of_one_role_may_change_places() -> None:
    """Every role of which the bus has two: whatever the one got in the story, the other gets in its place."""
    pairs = 0
    for seed in SEEDS:
        b = story(seed)
        before = outcomes(b.facts, b.agencies)
        for one in [each for each in b.agencies if f"{each}-2" in b.agencies]:
            names = {one: f"{one}-2", f"{one}-2": one}
            world = {
                names.get(id, id): Agency(
                    names.get(id, id), agency.role, names.get(agency.supervisor or "", agency.supervisor)
                )
                for id, agency in b.agencies.items()
            }
            after = outcomes([swapped(fact, names) for fact in b.facts], world)
            assert [_named(each, names) for each in before] == after, (seed, one)
            pairs += 1
    assert pairs > len(SEEDS)


def _named(outcome: Outcome, names: Mapping[str, str]) -> Outcome:
    told, status, duties = outcome
    return (
        frozenset(names.get(each, each) for each in told),
        status,
        frozenset((code, names.get(agency, agency), due) for code, agency, due in duties),
    )


def independent(first: Event, second: Event) -> bool:
    """Return whether two events are words of a person about two agencies, recorded by one agency."""
    words = ("consent.given", "consent.refused")
    are_words = first.type in words and second.type in words and first.source == second.source
    return are_words and set(first.data.named).isdisjoint(second.data.named)


@pytest.mark.thorough
def test_the_order_of_independent_consents_makes_no_difference() -> None:
    """A person answers for one agency after the other, in whichever order the worker asks."""
    turned = 0
    for seed in SEEDS:
        b = story(seed)
        facts = b.facts
        for at in range(1, len(facts) - 1):
            first, second = facts[at], facts[at + 1]
            if not independent(first.event, second.event) or first.registered != second.registered:
                continue
            other = [
                *facts[:at],
                replace(second, number=first.number),
                replace(first, number=second.number),
                *facts[at + 2 :],
            ]
            one, two = outcomes(facts, b.agencies), outcomes(other, b.agencies)
            assert one[at + 2 :] == two[at + 2 :], (seed, at)
            turned += 1
            break
    assert turned > len(SEEDS) // 3


def test_a_case_that_treats_one_of_two_otherwise_is_found() -> None:
    """Sabotage: in the swapped world the second agency of the role has another supervisor's place: it is not there."""
    b = next(found for found in map(story, SEEDS) if any(f"{each}-2" in found.agencies for each in found.view.counts))
    one = next(each for each in b.view.counts if f"{each}-2" in b.agencies)
    names = {one: f"{one}-2", f"{one}-2": one}
    world = {id: agency for id, agency in b.agencies.items() if id != f"{one}-2"}

    with pytest.raises(AssertionError):
        assert outcomes([swapped(fact, names) for fact in b.facts], world) == [
            _named(each, names) for each in outcomes(b.facts, b.agencies)
        ]
