"""Emergency access: folds of the request, the objection, the due date and the sealing for the asker."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from nrmbus.rules.changes import Changes, Folder, heard_by, put, put_last
from nrmbus.rules.emergency import ASKED, OBJECTED, RESEALED, at_once, parts_needed
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Emergency


def _asked(context: EventContext, mark: Mark) -> Changes:
    holder = context.holder if context.holder != context.source else None
    asked = Emergency(context.ref, mark, holder, parts_needed(context), at_once(context), heard_by(context))
    return {"emergencies": put_last(context.view.emergencies, context.ref, asked)}


def _to(state: Literal["objected", "due", "resealed"]) -> Folder:
    def changed(context: EventContext, _: Mark) -> Changes:
        found = context.emergency
        if found is None:
            return {}
        # Other agencies may not know the holder; the event that makes the answer due names it.
        holder, sealed = value(context.event, "holder", found.holder), value(context.event, "parts", ())
        now = replace(found, state=state, holder=holder, sealed=sealed)
        return {"emergencies": put(context.view.emergencies, found.ref, now)}

    return changed


EMERGENCY: Final[Mapping[str, Folder]] = {
    ASKED: _asked,
    OBJECTED: _to("objected"),
    "access.reseal_due": _to("due"),
    RESEALED: _to("resealed"),
}
