"""Leave to stay: what holds on removal, permits and a bar on embassies make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Hold, Permit

MOMENT: Final = timedelta(seconds=1)
"""Steps back from 24:00 of a day into that day."""


def _hold_requested(context: EventContext, mark: Mark) -> Changes:
    hold = Hold(context.ref, mark, context.to, heard_by(context), _ends(context, mark, "until_days"))
    return {
        "holds": put(context.view.holds, context.ref, hold),
        "parts": parts_with(context.view.parts, (context.source, *context.to), f"hold {context.ref}"),
    }


def _ends(context: EventContext, mark: Mark, days: str) -> datetime:
    return context.tables.calendar.days_after(mark.time, value(context.event, days, 0))


def _hold_confirmed(context: EventContext, mark: Mark) -> Changes:
    hold = context.hold
    if hold is None:
        return {}
    confirmed = replace(hold, confirmed=True, until=_ends(context, mark, "until_days"))
    return {"holds": put(context.view.holds, hold.ref, confirmed)}


def _hold_ended(context: EventContext, _: Mark) -> Changes:
    hold = context.hold
    return {"holds": put(context.view.holds, hold.ref, replace(hold, ended=True))} if hold else {}


def _permit_issued(context: EventContext, mark: Mark) -> Changes:
    return {"permit": Permit(mark, _ends(context, mark, "valid_days"))}


def _permit_renewed(context: EventContext, mark: Mark) -> Changes:
    """Add the days to the permit; in a history that lacks it, they count from the renewal."""
    permit, days = context.view.permit, value(context.event, "valid_days", 0)
    if permit is None:
        return _permit_issued(context, mark)
    return {"permit": replace(permit, until=context.tables.calendar.days_after(permit.until - MOMENT, days))}


STAY: Final[Mapping[str, Folder]] = {
    "stay.hold_requested": _hold_requested,
    "stay.hold_confirmed": _hold_confirmed,
    "stay.hold_ended": _hold_ended,
    "stay.permit_issued": _permit_issued,
    "stay.permit_renewed": _permit_renewed,
    "stay.embassy_barred": lambda context, _: {"embassy_bar": context.event.id},
    "stay.embassy_bar_lifted": lambda _, __: {"embassy_bar": None, "bar_known": frozenset()},
}
