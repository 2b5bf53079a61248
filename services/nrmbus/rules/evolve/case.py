"""What the events of case, consent, safeguard, identification and review make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put
from nrmbus.rules.duties import left_by, stopped
from nrmbus.rules.event_context import UNIT, Step, receivers_of, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Closing, Decision, Paper, Review, Service, Standing, Stop

PURPOSES = ("services", "information_sharing", "anonymous_reporting", "tracing")


def _opened(step: Step, mark: Mark) -> Changes:
    parts = parts_with(step.view.parts, (step.source,), "detector")
    return {
        "opened": mark,
        "child": value(step.event, "child", step.view.child),
        "parts": parts_with(parts, [each for each in step.recipients if step.roles.of(each) == UNIT], "signal"),
    }


def _incident(step: Step, _: Mark) -> Changes:
    return {"incident": True, "parts": parts_with(step.view.parts, (step.source,), "detector")}


def _closed(step: Step, mark: Mark) -> Changes:
    view, follow_up = step.view, value(step.event, "follow_up", default=False) is True
    ended = stopped(step.tables, view, "CLOSED")
    return {"closing": Closing(mark, view.status, follow_up, told=step.recipients, stopped=ended)}


def _reminded(step: Step, _: Mark) -> Changes:
    closing = step.view.closing
    if closing is None:
        return {}
    return {"closing": replace(closing, said=closing.said | {value(step.event, "month", 0)})}


def _reopened(step: Step, _: Mark) -> Changes:
    return {"closing": None} if step.view.closing else {}


def _withdrawn(step: Step, _: Mark) -> Changes:
    """Open referrals expire at once; what was asked for and may no more be answered is open no more either."""
    view, parts = step.view, step.view.parts
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
    return {"referrals": referrals, "parts": parts, "services": services, "reviews": reviews}


# Consent


def _consent(step: Step, mark: Mark) -> Changes:
    kind = step.event.type.removeprefix("consent.")
    consents, papers = dict(step.view.consents), step.view.papers
    purposes = PURPOSES if kind == "overridden" else value(step.event, "purposes", ())
    last_day = value(step.event, "expires")
    for receiver in receivers_of(step.event):
        for purpose in purposes:
            standing = consents.get((receiver, purpose))
            if standing is None or standing.number < mark.number:
                consents[receiver, purpose] = Standing(
                    kind=kind,  # type: ignore[arg-type]  # one of the four, by the types this folds
                    id=mark.id,
                    number=mark.number,
                    last_day=last_day,
                )
        papers = papers.put(mark.id, Paper(step.source, receiver, kind in ("given", "overridden"), heard_by(step)))
    return {"consents": consents, "papers": papers}


def _consent_withdrawn(step: Step, mark: Mark) -> Changes:
    stops = {**step.view.stops, **{receiver: Stop(mark) for receiver in receivers_of(step.event)}}
    return {**_consent(step, mark), "stops": stops}


def _stop_confirmed(step: Step, mark: Mark) -> Changes:
    """Deletion ends every part of the agency, and what waited for it alone; a duty to retain ends nothing."""
    changes: Changes = {}
    stop = step.view.stops.get(step.source)
    if stop:
        answered = replace(stop, open=False, answer=value(step.event, "answer"))
        changes["stops"] = put(step.view.stops, step.source, answered)
    if step.deletes:
        changes |= left_by(step, mark)
    return changes


# Safeguard


def _flagged(step: Step, _: Mark) -> Changes:
    bodies = [agency for agency in step.to if step.in_group(agency, "GUARDIANS")]
    return {
        "child": True,
        "flagged": step.view.flagged | frozenset(bodies),
        "parts": parts_with(step.view.parts, bodies, "safeguard"),
    }


def _age_assessed(step: Step, _: Mark) -> Changes:
    """The bodies that were flagged have a part while the person is a child, also where it is found to be one again."""
    view = step.view
    if not step.finds_child:
        return {"child": False, "parts": parts_without(view.parts, view.flagged, "safeguard")}
    if view.child is not False:
        return {"child": True}
    return {"child": True, "parts": parts_with(view.parts, sorted(view.flagged), "safeguard")}


def _represented(_: Step, __: Mark) -> Changes:
    return {"represented": True}


def _best_interests(step: Step, _: Mark) -> Changes:
    return {"best_interests": value(step.event, "outcome")}


# Identification and review


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
    """Whoever decides has a part by being asked, also where it has deleted what it knew before."""
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


CASE: Final[Mapping[str, Folder]] = {
    "case.signal_recorded": _opened,
    "case.re_referred": _opened,
    "incident.opened": _incident,
    "case.signal_dismissed": _closed,
    "case.closed": _closed,
    "case.reopened": _reopened,
    "case.follow_up_due": _reminded,
    "case.withdrawn": _withdrawn,
    "consent.given": _consent,
    "consent.refused": _consent,
    "consent.overridden": _consent,
    "consent.withdrawn": _consent_withdrawn,
    "consent.stop_confirmed": _stop_confirmed,
    "safeguard.child_flagged": _flagged,
    "safeguard.age_assessed": _age_assessed,
    "safeguard.representative_assigned": _represented,
    "safeguard.best_interests_decided": _best_interests,
    "identification.stage_entered": _stage,
    "identification.indicators_screened": _screened,
    "identification.reasonable_grounds_decided": _decided,
    "identification.status_decided": _decided,
    "identification.status_revoked": _decided,
    "review.requested": _review_requested,
    "review.decided": _review_decided,
}
