"""Consent: folds of statements of consent, and of the stops that their end requests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, put
from nrmbus.rules.duties import left_by
from nrmbus.rules.event_context import SHARING, EventContext, receivers_of, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Paper, Standing, Stop, lasts

PURPOSES = ("services", "information_sharing", "anonymous_reporting", "tracing")


def _behind(held: Standing | None) -> Standing | None:
    """Return the refusal or withdrawal that *held* is, or has behind it; None if there is none."""
    return held if held is None or held.bars else held.before


def _consent(context: EventContext, mark: Mark) -> Changes:
    kind = context.event.type.removeprefix("consent.")
    consents, papers = dict(context.view.consents), context.view.papers
    purposes = PURPOSES if kind == "overridden" else value(context.event, "purposes", ())
    last_day, today = value(context.event, "expires"), context.tables.calendar.day(mark.registered)
    still_holds = lasts(last_day, today)  # else it was typed after its last day: it is on record, and replaces nothing
    for receiver in receivers_of(context.event):
        for purpose in purposes if still_holds else ():
            standing = consents.get((receiver, purpose))
            if standing is None or standing.number < mark.number:
                is_own, held = context.source == receiver, standing.on(today) if standing else None
                consents[receiver, purpose] = Standing(
                    kind=kind,  # type: ignore[arg-type]  # one of the four, by the types this folds
                    id=mark.id,
                    number=mark.number,
                    last_day=last_day,
                    against=held is not None and held.against if is_own else kind in ("refused", "withdrawn"),
                    before=_behind(held) if last_day or kind == "overridden" else None,
                )
        papers = papers.put(
            mark.id, Paper(context.source, receiver, kind in ("given", "overridden"), heard_by(context))
        )
    changes: Changes = {"consents": consents, "papers": papers}
    lets_in = still_holds and kind == "given" and SHARING in purposes
    return {**changes, **(_let_in(context, for_good=last_day is None) if lets_in else {})}


def _let_in(context: EventContext, *, for_good: bool) -> Changes:
    """Return the changes for receivers whose access was ended: each is in again, *for_good* or as long as the consent stands."""
    view = context.view
    ended = {**view.let_in, **view.revoked}
    back = ended.keys() & receivers_of(context.event)
    if not back:
        return {}
    let_in = {agency: by for agency, by in view.let_in.items() if agency not in back}
    let_in |= {} if for_good else {agency: ended[agency] for agency in back}
    return {"revoked": {agency: by for agency, by in view.revoked.items() if agency not in back}, "let_in": let_in}


def _consent_withdrawn(context: EventContext, mark: Mark) -> Changes:
    stops = {receiver: _stop(context, mark, receiver) for receiver in receivers_of(context.event)}
    return {**_consent(context, mark), "stops": {**context.view.stops, **stops}}


def _stop(context: EventContext, mark: Mark, receiver: str) -> Stop:
    """Return the stop that *receiver* has to confirm, to everybody who waits for it or knows only that data were retained."""
    before = context.view.stops.get(receiver)
    recorders = before.recorders if before is not None and before.answer != "deleted" else ()
    return Stop(mark, tuple(dict.fromkeys((*recorders, mark.source))))


def _stop_confirmed(context: EventContext, mark: Mark) -> Changes:
    """Deletion ends every part of the agency, and what waited for it alone; a duty to retain ends nothing."""
    changes: Changes = {}
    stop = context.view.stops.get(context.source)
    if stop:
        answered = replace(stop, open=False, answer=value(context.event, "answer"))
        changes["stops"] = put(context.view.stops, context.source, answered)
    if context.deletes:
        changes |= left_by(context, mark, context.source)
    return changes


def _revoked(context: EventContext, mark: Mark) -> Changes:
    """End every part of the agency at once; it owes an answer as after a withdrawal."""
    changes: Changes = {}
    for agency in receivers_of(context.event):
        changes |= left_by(context, mark, agency)
        changes["stops"] = {**context.view.stops, agency: _stop(context, mark, agency)}
        changes["revoked"] = {**context.view.revoked, agency: mark.id}
        changes["let_in"] = {each: by for each, by in context.view.let_in.items() if each != agency}
    return changes


CONSENT: Final[Mapping[str, Folder]] = {
    "consent.given": _consent,
    "consent.refused": _consent,
    "consent.overridden": _consent,
    "consent.withdrawn": _consent_withdrawn,
    "consent.stop_confirmed": _stop_confirmed,
    "access.revoked": _revoked,
}
