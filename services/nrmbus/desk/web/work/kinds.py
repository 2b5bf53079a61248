"""Clocks, types of events and kinds of tasks, by what the work lists make of them."""

from collections.abc import Mapping
from typing import Final

from nrmbus.rules import View

REFERRING: Final = "D-REFER"
"""Clock of the referral that follows a signal."""
REFER_AGAIN: Final = "refer_again"
"""Kind of the task after a referral that nobody took."""
PERIODS: Final = frozenset({"D-RECOVERY", "D-SHELTER"})
"""Clocks of a period: the period is work only when its end is near."""
QUESTION: Final = "D-INFO"
"""Clock of a question to the sender of a referral."""
OVER: Final = frozenset({"CLOSED", "WITHDRAWN"})
"""Statuses of a case in which nothing more is expected."""
ACTS: Final[Mapping[str, str]] = {
    "D-REFER": "referral.submitted",
    "D-ACK": "referral.acknowledged",
    "D-ANSWER": "referral.accepted",
    "D-SERVICE": "referral.accepted",
    "D-ASSIGN": "needs.assessed",
    "D-RG": "identification.reasonable_grounds_decided",
    "D-RECOVERY": "identification.status_decided",
    "D-REVIEW30": "recovery.reviewed",
    "D-CG": "identification.status_decided",
    "D-BED": "shelter.bed_offered",
    "D-SHELTER": "shelter.discharged",
    "D-HOLD": "stay.hold_confirmed",
    "D-STOP": "consent.stop_confirmed",
    "D-REVIEW": "review.decided",
    "D-REPRESENT": "safeguard.representative_assigned",
    "D-RISK": "return.risk_assessed",
    "D-TRAVEL": "return.completed",
    "D-MONITOR": "return.monitored",
    "D-MERGE": "consent.given",
}
"""Clock -> next act of the agency that owes it. The desk itself answers a clock without an act."""
STARTED: Final[Mapping[str, str]] = {
    "D-REFER": "case.signal_recorded",
    "D-ACK": "referral.submitted",
    "D-ANSWER": "referral.submitted",
    "D-ASSIGN": "referral.accepted",
    "D-RG": "identification.stage_entered",
    "D-RECOVERY": "recovery.period_started",
    "D-REVIEW30": "recovery.period_started",
    "D-CG": "recovery.ended",
    "D-BED": "shelter.bed_requested",
    "D-SHELTER": "shelter.admitted",
    "D-HOLD": "stay.hold_requested",
    "D-STOP": "consent.withdrawn",
    "D-REVIEW": "review.requested",
    "D-RISK": "return.consented",
    "D-TRAVEL": "return.travel_arranged",
    "D-MONITOR": "return.completed",
    "D-MERGE": "case.merged",
    "D-ERASE": "access.erasure_due",
    "D-REPRESENT": "safeguard.child_flagged",
}
"""Clock -> type of the event that a reader knows it by."""
ANSWERS: Final = frozenset(
    {
        "referral.acknowledged", "referral.accepted", "referral.declined", "referral.completed", "referral.expired",
        "referral.info_supplied", "handover.person_received", "shelter.bed_offered", "shelter.bed_refused",
        "shelter.offer_lapsed", "shelter.admitted", "shelter.discharged", "service.scheduled", "service.delivered",
        "service.not_delivered", "stay.hold_confirmed", "stay.permit_issued", "stay.permit_refused", "review.decided",
        "identification.reasonable_grounds_decided", "identification.status_decided", "identification.status_revoked",
        "payment.executed", "payment.failed", "plan.adopted", "plan.completed", "consent.stop_confirmed",
        "safeguard.representative_assigned", "safeguard.best_interests_decided", "access.resealed", "case.closed",
        "return.risk_assessed", "return.travel_arranged", "return.completed", "return.monitored", "return.stopped",
    }
)  # fmt: skip
"""Types of events that answer something, or tell what became of it."""
RESULTS: Final = ("outcome", "status", "reason", "answer", "service", "next_step")
"""Fields of an answer that say what it came to; the first one that an event has stands in its row."""
LODGING: Final = frozenset({"safe_shelter", "shelter"})
"""Services for which a shelter is asked for a bed: a referral would find no place there."""
SERVICES: Final = frozenset({"service.requested", "service.scheduled", "service.delivered", "service.not_delivered"})
PLANS: Final = frozenset({"plan.adopted", "plan.revised"})
KNOWN_OTHERWISE: Final = frozenset(
    {
        "best_interests",
        "call_back",
        "duty_officer",
        "hold",
        "open_proceedings",
        "order_grant",
        "read",
        "referral",
        "representative",
        "review",
        "service",
        "stop",
        "supply",
        "without_police",
    }
)
"""Kinds of tasks that add nothing to an item of what has come."""
OF_THE_RETURN: Final = frozenset({"arrange_travel", "assess_risk", "not_safe"})
"""Kinds of tasks that the return itself shows at its step, and that are over with the step."""
SHOWN: Final = frozenset(
    {
        "referral.submitted", "referral.info_requested", "shelter.bed_requested", "service.requested",
        "stay.hold_requested", "review.requested", "consent.withdrawn", "access.revoked", "access.break_glass", "safeguard.child_flagged",
        "fund.compensation_granted",
    }
)  # fmt: skip
"""Types of received events whose item has a clock or an act of its own."""
FIRST_STEPS: Final = frozenset({"ask_first", "children_first"})
"""Kinds of tasks after a first contact: the duty to refer leads to the same step."""
OF_A_RUNNING_CASE: Final = frozenset(
    {
        "refer_again", "make_plan", "transition", "shield", "ask_hold", "hold_follows", "conditions", "visits", "attend",
        "review_for_person", "tell_of_review", "child_received", "journey_home", "child_again", "ask_another_shelter", "stay_on", "has_left", "refer_child",
    }
)  # fmt: skip
"""Kinds of tasks that are over with their case."""
PLANNING: Final = frozenset({"make_plan", "transition"})
"""Kinds of tasks that a plan of this agency ends."""
REPLACED: Final = "replaced"
"""Code of a failed payment whose money was ordered again: its list is that of the later order."""
ONCE: Final = frozenset({*PLANNING, "conditions", "visits", "stay_on"})
"""Kinds of tasks of which a case shows the newest alone."""
OF_A_NO: Final = frozenset({"transition", "stay_on", "review_for_person", "tell_of_review"})
"""Kinds of tasks that are over when the negative decision no longer stands."""
BETTER: Final = frozenset({"UNDER_IDENTIFICATION", "PRESUMED", "IDENTIFIED"})
"""Statuses in which no negative decision stands."""


def first_step(view: View) -> str:
    """Return what comes before a referral: notice to a child's guardian bodies, or an adult's word; empty if it came."""
    if view.child:
        return "" if view.flagged else "safeguard.child_flagged"
    return "" if view.consents else "consent.given"
