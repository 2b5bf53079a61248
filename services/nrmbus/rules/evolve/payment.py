"""Payment: what an order and its execution make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, Literal

from nrmbus.rules.changes import Changes, Folder, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Grant, Payment

COMPENSATION: Final = "compensation"
"""A kind of payment, and a purpose of a grant."""


_BANDS: Final[Mapping[str, tuple[Decimal, Decimal]]] = {
    "up_to_1000": (Decimal(0), Decimal(1000)),
    "1000_to_5000": (Decimal(1000), Decimal(5000)),
    "5000_to_20000": (Decimal(5000), Decimal(20_000)),
    "over_20000": (Decimal(20_000), Decimal("Infinity")),
}
"""Least and greatest sum of each band of a grant, both within it."""


def in_band(sum_: str, band: str | None) -> bool:
    """Return whether a sum of money lies within *band*; an unknown band bounds nothing."""
    least, greatest = _BANDS.get(band or "", (Decimal(0), Decimal("Infinity")))
    return least <= Decimal(sum_) <= greatest


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


def paid_grant(context: EventContext) -> Grant | None:
    """Return the grant that an order of money pays, or None: the one of its reference or cause, else the oldest unpaid one.

    Compensation pays a grant of compensation, other assistance a grant for another purpose.
    """
    kind, event = value(context.event, "kind"), context.event
    if kind == context.tables.profile.allowance.kind:
        return None
    fitting = [
        each
        for each in context.view.grants.values()
        if each.order is None and (each.purpose == COMPENSATION) == (kind == COMPENSATION)
    ]
    meant = [each for each in fitting if each.ref == event.referral or each.mark.id == event.causationid]
    return next(iter((*meant, *fitting)), None)


def ordered_before(context: EventContext) -> Payment | None:
    """Return the order that an execution or failure is about: by reference, or the latest of its kind and decision."""
    kind, decision, ref = value(context.event, "kind"), value(context.event, "decision"), context.event.referral
    alike = [
        each
        for each in context.view.payments.values()
        if each.kind == kind and decision in (None, each.decision) and ref in (None, each.ref)
    ]
    still = [each for each in alike if each.state == "ordered"]
    found = still or alike
    return found[-1] if found else None


def _paid(context: EventContext, _: Mark) -> Changes:
    order = ordered_before(context)
    if order is None:
        return {}
    state: Literal["executed", "failed"] = "executed" if context.event.type == "payment.executed" else "failed"
    changes: Changes = {"payments": put(context.view.payments, order.ref, replace(order, state=state))}
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
