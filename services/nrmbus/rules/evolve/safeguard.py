"""Safeguards of a child: what they make of a view."""

from collections.abc import Mapping
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark


def _flagged(context: EventContext, _: Mark) -> Changes:
    bodies = [agency for agency in context.to if context.in_group(agency, "GUARDIANS")]
    return {
        "child": True,
        "flagged": context.view.flagged | frozenset(bodies),
        "parts": parts_with(context.view.parts, bodies, "safeguard"),
    }


def _age_assessed(context: EventContext, _: Mark) -> Changes:
    """Give the flagged bodies a part while the person is, or is again found to be, a child; else remove their parts."""
    view = context.view
    if not context.finds_child:
        return {"child": False, "parts": parts_without(view.parts, view.flagged, "safeguard")}
    if view.child is not False:
        return {"child": True}
    return {"child": True, "parts": parts_with(view.parts, sorted(view.flagged), "safeguard")}


SAFEGUARD: Final[Mapping[str, Folder]] = {
    "safeguard.child_flagged": _flagged,
    "safeguard.age_assessed": _age_assessed,
    "safeguard.representative_assigned": lambda _, __: {"represented": True},
    "safeguard.best_interests_decided": lambda context, _: {"best_interests": value(context.event, "outcome")},
}
