"""Events that an agency hears just before another event, since it could not read that one rightly without them.

They are standing consents with the refusals behind them, the bar on embassies, and what a deciding body missed of the case.
Registrar and fold ask alike.
"""

from collections.abc import Iterable
from typing import Final

from nrmbus.rules.event_context import SHARING, EventContext, receivers_of, value
from nrmbus.rules.records import lasts

EMBASSY_BARRED: Final = "stay.embassy_barred"
EMBASSY_BAR_LIFTED: Final = "stay.embassy_bar_lifted"
GRANTS = ("consent.given", "consent.overridden")
COURSE: Final = frozenset({"case.closed", "case.reopened", "case.signal_dismissed", "review.decided"})
"""Types by which others than the deciding body end its work on a case, or have it go on."""


def earlier(context: EventContext, recipients: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each recipient and the sender, what it must hear first: standing consents, the bar on embassies, the course of the case.

    A consent comes first for a recipient without an event or a part of the case that has not heard it. Such a consent was
    recorded when it did not concern the agency yet, or no more: after it deleted what it had, or was shut out. Without the
    consent its desk would keep shut what comes now; without the refusal that holds again after the consent, the desk would
    still open it then.
    """
    found = _consents_first(context, recipients)
    for agency in _unaware_of_the_bar(context, recipients):
        found[agency] = (*found.get(agency, ()), str(context.view.embassy_bar))
    for agency in _let_in_again(context, recipients):
        found[agency] = (*found.get(agency, ()), *context.view.missed[agency])
    return {agency: found[agency] for agency in sorted(found)}


def _consents_first(context: EventContext, recipients: Iterable[str]) -> dict[str, tuple[str, ...]]:
    view = context.view
    fresh = [agency for agency in recipients if not view.count_for(agency) or not view.on_case(agency)]
    if not fresh or not view.consents:
        return {}
    found: dict[str, set[tuple[bool, int, str]]] = {}
    for receiver, purpose in view.consents:
        standing = context.standing(receiver, purpose) if receiver in fresh else None
        if standing and not standing.bars:
            for each in (standing.before, standing):
                paper = view.papers.get(each.id) if each else None
                if each and paper and not (view.count_for(receiver) and receiver in paper.known_to):
                    # A withdrawal comes before all else: an agency that knows nothing yet has nothing to stop.
                    found.setdefault(receiver, set()).add((not each.bars, each.number, each.id))
    return {agency: tuple(each for _, _, each in sorted(found[agency])) for agency in found}


def _unaware_of_the_bar(context: EventContext, recipients: Iterable[str]) -> Iterable[str]:
    """Yield the helpers of returns that came after the bar on embassies: they would ask an embassy for travel papers."""
    is_about_it = context.event.type in (EMBASSY_BARRED, EMBASSY_BAR_LIFTED)
    if context.view.embassy_bar is None or is_about_it or type(context.event.data).technical:
        return
    for agency in recipients:
        helps = context.in_group(agency, "RETURN_HELPERS") and not context.barred(agency)
        if helps and agency not in context.view.bar_known:
            yield agency


def _let_in_again(context: EventContext, recipients: Iterable[str]) -> Iterable[str]:
    """Yield the deciding bodies that the person refuses no longer and that missed something: they owe by it, or owe no more.

    One that lets itself in, by an override or since it finds a child, hears of it just before the receipt of its event.
    """
    if not context.view.missed or type(context.event.data).technical:
        return
    for agency in (*recipients, context.source):
        if agency in context.view.missed and (not context.barred(agency) or granted_to(context, agency)):
            yield agency


def missing(context: EventContext, recipients: Iterable[str]) -> list[str]:
    """Return the deciding bodies with a part that hear nothing of this course of the case, since the person refuses them."""
    if context.event.type not in COURSE:
        return []
    told = {context.source, *recipients}
    return [each for each in context.units if context.view.on_case(each) and context.barred(each) and each not in told]


def granted_to(context: EventContext, agency: str) -> bool:
    """Return whether the event is itself the consent that lets this agency be told again."""
    if context.event.type not in GRANTS or agency not in receivers_of(context.event) or context.embassy_barred(agency):
        return False
    if agency in context.view.revoked and context.event.type == "consent.overridden":
        return False
    if not lasts(value(context.event, "expires"), context.today):
        return False
    return context.event.type == "consent.overridden" or SHARING in value(context.event, "purposes", ())
