"""Recount of tables of persons by somebody else's program: the standard library alone, and the README of the statistics as its manual.

It reads registrations as the exported history has them, and the coded parts of letters by the id of their event, which
the key of the statistics opens. It knows no module of nrmbus, and suppresses nothing.
"""

import json
from collections import Counter
from typing import Any

from recounted import Rows, add, compared, kind, lies_in

Line = dict[str, Any]
Coded = dict[str, dict[str, Any]]

ONCE = {
    "case.signal_recorded": "signalled", "case.re_referred": "signalled", "recovery.period_started": "reflection",
    "stay.permit_issued": "permit", "shelter.admitted": "sheltered", "service.delivered": "assisted",
}  # fmt: skip
RECOGNISED = "ActualVictimOfTrafficking"
CHILDREN = {"0-9", "10-13", "14-15", "16-17"}
ABOUT = {
    "signalled": ("detector", "sex", "age"), "presumed": ("sex", "age"), "decided": ("status",),
    "identified": ("sex", "age", "sex_and_age", "detector"), "reflection": ("sex",), "permit": ("sex",),
    "sheltered": ("sex",), "assisted": ("sex",),
}  # fmt: skip
"""Tables of each population, by what follows `_by_` in their names."""


def differences(registrations: list[Line], coded: Coded, release: dict[str, Any]) -> list[str]:
    """Return each published count of persons that is not the counted one, and each small one that is published."""
    return list(compared(tables(registrations, coded, release["period"]), release))


def tables(registrations: list[Line], coded: Coded, period: str) -> dict[str, Rows]:
    """Return the counts of each table of persons that this program knows, without those below k put away."""
    found = {f"{of}_by_{each}": Counter[tuple[str, ...]]() for of, every in ABOUT.items() for each in every}
    found |= {"assisted_by_service": Counter(), "steps_by_type": Counter()}
    for person in persons(registrations, coded):
        about = facts(person, coded)
        for population, code in sorted(counts_in(person, period)):
            if population in ("assisted_by_service", "steps_by_type"):
                found[population][code,] += 1
            if population == "decided":
                add(found["decided_by_status"], (code,))
            counted = population if population != "decided" else "identified" if code == RECOGNISED else ""
            for each in ABOUT.get(counted, ()):
                add(found[f"{counted}_by_{each}"], tuple(about[name] for name in each.split("_and_")))
    return {name: dict(each) for name, each in found.items()}


def persons(registrations: list[Line], coded: Coded) -> list[list[Line]]:
    """Return the events of each person in their order; cases that are said to be the same person's are together."""
    erased = {line["leaf"]["subject"] for line in registrations if kind(line) == "access.erasure_due"}
    events: dict[str, list[Line]] = {}
    for line in registrations:
        if line["leaf"]["subject"] not in erased:
            events.setdefault(line["leaf"]["subject"], []).append(line)
    together = {subject: {subject} for subject in events}
    for subject, course in events.items():
        for line in course:
            said = coded.get(name_of(line), {})
            is_sure = kind(line) in ("case.linked", "case.merged") and data(line).get("confidence") != "possible"
            for other in (said.get("previous_case"), said.get("other_case") if is_sure else None):
                if other in events:
                    both = together[subject] | together[other]
                    together.update(dict.fromkeys(both, both))
    groups = {min(each): each for each in together.values()}.values()
    return [sorted((line for each in group for line in events[each]), key=order) for group in groups]


def counts_in(person: list[Line], period: str) -> set[tuple[str, str]]:
    """Return the populations, and codes, in which *person* counts first in its year in this *period*."""
    first: dict[tuple[str, str], Line] = {}
    status = ""
    for line in (line for line in person if lies_in(line["leaf"]["time"], period[:4])):
        type_ = kind(line)
        found = [(ONCE[type_], "")] if type_ in ONCE else []
        if type_ == "service.delivered":
            found.append(("assisted_by_service", data(line)["service"]))
        elif type_ == "identification.reasonable_grounds_decided" and data(line)["outcome"] == "positive":
            found.append(("presumed", ""))
        elif type_ == "identification.status_decided":
            found.append(("decided", data(line)["status"]))
            status = RECOGNISED if RECOGNISED in (status, data(line)["status"]) else data(line)["status"]
        elif type_.partition(".")[0] in ("return", "justice", "fund"):
            found.append(("steps_by_type", type_))
        for each in found:
            first.setdefault(each, line)
    return {
        (population, code)
        for (population, code), line in first.items()
        if lies_in(line["leaf"]["time"], period) and (population != "decided" or code == status)
    }


def facts(person: list[Line], coded: Coded) -> dict[str, str]:
    """Return the newest known sex and age of *person*, and who found her first."""
    said = [coded[name_of(line)] for line in person if name_of(line) in coded]
    known = {name: value for each in said for name, value in each.items() if value not in (None, "unknown")}
    signals = [line for line in person if kind(line) in ("case.signal_recorded", "case.re_referred")]
    child = known["age_band"] in CHILDREN if "age_band" in known else None
    for line in person:
        if line in signals:
            child = data(line)["child"]
        elif kind(line) == "safeguard.age_assessed":
            child = data(line)["result"] != "adult"
    return {
        "sex": known.get("sex", "unknown"),
        "age": "unknown" if child is None else "child" if child else "adult",
        "detector": data(signals[0])["detector"] if signals else "special_unit",
    }


def data(line: Line) -> dict[str, Any]:
    """Return the data of an event."""
    found: dict[str, Any] = json.loads(line["envelope"]["value"])
    return found


def name_of(line: Line) -> str:
    """Return the id of an event."""
    return str(line["envelope"]["headers"]["ce_id"])


def order(line: Line) -> tuple[str, str]:
    """Return the place of an event in the course of a person."""
    return line["leaf"]["time"], name_of(line)
