"""Safeguards of a child: what they make of a view."""

from collections.abc import Mapping
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark


def _flagged(step: Step, _: Mark) -> Changes:
    bodies = [agency for agency in step.to if step.in_group(agency, "GUARDIANS")]
    return {
        "child": True,
        "flagged": step.view.flagged | frozenset(bodies),
        "parts": parts_with(step.view.parts, bodies, "safeguard"),
    }


def _age_assessed(step: Step, _: Mark) -> Changes:
    """Give the flagged bodies a part while the person is, or is again found to be, a child; else remove their parts."""
    view = step.view
    if not step.finds_child:
        return {"child": False, "parts": parts_without(view.parts, view.flagged, "safeguard")}
    if view.child is not False:
        return {"child": True}
    return {"child": True, "parts": parts_with(view.parts, sorted(view.flagged), "safeguard")}


def _represented(_: Step, __: Mark) -> Changes:
    return {"represented": True}


def _best_interests(step: Step, _: Mark) -> Changes:
    return {"best_interests": value(step.event, "outcome")}


SAFEGUARD: Final[Mapping[str, Folder]] = {
    "safeguard.child_flagged": _flagged,
    "safeguard.age_assessed": _age_assessed,
    "safeguard.representative_assigned": _represented,
    "safeguard.best_interests_decided": _best_interests,
}
