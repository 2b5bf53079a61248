"""Leave to stay: what a hold on removal and a bar on embassies make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put
from nrmbus.rules.event_context import EventContext
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Hold


def _hold_requested(context: EventContext, mark: Mark) -> Changes:
    hold = Hold(context.ref, mark, context.to, heard_by(context))
    return {
        "holds": put(context.view.holds, context.ref, hold),
        "parts": parts_with(context.view.parts, (context.source, *context.to), f"hold {context.ref}"),
    }


def _hold_confirmed(context: EventContext, _: Mark) -> Changes:
    hold = context.hold
    return {"holds": put(context.view.holds, hold.ref, replace(hold, confirmed=True))} if hold else {}


def _hold_ended(context: EventContext, _: Mark) -> Changes:
    hold = context.hold
    return {"holds": put(context.view.holds, hold.ref, replace(hold, ended=True))} if hold else {}


STAY: Final[Mapping[str, Folder]] = {
    "stay.hold_requested": _hold_requested,
    "stay.hold_confirmed": _hold_confirmed,
    "stay.hold_ended": _hold_ended,
    "stay.embassy_barred": lambda context, _: {"embassy_bar": context.event.id},
    "stay.embassy_bar_lifted": lambda _, __: {"embassy_bar": None},
}
