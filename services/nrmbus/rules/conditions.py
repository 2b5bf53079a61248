"""The conditions of the profile's rows, one function each; section 2 and 5 of RULES.md."""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.rules.event_context import SHARING, UNIT, EventContext, receivers_of, value
from nrmbus.rules.vocabulary import Condition


def _to_unit(context: EventContext) -> bool:
    """Return whether a referral asks the special unit (T02, T23)."""
    return bool(context.units_in_to)


def _to_unit_that_left(context: EventContext) -> bool:
    """Return whether a referral asks the special unit again after the unit deleted its data (T02)."""
    waiting = any(
        party.agency in context.units_in_to and party.state == "submitted"
        for referral in context.view.referrals.values()
        for party in referral.receivers
    )
    return _to_unit(context) and not waiting and not any(context.view.on_case(unit) for unit in context.units_in_to)


def _withheld_from_unit(context: EventContext) -> bool:
    """Return whether a referral to a provider is withheld from the special unit (T03)."""
    return context.withholds_from_unit and any(context.in_group(agency, "PROVIDERS") for agency in context.to)


def _order_open(context: EventContext) -> bool:
    """About money that was ordered and neither paid nor failed (T16)."""
    return any(each.state == "ordered" for each in context.view.payments.values())


def _service_asked_for(context: EventContext) -> bool:
    """About a service that somebody was asked for (T15); of several, each answers for itself."""
    return context.service is not None and bool(context.service.receivers)


def _by_detecting_provider(context: EventContext) -> bool:
    """By the provider that gave the signal (T03b)."""
    return context.source == context.view.detector and context.in_group(context.source, "PROVIDERS")


def _by_detecting_provider_after_refusal(context: EventContext) -> bool:
    """Return the same for a detecting provider, if the adult's refusal of the special unit stands (T03b)."""
    return _by_detecting_provider(context) and context.unit_refused


def _made_it_referred(context: EventContext) -> bool:
    """About the referral by which the case became REFERRED (T07)."""
    referral = context.referral
    if referral is None or referral.before is None:
        return False
    if context.event.type == "referral.declined":
        return context.role == UNIT
    if context.event.type != "referral.expired":
        return True
    waiting = [party.agency for party in referral.receivers if party.state == "submitted"]
    units = [agency for agency in waiting if context.roles.of(agency) == UNIT]
    return bool(units) and (units == waiting or all(unit in context.view.left for unit in units))


def _first_stage(context: EventContext) -> bool:
    """Initial assistance begins (T08)."""
    return bool(value(context.event, "stage") == context.tables.profile.statuses.stages[0])


def _first_stage_of_own_find(context: EventContext) -> bool:
    """Initial assistance begins, and the special unit itself gave the signal (T08)."""
    return _first_stage(context) and context.roles.of(context.view.detector) == UNIT


def _later_stage(context: EventContext) -> bool:
    """Return whether a stage after initial assistance is entered (T09)."""
    return not _first_stage(context)


def _positive(context: EventContext) -> bool:
    """Reasonable grounds found, or recognised as a victim (T10, T13)."""
    if context.event.type == "identification.status_decided":
        return value(context.event, "status") in context.tables.profile.statuses.victim
    return bool(value(context.event, "outcome") == "positive")


def _negative(context: EventContext) -> bool:
    """The contrary (T11, T14); a revocation always is."""
    return not _positive(context)


def _reopening(context: EventContext) -> bool:
    """Return whether a review takes identification up again (T19)."""
    return bool(value(context.event, "outcome") == "reopen")


def _reopening_from_negative(context: EventContext) -> bool:
    """Return whether a review reopens a case whose negative decision still stood (T19)."""
    return _reopening(context) and context.view.status in ("NOT_IDENTIFIED", None)


def _not_by_unit(context: EventContext) -> bool:
    """By another than the special unit."""
    return context.role != UNIT


def _first_receipt_by_unit(context: EventContext) -> bool:
    """Return whether the special unit acknowledges or accepts for the first time."""
    if context.role != UNIT:
        return False
    party = context.referral.party(context.source) if context.referral else None
    return party is None or (party.state == "submitted" and not party.acknowledged)


def _adult_refuses_unit(context: EventContext) -> bool:
    """Return whether an adult refuses that the special unit has information."""
    return (
        not context.child
        and SHARING in value(context.event, "purposes", ())
        and any(context.roles.of(agency) == UNIT for agency in receivers_of(context.event))
    )


CONDITIONS: Final[Mapping[Condition, Callable[[EventContext], bool]]] = {
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


def holds(condition: Condition | None, context: EventContext) -> bool:
    """Return whether *condition* holds at *context*; None always holds."""
    return condition is None or CONDITIONS[condition](context)
