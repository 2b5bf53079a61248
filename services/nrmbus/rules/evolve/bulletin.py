"""Bulletin: fold of the events about no case. They move no case: no status, no clock, no part, no retention."""

from nrmbus.rules.changes import Changes, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Announced


def announced(context: EventContext, mark: Mark) -> Changes:
    """Return the changes by an event about no case: it is the latest of its type, of those about the same agency or period."""
    event = context.event
    key = " ".join(filter(None, (event.type, value(event, "agency"), value(event, "period"))))
    return {"exists": True, "bulletin": put(context.view.bulletin, key, Announced(mark, event.data))}
