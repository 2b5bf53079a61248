"""Permissions that an agency's people need to publish: a step of the work, or a decision."""

from collections.abc import Mapping
from typing import Final

from nrmbus.desk.staff.permissions import permission_for
from nrmbus.events.registry import TYPES

DECIDED: Final = {
    "access": "break_glass break_glass_objected revoked terminated",
    "deadline": "lifted",
    "identification": "reasonable_grounds_decided status_decided status_revoked",
    "review": "decided",
    "safeguard": "best_interests_decided",
}
PUBLISHED: Final = {
    "access": "erasure_confirmed erasure_due granted hold_placed reseal_due resealed",
    "agency": "listening_changed",
    "case": "closed copy_issued follow_up_due follow_up_recorded linked merged re_referred reopened signal_dismissed signal_recorded withdrawn",
    "consent": "given objected overridden refused stop_confirmed withdrawn",
    "data": "breach_reported",
    "deadline": "breached",
    "document": "chunk_sent shared",
    "fund": "compensation_granted",
    "handover": "document_transferred person_received",
    "identification": "indicators_screened interview_held stage_entered",
    "incident": "opened",
    "justice": "case_opened measure_granted verdict_recorded",
    "letter": "kept_shut opened unreadable",
    "needs": "assessed",
    "payment": "executed failed ordered",
    "plan": "adopted completed revised",
    "policy": "profile_activated",
    "provider": "capacity_changed",
    "recovery": "ended extended period_started reviewed",
    "referral": "accepted acknowledged completed declined expired info_requested info_supplied revoked submitted",
    "return": "completed consented monitored risk_assessed stopped travel_arranged",
    "review": "requested",
    "safeguard": "age_assessed child_flagged representative_assigned returned_to_family",
    "service": "delivered not_delivered requested scheduled",
    "shelter": "admitted bed_offered bed_refused bed_requested discharged offer_lapsed",
    "stats": "period_published",
    "stay": "embassy_bar_lifted embassy_barred hold_confirmed hold_ended hold_requested permit_issued permit_refused permit_renewed",
}


def types_of(families: Mapping[str, str]) -> set[str]:
    """Return the whole names of the types in a table of this file."""
    return {f"{family}.{each}" for family, steps in families.items() for each in steps.split()}


def test_each_type_needs_the_permission_that_somebody_chose_for_it() -> None:
    """Given every type of event, then these tables have it, and say whether a member needs to decide or to publish.

    A new type fails here: choose its table, and add a decision to ``permissions.DECISIONS``.
    """
    found = {type: permission_for(type) for type, _ in TYPES}

    assert found == dict.fromkeys(types_of(DECIDED), "decide") | dict.fromkeys(types_of(PUBLISHED), "publish")
