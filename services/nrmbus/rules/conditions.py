"""The conditions of the profile's rows, one function each; section 2 and 5 of RULES.md."""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.rules.event_context import SHARING, UNIT, Step, receivers_of, value
from nrmbus.rules.vocabulary import Condition


def _to_unit(step: Step) -> bool:
    """A referral that asks the special unit (T02, T23)."""
    return bool(step.units_in_to)


def _to_unit_that_left(step: Step) -> bool:
    """Return whether a referral asks the special unit again after the unit deleted its data (T02)."""
    waiting = any(
        party.agency in step.units_in_to and party.state == "submitted"
        for referral in step.view.referrals.values()
        for party in referral.receivers
    )
    return _to_unit(step) and not waiting and not any(step.view.on_case(unit) for unit in step.units_in_to)


def _withheld_from_unit(step: Step) -> bool:
    """A referral to a provider of which the special unit must not hear (T03)."""
    return step.withholds_from_unit and any(step.in_group(agency, "PROVIDERS") for agency in step.to)


def _order_open(step: Step) -> bool:
    """About money that was ordered and neither paid nor failed (T16)."""
    return any(each.state == "ordered" for each in step.view.payments.values())


def _service_asked_for(step: Step) -> bool:
    """About a service that somebody was asked for (T15); of several, each answers for itself."""
    return step.service is not None and bool(step.service.receivers)


def _by_detecting_provider(step: Step) -> bool:
    """By the provider that gave the signal (T03b)."""
    return step.source == step.view.detector and step.in_group(step.source, "PROVIDERS")


def _by_detecting_provider_after_refusal(step: Step) -> bool:
    """The same, when the adult's refusal of the special unit stands (T03b)."""
    return _by_detecting_provider(step) and step.unit_refused


def _made_it_referred(step: Step) -> bool:
    """About the referral by which the case became REFERRED (T07)."""
    referral = step.referral
    if referral is None or referral.before is None:
        return False
    if step.event.type == "referral.declined":
        return step.role == UNIT
    if step.event.type != "referral.expired":
        return True
    waiting = [party.agency for party in referral.receivers if party.state == "submitted"]
    units = [agency for agency in waiting if step.roles.of(agency) == UNIT]
    return bool(units) and (units == waiting or all(unit in step.view.left for unit in units))


def _first_stage(step: Step) -> bool:
    """Initial assistance begins (T08)."""
    return bool(value(step.event, "stage") == step.tables.profile.statuses.stages[0])


def _first_stage_of_own_find(step: Step) -> bool:
    """Initial assistance begins, and the special unit itself gave the signal (T08)."""
    return _first_stage(step) and step.roles.of(step.view.detector) == UNIT


def _later_stage(step: Step) -> bool:
    """A stage after initial assistance (T09)."""
    return not _first_stage(step)


def _positive(step: Step) -> bool:
    """Reasonable grounds found, or recognised as a victim (T10, T13)."""
    if step.event.type == "identification.status_decided":
        return value(step.event, "status") in step.tables.profile.statuses.victim
    return bool(value(step.event, "outcome") == "positive")


def _negative(step: Step) -> bool:
    """The contrary (T11, T14); a revocation always is."""
    return not _positive(step)


def _reopening(step: Step) -> bool:
    """A review takes identification up again (T19)."""
    return bool(value(step.event, "outcome") == "reopen")


def _reopening_from_negative(step: Step) -> bool:
    """The same, and the negative decision still stood (T19)."""
    return _reopening(step) and step.view.status in ("NOT_IDENTIFIED", None)


def _not_by_unit(step: Step) -> bool:
    """By another than the special unit."""
    return step.role != UNIT


def _first_receipt_by_unit(step: Step) -> bool:
    """The special unit acknowledges or accepts, and has done neither before."""
    if step.role != UNIT:
        return False
    party = step.referral.party(step.source) if step.referral else None
    return party is None or (party.state == "submitted" and not party.acknowledged)


def _adult_refuses_unit(step: Step) -> bool:
    """An adult refuses that the special unit has information."""
    return (
        not step.child
        and SHARING in value(step.event, "purposes", ())
        and any(step.roles.of(agency) == UNIT for agency in receivers_of(step.event))
    )


CONDITIONS: Final[Mapping[Condition, Callable[[Step], bool]]] = {
    "adult_refuses_unit": _adult_refuses_unit,
    "by_detecting_provider": _by_detecting_provider,
    "by_detecting_provider_after_refusal": _by_detecting_provider_after_refusal,
    "first_receipt_by_unit": _first_receipt_by_unit,
    "first_stage": _first_stage,
    "first_stage_of_own_find": _first_stage_of_own_find,
    "later_stage": _later_stage,
    "made_it_referred": _made_it_referred,
    "negative": _negative,
    "not_by_unit": _not_by_unit,
    "order_open": _order_open,
    "positive": _positive,
    "reopening": _reopening,
    "reopening_from_negative": _reopening_from_negative,
    "service_asked_for": _service_asked_for,
    "to_unit": _to_unit,
    "to_unit_that_left": _to_unit_that_left,
    "withheld_from_unit": _withheld_from_unit,
}


def holds(condition: Condition | None, step: Step) -> bool:
    """Return whether *condition* holds at *step*; None always holds."""
    return condition is None or CONDITIONS[condition](step)
