"""Shelter: what offers, a stay in a house and its end make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Bed, House


def _bed_requested(context: EventContext, mark: Mark) -> Changes:
    bed = Bed(context.ref, mark, tuple(House(agency) for agency in context.to), heard_by(context))
    return {
        "beds": put(context.view.beds, context.ref, bed),
        "parts": parts_with(context.view.parts, context.to, f"bed {context.ref}"),
    }


def _with_house(context: EventContext, agency: str, **changed: Any) -> Changes:
    bed = context.bed
    if bed is None or bed.house(agency) is None:
        return {}
    houses = tuple(replace(house, **changed) if house.agency == agency else house for house in bed.houses)
    return {"beds": put(context.view.beds, bed.ref, replace(bed, houses=houses))}


def _offered(context: EventContext, mark: Mark) -> Changes:
    return _with_house(
        context, context.source, state="offered", offer=mark, valid_hours=value(context.event, "valid_hours")
    )


def _left(context: EventContext, agency: str, state: str) -> Changes:
    changes = _with_house(context, agency, state=state)
    if changes:
        changes["parts"] = parts_without(context.view.parts, (agency,), f"bed {context.ref}")
    return changes


SHELTER: Final[Mapping[str, Folder]] = {
    "shelter.bed_requested": _bed_requested,
    "shelter.bed_offered": _offered,
    "shelter.bed_refused": lambda context, _: _left(context, context.source, "refused"),
    "shelter.offer_lapsed": lambda context, _: _left(context, value(context.event, "shelter", ""), "lapsed"),
    "shelter.admitted": lambda context, _: _with_house(context, context.source, state="admitted"),
    "shelter.discharged": lambda context, _: _with_house(context, context.source, state="discharged"),
}
