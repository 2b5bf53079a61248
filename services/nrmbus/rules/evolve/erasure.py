"""Erasure: folds of decisions on access, holds and confirmations."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.events.model import Event
from nrmbus.rules.changes import Changes, Folder
from nrmbus.rules.erasure import AccessHold, Erasure
from nrmbus.rules.event_context import COURT, EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.running import advance
from nrmbus.rules.view import View

OBJECTION: Final = "objection"
DUE: Final = "access.erasure_due"


def ends_keeping(event: Event) -> bool:
    """Return whether *event* ends the case's retention period, after which earlier envelopes may be missing."""
    return event.type == DUE and value(event, "ground") == "retention"


def over(context: EventContext, mark: Mark) -> View:
    """Return the view after an event that `ends_keeping`, computed from that event alone.

    So the view is the same before and after the envelopes are destroyed, and every fold decides alike.
    """
    bare = View(context.view.subject, erasure=Erasure(retention=mark, told=frozenset(context.recipients)))
    return replace(bare, running=advance(replace(context, view=bare), mark))


def _terminated(context: EventContext, mark: Mark) -> Changes:
    """Record the decision. A court that decides after an objection has heard it, so that only other holds delay the erasure."""
    erasure = context.view.erasure
    holds = erasure.holds
    if context.role == COURT:
        holds = tuple(each for each in holds if not each.objects_only)
    return {"erasure": replace(erasure, terminated=mark, holds=holds)}


def _held(context: EventContext, _: Mark) -> Changes:
    erasure, reasons = context.view.erasure, value(context.event, "reasons", ())
    hold = AccessHold(context.source, value(context.event, "until", ""), tuple(reasons) == (OBJECTION,))
    return {"erasure": replace(erasure, holds=(*erasure.holds, hold))}


def _confirmed(context: EventContext, _: Mark) -> Changes:
    erasure = context.view.erasure
    return {"erasure": replace(erasure, confirmed=erasure.confirmed | {context.source})}


ERASURE: Final[Mapping[str, Folder]] = {
    "access.terminated": _terminated,
    "access.hold_placed": _held,
    DUE: lambda context, _: {"erasure": replace(context.view.erasure, due=context.event.causationid)},
    "access.erasure_confirmed": _confirmed,
}
