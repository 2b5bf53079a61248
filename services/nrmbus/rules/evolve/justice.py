"""Justice: what proceedings, verdicts and grants of money make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put, put_last
from nrmbus.rules.event_context import COURT, EventContext, value
from nrmbus.rules.grants import COMPENSATION
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Grant, Proceedings


def _opened(context: EventContext, mark: Mark) -> Changes:
    """Open the proceedings; who opened them and the court that hears them have a part."""
    court = value(context.event, "court")
    if context.roles.of(court) != COURT:
        court = context.source if context.role == COURT else None
    found = Proceedings(context.ref, mark, court, heard_by(context) | ({court} if court else set()))
    told = [agency for agency in context.recipients if agency == court]
    return {
        "proceedings": put_last(context.view.proceedings, context.ref, found),
        "parts": parts_with(context.view.parts, (context.source, *told), f"proceedings {context.ref}"),
    }


def _decided(context: EventContext, _: Mark) -> Changes:
    found = context.proceedings
    if found is None:
        return {}
    over = replace(found, outcome=value(context.event, "outcome", "other"))
    return {"proceedings": put(context.view.proceedings, found.ref, over)}


def _granted(context: EventContext, mark: Mark) -> Changes:
    """Record the grant; the fund that pays it has a part, and so has who granted it.

    Compensation takes the place of compensation that the fund granted before and did not order, so that no harm is made
    good twice. What a court granted stands beside it: two claims are two sums.
    """
    purpose = value(context.event, "purpose", "")
    band, source = value(context.event, "amount_band"), value(context.event, "source", "")
    grant = Grant(context.ref, mark, purpose, heard_by(context), band=band, source=source)
    before = {ref: each for ref, each in context.view.grants.items() if not _takes_place_of(context, purpose, each)}
    funds = [agency for agency in context.recipients if context.roles.of(agency) == "fund"]
    return {
        "grants": put(before, context.ref, grant),
        "parts": parts_with(context.view.parts, (context.source, *funds), f"grant {context.ref}"),
    }


def _takes_place_of(context: EventContext, purpose: str, other: Grant) -> bool:
    by_fund = context.roles.of(other.mark.source) != COURT
    return purpose == other.purpose == COMPENSATION and by_fund and other.order is None


JUSTICE: Final[Mapping[str, Folder]] = {
    "justice.case_opened": _opened,
    "justice.verdict_recorded": _decided,
    "fund.compensation_granted": _granted,
}
