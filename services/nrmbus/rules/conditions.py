"""The conditions of the profile's rows, one function each; section 2 and 5 of RULES.md."""

from collections.abc import Callable, Mapping
from typing import Final

from nrmbus.rules.event_context import AGE_ASSESSED, CHILD_FLAGGED, SHARING, EventContext, receivers_of, value
from nrmbus.rules.grants import paid_grant
from nrmbus.rules.records import Referral
from nrmbus.rules.vocabulary import Condition


def _to_unit(context: EventContext) -> bool:
    """Return whether a referral asks the deciding body (T02, T23)."""
    return bool(context.units_in_to)


def _to_unit_that_left(context: EventContext) -> bool:
    """Return whether a referral asks the deciding body again after the unit deleted its data (T02); another one only after that which began."""
    waiting = any(
        party.agency in context.units_in_to and party.state == "submitted"
        for referral in context.view.referrals.values()
        for party in referral.receivers
    )
    working = {*context.units_in_to, *([context.view.begun_by] if context.view.begun_by else [])}
    return _to_unit(context) and not waiting and not any(context.view.on_case(unit) for unit in working)


def _withheld_from_unit(context: EventContext) -> bool:
    """Return whether a referral to a provider is withheld from the deciding body (T03), and from each one to which she agreed."""
    is_withheld = context.withholds_from_unit and not context.another_unit_agreed(*context.units_withheld)
    return is_withheld and any(context.in_group(agency, "PROVIDERS") for agency in context.to)


def _by_detecting_provider(context: EventContext) -> bool:
    """Return whether the sender is the provider that gave the signal (T03b)."""
    return context.source == context.view.detector and context.in_group(context.source, "PROVIDERS")


def _made_it_referred(context: EventContext) -> bool:
    """Return whether no deciding body that the referral asked is left by the event: neither one that may answer, nor one that accepted (T07).

    An agency that knows nothing of the time before that referral does not know the status to which the case returns.
    """
    referral = context.referral
    if referral is None:
        return False
    ended = ended_of(context, referral)
    units = [party for party in referral.receivers if context.is_unit(party.agency)]
    return any(unit.agency in ended for unit in units) and not any(
        unit.stands for unit in units if unit.agency not in ended
    )


def ended_of(context: EventContext, referral: Referral) -> set[str]:
    """Return the receivers whose part in *referral* the event ends: a refusal, a revocation or an expiry.

    A deciding body that is still on the case goes on owing its answer when the time of the others is over.
    """
    if context.event.type == "referral.declined":
        return {context.source}
    waiting = {party.agency for party in referral.receivers if party.state == "submitted"}
    if context.event.type != "referral.expired":
        return waiting
    return {each for each in waiting if not context.is_unit(each) or each in context.view.left} or waiting


def _first_stage(context: EventContext) -> bool:
    """Return whether initial assistance begins (T08)."""
    return value(context.event, "stage") in context.tables.profile.statuses.stages[:1]


def _first_stage_of_own_find(context: EventContext) -> bool:
    """Return whether initial assistance begins, and the deciding body itself gave the signal (T08)."""
    return _first_stage(context) and context.is_unit(context.view.detector)


def _positive(context: EventContext) -> bool:
    """Return whether reasonable grounds were found, or the person was recognised as a victim (T10, T13)."""
    if context.event.type == "identification.status_decided":
        return value(context.event, "status") in context.tables.profile.statuses.victim
    return bool(value(context.event, "outcome") == "positive")


def _reopening(context: EventContext) -> bool:
    """Return whether a review takes identification up again (T19)."""
    return bool(value(context.event, "outcome") == "reopen")


def _first_receipt_by_unit(context: EventContext) -> bool:
    """Return whether the deciding body acknowledges or accepts for the first time, and no other one has begun already."""
    if not context.by_unit or context.view.begun_by not in (None, context.source):
        return False
    party = context.referral.party(context.source) if context.referral else None
    return party is None or (party.state == "submitted" and not party.acknowledged)


def _report_begins_referral(context: EventContext) -> bool:
    """Return whether the signal starts the time to refer: not by the deciding body, nor from abroad if arrival starts it."""
    is_abroad = bool(value(context.event, "detected_abroad", default=False))
    return not context.by_unit and not (is_abroad and context.tables.profile.abroad.refer_from == "arrival")


def _arrival_begins_referral(context: EventContext) -> bool:
    """Return whether the arrival of somebody found abroad starts the time to refer, since nobody has referred her yet."""
    return (
        context.tables.profile.abroad.refer_from == "arrival"
        and context.view.abroad
        and context.view.status == "SUSPECTED"
        and not context.by_unit
    )


def _merges(context: EventContext, outcome: str) -> bool:
    return context.event.type == "case.merged" and value(context.event, "outcome") == outcome


def _adult_refuses_unit(context: EventContext) -> bool:
    """Return whether an adult refuses that the deciding body has information, and no consent to another one stands."""
    receivers = receivers_of(context.event)
    return (
        not context.child
        and SHARING in value(context.event, "purposes", ())
        and any(map(context.is_unit, receivers))
        and not context.another_unit_agreed(*receivers)
    )


def _child_waits(context: EventContext) -> bool:
    """Return whether a child without a representative begins to wait for one: from the inquiry on nobody may interview it.

    The wait begins with the inquiry, or later with the event by which guardianship learns of the child.
    """
    view, event = context.view, context.event
    if not context.child or view.represented:
        return False
    if event.type == "identification.stage_entered":
        return value(event, "stage") in context.tables.profile.statuses.stages[1:2]
    is_first_flag = event.type == CHILD_FLAGGED and not context.guardianship(view.flagged)
    return (is_first_flag or view.child is False) and view.stage > 1


CONDITIONS: Final[Mapping[Condition, Callable[[EventContext], bool]]] = {
    "adult_refuses_unit": _adult_refuses_unit,
    "arrival_begins_referral": _arrival_begins_referral,
    "by_detecting_provider": _by_detecting_provider,
    # By the provider that gave the signal, if the adult's refusal of the deciding body stands (T03b)
    "by_detecting_provider_after_refusal": lambda context: _by_detecting_provider(context) and context.unit_refused,
    "by_unit": lambda context: context.by_unit,
    "child_waits": _child_waits,
    "first_receipt_by_unit": _first_receipt_by_unit,
    "first_stage": _first_stage,
    # Initial assistance begins, by the deciding body: another body's ends no duty to refer to that one
    "first_stage_by_unit": lambda context: _first_stage(context) and context.by_unit,
    "first_stage_of_own_find": _first_stage_of_own_find,
    # An age assessment finds an adult
    "found_adult": lambda context: context.event.type == AGE_ASSESSED and not context.finds_child,
    # Money was granted and no order for it stands (T16): the event is such an order
    "grant_open": lambda context: paid_grant(context) is not None,
    # A stage after initial assistance is entered (T09)
    "later_stage": lambda context: not _first_stage(context),
    "made_it_referred": _made_it_referred,
    # After this report of a return another one is owed
    "monitored_again": lambda context: bool(value(context.event, "again", default=False)),
    # The deciding body goes on with this case of a person, or ends it for her other one
    "merge_continues": lambda context: _merges(context, "continues"),
    "merge_ends": lambda context: _merges(context, "ends"),
    # The contrary of positive (T11, T14); a revocation always is
    "negative": lambda context: not _positive(context),
    # By another agency than the deciding body
    "not_by_unit": lambda context: not context.by_unit,
    # About money that was ordered and neither paid nor failed (T16)
    "order_open": lambda context: any(each.state == "ordered" for each in context.view.payments.values()),
    "positive": _positive,
    # The sender of this referral owes the asker no other answer yet
    "question_opens": lambda context: (
        context.referral is not None
        and any(each.agency == context.source and not each.asked for each in context.referral.receivers)
    ),
    "reopening": _reopening,
    # A review reopens a case whose negative decision still stood (T19)
    "reopening_from_negative": lambda context: _reopening(context) and context.view.status in ("NOT_IDENTIFIED", None),
    "report_begins_referral": _report_begins_referral,
    # About a service that somebody asked for (T15); of several that were asked, each answers for itself
    "service_asked_for": lambda context: context.service is not None and context.service.requester is not None,
    "to_unit": _to_unit,
    "to_unit_that_left": _to_unit_that_left,
    "withheld_from_unit": _withheld_from_unit,
}


def holds(condition: Condition | None, context: EventContext) -> bool:
    """Return whether *condition* holds at *context*; None always holds."""
    return condition is None or CONDITIONS[condition](context)
