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
FORMS = {
    "SexualExploitation": "sexual", "ForcedLabour": "labour", "ChildLabour": "labour", "Servitude": "labour", "Slavery": "labour",
    "ForcedBegging": "begging", "ForcedCriminality": "criminality", "OrganRemoval": "organs",
}  # fmt: skip
"""Groups of forms of exploitation; the others are `other`."""
ABOUT = {
    "signalled": ("detector", "sex", "age"), "presumed": ("sex", "age"), "decided": ("status",),
    "identified": (
        "sex", "age", "age_band", "sex_and_age", "citizenship_group", "sex_and_citizenship_group", "citizenship", "form",
        "sex_and_form", "sector", "region", "detector",
    ),
    "reflection": ("sex",), "permit": ("sex",), "sheltered": ("sex",), "assisted": ("sex",),
}  # fmt: skip
"""Tables of each population, by what follows `_by_` in their names."""
WITHIN = {"age_band": "age", "citizenship": "citizenship_group"}
"""Tables whose rows have a group first, and what divides it second."""
OPEN = ("citizenship", "region")
"""Facts of which a code that is too rare is put together with others."""


def differences(registrations: list[Line], coded: Coded, release: dict[str, Any], country: str) -> list[str]:
    """Return each published count of persons that is not the counted one, and each small one that is published."""
    return list(compared(tables(registrations, coded, release["period"], release["k"], country), release))


def tables(registrations: list[Line], coded: Coded, period: str, k: int, country: str) -> dict[str, Rows]:
    """Return the counts of each table of persons in a mechanism of *country*, without those below *k* put away."""
    found = {f"{of}_by_{each}": Counter[tuple[str, ...]]() for of, every in ABOUT.items() for each in every}
    found |= {"assisted_by_service": Counter(), "steps_by_type": Counter()}
    for person in persons(registrations, coded):
        about = facts(person, coded, country)
        for population, code in sorted(counts_in(person, period)):
            if population in ("assisted_by_service", "steps_by_type"):
                found[population][code,] += 1
            if population == "decided":
                add(found["decided_by_status"], (code,))
            counted = population if population != "decided" else "identified" if code == RECOGNISED else ""
            for each in ABOUT.get(counted, ()):
                if each in WITHIN:
                    group = about[WITHIN[each]]
                    found[f"{counted}_by_{each}"].update([(group, about[each]), (group, "_T"), ("_T", "_T")])
                else:
                    add(found[f"{counted}_by_{each}"], tuple(about[name] for name in each.split("_and_")))
    return {name: dict(rare_together(each, k) if name.endswith(OPEN) else each) for name, each in found.items()}


def rare_together(rows: Counter[tuple[str, ...]], k: int) -> Counter[tuple[str, ...]]:
    """Return *rows* with those whose last code has a count below *k* taken together."""
    found = Counter[tuple[str, ...]]()
    for keys, count in rows.items():
        found[keys if count >= k or keys[-1] in ("unknown", "_T") else (*keys[:-1], "other")] += count
    return found


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
    return [
        sorted(
            (line for each in sorted(group, key=lambda case: first(events, case)) for line in events[each]), key=time
        )
        for group in groups
    ]


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


def facts(person: list[Line], coded: Coded, country: str) -> dict[str, str]:
    """Return what is known of *person* last, and who found her first."""
    said = [coded[name_of(line)] for line in person if name_of(line) in coded]
    known = {name: value for each in said for name, value in each.items() if value not in (None, "unknown")}
    signals = [line for line in person if kind(line) in ("case.signal_recorded", "case.re_referred")]
    child = known["age_band"] in CHILDREN if "age_band" in known else None
    for line in person:
        if line in signals:
            child = data(line)["child"]
        elif kind(line) == "safeguard.child_flagged":
            child = True
        elif kind(line) == "safeguard.age_assessed":
            child = data(line)["result"] != "adult"
    fits = "age_band" in known and (known["age_band"] in CHILDREN) is child
    group = "national" if known.get("citizenship") == country else "foreign"
    forms = {FORMS.get(each, "other") for each in known.get("exploitation", ())}
    return {
        "sex": known.get("sex", "unknown"),
        "age": "unknown" if child is None else "child" if child else "adult",
        "age_band": known["age_band"] if fits else "unknown",
        "citizenship_group": group if "citizenship" in known else "unknown",
        "citizenship": known.get("citizenship", "unknown"),
        "form": "unknown" if not forms else "several" if len(forms) > 1 else forms.pop(),
        "sector": known.get("sector", "unknown"),
        "region": known.get("region", "unknown"),
        "detector": data(signals[0])["detector"] if signals else "special_unit",
    }


def data(line: Line) -> dict[str, Any]:
    """Return the data of an event."""
    found: dict[str, Any] = json.loads(line["envelope"]["value"])
    return found


def name_of(line: Line) -> str:
    """Return the id of an event."""
    return str(line["envelope"]["headers"]["ce_id"])


def time(line: Line) -> str:
    """Return when an event was registered."""
    return str(line["leaf"]["time"])


def first(events: dict[str, list[Line]], case: str) -> tuple[str, str]:
    """Return the place of a case among those of one person: by its first registration."""
    return time(events[case][0]), case
