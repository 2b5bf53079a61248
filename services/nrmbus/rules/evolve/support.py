"""Plan and services: what they make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without, put
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Plan, Service


def _adopted(step: Step, mark: Mark) -> Changes:
    days = value(step.event, "planned_end_days")
    ends = step.tables.calendar.days_after(mark.time, days) if days is not None else None
    return {
        "plan": Plan(step.source, step.to, ends),
        "parts": parts_with(step.view.parts, (step.source, *step.to), "plan"),
    }


def _revised(step: Step, mark: Mark) -> Changes:
    plan, days = step.view.plan, value(step.event, "planned_end_days")
    if plan is None or days is None:
        return {}
    return {"plan": replace(plan, ends=step.tables.calendar.days_after(mark.time, days))}


def _plan_completed(step: Step, _: Mark) -> Changes:
    return {"plan": replace(step.view.plan, in_force=False)} if step.view.plan else {}


def _service_requested(step: Step, mark: Mark) -> Changes:
    service = Service(step.ref, mark, step.source, step.to, open=True)
    return {
        "services": put(step.view.services, step.ref, service),
        "parts": parts_with(step.view.parts, step.to, f"service {step.ref}"),
    }


def _service_answered(step: Step, mark: Mark) -> Changes:
    """Record the answer to a service, which may also be given unasked. Declining a service gives no part."""
    kind = step.event.type
    service = step.service or Service(step.ref, mark, None, (), open=False)
    if kind != "service.scheduled":
        service = replace(service, open=False)
    changes: Changes = {"services": put(step.view.services, step.ref, service)}
    if kind == "service.not_delivered":
        changes["parts"] = parts_without(step.view.parts, (step.source,), f"service {step.ref}")
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
