"""Steps that follow from what is open in a case: for seeded stories that come far."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rules.roaming import Roaming

Step = tuple[str, str, str | None, dict[str, Any]]
"""Publisher, type, reference, and fields that have to fit."""
_ASKED: Final = ("accepted", "accepted", "declined", "acknowledged", "info_requested")
_BEDS: Final = {
    "asked": ("bed_offered", "bed_offered", "bed_refused"),
    "offered": ("admitted",),
    "admitted": ("discharged",),
}
_NEXT: Final = {"consented": "risk_assessed", "assessed": "travel_arranged", "travel_arranged": "completed"}


def waiting_for(b: "Roaming") -> Iterator[Step]:
    """Yield the steps that may follow in the case of *b*."""
    for each in (
        _referrals,
        _beds_and_holds,
        _reviews_and_services,
        _money_and_justice,
        _way_home,
        _units,
        _ends,
        _emergencies,
    ):
        yield from each(b)


def _referrals(b: "Roaming") -> Iterator[Step]:
    deciders = b.profile.expand(("DECIDERS",))
    for ref, referral in b.view.referrals.items():
        for party in referral.receivers:
            answers = _ASKED if party.state == "submitted" else ("completed", "info_requested")
            yield from ((party.agency, f"referral.{answer}", ref, {}) for answer in answers)
            if b.agencies[party.agency].role in deciders and party.state == "accepted":
                yield party.agency, "handover.person_received", ref, {}
                yield referral.sender, "handover.document_transferred", ref, {}
        is_asked = any(each.asked for each in referral.receivers)
        yield referral.sender, "referral.info_supplied" if is_asked else "referral.revoked", ref, {}
    if b.view.status == "SUSPECTED" and b.view.detector:
        yield from ((b.view.detector, "referral.submitted", None, {"to": [unit]}) for unit in b.units)


def _beds_and_holds(b: "Roaming") -> Iterator[Step]:
    for ref, bed in b.view.beds.items():
        for house in bed.houses:
            yield from ((house.agency, f"shelter.{name}", ref, {}) for name in _BEDS.get(house.state, ()))
    for ref, hold in b.view.holds.items():
        if not hold.confirmed:
            yield from ((agency, "stay.hold_confirmed", ref, {}) for agency in hold.migration)
        if not hold.ended:
            yield hold.mark.source, "stay.hold_ended", ref, {}


def _reviews_and_services(b: "Roaming") -> Iterator[Step]:
    for ref, review in b.view.reviews.items():
        if review.open:
            deciders = b.units if review.decider == "DECIDERS" else b.having("court")
            yield from ((each, "review.decided", ref, {}) for each in deciders)
    if b.view.status == "NOT_IDENTIFIED":
        yield from ((each, "review.requested", None, {"new_evidence": True}) for each in b.view.parts)
    for ref, service in b.view.services.items():
        if service.open:
            names = ("scheduled", "delivered", "not_delivered")
            yield from ((each, f"service.{name}", ref, {}) for each in service.receivers for name in names)


def _money_and_justice(b: "Roaming") -> Iterator[Step]:
    view = b.view
    for ref, payment in view.payments.items():
        if payment.state == "ordered":
            kind = {"kind": payment.kind}
            yield from ((payment.mark.source, f"payment.{name}", ref, kind) for name in ("executed", "failed"))
    for ref, found in view.proceedings.items():
        by = found.court or found.mark.source
        yield from ((by, f"justice.{name}", ref, {}) for name in ("measure_granted", "verdict_recorded"))
    if view.proceedings or view.effective:
        yield from ((each, "fund.compensation_granted", None, {}) for each in b.having("fund", "court"))
        kind = {"kind": b.dice.choice(("compensation", "one_time_allowance"))}
        yield from ((each, "payment.ordered", None, kind) for each in b.having("fund"))


def _way_home(b: "Roaming") -> Iterator[Step]:
    back = b.view.returning
    if back and back.open:
        step = _NEXT[back.step]
        said = {"outcome": "can_return"} if step == "risk_assessed" else {}
        yield from ((each, f"return.{step}", None, said) for each in (*back.helpers, back.mark.source))
        yield back.mark.source, "return.stopped", None, {}
    elif back and back.made:
        yield back.mark.source, "return.monitored", None, {}


def _units(b: "Roaming") -> Iterator[Step]:
    view, stages = b.view, b.profile.statuses.stages
    steps = ["stage_entered"] * (3 if view.stage < len(stages) - 1 else 1) + ["indicators_screened", "interview_held"]
    steps += ["reasonable_grounds_decided"] * 2 if view.status == "UNDER_IDENTIFICATION" else []
    steps += ["status_decided"] * 2 if view.status == "PRESUMED" else []
    steps += ["status_revoked"] if view.status == "IDENTIFIED" else []
    recovery = (
        ("period_started", "period_started", "extended", "reviewed", "ended") if view.status == "PRESUMED" else ()
    )
    for unit in (each for each in b.units if each in view.counts):
        yield from ((unit, f"identification.{name}", None, {}) for name in steps)
        yield from ((unit, f"recovery.{name}", None, {}) for name in recovery)


def _ends(b: "Roaming") -> Iterator[Step]:
    view = b.view
    stops = [agency for agency, stop in view.stops.items() if stop.open and b.dice.random() < 0.4]
    yield from ((agency, "consent.stop_confirmed", None, {}) for agency in stops)
    if view.plan and view.plan.in_force:
        yield from ((view.plan.holder, f"plan.{name}", None, {}) for name in ("revised", "completed"))
    if view.status == "CLOSED":
        yield from ((each, "case.reopened", None, {}) for each in (*view.parts, *b.having("court")))
    if view.erasure.due:
        yield from ((each, "access.erasure_confirmed", None, {"ground": "decision"}) for each in view.counts)


def _emergencies(b: "Roaming") -> Iterator[Step]:
    for ref, each in b.view.emergencies.items():
        if each.holder and each.state == "due":
            yield each.holder, "access.resealed", ref, {}
        elif each.holder and each.state == "asked":
            yield each.holder, "access.break_glass_objected", ref, {"duty_role": "duty_officer"}
