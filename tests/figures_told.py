"""Random stories for figures: cases over every role and type of event, with coded facts, links and erasures by chance."""

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final, get_args

from agencies import POLICY
from nrmbus.events import codes
from nrmbus.events.model import Event, Fact
from nrmbus.rules import Rules, load_profile
from nrmbus.statistics.persons import Case
from rules.roaming import Roaming, world

STEPS: Final = 40
WORLD: Final = world(random.Random(1))
RULES: Final = Rules(load_profile(POLICY), WORLD)
_KNOWN: Final = 0.7
"""How often a letter says a fact that it may say."""
_SAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "case.signal_recorded": ("sex", "age_band", "citizenship", "region", "previous_case"),
    "case.re_referred": ("sex", "age_band", "citizenship", "region", "previous_case"),
    "identification.status_decided": ("exploitation", "sector"),
    "case.linked": ("other_case",),
    "case.merged": ("other_case",),
}
"""Coded facts of each type of event."""


class Told(Roaming):
    """A roaming case among the same agencies as all others, under the Rules of Azerbaijan, with ids of its own."""

    def __init__(self, number: int) -> None:
        """Prepare the case of that *number*."""
        self._number = number
        super().__init__(number)
        self.agencies, self.rules = WORLD, Rules(load_profile(POLICY), WORLD)
        self.view = self.rules.start(self.subject)
        self.cast = self._cast()

    def event(self, by: str, type: str, **said: Any) -> Event:
        """Return the event, whose id no other case has."""
        made = super().event(by, type, **said)
        return made.model_copy(update={"id": made.id[:-12] + f"{self._number:06x}{len(self.facts) + 1:06x}"})


@cache
def cases_of(first: int, number: int) -> tuple[Case, ...]:
    """Return *number* cases, the same for the same *first*."""
    dice = random.Random(first)
    told: list[Told] = []
    for each in range(first, first + number):
        b = Told(each)
        b.open()
        for _ in range(STEPS):
            b.step()
        told.append(b)
    subjects = [b.subject for b in told]
    return tuple(_case(b, subjects, dice) for b in told)


def _case(b: Told, subjects: list[str], dice: random.Random) -> Case:
    moved = [replace(fact) for fact in b.facts]
    coded = {fact.event.id: _said(fact, subjects, dice) for fact in moved if fact.event.type in _SAYS}
    return Case(b.subject, tuple(moved), {id: said for id, said in coded.items() if said})


def _said(fact: Fact, subjects: list[str], dice: random.Random) -> dict[str, Any]:
    """Return the coded facts in the letter of *fact*, some of them unknown or missing."""
    values: dict[str, Any] = {
        "sex": dice.choice(get_args(codes.Sex)),
        "age_band": dice.choice(get_args(codes.AgeBand)),
        "citizenship": dice.choice(("AZ", "AZ", "AZ", "UZ", "XA")),
        "region": dice.choice(("AZ-BA", "AZ-BA", "AZ-GA", "AZ-SM")),
        "exploitation": dice.sample(get_args(codes.Exploitation), dice.choice((1, 1, 2))),
        "sector": dice.choice(get_args(codes.Sector)),
        "other_case": dice.choice(subjects),
        "previous_case": dice.choice(subjects),
    }
    chance = {"previous_case": 0.1, "other_case": 1.0}
    return {name: values[name] for name in _SAYS[fact.event.type] if dice.random() < chance.get(name, _KNOWN)}
