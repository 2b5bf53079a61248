"""Plan and services: what they make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Plan, Service


def _adopted(context: EventContext, mark: Mark) -> Changes:
    days = value(context.event, "planned_end_days")
    ends = context.tables.calendar.days_after(mark.time, days) if days is not None else None
    return {
        "plan": Plan(context.source, context.to, ends, agreed=mark.number),
        "parts": parts_with(context.view.parts, (context.source, *context.to), "plan"),
    }


def _revised(context: EventContext, mark: Mark) -> Changes:
    plan, days = context.view.plan, value(context.event, "planned_end_days")
    if plan is None or days is None:
        return {}
    return {"plan": replace(plan, ends=context.tables.calendar.days_after(mark.time, days), agreed=mark.number)}


def _plan_completed(context: EventContext, _: Mark) -> Changes:
    return {"plan": replace(context.view.plan, in_force=False)} if context.view.plan else {}


def _service_requested(context: EventContext, mark: Mark) -> Changes:
    service = Service(context.ref, mark, context.source, context.to, open=True)
    return {
        "services": put(context.view.services, context.ref, service),
        "parts": parts_with(context.view.parts, context.to, f"service {context.ref}"),
    }


def _service_answered(context: EventContext, mark: Mark) -> Changes:
    """Record the answer to a service, which may also be given unasked. Declining a service gives no part.

    Of several that were asked, each answers for itself; the requester takes the service back from those that have not.
    """
    kind = context.event.type
    service = context.service or Service(context.ref, mark, None, (), open=False)
    leaves = service.waiting if context.takes_back else (context.source,)
    if kind != "service.scheduled":
        answered = service.answered | {context.source}
        over = context.takes_back or (answered | {*context.view.left}).issuperset(service.receivers)
        service = replace(service, answered=answered, open=service.open and not over)
    changes: Changes = {"services": put(context.view.services, context.ref, service)}
    if kind == "service.not_delivered":
        changes["parts"] = parts_without(context.view.parts, leaves, f"service {context.ref}")
    return changes


SUPPORT: Final[Mapping[str, Folder]] = {
    "plan.adopted": _adopted,
    "plan.revised": _revised,
    "plan.completed": _plan_completed,
    "service.requested": _service_requested,
    "service.scheduled": _service_answered,
    "service.delivered": _service_answered,
    "service.not_delivered": _service_answered,
}
