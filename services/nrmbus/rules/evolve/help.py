"""What the events of referral, shelter, support, payment and stay make of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put, put_last
from nrmbus.rules.conditions import holds
from nrmbus.rules.event_context import UNIT, Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Bed, Hold, House, Party, Payment, Plan, Referral, Service, Status

# Referral


def _submitted(step: Step, mark: Mark) -> Changes:
    ref, view, to_unit = step.ref, step.view, bool(step.units_in_to)
    referral = Referral(
        ref=ref,
        mark=mark,
        transfer=value(step.event, "mode") == "transfer",
        urgency=value(step.event, "urgency", "normal"),
        made_support=holds("withheld_from_unit", step) and view.status in ("SUSPECTED", None),
        before=_status_before(step) if to_unit else None,
        receivers=tuple(Party(agency) for agency in step.to),
        known_to=heard_by(step),
    )
    changes: Changes = {
        "referrals": put_last(view.referrals, ref, referral),
        "parts": parts_with(view.parts, (step.source, *step.to), f"referral {ref}"),
    }
    if view.child is None:
        changes["child"] = value(step.event, "child")
    if to_unit:  # it has begun before only if it has deleted what it knew, so it begins again
        changes |= {"stage": 0, "screened": False}
    return changes


def _status_before(step: Step) -> Status | None:
    """The status to come back to, should the special unit not take the person on."""
    view = step.view
    if view.status != "REFERRED":
        return view.status
    earlier = [referral.before for referral in view.referrals.values() if referral.before]
    return earlier[-1] if earlier else view.status


def _with_party(step: Step, **changed: Any) -> Referral | None:
    referral = step.referral
    if referral is None or referral.party(step.source) is None:
        return None
    receivers = tuple(
        replace(party, **changed) if party.agency == step.source else party for party in referral.receivers
    )
    return replace(referral, receivers=receivers)


def _kept(step: Step, referral: Referral | None) -> Changes:
    return {"referrals": put(step.view.referrals, referral.ref, referral)} if referral else {}


def _acknowledged(step: Step, _: Mark) -> Changes:
    return _kept(step, _with_party(step, acknowledged=True))


def _info_requested(step: Step, _: Mark) -> Changes:
    return _kept(step, _with_party(step, asked=True))


def _info_supplied(step: Step, _: Mark) -> Changes:
    referral = step.referral
    if referral is None:
        return {}
    receivers = tuple(replace(party, asked=False) for party in referral.receivers)
    return _kept(step, replace(referral, receivers=receivers))


def _accepted(step: Step, _: Mark) -> Changes:
    referral = _with_party(step, state="accepted")
    changes = _kept(step, referral)
    if referral and (referral.transfer or referral.made_support):
        changes["taken_over_by"] = step.source
    return changes


def _completed(step: Step, _: Mark) -> Changes:
    return _kept(step, _with_party(step, state="completed"))


def _declined(step: Step, _: Mark) -> Changes:
    referral = _with_party(step, state="declined")
    if referral is None:
        return {}
    parts = parts_without(step.view.parts, (step.source,), f"referral {referral.ref}")
    return {**_kept(step, referral), "parts": parts}


def _ended(step: Step, _: Mark) -> Changes:
    """Revoked by the sender, or expired: of those who had not answered.

    A special unit that is still on the case goes on owing its answer when the time of the others is over.
    """
    referral = step.referral
    if referral is None:
        return {}
    state: Literal["revoked", "expired"] = "revoked" if step.event.type == "referral.revoked" else "expired"
    ended = [party.agency for party in referral.receivers if party.state == "submitted"]
    if state == "expired":
        others = [agency for agency in ended if step.roles.of(agency) != UNIT or agency in step.view.left]
        ended = others or ended
    receivers = tuple(replace(party, state=state) if party.agency in ended else party for party in referral.receivers)
    left = replace(referral, receivers=receivers)
    if not left.stands:
        ended.append(referral.sender)
    return {**_kept(step, left), "parts": parts_without(step.view.parts, ended, f"referral {referral.ref}")}


# Shelter


def _bed_requested(step: Step, mark: Mark) -> Changes:
    bed = Bed(step.ref, mark, tuple(House(agency) for agency in step.to), heard_by(step))
    return {
        "beds": put(step.view.beds, step.ref, bed),
        "parts": parts_with(step.view.parts, step.to, f"bed {step.ref}"),
    }


def _with_house(step: Step, agency: str, **changed: Any) -> Changes:
    bed = step.bed
    if bed is None or bed.house(agency) is None:
        return {}
    houses = tuple(replace(house, **changed) if house.agency == agency else house for house in bed.houses)
    return {"beds": put(step.view.beds, bed.ref, replace(bed, houses=houses))}


def _offered(step: Step, mark: Mark) -> Changes:
    return _with_house(step, step.source, state="offered", offer=mark, valid_hours=value(step.event, "valid_hours"))


def _refused(step: Step, _: Mark) -> Changes:
    return _left(step, step.source, "refused")


def _lapsed(step: Step, _: Mark) -> Changes:
    return _left(step, value(step.event, "shelter", ""), "lapsed")


def _left(step: Step, agency: str, state: str) -> Changes:
    changes = _with_house(step, agency, state=state)
    if changes:
        changes["parts"] = parts_without(step.view.parts, (agency,), f"bed {step.ref}")
    return changes


def _admitted(step: Step, _: Mark) -> Changes:
    return _with_house(step, step.source, state="admitted")


def _discharged(step: Step, _: Mark) -> Changes:
    return _with_house(step, step.source, state="discharged")


# Support


def _adopted(step: Step, mark: Mark) -> Changes:
    days = value(step.event, "planned_end_days")
    ends = step.tables.calendar.days_after(mark.time, days) if days is not None else None
    return {
        "plan": Plan(step.source, step.to, ends),
        "parts": parts_with(step.view.parts, (step.source, *step.to), "plan"),
    }


def _revised(step: Step, mark: Mark) -> Changes:
    plan, days = step.view.plan, value(step.event, "planned_end_days")
    if plan is None or days is None:
        return {}
    return {"plan": replace(plan, ends=step.tables.calendar.days_after(mark.time, days))}


def _plan_completed(step: Step, _: Mark) -> Changes:
    return {"plan": replace(step.view.plan, in_force=False)} if step.view.plan else {}


def _service_requested(step: Step, mark: Mark) -> Changes:
    service = Service(step.ref, mark, step.source, step.to, open=True)
    return {
        "services": put(step.view.services, step.ref, service),
        "parts": parts_with(step.view.parts, step.to, f"service {step.ref}"),
    }


def _service_answered(step: Step, mark: Mark) -> Changes:
    """A service may also be given unasked. Who does not give it has no part by it."""
    kind = step.event.type
    service = step.service or Service(step.ref, mark, None, (), open=False)
    if kind != "service.scheduled":
        service = replace(service, open=False)
    changes: Changes = {"services": put(step.view.services, step.ref, service)}
    if kind == "service.not_delivered":
        changes["parts"] = parts_without(step.view.parts, (step.source,), f"service {step.ref}")
    return changes


# Money


def _ordered(step: Step, mark: Mark) -> Changes:
    event = step.event
    amount = value(event, "amount")
    kind = value(event, "kind", "")
    effective = step.view.effective if kind == step.tables.profile.allowance.kind else None
    payment = Payment(
        ref=step.ref,
        mark=mark,
        kind=kind,
        decision=value(event, "decision", effective),
        amount=getattr(amount, "value", ""),
        currency=getattr(amount, "currency", ""),
    )
    return {"payments": put(step.view.payments, step.ref, payment)}


def ordered_before(step: Step) -> Payment | None:
    """The order that an execution or failure is about: the one of its reference, or the latest; of its kind and decision."""
    kind, decision, ref = value(step.event, "kind"), value(step.event, "decision"), step.event.referral
    alike = [
        each
        for each in step.view.payments.values()
        if each.kind == kind and decision in (None, each.decision) and ref in (None, each.ref)
    ]
    still = [each for each in alike if each.state == "ordered"]
    found = still or alike
    return found[-1] if found else None


def _paid(step: Step, _: Mark) -> Changes:
    order = ordered_before(step)
    if order is None:
        return {}
    state: Literal["executed", "failed"] = "executed" if step.event.type == "payment.executed" else "failed"
    return {"payments": put(step.view.payments, order.ref, replace(order, state=state))}


# Stay


def _hold_requested(step: Step, mark: Mark) -> Changes:
    hold = Hold(step.ref, mark, step.to, heard_by(step))
    return {
        "holds": put(step.view.holds, step.ref, hold),
        "parts": parts_with(step.view.parts, (step.source, *step.to), f"hold {step.ref}"),
    }


def _hold_confirmed(step: Step, _: Mark) -> Changes:
    hold = step.hold
    return {"holds": put(step.view.holds, hold.ref, replace(hold, confirmed=True))} if hold else {}


def _hold_ended(step: Step, _: Mark) -> Changes:
    hold = step.hold
    return {"holds": put(step.view.holds, hold.ref, replace(hold, ended=True))} if hold else {}


HELP: Final[Mapping[str, Folder]] = {
    "referral.submitted": _submitted,
    "referral.acknowledged": _acknowledged,
    "referral.info_requested": _info_requested,
    "referral.info_supplied": _info_supplied,
    "referral.accepted": _accepted,
    "referral.completed": _completed,
    "referral.declined": _declined,
    "referral.revoked": _ended,
    "referral.expired": _ended,
    "shelter.bed_requested": _bed_requested,
    "shelter.bed_offered": _offered,
    "shelter.bed_refused": _refused,
    "shelter.offer_lapsed": _lapsed,
    "shelter.admitted": _admitted,
    "shelter.discharged": _discharged,
    "plan.adopted": _adopted,
    "plan.revised": _revised,
    "plan.completed": _plan_completed,
    "service.requested": _service_requested,
    "service.scheduled": _service_answered,
    "service.delivered": _service_answered,
    "service.not_delivered": _service_answered,
    "payment.ordered": _ordered,
    "payment.executed": _paid,
    "payment.failed": _paid,
    "stay.hold_requested": _hold_requested,
    "stay.hold_confirmed": _hold_confirmed,
    "stay.hold_ended": _hold_ended,
}
