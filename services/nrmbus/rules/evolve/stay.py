"""Leave to stay: what a hold on removal makes of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put
from nrmbus.rules.event_context import Step
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Hold


def _hold_requested(step: Step, mark: Mark) -> Changes:
    hold = Hold(step.ref, mark, step.to, heard_by(step))
    return {
        "holds": put(step.view.holds, step.ref, hold),
        "parts": parts_with(step.view.parts, (step.source, *step.to), f"hold {step.ref}"),
    }


def _hold_confirmed(step: Step, _: Mark) -> Changes:
    hold = step.hold
    return {"holds": put(step.view.holds, hold.ref, replace(hold, confirmed=True))} if hold else {}


def _hold_ended(step: Step, _: Mark) -> Changes:
    hold = step.hold
    return {"holds": put(step.view.holds, hold.ref, replace(hold, ended=True))} if hold else {}


STAY: Final[Mapping[str, Folder]] = {
    "stay.hold_requested": _hold_requested,
    "stay.hold_confirmed": _hold_confirmed,
    "stay.hold_ended": _hold_ended,
}
