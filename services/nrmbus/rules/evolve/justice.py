"""Justice: what proceedings, verdicts and grants of money make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put, put_last
from nrmbus.rules.event_context import COURT, EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Grant, Proceedings


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
    """Record the grant; the fund that pays it has a part, and so has who granted it."""
    grant = Grant(context.ref, mark, value(context.event, "purpose", ""), heard_by(context))
    funds = [agency for agency in context.recipients if context.roles.of(agency) == "fund"]
    return {
        "grants": put(context.view.grants, context.ref, grant),
        "parts": parts_with(context.view.parts, (context.source, *funds), f"grant {context.ref}"),
    }


JUSTICE: Final[Mapping[str, Folder]] = {
    "justice.case_opened": _opened,
    "justice.verdict_recorded": _decided,
    "fund.compensation_granted": _granted,
}
