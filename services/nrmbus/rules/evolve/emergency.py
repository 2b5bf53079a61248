"""Emergency access: folds of the request, the objection, the due date and the sealing for the asker."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from nrmbus.rules.changes import Changes, Folder, heard_by, put, put_last
from nrmbus.rules.emergency import ASKED, OBJECTED, RESEALED, at_once, parts_needed
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Emergency


def _asked(step: Step, mark: Mark) -> Changes:
    holder = step.holder if step.holder != step.source else None
    asked = Emergency(step.ref, mark, holder, parts_needed(step), at_once(step), heard_by(step))
    return {"emergencies": put_last(step.view.emergencies, step.ref, asked)}


def _to(state: Literal["objected", "due", "resealed"]) -> Folder:
    def changed(step: Step, _: Mark) -> Changes:
        found = step.emergency
        if found is None:
            return {}
        # Other agencies may not know the holder; the event that makes the answer due names it.
        now = replace(found, state=state, holder=value(step.event, "holder", found.holder))
        return {"emergencies": put(step.view.emergencies, found.ref, now)}

    return changed


EMERGENCY: Final[Mapping[str, Folder]] = {
    ASKED: _asked,
    OBJECTED: _to("objected"),
    "access.reseal_due": _to("due"),
    RESEALED: _to("resealed"),
}
