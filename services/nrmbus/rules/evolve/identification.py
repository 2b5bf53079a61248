"""Identification: what its stages, decisions and reviews make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, put
from nrmbus.rules.event_context import Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Decision, Review


def _stage(step: Step, _: Mark) -> Changes:
    stages = step.tables.profile.statuses.stages
    stage = value(step.event, "stage")
    return {"stage": max(step.view.stage, stages.index(stage) + 1 if stage in stages else 0)}


def _screened(_: Step, __: Mark) -> Changes:
    return {"screened": True}


def _decided(step: Step, mark: Mark) -> Changes:
    kind = step.event.type.removeprefix("identification.")
    positive = value(step.event, "status" if kind == "status_decided" else "outcome")
    victim = kind == "status_decided" and positive in step.tables.profile.statuses.victim
    negative = not victim and positive != "positive"
    decision = Decision(
        mark=mark,
        victim=victim,
        negative=negative,
        review_days=value(step.event, "review_until_days", 0),
        known_to=heard_by(step),
    )
    changes: Changes = {
        "decisions": put(step.view.decisions, mark.id, decision),
        "negative": mark.id if negative else None,
    }
    if kind != "reasonable_grounds_decided":
        changes["effective"] = mark.id if victim else None
    return changes


def _review_requested(step: Step, mark: Mark) -> Changes:
    """Open the review; the body that decides it gets a part, even after having deleted its data."""
    review = Review(step.ref, mark, step.review_role, heard_by(step))
    asked = [agency for agency in step.recipients if step.roles.of(agency) == step.review_role]
    return {
        "reviews": put(step.view.reviews, step.ref, review),
        "parts": parts_with(step.view.parts, asked, f"review {step.ref}"),
    }


def _review_decided(step: Step, _: Mark) -> Changes:
    changes: Changes = {}
    if step.review:
        changes["reviews"] = put(step.view.reviews, step.ref, replace(step.review, open=False))
    if value(step.event, "outcome") == "reopen" and step.view.status in ("NOT_IDENTIFIED", None):
        changes["negative"] = None
    return changes


IDENTIFICATION: Final[Mapping[str, Folder]] = {
    "identification.stage_entered": _stage,
    "identification.indicators_screened": _screened,
    "identification.reasonable_grounds_decided": _decided,
    "identification.status_decided": _decided,
    "identification.status_revoked": _decided,
    "review.requested": _review_requested,
    "review.decided": _review_decided,
}
