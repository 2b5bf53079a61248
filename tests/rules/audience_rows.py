"""Recipients and openers: for each row of section 3, cases that show every term of the row at work."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from nrmbus.events.model import Data
from nrmbus.events.registry import data_type
from rules.audience_erasure import ending
from rules.audience_holder import HANDED_ON
from rules.audience_relieved import relieved
from rules.audience_returns import returns
from rules.audience_words import MOST, UNIT, Seen, barring, bulletin, going_on, opened_by, opened_by_nobody
from rules.emergency_rows import EMERGENCY
from rules.given import DEFAULTS, NEGATIVE, NOT_A_VICTIM, Bench
from rules.stories import (
    BODIES,
    LEGAL,
    accepted,
    acknowledged,
    begun,
    child_begun,
    child_flagged,
    child_identified,
    child_planned,
    child_presumed,
    child_prosecuted,
    child_referred,
    child_screened,
    child_signalled,
    closed,
    consented,
    convicted,
    identified,
    left,
    offered,
    paid,
    planned,
    presumed,
    prosecuted,
    referred,
    refused_by_grounds,
    screened,
    served,
    signalled,
    under_review,
    unit_refused,
)


def in_words(type: str) -> Data:
    """Return the data of an answer in version 2, which may have a letter."""
    return data_type(type, 2).from_mapping(DEFAULTS[type])


def _case() -> Iterator[Seen]:
    signal = {"coded": (UNIT,), "story": ()}
    yield Seen(lambda b: b, "ngo-a", "case.signal_recorded", (UNIT,), signal)
    yield Seen(lambda b: b, "ngo-a", "case.re_referred", (UNIT,), signal)
    yield Seen(lambda b: b, "school", "case.signal_recorded", (UNIT,), opened_by(UNIT), {"child": True})
    yield Seen(lambda b: b, "school", "case.re_referred", (UNIT,), opened_by(UNIT), {"child": True})
    yield Seen(lambda b: b, UNIT, "case.signal_recorded", (), opened_by_nobody("coded", "story"))
    yield Seen(signalled, "ngo-a", "case.signal_dismissed", (UNIT,))
    yield Seen(lambda b: b, "ngo-a", "incident.opened", (UNIT,), {"story": (UNIT,)})
    yield Seen(planned, UNIT, "case.linked", ("ngo-a", "vac"), opened_by_nobody("coded", "story"))
    yield Seen(planned, UNIT, "case.merged", ("ngo-a", "vac"), opened_by_nobody("coded", "story"))
    shut, ends = opened_by_nobody("coded", "story"), {"outcome": "ends"}
    yield Seen(signalled, UNIT, "case.merged", ("ngo-a",), shut, ends)
    yield Seen(offered, UNIT, "case.merged", ("ngo-a", "shelter"), shut, ends)
    yield Seen(presumed, UNIT, "case.merged", ("ngo-a", "shelter", "vac"), shut, ends)
    yield Seen(referred, "ngo-a", "case.copy_issued", ())
    yield Seen(served, "vac", "case.withdrawn", ("fund", "migration", "ngo-a", "ngo-l", "shelter", UNIT))
    yield Seen(served, "shelter", "case.withdrawn", ("fund", "migration", "ngo-a", "ngo-l", UNIT, "vac"))
    hospital = ("hospital", "migration", "ngo-l", "shelter", UNIT, "vac")
    yield Seen(plan_with_hospital(identified), "ngo-a", "case.withdrawn", hospital)
    yield Seen(barring(plan_with_hospital(identified), "vac"), "ngo-a", "case.withdrawn", hospital)
    yield Seen(barring(left, UNIT), "vac", "case.closed", ("ngo-l", "shelter"))
    yield Seen(left, "vac", "case.closed", ("ngo-l", "shelter", UNIT))
    yield Seen(plan_with_hospital(left), "ngo-l", "case.closed", ("hospital", "shelter", UNIT, "vac"))
    yield Seen(
        going_on(child_identified, "vac", "plan.completed"), "vac", "case.closed", ("guardianship", "ngo-shelter", UNIT)
    )
    yield Seen(closed, "vac", "case.reopened", ("ngo-l", "shelter", UNIT))
    ngo_closes = going_on(plan_with_hospital(left), "ngo-l", "case.closed")
    yield Seen(ngo_closes, "ngo-l", "case.reopened", ("hospital", "shelter", UNIT, "vac"))
    yield Seen(_closed_child, "vac", "case.reopened", ("guardianship", "ngo-shelter", UNIT))
    deleted = going_on(barring(_closed_child, "guardianship", "vac"), "guardianship", "consent.stop_confirmed")
    yield Seen(deleted, "vac", "case.reopened", ("guardianship", "ngo-shelter", UNIT))
    yield Seen(going_on(begun, UNIT, "case.closed", reason="lost_contact"), UNIT, "case.reopened", ("ngo-a",))
    yield Seen(_let_in_again(left, UNIT, "vac"), "vac", "case.reopened", ("ngo-l", "shelter", UNIT))
    for each in ("hospital", "shelter", "vac"):
        let_in = _let_in_again(plan_with_hospital(left), each, "ngo-l")
        yield Seen(let_in, "ngo-l", "case.reopened", ("hospital", "shelter", UNIT, "vac"))
    yield Seen(closed, "timekeeper", "case.follow_up_due", ("vac",))
    yield Seen(closed, "vac", "case.follow_up_recorded", (), opened_by_nobody("coded", "story"))


def _let_in_again(story: Callable[[Bench], Bench], agency: str, holder: str) -> Callable[[Bench], Bench]:
    """*holder* closes the case before *agency* may hear of it; then she agrees to that agency again."""
    shut = going_on(barring(story, agency), holder, "case.closed")
    return going_on(shut, "ngo-a", "consent.given", receivers=[agency])


def plan_with_hospital(story: Callable[[Bench], Bench]) -> Callable[[Bench], Bench]:
    """Return a story in which the legal NGO holds a plan with the hospital alone, so that others count by other terms."""

    def longer(b: Bench) -> Bench:
        story(b).consents("hospital")
        b.say("ngo-l", "plan.adopted", to=["hospital"])
        return b

    return longer


def _closed_child(b: Bench) -> Bench:
    child_identified(b).at("d121 10:00").say(
        "ngo-shelter", "shelter.discharged", ref="B-10", reason="returned_to_family"
    )
    b.say("vac", "plan.completed")
    b.say("vac", "case.closed")
    return b


def child_consented(b: Bench) -> Bench:
    """A school records a consent about the assistance centre."""
    child_signalled(b).consents("vac", by="school")
    return b


def with_school(b: Bench) -> Bench:
    """An NGO records a consent about a school, which is then asked for a service."""
    consented(b).consents("school", by="ngo-a")
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["school"])
    return b


def _paper(receiver: str, number: int) -> dict[str, Any]:
    """An objection to the consent about *receiver*, which is the case's event *number*."""
    paper = SimpleNamespace(id=f"{number:08x}-0000-7000-8000-{number:012x}")
    return {"receivers": [receiver], "consent": [paper]}


def _consent() -> Iterator[Seen]:
    yield Seen(signalled, "ngo-a", "consent.given", (UNIT,), said={"receivers": [UNIT]})
    yield Seen(signalled, "ngo-a", "consent.given", (), said={"receivers": ["vac"]})
    yield Seen(planned, "ngo-a", "consent.given", ("vac",), said={"receivers": ["embassy"]})
    yield Seen(barring(planned, "ngo-l"), "vac", "consent.given", ("ngo-l",), said={"receivers": ["ngo-l"]})
    yield Seen(
        barring(planned, "ngo-l"), "vac", "consent.given", (), said={"receivers": ["ngo-l"], "purposes": ["services"]}
    )
    yield Seen(signalled, "ngo-a", "consent.overridden", (UNIT,), said={"receivers": [UNIT]})
    yield Seen(planned, "ngo-a", "consent.overridden", ("vac",), said={"receivers": ["embassy"]})
    yield Seen(barring(planned, "ngo-l"), "vac", "consent.overridden", ("ngo-l",), said={"receivers": ["ngo-l"]})
    yield Seen(signalled, "ngo-a", "consent.refused", (), said={"receivers": ["embassy"]})
    yield Seen(planned, "ngo-a", "consent.refused", ("ngo-l",), said={"receivers": ["ngo-l"]})
    yield Seen(barring(planned, "ngo-l"), "ngo-a", "consent.refused", ("ngo-l",), said={"receivers": ["ngo-l"]})
    yield Seen(planned, "vac", "consent.withdrawn", ("ngo-l",), said={"receivers": ["ngo-l"]})
    yield Seen(planned, "vac", "consent.withdrawn", (), said={"receivers": ["fund"]})
    yield Seen(barring(planned, "ngo-l"), "vac", "consent.withdrawn", ("ngo-l",), said={"receivers": ["ngo-l"]})
    out, story = {"receivers": ["ngo-l"]}, {"story": ()}
    yield Seen(planned, UNIT, "access.revoked", ("ngo-l", "vac"), story, out)
    yield Seen(with_school, UNIT, "access.revoked", ("district", "ngo-a", "school"), story, {"receivers": ["school"]})
    yield Seen(planned, UNIT, "access.revoked", ("vac",), story, {"receivers": ["vac"]})
    yield Seen(
        child_begun,
        UNIT,
        "access.revoked",
        ("child-commission", "district", "guardianship", "school"),
        {"story": ("child-commission", "guardianship")},
        {"receivers": ["school"]},
    )
    yield Seen(
        child_begun, "guardianship", "access.revoked", ("child-commission", "district", "school", UNIT),
        {"story": ("child-commission", UNIT)}, {"receivers": ["school"]},
    )  # fmt: skip
    yield Seen(
        barring(prosecuted, UNIT), "prosecution", "access.revoked", ("ngo-a", UNIT, "vac"),
        {"story": (UNIT,)}, {"receivers": ["vac"]},
    )  # fmt: skip
    yield Seen(barring(planned, "ngo-l"), UNIT, "access.revoked", ("ngo-l", "vac"), story, out)
    cut = going_on(planned, UNIT, "access.revoked", approver="A-2", **out)
    yield Seen(cut, "vac", "consent.withdrawn", (), said=out)
    yield Seen(planned, "vac", "consent.objected", ("ngo-a",), said=_paper("fund", 6))
    yield Seen(planned, "vac", "consent.objected", ("ngo-a", "ngo-l"), said=_paper("ngo-l", 5))
    yield Seen(barring(planned, "ngo-l"), "vac", "consent.objected", ("ngo-a",), said=_paper("ngo-l", 5))
    yield Seen(child_consented, UNIT, "consent.objected", ("district", "school"), said=_paper("vac", 2))
    yield Seen(with_school, "vac", "consent.objected", ("district", "ngo-a", "school"), said=_paper("school", 8))
    yield Seen(barring(planned, "ngo-l", "vac"), "ngo-l", "consent.stop_confirmed", ("vac",))
    yield Seen(barring(planned, "vac"), "vac", "consent.stop_confirmed", ("ngo-a", UNIT))
    yield Seen(barring(barring(planned, UNIT), "vac"), "vac", "consent.stop_confirmed", ("ngo-a",))
    retained = {"answer": "must_retain"}
    yield Seen(barring(planned, "vac"), "vac", "consent.stop_confirmed", ("ngo-a",), said=retained)
    both = barring(barring(planned, "ngo-l", "vac"), "vac")
    yield Seen(both, "ngo-l", "consent.stop_confirmed", ("vac",))


def _referral() -> Iterator[Seen]:
    to_unit = {"ref": "R-9", "to": [UNIT], "legal_basis": LEGAL}
    unit = {"coded": (UNIT,), "contact": (UNIT,), "identity": (UNIT,), "money": (), "story": (UNIT,)}
    yield Seen(consented, "ngo-a", "referral.submitted", (UNIT,), unit, to_unit)
    yield Seen(child_flagged, "school", "referral.submitted", (*BODIES, UNIT), unit, to_unit)
    yield Seen(child_begun, UNIT, "referral.submitted", ("vac",), {**MOST, "money": ()}, {**to_unit, "to": ["vac"]})
    two = {
        "coded": ("fund", "migration"),
        "contact": ("fund",),
        "identity": ("fund", "migration"),
        "money": ("fund",),
        "story": (),
    }
    yield Seen(
        consented,
        "ngo-a",
        "referral.submitted",
        ("fund", "migration"),
        two,
        {"ref": "R-9", "to": ["fund", "migration"]},
    )
    yield Seen(referred, UNIT, "referral.acknowledged", ("ngo-a",), said={"ref": "R-1"})
    yield Seen(acknowledged, UNIT, "referral.accepted", ("ngo-a",), said={"ref": "R-1"})
    yield Seen(acknowledged, UNIT, "referral.declined", ("ngo-a",), said={"ref": "R-1"})
    yield Seen(accepted, UNIT, "referral.completed", ("ngo-a",), said={"ref": "R-1"})
    yield Seen(acknowledged, UNIT, "referral.info_requested", ("ngo-a",), said={"ref": "R-1"})
    for type in ("referral.acknowledged", "referral.accepted", "referral.declined"):
        yield Seen(barring(referred, "ngo-a", UNIT), UNIT, type, ("ngo-a",), said={"ref": "R-1"})
    yield Seen(barring(accepted, "ngo-a", UNIT), UNIT, "referral.completed", ("ngo-a",), said={"ref": "R-1"})
    yield Seen(barring(accepted, "ngo-a", UNIT), UNIT, "referral.info_requested", (), said={"ref": "R-1"})
    for type in ("referral.accepted", "referral.declined", "referral.info_requested"):
        said = {"ref": "R-1", "data": in_words(type)}
        yield Seen(acknowledged, UNIT, type, ("ngo-a",), {"story": ("ngo-a",)}, said)
        told = () if type == "referral.info_requested" else ("ngo-a",)
        yield Seen(barring(referred, "ngo-a", UNIT), UNIT, type, told, {"story": ()}, said)
    yield Seen(accepted, "ngo-a", "referral.info_supplied", (UNIT,), {"story": (UNIT,)}, {"ref": "R-1"})
    yield Seen(barring(accepted, UNIT), "ngo-a", "referral.info_supplied", (), {"story": ()}, {"ref": "R-1"})
    yield Seen(_two_asked, UNIT, "referral.info_supplied", ("vac",), {"story": ("vac",)}, {"ref": "R-6"})
    yield Seen(_two_asked, UNIT, "referral.revoked", ("vac",), said={"ref": "R-6"})
    yield Seen(referred, "ngo-a", "referral.revoked", (UNIT,), said={"ref": "R-1"})
    yield Seen(barring(referred, UNIT), "ngo-a", "referral.revoked", (UNIT,), said={"ref": "R-1"})
    yield Seen(served, "timekeeper", "referral.expired", ("ngo-l", "vac"), said={"ref": "R-2"})
    yield Seen(barring(served, "ngo-l"), "timekeeper", "referral.expired", ("ngo-l", "vac"), said={"ref": "R-2"})
    yield Seen(accepted, UNIT, "handover.person_received", ("ngo-a",), said={"ref": "R-1"})
    papers = {"identity": (UNIT,), "story": (UNIT,)}
    yield Seen(accepted, "ngo-a", "handover.document_transferred", (UNIT,), papers, {"ref": "R-1"})


def _two_asked(b: Bench) -> Bench:
    """Two are asked; the legal NGO has accepted, the centre has a question."""
    presumed(b).say(UNIT, "referral.submitted", ref="R-6", to=["ngo-l", "vac"])
    b.say("ngo-l", "referral.accepted", ref="R-6")
    b.say("vac", "referral.info_requested", ref="R-6")
    return b


def _identification() -> Iterator[Seen]:
    inquiry = {"stage": "inquiry"}
    yield Seen(offered, UNIT, "identification.stage_entered", ("ngo-a", "shelter"), said=inquiry)
    yield Seen(
        presumed, UNIT, "identification.stage_entered", ("ngo-a", "shelter", "vac"), said={"stage": "recovery_plan"}
    )
    yield Seen(
        barring(presumed, "vac"),
        UNIT,
        "identification.stage_entered",
        ("ngo-a", "shelter"),
        said={"stage": "recovery_plan"},
    )
    inquiring = going_on(begun, UNIT, "identification.stage_entered", stage="inquiry")
    attended = {"attended": [UNIT.replace("-", "_"), "ngo_outreach"]}
    yield Seen(inquiring, UNIT, "identification.interview_held", ("ngo-a",), {"story": ("ngo-a",)}, attended)
    yield Seen(inquiring, UNIT, "identification.interview_held", ("ngo-a",), {"story": ()})
    child = {"attended": ["special_unit", "education", "representative", "doctor"]}
    yield Seen(child_screened, UNIT, "identification.interview_held", (), {"story": ()}, child)
    yield Seen(screened, UNIT, "identification.indicators_screened", (), opened_by_nobody("coded", "story"))
    grounds = "identification.reasonable_grounds_decided"
    yield Seen(screened, UNIT, grounds, ("migration", "ngo-a", "shelter", "vac"))
    yield Seen(screened, UNIT, grounds, ("ngo-a", "shelter", "vac"), said=NEGATIVE)
    yield Seen(child_screened, UNIT, grounds, ("guardianship", "ngo-shelter", "school"))
    status = "identification.status_decided"
    two = opened_by("shelter", "vac")
    yield Seen(presumed, UNIT, status, ("fund", "ngo-a", "shelter", "vac"), two)
    yield Seen(presumed, UNIT, status, ("ngo-a", "shelter", "vac"), two, NOT_A_VICTIM)
    yield Seen(barring(presumed, "fund"), UNIT, status, ("ngo-a", "shelter", "vac"), two)
    yield Seen(_bed_from_vac, UNIT, status, ("fund", "ngo-a", "ngo-shelter", "vac"), opened_by("vac"))
    yield Seen(
        child_planned,
        UNIT,
        status,
        ("fund", "guardianship", "ngo-shelter", "school", "vac"),
        opened_by("ngo-shelter", "vac"),
    )
    revoked = "identification.status_revoked"
    yield Seen(identified, UNIT, revoked, ("fund", "ngo-a", "shelter", "vac"))
    yield Seen(child_identified, UNIT, revoked, ("fund", "guardianship", "ngo-shelter", "school", "vac"))


def _bed_from_vac(b: Bench) -> Bench:
    """The house that the centre asked opens only what comes from the centre."""
    presumed(b).say("shelter", "shelter.discharged", ref="B-1", reason="own_request")
    b.consents("ngo-shelter")
    b.say("vac", "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
    return b


def _recovery_and_safeguard() -> Iterator[Seen]:
    for type in ("recovery.period_started", "recovery.reviewed", "recovery.ended"):
        yield Seen(presumed, UNIT, type, ("migration", "shelter", "vac"))
        yield Seen(
            going_on(child_presumed, UNIT, "stay.hold_requested", ref="H-9", to=["migration"]),
            UNIT,
            type,
            ("guardianship", "migration", "ngo-shelter"),
        )
    both = opened_by("shelter", "vac", parts=("health", "story"))
    yield Seen(presumed, UNIT, "recovery.extended", ("migration", "shelter", "vac"), both)
    yield Seen(
        child_presumed,
        UNIT,
        "recovery.extended",
        ("guardianship", "ngo-shelter"),
        opened_by("ngo-shelter", parts=("health", "story")),
    )
    yield Seen(child_signalled, "school", "safeguard.child_flagged", (*BODIES, UNIT), said={"to": BODIES})
    bodies = tuple(sorted((*BODIES, "ngo-shelter", "vac")))
    yield Seen(child_planned, UNIT, "safeguard.age_assessed", bodies)
    refused = going_on(child_planned, UNIT, "consent.refused", receivers=["school"])
    yield Seen(refused, UNIT, "safeguard.age_assessed", tuple(sorted((*bodies, "school"))))
    yield Seen(refused, UNIT, "safeguard.age_assessed", bodies, said={"result": "child"})
    lets_in = {"receivers": ["school"], "expires": "2026-12-31", "given_by": "individual"}
    again = going_on(refused, UNIT, "consent.given", **lets_in)
    yield Seen(again, UNIT, "safeguard.age_assessed", tuple(sorted((*bodies, "school"))))
    found = going_on(refused, UNIT, "safeguard.age_assessed")
    told_again = tuple(sorted((*bodies, "school")))
    yield Seen(found, UNIT, "safeguard.age_assessed", told_again, said={"result": "unclear"})
    yield Seen(found, UNIT, "safeguard.child_flagged", told_again, said={"to": BODIES})
    unknowing = going_on(child_planned, UNIT, "consent.refused", receivers=["hospital"])
    yield Seen(unknowing, UNIT, "safeguard.age_assessed", bodies)
    yield Seen(child_planned, "guardianship", "safeguard.representative_assigned", ("ngo-shelter", UNIT))
    others = ("ngo-shelter", UNIT, "vac")
    best = "safeguard.best_interests_decided"
    yield Seen(child_planned, "child-commission", best, ("guardianship", *others))
    decided = going_on(child_planned, "child-commission", best)
    yield Seen(decided, "guardianship", "safeguard.returned_to_family", ("child-commission", *others))


def _shelter_and_support() -> Iterator[Seen]:
    bed = {"ref": "B-9", "to": ["shelter"]}
    yield Seen(begun, UNIT, "shelter.bed_requested", ("shelter",), opened_by("shelter"), bed)
    asked = going_on(begun, UNIT, "shelter.bed_requested", **bed)
    yield Seen(asked, "shelter", "shelter.bed_offered", (UNIT,), said={"ref": "B-9"})
    yield Seen(asked, "shelter", "shelter.bed_refused", (UNIT,), said={"ref": "B-9"})
    said = {"ref": "B-9", "data": in_words("shelter.bed_refused")}
    yield Seen(asked, "shelter", "shelter.bed_refused", (UNIT,), {"story": (UNIT,)}, said)
    yield Seen(
        offered, "timekeeper", "shelter.offer_lapsed", ("shelter", UNIT), said={"ref": "B-1", "shelter": "shelter"}
    )
    yield Seen(offered, "shelter", "shelter.admitted", (UNIT,), said={"ref": "B-1"})
    yield Seen(_second_bed, "shelter", "shelter.admitted", (UNIT, "vac"), said={"ref": "B-9"})
    yield Seen(_child_offered, "ngo-shelter", "shelter.admitted", ("guardianship", UNIT), said={"ref": "B-10"})
    yield Seen(identified, "shelter", "shelter.discharged", (UNIT, "vac"), said={"ref": "B-1"})
    yield Seen(child_planned, "ngo-shelter", "shelter.discharged", ("guardianship", UNIT, "vac"), said={"ref": "B-10"})
    yield Seen(presumed, "vac", "needs.assessed", ("shelter",), opened_by("shelter"), {"to": ["shelter"]})
    yield Seen(planned, "vac", "plan.revised", ("ngo-l", "shelter"))
    yield Seen(planned, "vac", "plan.completed", ("ngo-l", "shelter"))
    service = {"ref": "S-1", "to": ["ngo-l"]}
    yield Seen(planned, "vac", "service.requested", ("ngo-l",), said=service)
    yield Seen(planned, "shelter", "service.requested", ("ngo-l", "vac"), said=service)
    again = going_on(
        going_on(planned, "shelter", "service.requested", **service), "ngo-l", "service.delivered", ref="S-1"
    )
    yield Seen(again, "shelter", "service.requested", ("ngo-l", "vac"), said={"ref": "S-1"})
    asked = going_on(planned, "shelter", "service.requested", **service)
    for type in ("service.scheduled", "service.delivered", "service.not_delivered"):
        yield Seen(asked, "ngo-l", type, ("shelter", "vac"), said={"ref": "S-1"})
        yield Seen(planned, "ngo-l", type, ("shelter", "vac"), said={"ref": "S-7", "to": ["shelter"]})
        yield Seen(planned, "vac", type, (), said={"ref": "S-7"})


def _second_bed(b: Bench) -> Bench:
    planned(b).say("shelter", "shelter.discharged", ref="B-1", reason="own_request")
    b.say(UNIT, "shelter.bed_requested", ref="B-9", to=["shelter"])
    b.say("shelter", "shelter.bed_offered", ref="B-9")
    return b


def _child_offered(b: Bench) -> Bench:
    child_begun(b).say(UNIT, "shelter.bed_requested", ref="B-10", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-10")
    return b


def _money_stay_review() -> Iterator[Seen]:
    nobody = opened_by_nobody("money", "story")
    yield Seen(identified, "fund", "payment.ordered", (UNIT, "vac"), nobody, {"ref": "P-1"})
    yield Seen(child_identified, "fund", "payment.ordered", ("guardianship", UNIT, "vac"), nobody, {"ref": "P-1"})
    ordered = going_on(child_identified, "fund", "payment.ordered", ref="P-1", payee="deposit")
    for type in ("payment.executed", "payment.failed"):
        yield Seen(paid, "fund", type, (UNIT, "vac"), said={"ref": "P-1"})
        yield Seen(ordered, "fund", type, ("guardianship", UNIT, "vac"), said={"ref": "P-1"})
    for story, by, told in (
        (convicted, "court", ("fund",)), (convicted, "fund", ("court",)), (child_prosecuted, "court", ("fund", "guardianship")),
    ):  # fmt: skip
        yield Seen(story, by, "fund.compensation_granted", told, said={"ref": "C-1"})
    hold = {"ref": "H-9", "to": ["migration"]}
    yield Seen(begun, UNIT, "stay.hold_requested", ("migration",), {"identity": ("migration",), "story": ()}, hold)
    asked = going_on(begun, UNIT, "stay.hold_requested", **hold)
    yield Seen(asked, "migration", "stay.hold_confirmed", (UNIT,), said={"ref": "H-9"})
    yield Seen(identified, UNIT, "stay.hold_ended", ("migration",), said={"ref": "H-1"})
    yield Seen(barring(identified, "migration"), UNIT, "stay.hold_ended", ("migration",), said={"ref": "H-1"})
    for type in ("stay.permit_issued", "stay.permit_refused", "stay.permit_renewed"):
        yield Seen(identified, "migration", type, (UNIT, "vac"), {"story": (UNIT,)})
        yield Seen(barring(identified, UNIT), "migration", type, ("vac",), {"story": ()})
    to_unit, to_court = {"story": (UNIT,)}, {"story": ("court",)}
    yield Seen(refused_by_grounds, "vac", "review.requested", ("ngo-a", "shelter", UNIT), to_unit, {"ref": "V-1"})
    court = {"ref": "V-1", "kind": "court"}
    yield Seen(refused_by_grounds, "ngo-a", "review.requested", ("court", "shelter"), to_court, court)
    yield Seen(under_review, UNIT, "review.decided", ("ngo-a", "shelter", "vac"), said={"ref": "V-1"})
    by_vac = going_on(refused_by_grounds, "vac", "review.requested", **court)
    yield Seen(by_vac, "court", "review.decided", ("ngo-a", "shelter", UNIT, "vac"), said={"ref": "V-1"})
    by_shelter = going_on(_asked_by_guest, "ngo-l", "review.requested", **court)
    yield Seen(by_shelter, "court", "review.decided", ("ngo-a", "ngo-l", "shelter", UNIT, "vac"), said={"ref": "V-1"})
    child = going_on(_refused_child, "school", "review.requested", ref="V-1")
    yield Seen(child, UNIT, "review.decided", ("guardianship", "ngo-shelter", "school"), said={"ref": "V-1"})


def _justice() -> Iterator[Seen]:
    """The unit needs every step, the fund the verdict alone; guardianship hears that a child has to do with a court."""
    opened, granted, decided = (f"justice.{each}" for each in ("case_opened", "measure_granted", "verdict_recorded"))
    court = {"ref": "J-9", "court": "court"}
    file = {"identity": ("court", UNIT)}
    yield Seen(prosecuted, "prosecution", opened, ("court", UNIT), file, court)
    yield Seen(child_prosecuted, "prosecution", opened, ("court", "guardianship", UNIT), file, court)
    for by, other in (("court", "prosecution"), ("prosecution", "court")):
        both = (other, UNIT)
        yield Seen(prosecuted, by, granted, tuple(sorted(both)), {"story": tuple(sorted(both))}, {"ref": "J-1"})
        told = tuple(sorted((*both, "fund")))
        yield Seen(prosecuted, by, decided, told, {"identity": told}, {"ref": "J-1", "outcome": "discontinued"})
    measured = (*sorted(("prosecution", UNIT)),)
    yield Seen(child_prosecuted, "court", granted, ("guardianship", *measured), {"story": measured}, {"ref": "J-1"})
    told = ("fund", "prosecution", UNIT)
    yield Seen(
        child_prosecuted, "court", decided, ("fund", "guardianship", *told[1:]), {"identity": told}, {"ref": "J-1"}
    )
    yield Seen(
        barring(prosecuted, "fund"), "court", decided, ("prosecution", UNIT), {"identity": measured}, {"ref": "J-1"}
    )


def _waiting_child() -> Iterator[Seen]:
    """Guardianship hears of the inquiry only if nobody represents the child."""
    inquiry, stage = {"stage": "inquiry"}, "identification.stage_entered"
    yield Seen(child_begun, UNIT, stage, ("guardianship", "school"), said=inquiry)
    assigned = going_on(child_begun, "guardianship", "safeguard.representative_assigned")
    yield Seen(assigned, UNIT, stage, ("school",), said=inquiry)


def _asked_by_guest(b: Bench) -> Bench:
    refused_by_grounds(b).say("vac", "plan.adopted", to=["ngo-l"])
    return b


def _refused_child(b: Bench) -> Bench:
    child_screened(b).say(UNIT, "identification.reasonable_grounds_decided", **NEGATIVE)
    return b


def _never_answered(b: Bench) -> Bench:
    """The legal NGO, which was dissolved, is late with its answer to a withdrawal."""
    planned(b).say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
    return _late_to_stop(b)


def _school_never_answered(b: Bench) -> Bench:
    """A school that was closed down is late with it."""
    child_referred(b).say("guardianship", "consent.withdrawn", receivers=["school"])
    return _late_to_stop(b)


def _late_to_stop(b: Bench) -> Bench:
    while not any(clock.code == "D-STOP" and clock.breached for clock in b.rules.clocks(b.view)):
        b.say_due(next(iter(b.rules.due(b.view))).type)
    return b


def _services_and_letters() -> Iterator[Seen]:
    late = {
        "rule": "D-REFER",
        "due": "2026-03-03T05:00:00Z",
        "late_by_minutes": 0,
        "cause": "00000001-0000-7000-8000-000000000001",
    }
    yield Seen(signalled, "timekeeper", "deadline.breached", ("ngo-a",), said=late)
    yield Seen(child_signalled, "timekeeper", "deadline.breached", ("district", "school"), said=late)
    yield Seen(_late_barred, "timekeeper", "deadline.breached", ("ngo-l", "vac"), said=_late_for_ngo())
    gone = {"rule": "D-STOP", "agency": "ngo-l", "ground": "agency_dissolved", "approver": "A-2"}
    yield Seen(_never_answered, UNIT, "deadline.lifted", ("ngo-a", "ngo-l"), said=gone)
    yield Seen(_never_answered, "vac", "deadline.lifted", ("ngo-a", "ngo-l", UNIT), said=gone)
    yield Seen(
        _school_never_answered, UNIT, "deadline.lifted", ("district", "guardianship", "school"), said={**gone, "agency": "school"}
    )  # fmt: skip
    few = ("fund", "hospital", "migration", UNIT)
    parts = {"health": ("hospital", UNIT), "identity": few, "money": ("fund",), "story": (UNIT,)}
    for type in ("document.shared", "document.chunk_sent"):
        yield Seen(planned, "vac", type, few, parts, {"to": few})
        yield Seen(barring(planned, "ngo-l"), "vac", type, (), said={"to": ["ngo-l"]})
    letter = {"cause": "00000001-0000-7000-8000-000000000001"}
    yield Seen(signalled, UNIT, "letter.opened", ("ngo-a",), said=letter)
    yield Seen(signalled, UNIT, "letter.unreadable", ("ngo-a",), said=letter)
    yield Seen(signalled, UNIT, "letter.kept_shut", ("ngo-a",), said=letter)
    for type in ("letter.opened", "letter.kept_shut", "letter.unreadable"):
        yield Seen(barring(signalled, "ngo-a", UNIT), UNIT, type, ("ngo-a",), said=letter)
    lawyers = {"cause": _lawyers_letter(Bench()).facts[-1].event.id}
    yield Seen(_lawyers_letter, UNIT, "letter.unreadable", ("ngo-a", "ngo-l"), said=lawyers)
    yield Seen(_lawyers_letter_unread, UNIT, "letter.opened", ("ngo-a", "ngo-l"), said=lawyers)
    yield Seen(planned, "auditor", "access.granted", ())
    yield Seen(planned, UNIT, "access.granted", ())
    yield from (*ending(), *EMERGENCY, *HANDED_ON)
    yield Seen(unit_refused, "ngo-a", "case.signal_dismissed", ())
    yield Seen(_school_asked, "timekeeper", "deadline.breached", ("district", "school", "vac"), said=_late_for_school())


def _late_for_ngo() -> dict[str, Any]:
    cause = served(Bench()).facts[-2].event.id
    return {"rule": "D-SERVICE", "due": "2026-03-13T07:00:00Z", "late_by_minutes": 0, "cause": cause}


def _lawyers_letter(b: Bench) -> Bench:
    """A lawyer refers her, which ends the NGO's duty to refer."""
    consented(b).consents("ngo-l")
    b.say("ngo-a", "referral.submitted", ref="R-0", to=["ngo-l"])
    b.say("ngo-l", "referral.submitted", ref="R-1", to=[UNIT], letter=True, legal_basis=LEGAL)
    return b


def _lawyers_letter_unread(b: Bench) -> Bench:
    _lawyers_letter(b).say(UNIT, "letter.unreadable", cause=b.facts[-1].event.id)
    return b


def _school_asked(b: Bench) -> Bench:
    planned(b).consents("school", by="vac")
    b.say("vac", "referral.submitted", ref="R-9", to=["school"], services=["education"])
    return b


def _late_for_school() -> dict[str, Any]:
    cause = _school_asked(Bench()).facts[-1].event.id
    return {"rule": "D-SERVICE", "due": "2026-03-11T06:00:00Z", "late_by_minutes": 0, "cause": cause}


_late_barred = barring(served, "ngo-l", "vac")
"""The legal NGO owes an answer and consent for it is withdrawn: the notice of its own breach still reaches it."""


def _bulletins() -> Iterator[Seen]:
    senders = (
        "child-commission", "consulate", "district", "embassy", "fund", "guardianship", "hospital", "iom", "migration",
        "ngo-a", "ngo-l", "ngo-shelter", "police-x", "prosecution", "school", UNIT, "vac",
    )  # fmt: skip
    yield Seen(bulletin("shelter"), "shelter", "provider.capacity_changed", senders)
    everybody = (*senders, "coordinator", "court", "shelter", "statistics")
    yield Seen(bulletin("timekeeper"), "timekeeper", "agency.listening_changed", tuple(sorted(everybody)))
    all_but_itself = tuple(sorted(each for each in everybody if each != "statistics"))
    yield Seen(bulletin("statistics"), "statistics", "stats.period_published", all_but_itself, said={"approver": "A-2"})
    others = tuple(sorted({*everybody} - {"coordinator"}))
    yield Seen(bulletin("coordinator"), "coordinator", "policy.profile_activated", others)
    told = ("coordinator", "ngo-a", "police-x")
    yield Seen(bulletin("vac"), "vac", "data.breach_reported", told, said={"to": ["ngo-a", "police-x"]})


ROWS: tuple[Seen, ...] = (
    *_case(), *_consent(), *_referral(), *_identification(), *_recovery_and_safeguard(), *_shelter_and_support(),
    *_money_stay_review(), *returns(), *_justice(), *_waiting_child(), *_services_and_letters(),
    *_bulletins(), *relieved(),
)  # fmt: skip
