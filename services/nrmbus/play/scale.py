"""Cases by the thousand out of played stories: for figures and for benchmarks, never for a bus.

A story is played once, in memory. Each copy of it has references, ids and persons of its own, lies some whole weeks later,
is told by another agency of the same role, and may end early, as real cases do. A beginning of an accepted history is an
accepted history, so a registrar could have written every copy; only where the Rules count months or holidays may the
timekeeper be some days early or late. The seed decides everything.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from nrmbus.events.model import Data, Event, Fact
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.scenario import Participant, Scenario
from nrmbus.rules import Agency, Rules, load_profile
from nrmbus.statistics.persons import Case
from nrmbus.wire.names import TIMEKEEPER

YEARS: Final = (2024, 2025, 2026)
"""Years in which the copies begin."""
CLONES: Final = 6
"""Agencies of each role that is not the only one of its kind."""
ONLY_ONE: Final = frozenset(
    {"special_unit", "fund", "migration", "shelter_state", "child_commission", "coordinator", "auditor", "timekeeper"}
)
"""Roles with one agency in the country."""
WHOLE: Final = 0.7
"""Share of cases that run to the end of their story."""
_NAMING: Final = frozenset({"to", "receivers", "withhold_from", "alternative", "holder", "shelter", "source"})
"""Fields that name agencies; elsewhere the same word is a code."""
_REFERENCE: Final = 32
"""Letters of the shortest reference."""
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)")
_WEEK: Final = timedelta(weeks=1)
_SEXES: Final = {"F": 70, "M": 28, "X": 1, "unknown": 1}
_ADULTS: Final = {"18-24": 32, "25-34": 36, "35-44": 20, "45-54": 8, "55-64": 3, "65+": 1}
_CHILDREN: Final = {"0-9": 15, "10-13": 30, "14-15": 25, "16-17": 30}
_CITIZENSHIPS: Final = {"AZ": 78, "UZ": 7, "KG": 4, "GE": 4, "UA": 3, "IR": 2, "RU": 2}
_REGIONS: Final = {"AZ-BA": 45, "AZ-GA": 15, "AZ-SM": 12, "AZ-LAN": 12, "AZ-SAK": 8, "AZ-XAC": 8}
_FORMS: Final = {
    "SexualExploitation": 48,
    "ForcedLabour": 34,
    "ForcedBegging": 12,
    "Servitude": 4,
    "ForcedCriminality": 2,
}


@dataclass(frozen=True, slots=True)
class Story:
    """A played scenario: its facts in their order, the coded fields of its letters by event, and its agencies."""

    facts: tuple[Fact, ...]
    coded: Mapping[str, Mapping[str, Any]]
    agencies: Mapping[str, Participant]
    children: frozenset[str]
    """Subjects of the cases of children."""
    starts: datetime

    @property
    def cases(self) -> int:
        """Number of cases in the story."""
        return len({fact.event.subject for fact in self.facts if type(fact.event.data).keyed_by == "case"})


def played(scenario: Scenario) -> Story:
    """Play *scenario* once in memory, and return its story."""
    bus = MemoryBus()
    play(scenario, bus, keep_going=True)
    facts, coded = bus.told()
    children = frozenset(fact.event.subject for fact in facts if getattr(fact.event.data, "child", False))
    return Story(tuple(facts), coded, scenario.agencies, children, scenario.starts)


def rules_of(stories: Iterable[Story], policy: str) -> Rules:
    """Return the Rules of *policy* with every agency of the copies of *stories*."""
    agencies = {TIMEKEEPER: Agency(TIMEKEEPER, TIMEKEEPER)}
    for story in stories:
        for clone in range(1, CLONES + 1):
            names = _names(story, clone)
            for each, about in story.agencies.items():
                above = None if about.supervisor is None else names[about.supervisor]
                if above is not None or names[each] not in agencies:
                    agencies[names[each]] = Agency(names[each], about.role, above)
    return Rules(load_profile(policy), agencies)


def scaled(stories: Sequence[Story], count: int, seed: int, years: Sequence[int] = YEARS) -> Iterator[Case]:
    """Yield *count* cases, copies of *stories* that begin in *years*."""
    chance = random.Random(seed)  # noqa: S311 - made-up cases, the same for the same seed
    weights = [1 / story.cases for story in stories]  # a story of many cases is told less often
    made, number = 0, 0
    while made < count:
        story = chance.choices(stories, weights)[0]
        number += 1
        for case in _copy(story, chance, _moved(story, chance, years), number * len(story.facts)):
            yield case
            made += type(case.facts[0].event.data).keyed_by == "case"
            if made == count:
                return


def _moved(story: Story, chance: random.Random, years: Sequence[int]) -> timedelta:
    """Return how many whole weeks later a copy of *story* lies, so that its working days stay working days."""
    first = datetime(chance.choice(years), 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(365))
    return round((first - story.starts) / _WEEK) * _WEEK


def _copy(story: Story, chance: random.Random, moved: timedelta, first_number: int) -> Iterator[Case]:
    known = _references(story.facts)
    names = _names(story, chance.randint(1, CLONES))
    other = {each: f"{chance.getrandbits(128):032x}" for each in known} | names
    other |= {fact.event.id: _event_id(chance, fact.registered + moved) for fact in story.facts}
    ends = len(story.facts) if chance.random() < WHOLE else chance.randrange(1, len(story.facts) + 1)
    facts: dict[str, list[Fact]] = {}
    for number, fact in enumerate(story.facts[:ends], first_number):
        event = _other_event(fact.event, other, moved)
        recipients = tuple(sorted(other.get(each, each) for each in fact.recipients))
        facts.setdefault(fact.event.subject, []).append(Fact(event, recipients, fact.registered + moved, number))
    for subject, told in facts.items():
        person = _person(chance, is_child=subject in story.children)
        coded = {
            other[fact.event.id]: _other(story.coded[fact.event.id], other, moved)
            | _about(story.coded[fact.event.id], person)
            for fact in story.facts[:ends]
            if fact.event.subject == subject and fact.event.id in story.coded
        }
        yield Case(other[subject], tuple(told), coded)


def _names(story: Story, clone: int) -> dict[str, str]:
    """Return the name of each agency of *story* in the copies of number *clone*."""
    return {each: each if about.role in ONLY_ONE else f"{each}-{clone}" for each, about in story.agencies.items()}


def _references(facts: Iterable[Fact]) -> dict[str, None]:
    """Return the subjects, references and incidents of *facts*."""
    found: dict[str, None] = {}
    for fact in facts:
        event = fact.event
        found |= dict.fromkeys(each for each in (event.subject, event.referral, event.incident) if each)
    return found


def _event_id(chance: random.Random, at: datetime) -> str:
    """Return a UUIDv7 of *at*, random by *chance*."""
    bits = f"{int(at.timestamp() * 1000):012x}7{chance.getrandbits(12):03x}{0x8000 | chance.getrandbits(14):04x}{chance.getrandbits(48):012x}"
    return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"


def _other_event(event: Event, other: Mapping[str, str], moved: timedelta) -> Event:
    fields = {name: getattr(event, name) for name in Event.model_fields}
    for name in ("id", "source", "subject", "referral", "incident", "causationid", "correlationid"):
        fields[name] = other.get(fields[name], fields[name])
    if event.consent:
        fields["consent"] = " ".join(other.get(each, each) for each in event.consents)
    times = {"time": event.time + moved, "recordedtime": event.recordedtime + moved}
    return Event(**fields | times | {"data": _other_data(event.data, other, moved)})


def _other_data(data: Data, other: Mapping[str, str], moved: timedelta) -> Data:
    said = data.to_mapping()
    changed = _other(said, other, moved)
    return data if changed == said else type(data).from_mapping(changed)


def _other(value: Any, other: Mapping[str, str], moved: timedelta, field: str = "") -> Any:
    """Return *value* with each day *moved*, each reference replaced, and each agency where agencies are named."""
    match value:
        case str() if _DAY.match(value):
            return (date.fromisoformat(value[:10]) + moved).isoformat() + value[10:]
        case str():
            return other.get(value, value) if field in _NAMING or len(value) >= _REFERENCE else value
        case Mapping():
            return {name: _other(each, other, moved, name) for name, each in value.items()}
        case list() | tuple():
            return [_other(each, other, moved, field) for each in value]
        case _:
            return value


def _person(chance: random.Random, *, is_child: bool) -> dict[str, Any]:
    return {
        "sex": _one(chance, _SEXES), "age_band": _one(chance, _CHILDREN if is_child else _ADULTS),
        "citizenship": _one(chance, _CITIZENSHIPS), "region": _one(chance, _REGIONS),
        "exploitation": [_one(chance, _FORMS)],
    }  # fmt: skip


def _about(coded: Mapping[str, Any], person: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of *person* that *coded* names."""
    return {name: value for name, value in person.items() if name in coded}


def _one(chance: random.Random, weights: Mapping[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
