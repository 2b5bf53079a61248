"""Case: folds of opening, updating and closing events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, parts_with, parts_without
from nrmbus.rules.conditions import holds
from nrmbus.rules.duties import stopped
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Closing, Review, Service


def _opened(context: EventContext, mark: Mark) -> Changes:
    parts = parts_with(context.view.parts, (context.source,), "detector")
    return {
        "opened": mark,
        "group": context.event.incident,
        "child": value(context.event, "child", context.view.child),
        "abroad": value(context.event, "detected_abroad", context.view.abroad),
        "parts": parts_with(parts, [each for each in context.recipients if context.is_unit(each)], "signal"),
    }


def _incident(context: EventContext, _: Mark) -> Changes:
    return {"incident": True, "parts": parts_with(context.view.parts, (context.source,), "detector")}


def _closed(context: EventContext, mark: Mark) -> Changes:
    view, follow_up = context.view, value(context.event, "follow_up", default=False) is True
    ended = stopped(context.tables, view, "CLOSED")
    return {"closing": Closing(mark, view.status, follow_up, told=context.recipients, stopped=ended)}


def _merged(context: EventContext, mark: Mark) -> Changes:
    """Close the case that ends; in the one that continues, the deciding body has a part, since it owes the person a question."""
    if holds("merge_ends", context):
        return _closed(context, mark)
    return {"parts": parts_with(context.view.parts, (context.source,), "merge")}


def _reminded(context: EventContext, _: Mark) -> Changes:
    closing = context.view.closing
    if closing is None:
        return {}
    return {"closing": replace(closing, said=closing.said | {value(context.event, "month", 0)})}


def _withdrawn(context: EventContext, _: Mark) -> Changes:
    """Open referrals expire at once; what was asked for and may no more be answered is open no more either."""
    view, parts = context.view, context.view.parts
    referrals = dict(view.referrals)
    for ref, referral in view.referrals.items():
        if not referral.open:
            continue
        ended = [party.agency for party in referral.receivers if party.state == "submitted"]
        receivers = tuple(
            replace(party, state="expired") if party.state == "submitted" else party for party in referral.receivers
        )
        referrals[ref] = replace(referral, receivers=receivers)
        if not referrals[ref].stands:
            ended.append(referral.sender)
        parts = parts_without(parts, ended, f"referral {ref}")
    services: Mapping[str, Service] = {ref: replace(each, open=False) for ref, each in view.services.items()}
    reviews: Mapping[str, Review] = {ref: replace(each, open=False) for ref, each in view.reviews.items()}
    changes: Changes = {"referrals": referrals, "services": services, "reviews": reviews}
    if view.returning is not None and view.returning.open:
        parts = parts_without(parts, view.returning.helpers, "return")
        changes["returning"] = replace(view.returning, step="stopped")
    return {**changes, "parts": parts}


def _reopened(context: EventContext, _: Mark) -> Changes:
    """Let the case go on; what the person allowed before the closing lapses, unless the case was closed in error.

    A refusal or withdrawal stands until the person says otherwise, also one that a consent had replaced for some days, or an
    override.
    """
    view = context.view
    changes: Changes = {"closing": None} if view.closing else {}
    if value(context.event, "reason") != "closed_in_error":
        bars = {about: each if each.bars else each.before for about, each in view.consents.items()}
        changes["consents"] = {about: each for about, each in bars.items() if each}
    return changes


CASE: Final[Mapping[str, Folder]] = {
    "case.signal_recorded": _opened,
    "case.re_referred": _opened,
    "incident.opened": _incident,
    "case.signal_dismissed": _closed,
    "case.closed": _closed,
    "case.reopened": _reopened,
    "case.follow_up_due": _reminded,
    "case.merged": _merged,
    "case.withdrawn": _withdrawn,
}
