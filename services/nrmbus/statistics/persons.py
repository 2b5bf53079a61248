"""Persons of the figures: their cases, the known facts of each, and the events that make a person count. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from nrmbus.events.case import OPENING
from nrmbus.events.codes import CHILD_BANDS
from nrmbus.events.figures import UNKNOWN
from nrmbus.events.model import Fact
from nrmbus.statistics.specs import OTHER

ERASED: Final = "access.erasure_due"
DECIDED: Final = "identification.status_decided"
LINKS: Final = {"case.linked": "other_case", "case.merged": "other_case"}
"""Events that link two cases of one person, and the coded field with the other case."""
CODE: Final = {"decided": "status", "helped": "service", "steps": "step"}
"""Dimension of the code with which a person counts in a population."""
_FORM_OF: Final = {
    "SexualExploitation": "sexual", "ForcedLabour": "labour", "ChildLabour": "labour", "Servitude": "labour", "Slavery": "labour",
    "ForcedBegging": "begging", "ForcedCriminality": "criminality", "OrganRemoval": "organs",
}  # fmt: skip
"""Group of each form of exploitation; every form that is not named is `other`."""


@dataclass(frozen=True, slots=True)
class Case:
    """Course of one case: its facts in the order of registration, and the coded fields of its letters by the event's id."""

    subject: str
    facts: tuple[Fact, ...]
    coded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def persons_of(cases: Iterable[Case]) -> list[list[Case]]:
    """Return the cases of each person: linked cases, and cases that name an earlier case, belong to one person."""
    every = list(cases)
    known = {case.subject for case in every}
    above = {case.subject: case.subject for case in every}

    def root(subject: str) -> str:
        while above[subject] != subject:
            above[subject] = subject = above[above[subject]]
        return subject

    for case in every:
        for other in _same_person(case):
            if other in known:
                first, second = sorted((root(case.subject), root(other)))
                above[second] = first
    persons: dict[str, list[Case]] = {}
    for case in every:
        if case.facts:
            persons.setdefault(root(case.subject), []).append(case)
    return [sorted(persons[each], key=_first) for each in sorted(persons)]


def _same_person(case: Case) -> Iterator[str]:
    """Yield the other cases that are the same person's as *case*, by its coded facts."""
    for fact in case.facts if case.coded else ():
        coded = case.coded.get(fact.event.id, {})
        if "previous_case" in coded:
            yield coded["previous_case"]
        other = coded.get(LINKS.get(fact.event.type, ""))
        if other and getattr(fact.event.data, "confidence", None) != "possible":
            yield other


def _first(case: Case) -> tuple[datetime, str]:
    return case.facts[0].registered, case.subject


def facts_of(cases: Iterable[Case]) -> list[Fact]:
    """Return the facts of the *cases* of one person, in the order of registration; of one instant, each case in its order."""
    return sorted((fact for case in cases for fact in case.facts), key=lambda fact: fact.registered)


def attributes(cases: Iterable[Case], facts: Sequence[Fact], own: str | None) -> dict[str, str]:
    """Return the codes of a person in the country *own*: the newest known one of each, and the first detector.

    Without a country of its own, a mechanism has neither nationals nor foreigners.

    *facts* are the facts of all her *cases* in the order of registration: the newest may be in any case.
    """
    by_event = {id: fields for case in cases for id, fields in case.coded.items()}
    coded = [by_event[fact.event.id] for fact in facts if fact.event.id in by_event]

    def newest(name: str) -> Any:
        return next((each[name] for each in reversed(coded) if each.get(name) not in (None, UNKNOWN)), None)

    citizenship, band = newest("citizenship"), newest("age_band")
    forms = sorted({_FORM_OF.get(each, OTHER) for each in newest("exploitation") or ()})
    child = _child(facts, band)
    age = UNKNOWN if child is None else "child" if child else "adult"
    group = UNKNOWN if None in (citizenship, own) else "national" if citizenship == own else "foreign"
    detectors = [fact.event.data.detector for fact in facts if fact.event.type in OPENING]  # type: ignore[attr-defined]
    return {
        "sex": newest("sex") or UNKNOWN,
        "age": age,
        "age_band": band if band is not None and fits(age, band) else UNKNOWN,
        "citizenship_group": group,
        "citizenship": citizenship or UNKNOWN,
        "region": newest("region") or UNKNOWN,
        "form": UNKNOWN if not forms else forms[0] if len(forms) == 1 else "several",
        "sector": newest("sector") or UNKNOWN,
        "detector": detectors[0] if detectors else "special_unit",
    }


def counted_once(fact: Fact) -> Iterator[tuple[str, str]]:
    """Yield each population, and code, in which *fact* makes a person count."""
    event = fact.event
    data: Any = event.data
    match event.type:
        case "case.signal_recorded" | "case.re_referred":
            yield "signalled", ""
        case "identification.reasonable_grounds_decided" if data.outcome == "positive":
            yield "presumed", ""
        case "identification.status_decided":
            yield "decided", data.status
        case "recovery.period_started":
            yield "reflection", ""
        case "stay.permit_issued":
            yield "permit", ""
        case "shelter.admitted":
            yield "sheltered", ""
        case "service.delivered":
            yield "assisted", ""
            yield "helped", data.service
        case type if type.split(".")[0] in ("return", "justice", "fund"):
            yield "steps", type


def _child(facts: Iterable[Fact], band: str | None) -> bool | None:
    """Return whether the person is a child: by the newest signal, flag or assessment of age; without any, by the band."""
    child: bool | None = None
    for fact in facts:
        data: Any = fact.event.data
        if fact.event.type in OPENING:
            child = data.child
        elif fact.event.type == "safeguard.child_flagged":
            child = True
        elif fact.event.type == "safeguard.age_assessed":
            child = data.result != "adult"
    return child if child is not None or band is None else band in CHILD_BANDS


def fits(age: str, band: str) -> bool:
    """Return whether the age *band* lies in the *age*; an unknown one lies in each."""
    return UNKNOWN in (band, age) or (band in CHILD_BANDS) == (age == "child")
