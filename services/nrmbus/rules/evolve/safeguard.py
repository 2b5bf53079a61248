"""Safeguards of a child: what they make of a view."""

from collections.abc import Mapping
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark


def _flagged(context: EventContext, _: Mark) -> Changes:
    bodies = frozenset(agency for agency in context.to if context.in_group(agency, "GUARDIANS"))
    flagged = context.view.flagged | bodies
    again = context.view.child is False  # bodies of before, which had no part any more, have one again
    return {
        "child": True,
        "grown_up": None,
        "found_child": context.event.id,
        "flagged": flagged,
        "parts": parts_with(context.view.parts, sorted(flagged if again else bodies), "safeguard"),
    }


def _age_assessed(context: EventContext, _: Mark) -> Changes:
    """Give the flagged bodies a part while the person is, or is again found to be, a child; else remove their parts."""
    view = context.view
    if not context.finds_child:
        parts = parts_without(view.parts, view.flagged, "safeguard")
        found = view.grown_up if view.child is False else context.event.id
        return {"child": False, "grown_up": found, "found_child": None, "parts": parts}
    changes: Changes = {"child": True, "grown_up": None, "found_child": context.event.id}
    if view.child is False:
        changes["parts"] = parts_with(view.parts, sorted(view.flagged), "safeguard")
    return changes


SAFEGUARD: Final[Mapping[str, Folder]] = {
    "safeguard.child_flagged": _flagged,
    "safeguard.age_assessed": _age_assessed,
    "safeguard.representative_assigned": lambda _, __: {"represented": True},
    "safeguard.best_interests_decided": lambda context, _: {"best_interests": value(context.event, "outcome")},
}
