"""Payments that came back: which of them were ordered again. Pure."""

from collections.abc import Collection
from typing import Final

from nrmbus.rules.records import Payment

ALLOWANCE: Final = "one_time_allowance"


def ordered_again(payments: Collection[Payment]) -> frozenset[str]:
    """Return the references of the payments that came back and were ordered once more afterwards.

    A later order stands for one payment, the one that came back first: two equal sums that came back need two orders.
    """
    found = set[str]()
    for order in sorted(payments, key=lambda each: each.mark.number):
        back = sorted(
            (each.failed.number, each.ref)
            for each in payments
            if each.failed is not None and each.failed.number < order.mark.number and _is_same_money(each, order)
        )
        found.update([ref for _, ref in back if ref not in found][:1])
    return frozenset(found)


def _is_same_money(payment: Payment, later: Payment) -> bool:
    """Return whether *later* may order the money of *payment* again: that of the grant, the allowance, or else the same sum."""
    if (payment.kind, payment.decision, payment.grant) != (later.kind, later.decision, later.grant):
        return False
    is_one = payment.grant is not None or payment.kind == ALLOWANCE
    return is_one or (payment.amount, payment.currency) == (later.amount, later.currency)
