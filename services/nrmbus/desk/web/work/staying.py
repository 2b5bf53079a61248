"""Items of stay and return: holds on removal and permits with their ends, and the way home by step. Pure."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from nrmbus.rules import View
from nrmbus.rules.clocks import Clock

Side = Literal["ours", "theirs", "record"]
Found = tuple[Side, str, str, dict[str, Any]]
"""Side, kind and type of an item, and its further fields."""

_CLOCKS: Final = frozenset({"D-RISK", "D-TRAVEL", "D-MONITOR"})
_STEPS: Final[Mapping[str, tuple[str, str]]] = {
    "consented": ("return.consented", "return.risk_assessed"),
    "assessed": ("return.risk_assessed", "return.travel_arranged"),
    "travel_arranged": ("return.travel_arranged", "return.completed"),
    "completed": ("return.completed", "return.monitored"),
    "monitored": ("return.monitored", ""),
    "stopped": ("return.stopped", ""),
}
"""Step of a return -> type of the event that made it, and of the next step."""


def holds(me: str, view: View, duties: tuple[Clock, ...], shown: frozenset[str]) -> Iterator[Found]:
    """Yield each hold with its end, and the work that the end of the last one makes for both sides.

    A hold follows the end of the recovery period where that is later. *shown* are the agencies whose confirmation is
    awaited by a duty that has an item already, each behind the reference of its hold.
    """
    recovery = max((duty.due for duty in duties if duty.code == "D-RECOVERY" and duty.due), default=None)
    standing = [hold for hold in view.holds.values() if not hold.ended]
    last = max(standing, key=lambda hold: hold.until, default=None)
    for hold in view.holds.values():
        state = "ended" if hold.ended else "confirmed" if hold.confirmed else "asked"
        until = hold.until if recovery is None else max(hold.until, recovery)
        mine = hold.mark.source == me
        others = hold.migration if mine else (hold.mark.source,)
        said = {"ref": hold.ref, "since": hold.mark.registered, "state": state, "code": state}
        yield (
            "record",
            "hold",
            "stay.hold_requested",
            {"agencies": others, "due": None if hold.ended else until, **said},
        )
        if hold is last and state == "confirmed" and (mine or me in hold.migration):
            act = "stay.hold_requested" if mine else ""
            yield "ours", "period", "stay.hold_confirmed", {"agencies": others, "due": until, "act": act, **said}
        for agency in hold.migration:
            if state == "asked" and mine and f"{hold.ref} {agency}" not in shown:
                yield "theirs", "hold", "stay.hold_requested", {**said, "agencies": (agency,), "state": "no_answer"}


def permits(me: str, view: View) -> Iterator[Found]:
    """Yield the permit with its end; who issued it has to renew or refuse before that."""
    if view.permit is None:
        return
    mine = view.permit.mark.source == me
    said = {
        "since": view.permit.mark.registered, "due": view.permit.until, "state": "runs", "code": "permit",
        "act": "stay.permit_renewed" if mine else "", "agencies": () if mine else (view.permit.mark.source,),
    }  # fmt: skip
    yield "record", "permit", "stay.permit_issued", said
    if mine:
        yield "ours", "period", "stay.permit_issued", said


def returns(
    me: str, view: View, duties: tuple[Clock, ...], since: datetime | None, may_publish: Callable[[str], bool]
) -> Iterator[Found]:
    """Yield the return at its step since *since*, with the next step for an agency that helps and *may_publish* it.

    The list also has steps without a duty behind them: to assess a wish that another agency recorded, to arrange the journey
    of a person who can return, or to stop an unsafe return.
    """
    record = view.returning
    if record is None:
        return
    type, act = _STEPS[record.step]
    if record.step == "assessed" and record.safe is False:
        act = "return.stopped"
    due = min((duty.due for duty in duties if duty.code in _CLOCKS and duty.due), default=None)
    if record.step == "monitored" and due is not None:
        act = "return.monitored"
    code = "not_safe" if record.step == "assessed" and record.safe is False else record.step
    others = tuple(agency for agency in record.helpers if agency != me)
    state = "arrived" if code == "completed" else code
    is_next = bool(act) and me in record.helpers and may_publish(act)
    said = {
        "since": since or record.mark.registered,
        "due": due,
        "act": act if is_next else "",
        "agencies": others,
    }
    yield "record", "return", type, {"state": state, "code": code, **said}
    is_mine = any(duty.code in _CLOCKS and duty.answerable == me for duty in duties)
    if is_next and record.step in ("consented", "assessed") and not is_mine:
        yield "ours", "return", type, {"code": code, **said, "state": "to_do", "due": None}
