"""Steps of a case: the events that this agency may publish in it now, and of the others the rule that is in the way.

Each step is judged by the Rules, on a specimen of its event. Rules about what a person enters (recipients, reasons, a
second signature) say nothing about the case, so they close no step; the registrar applies them to the event itself.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args

from nrmbus.desk.state.context import Seat
from nrmbus.events.codes import ReturnedTo
from nrmbus.events.errors import Invalid
from nrmbus.events.examples import example
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import schema_of
from nrmbus.rules import Refusal, View
from nrmbus.rules.clocks import Clock
from nrmbus.wire.ids import new_event_id

ENTERED: Final = frozenset(
    {
        "G-07", "G-08", "G-10", "G-11", "G-20", "G-23", "G-27", "G-33", "G-34", "G-35", "G-36", "G-37", "G-44", "G-45",
        "G-50", "G-62", "G-63", "G-68", "G-69",
    }
)  # fmt: skip
"""Rules about what a person enters in the event."""
_CHOSEN: Final = frozenset({"G-30", "G-31", "G-32", "G-67"})
"""Rules about consent for the recipients: what a person enters, where the sender chooses them."""
_REF: Final = re.compile(r"[0-9a-f]{32}")
_NEW: Final = "0" * 32
"""A reference under which no record is open."""
_OBJECTION: Final = "consent.objected"
_WISH = "return.consented"
_LIFTED: Final = "deadline.lifted"
_STAGE, _INTERVIEW = "identification.stage_entered", "identification.interview_held"


@dataclass(frozen=True, slots=True)
class Step:
    """One event that the agency's role may publish, about one record of the case; *refusal* says why not now."""

    data: type[Data]
    ref: str | None
    refusal: Refusal | None


def steps(seat: Seat, view: View) -> Iterator[Step]:
    """Yield the steps of the case of *view*, type by type, those about a record once for each record that this desk knows."""
    profile = seat.rules.profile_named(seat.rules.policy_for(view, seat.me, seat.now()))
    for name, data in _newest().items():
        row = profile.types.get(name)
        if row is None or not seat.rules.may_publish(seat.me, name, view):
            continue
        for key in _records(view, name, row.about):
            yield Step(data, ref_of(key) if key != _NEW else None, _refusal(seat, view, data, key))


@cache
def _newest() -> Mapping[str, type[Data]]:
    """Return the newest version of each type that a person may publish."""
    return {data.type: data for data in TYPES.values() if not data.technical and data.keyed_by == "case"}


@cache
def _specimen(data: type[Data]) -> Mapping[str, Any]:
    """Return data with every member, so that no rule about a missing one applies."""
    made: Mapping[str, Any] = example(schema_of(data), full=True)["event"]["data"]
    return made


def _kinds(view: View) -> Mapping[str, Mapping[str, Any]]:
    """Return the records of *view* by kind, as the column ``about`` of a profile names it."""
    return {
        "referral": view.referrals, "bed": view.beds, "hold": view.holds, "review": view.reviews,
        "service": view.services, "emergency": view.emergencies, "payment": view.payments,
        "proceedings": view.proceedings,
    }  # fmt: skip


def _records(view: View, name: str, about: str | None) -> tuple[str, ...]:
    """Return the keys of the records of *view* that the type *name* is about; `_NEW` alone if there is none, or no such kind.

    An event without a reference opens a record under its own id, which nobody can name: of those the newest stands for all.
    """
    kind = "payment" if name in ("payment.executed", "payment.failed") else about or ""
    keys = tuple(_kinds(view).get(kind, ()))
    named = tuple(key for key in keys if ref_of(key))
    return (*named, *[key for key in keys if not ref_of(key)][-1:]) or (_NEW,)


def ref_of(key: str) -> str | None:
    """Return *key* as a reference, or None if it is the id of an event."""
    return key if _REF.fullmatch(key) else None


def _said(data: type[Data], members: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    for name, field in data.model_fields.items():
        there = {**members, name: said[name]} if name in said else {key: members[key] for key in members if key != name}
        if name in said or not field.is_required():
            with suppress(Invalid):
                data.from_mapping(there)
                members = there
    return members


def liftable(seat: Seat, view: View) -> tuple[Clock, ...]:
    """Return the overdue duties that `deadline.lifted` may lift: those that go on after their agency has left the case."""
    rules = seat.rules.profile_for(view).clocks
    return tuple(each for each in seat.rules.clocks(view) if each.breached and "LEFT" in rules[each.code].outlives)


def _refusal(seat: Seat, view: View, data: type[Data], ref: str) -> Refusal | None:
    event = specimen(seat, view, data, ref)
    entered = ENTERED | _CHOSEN if "to" in data.model_fields else ENTERED
    if data.type == _OBJECTION and view.consents:
        entered |= {"G-03"}  # the consent that it names is chosen
    return next((each for each in seat.rules.refusals(view, event, seat.now()) if each.rule not in entered), None)


def specimen(seat: Seat, view: View, data: type[Data], ref: str | None, said: Mapping[str, Any] | None = None) -> Event:
    """Return an event of the type *data* in the case of *view*, about the record *ref*, with examples for what nobody said yet.

    *said* has the data so far: of these the members that fit; an optional one that is left out is absent.
    """
    members = dict(_specimen(data))
    if "child" in members:  # what this desk knows; where it knows nothing, the person says it with the event
        members["child"] = bool(view.child)
    if data.type == _STAGE:
        stages = seat.rules.profile_for(view).statuses.stages
        members["stage"] = stages[min(view.stage, len(stages) - 1)]
    if data.type == _LIFTED and (late := liftable(seat, view)):
        members |= {"rule": late[0].code, "agency": late[0].answerable}
    if data.type == _WISH:  # the one answer that the Rules take of an adult and of a child
        members["given_by"] = "individual"
    if "returned_to" in members:  # the home that the decision on best interests allows, if there is one
        needs = seat.rules.profile_for(view).statuses.return_needs
        homes = (home for home in get_args(ReturnedTo) if view.best_interests in needs.get(home, ()))
        members["returned_to"] = next(homes, members["returned_to"])
    if data.type == _INTERVIEW:
        members["attended"] = ["doctor", "representative"]
    if "decision" in members and view.decisions:
        members["decision"] = view.effective or list(view.decisions)[-1]
    if (order := view.payments.get(ref or "")) is not None and "kind" in members:
        about = {"kind": order.kind, "decision": order.decision}
        members |= {name: value for name, value in about.items() if name in members and value is not None}
    if said is not None:
        members = _said(data, members, said)
    now = seat.now()
    return Event(
        id=new_event_id(int(now.timestamp() * 1000)),
        source=seat.me,
        type=data.type,
        version=data.version,
        subject=view.subject,
        time=now,
        recordedtime=now,
        sequence=1,
        actor="specimen-1",
        approver="specimen-2",
        policy=seat.rules.policy_for(view, seat.me, now),
        legalbasis="specimen art. 1",
        referral=ref and ref_of(ref),
        data=data.from_mapping(members),
    )
