"""Check whether an event would answer, end or execute something that is over already (G-51, invariant I-3)."""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.rules.clocks import breached_by
from nrmbus.rules.event_context import UNIT, Step, value
from nrmbus.rules.evolve.payment import ordered_before
from nrmbus.rules.references import opened_record, still_stands


def _answered(step: Step) -> bool:
    party = step.referral.party(step.source) if step.referral else None
    return party is not None and party.state != "submitted"


def _acknowledged(step: Step) -> bool:
    party = step.referral.party(step.source) if step.referral else None
    return party is not None and (party.state != "submitted" or party.acknowledged)


def _not_taken_on(step: Step) -> bool:
    """Neither asked and unanswered nor accepted: nothing to ask about, or to complete."""
    party = step.referral.party(step.source) if step.referral else None
    return party is not None and party.state not in ("submitted", "accepted")


def _nobody_answers(step: Step) -> bool:
    """A question about what was not taken on, or to a sender that has left the case: the clock would wait for ever."""
    return _not_taken_on(step) or (step.referral is not None and step.referral.sender in step.view.left)


def _referral_ended(step: Step) -> bool:
    return step.referral is not None and not step.referral.stands


def _referral_answered(step: Step) -> bool:
    return step.referral is not None and not step.referral.open


def _nothing_to_expire(step: Step) -> bool:
    """A referral to the special unit never expires, unless the unit has left the case."""
    return step.referral is not None and not any(
        party.state == "submitted" and (step.roles.of(party.agency) != UNIT or party.agency in step.view.left)
        for party in step.referral.receivers
    )


def _bed_answered(step: Step) -> bool:
    house = step.bed.house(step.source) if step.bed else None
    return house is not None and house.state != "asked"


def _offer_gone(step: Step) -> bool:
    house = step.bed.house(value(step.event, "shelter", "")) if step.bed else None
    return house is None or house.state != "offered"


def _hold_confirmed(step: Step) -> bool:
    return step.hold is not None and (step.hold.confirmed or step.hold.ended)


def _hold_ended(step: Step) -> bool:
    return step.hold is not None and step.hold.ended


def _review_decided(step: Step) -> bool:
    return step.review is not None and not step.review.open


def _order_over(step: Step) -> bool:
    order = ordered_before(step)
    return order is None or order.state != "ordered"


def _plan_over(step: Step) -> bool:
    return step.view.plan is not None and not step.view.plan.in_force


def _runs_already(step: Step) -> bool:
    """Return whether a duty of the whole case that the event would restart still runs; a restart would postpone it."""
    begun = {code for code, rule, _ in step.tables.starts.get(step.event.type, ()) if rule.scope == "case"}
    return any(clock.code in begun and clock.runs for clock in step.view.running)


def _stopped(step: Step) -> bool:
    """Return whether the sender answered this stop before; only after ``must_retain`` may it still answer ``deleted``."""
    stop = step.view.stops.get(step.source)
    return stop is not None and not stop.open and not (step.deletes and stop.answer == "must_retain")


def _clock_over(step: Step) -> bool:
    return breached_by(step) is None


def _not_to_remind(step: Step) -> bool:
    closing = step.view.closing
    return (
        closing is None
        or not closing.follow_up
        or step.view.status != "CLOSED"
        or value(step.event, "month", 0) in closing.said
    )


def _taken(step: Step) -> bool:
    opened = opened_record(step)
    return opened is not None and still_stands(opened)


def _not_waiting(step: Step) -> bool:
    return step.emergency is None or step.emergency.state != "asked"


def _past_objecting(step: Step) -> bool:
    return step.emergency is None or step.emergency.at_once or step.emergency.state != "asked"


def _not_to_reseal(step: Step) -> bool:
    return step.emergency is None or step.emergency.state != "due"


_OVER: Final[Mapping[str, Callable[[Step], bool]]] = {
    "access.break_glass": _taken,
    "access.break_glass_objected": _past_objecting,
    "access.reseal_due": _not_waiting,
    "access.resealed": _not_to_reseal,
    "case.follow_up_due": _not_to_remind,
    "consent.stop_confirmed": _stopped,
    "deadline.breached": _clock_over,
    "payment.executed": _order_over,
    "payment.failed": _order_over,
    "payment.ordered": _taken,
    "plan.completed": _plan_over,
    "plan.revised": _plan_over,
    "recovery.period_started": _runs_already,
    "referral.accepted": _answered,
    "referral.acknowledged": _acknowledged,
    "referral.completed": _not_taken_on,
    "referral.declined": _answered,
    "referral.expired": _nothing_to_expire,
    "referral.info_requested": _nobody_answers,
    "referral.info_supplied": _referral_ended,
    "referral.revoked": _referral_answered,
    "referral.submitted": _taken,
    "review.decided": _review_decided,
    "review.requested": _taken,
    "service.requested": _taken,
    "shelter.bed_offered": _bed_answered,
    "shelter.bed_refused": _bed_answered,
    "shelter.bed_requested": _taken,
    "shelter.offer_lapsed": _offer_gone,
    "stay.hold_confirmed": _hold_confirmed,
    "stay.hold_ended": _hold_ended,
    "stay.hold_requested": _taken,
}


def is_over(step: Step) -> bool:
    """Return whether *step* answers, ends or executes a second time, or opens under a reference that still stands."""
    over = _OVER.get(step.event.type)
    return over is not None and over(step)
