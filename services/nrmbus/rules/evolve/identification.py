"""Identification: what its stages, decisions and reviews make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Decision, Review

COMPLAINT: Final = "complaint_to_superior"


def _stage(context: EventContext, _: Mark) -> Changes:
    stages = context.tables.profile.statuses.stages
    stage = value(context.event, "stage")
    reached = max(context.view.stage, stages.index(stage) + 1 if stage in stages else 0)
    return {"stage": reached, "begun_by": context.view.begun_by or context.source}


def _decided(context: EventContext, mark: Mark) -> Changes:
    kind = context.event.type.removeprefix("identification.")
    positive = value(context.event, "status" if kind == "status_decided" else "outcome")
    victim = kind == "status_decided" and positive in context.tables.profile.statuses.victim
    negative = not victim and positive != "positive"
    decision = Decision(
        mark=mark,
        victim=victim,
        negative=negative,
        review_days=value(context.event, "review_until_days", 0),
        known_to=heard_by(context),
        on_status=kind != "reasonable_grounds_decided",
    )
    changes: Changes = {
        "decisions": put(context.view.decisions, mark.id, decision),
        "negative": mark.id if negative else None,
    }
    if decision.on_status:
        changes["effective"] = mark.id if victim else None
    return changes


def _review_requested(context: EventContext, mark: Mark) -> Changes:
    """Open the review; the body that decides it gets a part, even after having deleted its data."""
    complaint = value(context.event, "kind") == COMPLAINT
    review = Review(context.ref, mark, context.review_role, heard_by(context), complaint=complaint)
    asked = [agency for agency in context.recipients if context.decides_review(agency, context.review_role)]
    return {
        "reviews": put(context.view.reviews, context.ref, review),
        "parts": parts_with(context.view.parts, asked, f"review {context.ref}"),
    }


def _review_decided(context: EventContext, _: Mark) -> Changes:
    changes: Changes = {}
    if context.review:
        changes["reviews"] = put(context.view.reviews, context.ref, replace(context.review, open=False))
    if value(context.event, "outcome") == "reopen" and context.view.status in ("NOT_IDENTIFIED", None):
        changes["negative"] = None
    return changes


IDENTIFICATION: Final[Mapping[str, Folder]] = {
    "identification.stage_entered": _stage,
    "identification.indicators_screened": lambda _, __: {"screened": True},
    "identification.reasonable_grounds_decided": _decided,
    "identification.status_decided": _decided,
    "identification.status_revoked": _decided,
    "review.requested": _review_requested,
    "review.decided": _review_decided,
}
