"""Cases by the thousand out of played stories: for figures and for benchmarks, never for a bus.

A story is played once, in memory. Each copy of it has references, ids and persons of its own, lies some whole weeks later,
is told by another agency of the same role, and may end early, as real cases do. The timekeeper speaks when its calendar says
so, since holidays lie elsewhere in another year. A beginning of an accepted history is an accepted history, so a registrar
could have written every copy, but for who was told of a breach that the story does not have. The seed decides everything.
"""

import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.events.model import Data, Event, Fact
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.scenario import Participant, Scenario
from nrmbus.rules import Agency, Due, Rules, View, load_profile
from nrmbus.rules.due import SAID_WHEN_DUE
from nrmbus.statistics.persons import Case
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER

YEARS: Final = (2024, 2025, 2026)
"""Years in which the copies begin."""
CLONES: Final = 6
"""Number of agencies of each role outside `ONLY_ONE`."""
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
_NOT_MOVED: Final = timedelta()
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


class NoCase(Exception):
    """Raised when a story has no case, so that nothing can be copied."""


@dataclass(frozen=True, slots=True)
class Story:
    """A played scenario: ordered facts, the coded fields of letters by event, and the agencies."""

    facts: tuple[Fact, ...]
    coded: Mapping[str, Mapping[str, Any]]
    agencies: Mapping[str, Participant]
    children: frozenset[str]
    """Subjects of the cases of children."""
    starts: datetime
    policy: str

    @property
    def cases(self) -> int:
        """Number of cases in the story."""
        return len({fact.event.subject for fact in self.facts if type(fact.event.data).keyed_by == "case"})


def played(scenario: Scenario) -> Story:
    """Play *scenario* once in memory, and return its story.

    Raises:
        NoCase: no case of it was registered.
    """
    bus = MemoryBus()
    play(scenario, bus, keep_going=True)
    facts, coded = bus.told()
    children = frozenset(fact.event.subject for fact in facts if getattr(fact.event.data, "child", False))
    story = Story(tuple(facts), coded, scenario.agencies, children, scenario.starts, scenario.policy)
    if not story.cases:
        raise NoCase("This story registers no case, so there is nothing to copy: name a scenario that does.")
    return story


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
    later: dict[tuple[int, timedelta], tuple[Fact, ...]] = {}
    while made < count:
        (which,) = chance.choices(range(len(stories)), weights)
        story = stories[which]
        moved = _moved(story, chance, years)
        if (which, moved) not in later:
            later[which, moved] = _later(story, moved)
        facts = later[which, moved]
        number += len(facts)
        for case in _copy(story, chance, facts, moved, number):
            yield case
            made += type(case.facts[0].event.data).keyed_by == "case"
            if made == count:
                return


def _moved(story: Story, chance: random.Random, years: Sequence[int]) -> timedelta:
    """Return how many whole weeks later a copy of *story* lies, so that its working days stay working days."""
    first = datetime(chance.choice(years), 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(365))
    return round((first - story.starts) / _WEEK) * _WEEK


def _later(story: Story, moved: timedelta) -> tuple[Fact, ...]:
    """Return the facts of *story* that much later. The timekeeper's facts are recomputed, each at its due time."""
    agencies = {id: Agency(id, each.role, each.supervisor) for id, each in story.agencies.items()}
    rules = Rules(load_profile(story.policy), {TIMEKEEPER: Agency(TIMEKEEPER, TIMEKEEPER), **agencies})
    views, dues = dict[str, View](), dict[str, Due]()
    ids = _ids_of_dues(story.facts)
    facts: list[Fact] = []

    def register(event: Event, recipients: tuple[str, ...], at: datetime) -> None:
        fact = Fact(event, recipients, at, len(facts))
        rules.activate(fact)
        view = views[event.subject] = rules.evolve(views.get(event.subject) or rules.start(event.subject), fact)
        due = next(iter(rules.due(view)), None)
        if due is None:
            dues.pop(event.subject, None)
        else:
            dues[event.subject] = due
        facts.append(fact)

    def speak_until(now: datetime) -> None:
        while dues:
            subject, due = min(dues.items(), key=lambda each: each[1].at)
            if due.at > now:
                return
            view = views[subject]
            known = ids.get((subject, due.type, due.rule, due.cause, due.ref))
            event = Event(
                id=known.popleft() if known else said_by_itself(TIMEKEEPER, due.key, due.rule),
                source=TIMEKEEPER, type=due.type, version=due.data.version, subject=subject, time=due.at,
                recordedtime=due.at, sequence=1 + sum(each.event.source == TIMEKEEPER for each in facts),
                actor=BY_ITSELF, policy=rules.policy_for(view, TIMEKEEPER, due.at), data=due.data, referral=due.ref,
                causationid=due.cause,
            )  # fmt: skip
            register(event, rules.audience(view, event).recipients, due.at)

    for fact in story.facts:
        speak_until(fact.registered + moved)
        if fact.event.type not in SAID_WHEN_DUE:
            register(_other_event(fact.event, {}, moved), fact.recipients, fact.registered + moved)
    return tuple(facts)


def _ids_of_dues(facts: Iterable[Fact]) -> dict[tuple[str, str, str, str | None, str | None], deque[str]]:
    """Return the ids of the timekeeper's events in *facts* by what each is about: later events name them."""
    found: dict[tuple[str, str, str, str | None, str | None], deque[str]] = {}
    for event in (fact.event for fact in facts if fact.event.type in SAID_WHEN_DUE):
        rule = getattr(event.data, "rule", event.type)
        found.setdefault((event.subject, event.type, rule, event.causationid, event.referral), deque()).append(event.id)
    return found


def _copy(
    story: Story, chance: random.Random, later: tuple[Fact, ...], moved: timedelta, first_number: int
) -> Iterator[Case]:
    """Yield the cases of *story* as *later* tells them, with references, agencies and persons of their own."""
    known = _references(later)
    names = _names(story, chance.randint(1, CLONES))
    other = {each: f"{chance.getrandbits(128):032x}" for each in known} | names
    other |= {fact.event.id: _event_id(chance, fact.registered) for fact in later}
    ends = len(later) if chance.random() < WHOLE else chance.randrange(1, len(later) + 1)
    facts: dict[str, list[Fact]] = {}
    for number, fact in enumerate(later[:ends], first_number):
        event = _other_event(fact.event, other, _NOT_MOVED)
        recipients = tuple(sorted(other.get(each, each) for each in fact.recipients))
        facts.setdefault(fact.event.subject, []).append(Fact(event, recipients, fact.registered, number))
    for subject, told in facts.items():
        person = _person(chance, is_child=subject in story.children)
        coded = {
            other[fact.event.id]: _other(story.coded[fact.event.id], other, moved)
            | _about(story.coded[fact.event.id], person)
            for fact in later[:ends]
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
            return _moved_day(date.fromisoformat(value[:10]), moved).isoformat() + value[10:]
        case str():
            return other.get(value, value) if field in _NAMING or len(value) >= _REFERENCE else value
        case Mapping():
            return {name: _other(each, other, moved, name) for name, each in value.items()}
        case list() | tuple():
            return [_other(each, other, moved, field) for each in value]
        case _:
            return value


def _moved_day(day: date, moved: timedelta) -> date:
    """Return *day* that much later; a day for ever stays one, and none lies beyond the calendar."""
    return date.max if day == date.max or moved > date.max - day else day + moved


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
