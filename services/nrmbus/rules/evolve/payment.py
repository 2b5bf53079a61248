"""Payment: what an order and its execution make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from nrmbus.rules.changes import Changes, Folder, put
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Payment


def _ordered(step: Step, mark: Mark) -> Changes:
    event = step.event
    amount = value(event, "amount")
    kind = value(event, "kind", "")
    effective = step.view.effective if kind == step.tables.profile.allowance.kind else None
    payment = Payment(
        ref=step.ref,
        mark=mark,
        kind=kind,
        decision=value(event, "decision", effective),
        amount=getattr(amount, "value", ""),
        currency=getattr(amount, "currency", ""),
    )
    return {"payments": put(step.view.payments, step.ref, payment)}


def ordered_before(step: Step) -> Payment | None:
    """Return the order that an execution or failure is about: by reference, or the latest of its kind and decision."""
    kind, decision, ref = value(step.event, "kind"), value(step.event, "decision"), step.event.referral
    alike = [
        each
        for each in step.view.payments.values()
        if each.kind == kind and decision in (None, each.decision) and ref in (None, each.ref)
    ]
    still = [each for each in alike if each.state == "ordered"]
    found = still or alike
    return found[-1] if found else None


def _paid(step: Step, _: Mark) -> Changes:
    order = ordered_before(step)
    if order is None:
        return {}
    state: Literal["executed", "failed"] = "executed" if step.event.type == "payment.executed" else "failed"
    return {"payments": put(step.view.payments, order.ref, replace(order, state=state))}


PAYMENT: Final[Mapping[str, Folder]] = {
    "payment.ordered": _ordered,
    "payment.executed": _paid,
    "payment.failed": _paid,
}
