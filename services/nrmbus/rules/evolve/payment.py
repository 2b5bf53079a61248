"""Payment: what an order and its execution make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from nrmbus.rules.changes import Changes, Folder, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.grants import paid_grant
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Payment


def _ordered(context: EventContext, mark: Mark) -> Changes:
    event = context.event
    amount = value(event, "amount")
    kind = value(event, "kind", "")
    effective = context.view.effective if kind == context.tables.profile.allowance.kind else None
    grant = paid_grant(context)
    payment = Payment(
        ref=context.ref,
        mark=mark,
        kind=kind,
        decision=value(event, "decision", effective),
        amount=getattr(amount, "value", ""),
        currency=getattr(amount, "currency", ""),
        grant=grant.ref if grant else None,
    )
    changes: Changes = {"payments": put(context.view.payments, context.ref, payment)}
    if grant is not None:
        changes["grants"] = put(context.view.grants, grant.ref, replace(grant, order=context.ref))
    return changes


def ordered_before(context: EventContext) -> Payment | None:
    """Return the order that an execution or failure is about: by cause or reference, or the latest of its kind and decision.

    A cause that is an order means that order or none.
    """
    kind, decision, ref = value(context.event, "kind"), value(context.event, "decision"), context.event.referral
    orders = [*context.view.payments.values()]
    named = [each for each in orders if each.mark.id == context.event.causationid]
    alike = [
        each
        for each in named or orders
        if each.kind == kind and decision in (None, each.decision) and ref in (None, each.ref)
    ]
    still = [each for each in alike if each.state == "ordered"]
    found = still or alike
    return found[-1] if found else None


def _paid(context: EventContext, mark: Mark) -> Changes:
    order = ordered_before(context)
    if order is None:
        return {}
    state: Literal["executed", "failed"] = "executed" if context.event.type == "payment.executed" else "failed"
    paid = replace(order, state=state, failed=mark if state == "failed" else None)
    changes: Changes = {"payments": put(context.view.payments, order.ref, paid)}
    if state == "failed":
        grants = context.view.grants
        unpaid = {ref: replace(each, order=None) if each.order == order.ref else each for ref, each in grants.items()}
        changes["grants"] = unpaid
    return changes


PAYMENT: Final[Mapping[str, Folder]] = {
    "payment.ordered": _ordered,
    "payment.executed": _paid,
    "payment.failed": _paid,
}
