"""What a new form proposes: answers that the case, the record or the agency's role tell. The person may change each."""

from collections.abc import Mapping
from typing import Any, Final

from nrmbus.desk.outbox.drafts import Typed
from nrmbus.desk.state.bulletins import Standing
from nrmbus.desk.state.steps import liftable
from nrmbus.desk.web.acts import around, form
from nrmbus.desk.web.shell import Visit
from nrmbus.events.deadline import DeadlineLifted
from nrmbus.events.model import Data, Event
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.referral import ReferralInfoSupplied, ReferralSubmitted
from nrmbus.events.shelter import BedRequested
from nrmbus.events.stay import HoldRequested
from nrmbus.rules import View
from nrmbus.rules.records import Grant

_BODIES: Final[Mapping[str, str]] = {
    "special_unit": "Police", "police_other": "Police", "ngo_outreach": "NGO", "ngo_legal": "NGO", "ngo_shelter": "NGO",
    "prosecution": "CourtOrProsecution", "court": "CourtOrProsecution",
}  # fmt: skip
"""Role -> kind of body that decides."""
_COMPENSATION: Final = "compensation"


def proposed(visit: Visit, case: around.Case, data: type[Data], ref: str | None, asked: Event | None) -> Typed:
    """Return the answers that a new form of *data* begins with; *asked* is the event of the record *ref* that it answers."""
    said = _of_case(visit, case.view, data.type, ref, asked)
    sheet = form.form_of(data)
    receivers = sheet.field_at("/data/to")
    if receivers is not None and receivers.is_required:
        options = around.choices(visit, case, data, said, ref).agencies(receivers)
        if len(options) == 1:
            said["to"] = [options[0][0]]
    letter = {"category": "children"} if data.type == BedRequested.type and case.view.child else {}
    return form.typed_of(sheet, {form.DATA: said, form.SEALED: letter}, visit.t.zone)


def proposed_about_no_case(visit: Visit, data: type[Data]) -> Typed:
    """Return the answers that a new form of *data* about no case begins with: the places that this agency named last."""
    if data is not CapacityChanged:
        return {}
    places = around.known_of(visit).get(visit.door.seat.me, Standing()).places
    return with_places(visit, data, places)


def with_places(visit: Visit, data: type[Data], places: Mapping[str, Any]) -> Typed:
    """Return the answers of a form of *data* that names *places*."""
    return form.typed_of(form.form_of(data), {form.DATA: places}, visit.t.zone)


def _of_case(visit: Visit, view: View, type: str, ref: str | None, asked: Event | None) -> dict[str, Any]:
    rules = visit.door.seat.rules
    match type:
        case "identification.stage_entered":
            stages = rules.profile_for(view).statuses.stages
            return {"stage": stages[view.stage]} if view.stage < len(stages) else {}
        case "identification.status_decided":
            body = _BODIES.get(rules.role_of(visit.door.seat.me))
            return {"deciding_body": body} if body else {}
        case "payment.executed" | "payment.failed" if (order := view.payments.get(ref or "")) is not None:
            return {"kind": order.kind, **({"decision": order.decision} if order.decision else {})}
        case "payment.ordered" if (grant := view.grants.get(ref or "")) is not None:
            return _of_grant(visit, view, grant)
        case "stay.hold_requested":
            return {"ground": _ground(view)}
        case "stay.hold_confirmed" if asked is not None and isinstance(asked.data, HoldRequested):
            return {"until_days": asked.data.until_days}
        case DeadlineLifted.type if late := liftable(visit.door.seat, view):
            return {"rule": late[0].code, "agency": late[0].answerable}
        case ReferralSubmitted.type if view.child:
            return {"child": True}
        case ReferralInfoSupplied.type if asked is not None:
            return {"question": asked.data.to_mapping()["question"]}
    return {}


def _of_grant(visit: Visit, view: View, grant: Grant) -> dict[str, Any]:
    """Return what follows from a grant: the kind of the payment, its payee, and the currency of the country."""
    profile = visit.door.seat.rules.profile_for(view)
    tariff = profile.tariff_on(visit.now.astimezone(profile.zone).date())
    return {
        "kind": _COMPENSATION if grant.purpose == _COMPENSATION else "other_financial_assistance",
        **({"amount": {"currency": tariff.currency}} if tariff else {}),
        **({} if view.child is None else {"payee": "deposit" if view.child else "person"}),
    }


def _ground(view: View) -> str:
    """Return why a removal would be held now."""
    if any(each.open for each in view.reviews.values()):
        return "review"
    return "status" if view.status == "IDENTIFIED" else "identification"
