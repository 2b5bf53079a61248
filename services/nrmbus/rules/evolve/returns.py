"""Return: what the steps of a voluntary journey home make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Return

_PART: Final = "return"
MONITORED: Final = "return.monitored"
NOT_SAFE: Final = "not_safe"


def _consented(context: EventContext, mark: Mark) -> Changes:
    helpers = (context.source, *(agency for agency in context.to if agency != context.source))
    record = Return(mark, value(context.event, "given_by", ""), helpers)
    return {"returning": record, "parts": parts_with(context.view.parts, helpers, _PART)}


def _with(context: EventContext, **changes: Any) -> Changes:
    """Return the changes by a step of the return, whose publisher helps from there on; none without a return in this history."""
    record = context.view.returning
    if record is None:
        return {}
    helpers = record.helpers if context.source in record.helpers else (*record.helpers, context.source)
    parts = parts_with(context.view.parts, (context.source,), _PART)
    return {"returning": replace(record, helpers=helpers, **changes), "parts": parts}


def _assessed(context: EventContext, _: Mark) -> Changes:
    return _with(context, step="assessed", safe=value(context.event, "outcome") != NOT_SAFE)


def _monitored(context: EventContext, _: Mark) -> Changes:
    """A report on an earlier return, which its author still owed, takes no step of the present one."""
    record = context.view.returning
    return _with(context, step="monitored") if record is not None and record.made else {}


def _stopped(context: EventContext, _: Mark) -> Changes:
    """End the parts of the helpers; an agency that still owes a report on an earlier return keeps its part."""
    record = context.view.returning
    if record is None:
        return {}
    ended = [each for each in record.helpers if not context.owes(each, MONITORED)]
    parts = parts_without(context.view.parts, ended, _PART)
    return {"returning": replace(record, step="stopped"), "parts": parts}


RETURNS: Final[Mapping[str, Folder]] = {
    "return.consented": _consented,
    "return.risk_assessed": _assessed,
    "return.travel_arranged": lambda context, _: _with(context, step="travel_arranged"),
    "return.completed": lambda context, _: _with(context, step="completed"),
    MONITORED: _monitored,
    "return.stopped": _stopped,
}
