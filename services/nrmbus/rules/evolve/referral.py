"""Referral: what each answer to it makes of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put, put_last
from nrmbus.rules.conditions import ended_of, holds
from nrmbus.rules.event_context import EventContext, taken_over, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.records import Party, Referral, Status


def _submitted(context: EventContext, mark: Mark) -> Changes:
    ref, view, to_unit = context.ref, context.view, bool(context.units_in_to)
    referral = Referral(
        ref=ref,
        mark=mark,
        transfer=value(context.event, "mode") == "transfer",
        urgency=value(context.event, "urgency", "normal"),
        made_support=holds("withheld_from_unit", context) and view.status in ("SUSPECTED", None),
        before=_status_before(context) if to_unit else None,
        receivers=tuple(Party(agency) for agency in context.to),
        known_to=heard_by(context),
    )
    changes: Changes = {
        "referrals": put_last(view.referrals, ref, referral),
        "parts": parts_with(view.parts, (context.source, *context.to), f"referral {ref}"),
    }
    if view.child is None:
        changes["child"] = value(context.event, "child")
    if to_unit:  # a unit that had begun before has deleted its data since, so identification starts again
        changes |= {"stage": 0, "begun_by": None, "screened": False, "handed_on": False}
    return changes


def _status_before(context: EventContext) -> Status | None:
    """Return the status to come back to if the deciding body does not take the person on."""
    view = context.view
    if view.status != "REFERRED":
        return view.status
    earlier = [referral.before for referral in view.referrals.values() if referral.before]
    return earlier[-1] if earlier else view.status


def _with_party(context: EventContext, **changed: Any) -> Referral | None:
    referral = context.referral
    if referral is None or referral.party(context.source) is None:
        return None
    receivers = tuple(
        replace(party, **changed) if party.agency == context.source else party for party in referral.receivers
    )
    return replace(referral, receivers=receivers)


def _kept(context: EventContext, referral: Referral | None) -> Changes:
    return {"referrals": put(context.view.referrals, referral.ref, referral)} if referral else {}


def _info_supplied(context: EventContext, _: Mark) -> Changes:
    referral = context.referral
    if referral is None:
        return {}
    receivers = tuple(replace(party, asked=False) for party in referral.receivers)
    return _kept(context, replace(referral, receivers=receivers))


def _accepted(context: EventContext, _: Mark) -> Changes:
    referral = _with_party(context, state="accepted")
    return {**_kept(context, referral), **(taken_over(context) if referral else {})}


def _declined(context: EventContext, _: Mark) -> Changes:
    referral = _with_party(context, state="declined")
    if referral is None:
        return {}
    parts = parts_without(context.view.parts, (context.source,), f"referral {referral.ref}")
    return {**_kept(context, referral), "parts": parts}


def _ended(context: EventContext, _: Mark) -> Changes:
    """Revoked by the sender, or expired: of those who had not answered."""
    referral = context.referral
    if referral is None:
        return {}
    state: Literal["revoked", "expired"] = "revoked" if context.event.type == "referral.revoked" else "expired"
    ended = ended_of(context, referral)
    receivers = tuple(replace(party, state=state) if party.agency in ended else party for party in referral.receivers)
    left = replace(referral, receivers=receivers)
    if not left.stands:
        ended.add(referral.sender)
    return {**_kept(context, left), "parts": parts_without(context.view.parts, ended, f"referral {referral.ref}")}


REFERRAL: Final[Mapping[str, Folder]] = {
    "referral.submitted": _submitted,
    "referral.acknowledged": lambda context, _: _kept(context, _with_party(context, acknowledged=True)),
    "referral.info_requested": lambda context, _: _kept(context, _with_party(context, asked=True)),
    "referral.info_supplied": _info_supplied,
    "referral.accepted": _accepted,
    "referral.completed": lambda context, _: _kept(context, _with_party(context, state="completed")),
    "referral.declined": _declined,
    "referral.revoked": _ended,
    "referral.expired": _ended,
}
