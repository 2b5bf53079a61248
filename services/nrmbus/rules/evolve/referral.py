"""Referral: what each answer to it makes of a view."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from nrmbus.rules.changes import Changes, Folder, heard_by, parts_with, parts_without, put, put_last
from nrmbus.rules.conditions import holds
from nrmbus.rules.event_context import UNIT, Step, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.view import Party, Referral, Status


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
    if to_unit:  # a unit that had begun before has deleted its data since, so identification starts again
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


REFERRAL: Final[Mapping[str, Folder]] = {
    "referral.submitted": _submitted,
    "referral.acknowledged": _acknowledged,
    "referral.info_requested": _info_requested,
    "referral.info_supplied": _info_supplied,
    "referral.accepted": _accepted,
    "referral.completed": _completed,
    "referral.declined": _declined,
    "referral.revoked": _ended,
    "referral.expired": _ended,
}
