"""Check whether an event would answer, end or execute something that is over already (G-51, invariant I-3)."""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.rules.clock_moves import breached_by, lifted_by
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.evolve.payment import ordered_before
from nrmbus.rules.references import opened_record, still_stands


def _answered(context: EventContext) -> bool:
    party = context.referral.party(context.source) if context.referral else None
    return party is not None and party.state != "submitted"


def _acknowledged(context: EventContext) -> bool:
    party = context.referral.party(context.source) if context.referral else None
    return party is not None and (party.state != "submitted" or party.acknowledged)


def _not_taken_on(context: EventContext) -> bool:
    """Return whether the sender has nothing to ask about or to complete: no open request, and no acceptance."""
    party = context.referral.party(context.source) if context.referral else None
    return party is not None and party.state not in ("submitted", "accepted")


def _nobody_answers(context: EventContext) -> bool:
    """Return whether a question would wait for ever: nothing was taken on, or the sender of the referral has left the case or may not hear of it."""
    if _not_taken_on(context) or context.referral is None:
        return _not_taken_on(context)
    sender = context.referral.sender
    return sender in context.view.left or context.embassy_barred(sender) or context.shut_out(sender) is not None


def _nothing_to_expire(context: EventContext) -> bool:
    """Return whether no receiver can expire: a referral to the deciding body never does, unless the unit has left the case."""
    return context.referral is not None and not any(
        party.state == "submitted" and (not context.is_unit(party.agency) or party.agency in context.view.left)
        for party in context.referral.receivers
    )


def _bed_answered(context: EventContext) -> bool:
    house = context.bed.house(context.source) if context.bed else None
    return house is not None and house.state != "asked"


def _offer_gone(context: EventContext) -> bool:
    house = context.bed.house(value(context.event, "shelter", "")) if context.bed else None
    return house is None or house.state != "offered"


def _order_over(context: EventContext) -> bool:
    order = ordered_before(context)
    return order is None or order.state != "ordered"


def _plan_over(context: EventContext) -> bool:
    return context.view.plan is not None and not context.view.plan.in_force


def _runs_already(context: EventContext) -> bool:
    """Return whether a duty of the whole case that the event would restart still runs; a restart would postpone it."""
    begun = {code for code, rule, _ in context.tables.starts.get(context.event.type, ()) if rule.scope == "case"}
    return any(clock.code in begun and clock.runs for clock in context.view.running)


def _no_period(context: EventContext) -> bool:
    """Return whether no recovery period runs that could be reviewed, made longer or ended."""
    return not any(clock.by == "recovery.period_started" and clock.runs for clock in context.view.running)


def _stopped(context: EventContext) -> bool:
    """Return whether the sender answered this stop before; only after ``must_retain`` may it still answer ``deleted``."""
    stop = context.view.stops.get(context.source)
    return stop is not None and not stop.open and not (context.deletes and stop.answer == "must_retain")


def _not_to_remind(context: EventContext) -> bool:
    closing = context.view.closing
    return (
        closing is None
        or not closing.follow_up
        or context.view.status != "CLOSED"
        or value(context.event, "month", 0) in closing.said
    )


def _taken(context: EventContext) -> bool:
    """Return whether something under this reference still waits: of several agencies, each one's answer is waited for."""
    opened = opened_record(context)
    if opened is None:
        return False
    waiting = any(
        clock.ref == opened.ref and clock.by == context.event.type and clock.runs for clock in context.view.running
    )
    return waiting or still_stands(opened)


def _past_objecting(context: EventContext) -> bool:
    return context.emergency is None or context.emergency.at_once or context.emergency.state != "asked"


def _not_next(context: EventContext) -> bool:
    """Return whether a chunk is not the next one of its document: each comes once, in order."""
    document, index = context.document, value(context.event, "index", 0)
    return document is not None and (index != document.came or index >= document.chunks)


def _return_runs(context: EventContext) -> bool:
    return context.view.returning is not None and context.view.returning.open


def _return_made(context: EventContext) -> bool:
    return context.view.returning is not None and context.view.returning.made


_OVER: Final[Mapping[str, Callable[[EventContext], bool]]] = {
    "access.break_glass": _taken,
    "access.break_glass_objected": _past_objecting,
    "access.reseal_due": lambda context: context.emergency is None or context.emergency.state != "asked",
    "access.resealed": lambda context: context.emergency is None or context.emergency.state != "due",
    "case.follow_up_due": _not_to_remind,
    "consent.stop_confirmed": _stopped,
    "deadline.breached": lambda context: breached_by(context) is None,
    "deadline.lifted": lambda context: not lifted_by(context),
    "document.chunk_sent": _not_next,
    "fund.compensation_granted": _taken,
    "justice.case_opened": _taken,
    "justice.verdict_recorded": lambda context: context.proceedings is not None and not context.proceedings.open,
    "payment.executed": _order_over,
    "payment.failed": _order_over,
    "payment.ordered": _taken,
    "plan.completed": _plan_over,
    "plan.revised": _plan_over,
    "recovery.ended": _no_period,
    "recovery.extended": _no_period,
    "recovery.period_started": _runs_already,
    "recovery.reviewed": _no_period,
    "referral.accepted": _answered,
    "referral.acknowledged": _acknowledged,
    "referral.completed": _not_taken_on,
    "referral.declined": _answered,
    "referral.expired": _nothing_to_expire,
    "referral.info_requested": _nobody_answers,
    "referral.info_supplied": lambda context: context.referral is not None and not context.referral.stands,
    "referral.revoked": lambda context: context.referral is not None and not context.referral.open,
    "referral.submitted": _taken,
    "return.completed": _return_made,
    "return.consented": _return_runs,
    "return.risk_assessed": _return_made,
    "return.stopped": lambda context: not _return_runs(context),
    "return.travel_arranged": _return_made,
    "review.decided": lambda context: context.review is not None and not context.review.open,
    "review.requested": _taken,
    "service.requested": _taken,
    "shelter.bed_offered": _bed_answered,
    "shelter.bed_refused": _bed_answered,
    "shelter.bed_requested": _taken,
    "shelter.offer_lapsed": _offer_gone,
    "stay.embassy_bar_lifted": lambda context: context.view.embassy_bar is None,
    "stay.embassy_barred": lambda context: context.view.embassy_bar is not None,
    "stay.hold_confirmed": lambda context: context.hold is not None and (context.hold.confirmed or context.hold.ended),
    "stay.hold_ended": lambda context: context.hold is not None and context.hold.ended,
    "stay.hold_requested": _taken,
}


def is_over(context: EventContext) -> bool:
    """Return whether *context* answers, ends or executes a second time, or opens under a reference that still stands."""
    over = _OVER.get(context.event.type)
    return over is not None and over(context)
