"""Events that an agency hears just before another event, since it could not read that one rightly without them.

They are standing consents with the refusals behind them, what a child refused once the child has grown up, the findings of age by
which a refusal bars or does not, the bar on embassies, and what a deciding body missed of the case.
Registrar and fold ask alike.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final

from nrmbus.rules.event_context import AGE_ASSESSED, CHILD_FLAGGED, SHARING, EventContext, receivers_of, value
from nrmbus.rules.records import Standing, lasts

EMBASSY_BARRED: Final = "stay.embassy_barred"
EMBASSY_BAR_LIFTED: Final = "stay.embassy_bar_lifted"
GIVEN: Final = "consent.given"
OVERRIDDEN: Final = "consent.overridden"
GRANTS = (GIVEN, OVERRIDDEN)
BARS: Final = ("consent.refused", "consent.withdrawn")
HEARD_FIRST: Final = frozenset({*GRANTS, *BARS, AGE_ASSESSED, CHILD_FLAGGED, EMBASSY_BARRED})
"""Types that `earlier` returns, beside what a deciding body missed: their envelopes are kept for agencies that come later."""
COURSE: Final = frozenset({"case.closed", "case.reopened", "case.signal_dismissed", "review.decided"})
"""Types by which others than the deciding body end its work on a case, or have it go on."""


def earlier(context: EventContext, recipients: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each recipient and the sender, what it must hear first: the person's words, the bar on embassies, the course of the case.

    A consent comes first for a recipient without an event or a part of the case that has not heard it. Such a consent was
    recorded when it did not concern the agency yet, or no more: after it deleted what it had, or was shut out. Without the
    consent its desk would keep shut what comes now; without the refusal that holds again after the consent, the desk would
    still open it then. So it would once a child is found to be an adult: the child's refusals come first with that finding.
    """
    found = _words_first(context, recipients)
    for agency, finding in _unaware_of_her_age(context, recipients, found):
        found[agency] = (finding, *found.get(agency, ()))
    for agency in _unaware_of_the_bar(context, recipients):
        found[agency] = (*found.get(agency, ()), str(context.view.embassy_bar))
    for agency in _let_in_again(context, recipients):
        found[agency] = (*found.get(agency, ()), *context.view.missed[agency])
    return {agency: found[agency] for agency in sorted(found)}


def _words_first(context: EventContext, recipients: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what she has said about recipients that have not heard it, and that need it to read this event or what follows."""
    view, turned = context.view, _TURNED.get(context.event.type)
    fresh = [agency for agency in recipients if not view.count_for(agency) or not view.on_case(agency)]
    if not view.consents or not (fresh or turned):
        return {}
    found: dict[str, set[tuple[bool, bool, int, str]]] = {}
    for receiver, purpose in view.consents:
        words = _of_a_newcomer(context, receiver, purpose) if receiver in fresh else ()
        if turned and receiver in recipients:
            words += turned(context, receiver, purpose)
        for each in words:
            paper = view.papers.get(each.id)
            if paper and not (view.count_for(receiver) and receiver in paper.known_to):
                # A withdrawal comes before all else: an agency that knows nothing yet has nothing to stop.
                first = (each.kind != "withdrawn", not each.bars, each.number, each.id)
                found.setdefault(receiver, set()).add(first)
    return {agency: tuple(each[-1] for each in sorted(found[agency])) for agency in found}


def _standing(context: EventContext, agency: str, purpose: str) -> tuple[Standing, ...]:
    """Return what stands about *agency* today, after the refusal or withdrawal that holds again when that is over."""
    found = context.standing(agency, purpose)
    return tuple(each for each in (found.before, found) if each) if found else ()


def _of_a_newcomer(context: EventContext, agency: str, purpose: str) -> tuple[Standing, ...]:
    """Return what covers an agency without an event or a part of the case.

    A child's refusal bars nobody, and waits for the finding of an adult (`_of_an_adult`): a desk that does not know yet of a
    child would take the refusal for an adult's.
    """
    found = _standing(context, agency, purpose)
    return () if found and found[-1].bars else found


def _behind_a_grant(context: EventContext, agency: str, purpose: str) -> tuple[Standing, ...]:
    """Return the refusal or withdrawal that holds again after this consent to *agency*, or this override."""
    holds_again = context.event.type == OVERRIDDEN or value(context.event, "expires") is not None
    if not holds_again or agency not in receivers_of(context.event):
        return ()
    return tuple(each for each in _standing(context, agency, purpose) if each.bars)


def _of_an_adult(context: EventContext, agency: str, purpose: str) -> tuple[Standing, ...]:
    """Return all that holds about *agency* once this assessment finds that the person is an adult."""
    return () if context.finds_child else _standing(context, agency, purpose)


_TURNED: Final[Mapping[str, Callable[[EventContext, str, str], tuple[Standing, ...]]]] = {
    GIVEN: _behind_a_grant, OVERRIDDEN: _behind_a_grant, AGE_ASSESSED: _of_an_adult,
}  # fmt: skip
"""Types after which another word of hers may hold, also for an agency that is on the case already."""


def _unaware_of_her_age(
    context: EventContext, recipients: Iterable[str], words: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, str]]:
    """Return the agencies that would read a word against them, of now or of *words*, by another age, each with the finding that tells the age.

    An adult's word would be read as a child's, which bars nobody, or a child's as an adult's.
    """
    view, event = context.view, context.event
    against = receivers_of(event) if event.type in BARS else ()
    if view.grown_up is not None:
        unaware = [agency for agency in recipients if agency not in view.grown_up_known]
        knowing = [agency for agency in unaware if view.count_for(agency) and (agency in against or agency in words)]
        misled = [agency for agency in unaware if context.says_child and agency not in view.ages]
        return [(agency, view.grown_up) for agency in dict.fromkeys((*knowing, *misled))]
    if view.found_child is None or event.type in (AGE_ASSESSED, CHILD_FLAGGED):
        return []
    unaware = [agency for agency in recipients if not view.ages.get(agency, context.says_child)]
    barred = [agency for agency in unaware if agency in against or hears_bar(context, agency, words.get(agency, ()))]
    return [(agency, view.found_child) for agency in barred]


def hears_bar(context: EventContext, agency: str, words: Container[str] = ()) -> bool:
    """Return whether a refusal or withdrawal about *agency* holds, or holds again later, that it has heard or hears among *words*."""
    bar = next((each for each in _standing(context, agency, SHARING) if each.bars), None)
    paper = context.view.papers.get(bar.id) if bar else None
    return bar is not None and (bar.id in words or (paper is not None and agency in paper.known_to))


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
    if context.shut_out(agency) and context.event.type == OVERRIDDEN:
        return False
    if not lasts(value(context.event, "expires"), context.today):
        return False
    return context.event.type == OVERRIDDEN or SHARING in value(context.event, "purposes", ())
