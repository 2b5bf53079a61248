"""What decisions on access, holds and confirmations make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.folding import Changes, Folder
from nrmbus.rules.step import COURT, Step, value
from nrmbus.rules.view import AccessHold, Mark

OBJECTION: Final = "objection"


def _terminated(step: Step, mark: Mark) -> Changes:
    """A court that decides after an objection has heard it: nothing but other holds stands in the way then."""
    erasure = step.view.erasure
    holds = erasure.holds
    if step.role == COURT:
        holds = tuple(each for each in holds if not each.objects_only)
    return {"erasure": replace(erasure, terminated=mark, holds=holds)}


def _held(step: Step, _: Mark) -> Changes:
    erasure, reasons = step.view.erasure, value(step.event, "reasons", ())
    hold = AccessHold(step.source, value(step.event, "until", ""), tuple(reasons) == (OBJECTION,))
    return {"erasure": replace(erasure, holds=(*erasure.holds, hold))}


def _due(step: Step, _: Mark) -> Changes:
    return {"erasure": replace(step.view.erasure, due=step.event.causationid)}


def _confirmed(step: Step, _: Mark) -> Changes:
    erasure = step.view.erasure
    return {"erasure": replace(erasure, confirmed=erasure.confirmed | {step.source})}


ERASURE: Final[Mapping[str, Folder]] = {
    "access.terminated": _terminated,
    "access.hold_placed": _held,
    "access.erasure_due": _due,
    "access.erasure_confirmed": _confirmed,
}
