"""Grants of money: the sums of their bands, and which grant an order of money pays."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.records import Grant

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


def paid_grant(context: EventContext) -> Grant | None:
    """Return the grant that an order of money pays, or None: the one of its reference or cause, else the oldest unpaid one.

    Compensation pays a grant of compensation, other assistance a grant for another purpose. An order that names a grant pays
    that one or none.
    """
    kind, event = value(context.event, "kind"), context.event
    if kind == context.tables.profile.allowance.kind:
        return None
    grants = [*context.view.grants.values()]
    named = [each for each in grants if each.ref == event.referral or each.mark.id == event.causationid]
    fitting = (
        each
        for each in named or grants
        if each.order is None and (each.purpose == COMPENSATION) == (kind == COMPENSATION)
    )
    return next(fitting, None)
