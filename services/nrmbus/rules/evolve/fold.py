"""Fold of events into a view: total, pure, and correct on a partial history.

The fold never checks whether an event was allowed, since it was registered. References to missing records are ignored.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.model import Fact
from nrmbus.rules.changes import Changes, Folder, parts_with
from nrmbus.rules.conditions import holds
from nrmbus.rules.duties import ERASED, as_of, resumed, settled
from nrmbus.rules.earlier import EMBASSY_BARRED, earlier, missing
from nrmbus.rules.event_context import AGE_ASSESSED, CHILD_FLAGGED, REFERRED, EventContext
from nrmbus.rules.evolve.bulletin import announced
from nrmbus.rules.evolve.case import CASE
from nrmbus.rules.evolve.consent import CONSENT
from nrmbus.rules.evolve.document import DOCUMENT
from nrmbus.rules.evolve.emergency import EMERGENCY
from nrmbus.rules.evolve.erasure import DUE, ERASURE, ends_keeping, over
from nrmbus.rules.evolve.identification import IDENTIFICATION
from nrmbus.rules.evolve.justice import JUSTICE
from nrmbus.rules.evolve.payment import PAYMENT
from nrmbus.rules.evolve.referral import REFERRAL
from nrmbus.rules.evolve.returns import RETURNS
from nrmbus.rules.evolve.safeguard import SAFEGUARD
from nrmbus.rules.evolve.shelter import SHELTER
from nrmbus.rules.evolve.stay import STAY
from nrmbus.rules.evolve.support import SUPPORT
from nrmbus.rules.mark import Mark
from nrmbus.rules.persistent_map import PersistentMap
from nrmbus.rules.records import Letters, Paper, Status
from nrmbus.rules.running import advance, ended, surviving
from nrmbus.rules.view import View

FOLDERS: Mapping[str, Folder] = {
    **CASE,
    **CONSENT,
    **SAFEGUARD,
    **IDENTIFICATION,
    **REFERRAL,
    **SHELTER,
    **SUPPORT,
    **PAYMENT,
    **JUSTICE,
    **STAY,
    **RETURNS,
    **ERASURE,
    **EMERGENCY,
    **DOCUMENT,
}
TOLD = frozenset({"vac", "fund"})
DECIDED_ANEW = frozenset(
    {
        "identification.reasonable_grounds_decided",
        "identification.status_decided",
        "identification.status_revoked",
    }
)
"""Types that decide anew: what an agency missed of the course of the case before is over."""
TELLING = DECIDED_ANEW | {"justice.verdict_recorded"}
"""Types that reach an assistance centre or the fund by consent alone, and so make it a part of the case."""
READING = frozenset({"access.granted"})
"""Types that record a reading: the case stays as it is, and a reading does not create a case."""
FIRST_OF_ALL = frozenset({AGE_ASSESSED, CHILD_FLAGGED, "consent.withdrawn"})
"""Types that a newcomer may hear before a withdrawal that comes first, by the order of `nrmbus.rules.earlier`."""
REOPENED = "case.reopened"
MISSED_AT_MOST = 16
"""Missed events that are kept for an agency: those of 64 agencies fit into one audience."""
ENDING = frozenset({"case.closed", "case.signal_dismissed", "case.withdrawn"})


def evolve_view(context: EventContext, fact: Fact) -> View:
    """Return the view after *fact*. Never raises; *context* is the fact's event on the view before."""
    event = context.event
    mark = context.mark(fact.registered, fact.number)
    if ends_keeping(event):
        return over(context, mark)
    if event.type in READING:
        return replace(context.view, classes=_classes(context)) if context.view.exists else context.view
    if context.about_no_case:
        return context.view.changed(announced(context, mark) | _heard(context, fact, context.view.papers))
    status = _status(context)
    running = advance(context, mark)
    if (event.type in ENDING or holds("merge_ends", context)) and status is not None:
        running = surviving(context.tables, running, status)
    elif event.type == DUE:  # who is to erase the file is not asked to work by it
        running = surviving(context.tables, running, ERASED)
    elif event.type == REOPENED:
        running += resumed(context, mark)
    changes: Changes = {"status": status, "running": running, "exists": True, "classes": _classes(context)}
    changes["newest"] = _newest(context, mark)
    folder = FOLDERS.get(event.type)
    if folder is not None:
        changes |= folder(context, mark)
    closing = changes.get("closing", context.view.closing)
    if context.view.closing is not None and closing is not None and context.tables.ends.get(event.type):
        # Duties settled while the case is closed do not come back when it is re-opened.
        changes["closing"] = replace(closing, stopped=ended(context, closing.stopped))
    papers = changes.get("papers", context.view.papers)
    changes |= (_heard_first if type(event.data).technical else _heard)(context, fact, papers)
    if event.type in TELLING:
        parts: Mapping[str, frozenset[str]] = changes.get("parts", context.view.parts)
        told = [agency for agency in fact.recipients if context.roles.of(agency) in TOLD]
        changes["parts"] = parts_with(parts, told, "told")
    if event.sealeddigest is not None:
        changes["letters"] = context.view.letters.put(event.id, Letters(event.source, fact.recipients))
    view = _when_registered(context, context.view.changed(changes), mark)
    return settled(context.tables, context.roles, view, mark.registered)


def _when_registered(context: EventContext, view: View, mark: Mark) -> View:
    """Return *view* as it is at the registration of the event: a breach is folded at its own time, which may lie days before."""
    if context.event.type != DeadlineBreached.type:
        return view
    return as_of(context.tables, context.roles, view, mark.registered)


def _newest(context: EventContext, mark: Mark) -> int | None:
    """Return the number of the latest event of the view and this one; None while a newcomer hears only what comes before its first event.

    Of `FIRST_OF_ALL`, the flag of a child alone reaches newcomers in its turn: the bodies in its ``to``.
    """
    newest = context.view.newest
    if newest is None and context.event.type in FIRST_OF_ALL and not {*context.recipients} <= {*context.to}:
        return None
    return max(mark.number, newest or 0)


def _classes(context: EventContext) -> frozenset[str]:
    known, found = context.view.classes, context.tables.classes.get(context.event.type)
    return known if found is None or found in known else known | {found}


def _status(context: EventContext) -> Status | None:
    """Return the status by section 2; without earlier events, by the event alone."""
    before = context.view.status
    for row in context.tables.transitions.get(context.event.type, ()):
        if row.to is None or not holds(row.when, context):
            continue
        if row.moves_only and before is not None and before not in row.from_:
            continue
        return _before(context) if row.to == "before" else row.to
    return before


def _before(context: EventContext) -> Status | None:
    """Return the status before the closing or the ended referral; a re-opening is always about the closing."""
    if context.event.type != REOPENED and context.referral:
        return context.referral.before
    return context.view.closing.before if context.view.closing else context.view.status


def _heard(context: EventContext, fact: Fact, papers: PersistentMap[Paper]) -> dict[str, Any]:
    """Return the agencies' event counts, what reached a recipient just before this event, and who knows of a bar or the person's age, or missed something.

    *papers* are those after the event: it may itself be the consent with which an agency hears what was before.
    """
    view = context.view
    before = earlier(context, fact.recipients)
    found = _noted(context, before, papers)
    counts = dict(found.get("counts", view.counts))
    for agency in (context.source, *fact.recipients):
        counts[agency] = counts.get(agency, 0) + 1
    found["counts"] = counts
    if context.event.type == EMBASSY_BARRED:
        found["bar_known"] = frozenset({context.source, *fact.recipients})
    if context.event.type == AGE_ASSESSED:
        known = view.grown_up_known if view.child is False else frozenset[str]()
        found["grown_up_known"] = known | {context.source, *fact.recipients}
    found |= _ages(context, fact, found.get("ages", view.ages))
    over = {*before, *(view.missed if context.event.type in DECIDED_ANEW else ())}
    missed = {agency: ids for agency, ids in view.missed.items() if agency not in over}
    unaware = missing(context, fact.recipients)
    if context.event.type == REOPENED and view.closing is not None:
        # For the source and for an agency that missed many, the closing is over; the decision of a court before it is not.
        closing = view.closing.mark.id
        full = [each for each in unaware if len(ids := missed.get(each, ())) >= MISSED_AT_MOST and closing in ids]
        for agency in {context.source, *full} & missed.keys():
            left = tuple(each for each in missed.pop(agency) if each != closing)
            missed |= {agency: left} if left else {}
        unaware = [each for each in unaware if each not in full]
    missed |= {agency: (*missed.get(agency, ()), context.event.id)[-MISSED_AT_MOST:] for agency in unaware}
    if missed != view.missed:
        found["missed"] = missed
    return found


def _ages(context: EventContext, fact: Fact, ages: Mapping[str, bool]) -> dict[str, Any]:
    """Return the changes of *ages* by the event: a referral says the age to those alone that were told nothing of it."""
    said = context.age_said
    if said is None:
        return {}
    told = dict.fromkeys((context.source, *fact.recipients), said)
    return {"ages": {**told, **ages} if context.event.type == REFERRED else {**ages, **told}}


def _heard_first(context: EventContext, fact: Fact, papers: PersistentMap[Paper]) -> dict[str, Any]:
    """Return what reached a recipient just before this technical event, which is not counted itself."""
    return _noted(context, earlier(context, fact.recipients), papers)


def _noted(
    context: EventContext, before: Mapping[str, tuple[str, ...]], papers: PersistentMap[Paper]
) -> dict[str, Any]:
    """Return the changes by the events that each agency in *before* heard: counts, *papers*, the bar and the person's age."""
    if not before:
        return {}
    view, counts = context.view, dict(context.view.counts)
    for agency, ids in before.items():
        counts[agency] = counts.get(agency, 0) + len(ids)
        for each in ids:
            paper = papers.get(each)
            if paper:
                papers = papers.put(each, replace(paper, known_to=paper.known_to | {agency}))
    told = frozenset(agency for agency, ids in before.items() if view.embassy_bar in ids)
    grown = frozenset(agency for agency, ids in before.items() if view.grown_up in ids)
    children = dict.fromkeys((agency for agency, ids in before.items() if view.found_child in ids), True)
    return {
        "counts": counts, "papers": papers, "bar_known": view.bar_known | told, "grown_up_known": view.grown_up_known | grown,
        "ages": {**view.ages, **dict.fromkeys(grown, False), **children},
    }  # fmt: skip
