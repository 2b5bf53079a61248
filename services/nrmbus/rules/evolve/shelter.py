"""Shelter: what offers, a stay in a house and its end make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Bed, House


def _bed_requested(step: Step, mark: Mark) -> Changes:
    bed = Bed(step.ref, mark, tuple(House(agency) for agency in step.to), heard_by(step))
    return {
        "beds": put(step.view.beds, step.ref, bed),
        "parts": parts_with(step.view.parts, step.to, f"bed {step.ref}"),
    }


def _with_house(step: Step, agency: str, **changed: Any) -> Changes:
    bed = step.bed
    if bed is None or bed.house(agency) is None:
        return {}
    houses = tuple(replace(house, **changed) if house.agency == agency else house for house in bed.houses)
    return {"beds": put(step.view.beds, bed.ref, replace(bed, houses=houses))}


def _offered(step: Step, mark: Mark) -> Changes:
    return _with_house(step, step.source, state="offered", offer=mark, valid_hours=value(step.event, "valid_hours"))


def _refused(step: Step, _: Mark) -> Changes:
    return _left(step, step.source, "refused")


def _lapsed(step: Step, _: Mark) -> Changes:
    return _left(step, value(step.event, "shelter", ""), "lapsed")


def _left(step: Step, agency: str, state: str) -> Changes:
    changes = _with_house(step, agency, state=state)
    if changes:
        changes["parts"] = parts_without(step.view.parts, (agency,), f"bed {step.ref}")
    return changes


def _admitted(step: Step, _: Mark) -> Changes:
    return _with_house(step, step.source, state="admitted")


def _discharged(step: Step, _: Mark) -> Changes:
    return _with_house(step, step.source, state="discharged")


SHELTER: Final[Mapping[str, Folder]] = {
    "shelter.bed_requested": _bed_requested,
    "shelter.bed_offered": _offered,
    "shelter.bed_refused": _refused,
    "shelter.offer_lapsed": _lapsed,
    "shelter.admitted": _admitted,
    "shelter.discharged": _discharged,
}
