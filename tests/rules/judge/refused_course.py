"""G-40 to G-69: for each rule an event that it refuses, and a similar event that it lets pass."""

from nrmbus.events.identification import StatusRevoked
from nrmbus.rules import Refusal
from rules.given import NEGATIVE, NOT_A_VICTIM, Bench
from rules.stories import (
    accepted,
    acknowledged,
    begun,
    child_identified,
    child_planned,
    closed,
    consented,
    convicted,
    granted,
    housed,
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
    without_status,
)

REVOKED = "access.revoked"
Pair = tuple[Refusal | None, Refusal | None]
STAGE = "identification.stage_entered"
VERDICT = "justice.verdict_recorded"
STATUS = "identification.status_decided"
ORDER = "payment.ordered"


def g_40() -> Pair:
    """The status is decided on a presumed victim, not before."""
    return screened(Bench()).ask("special-unit", STATUS), presumed(Bench()).ask("special-unit", STATUS)


def g_41() -> Pair:
    """Nobody is received before the referral is accepted."""
    received = "handover.person_received"
    return (
        acknowledged(Bench()).ask("special-unit", received, ref="R-1"),
        accepted(Bench()).ask("special-unit", received, ref="R-1"),
    )


def g_42() -> Pair:
    """Inquiry comes before screening."""
    b = begun(Bench())
    return b.ask("special-unit", STAGE, stage="indicator_screening"), b.ask("special-unit", STAGE, stage="inquiry")


def g_43() -> Pair:
    """Decided on what was screened."""
    b = housed(Bench())
    b.say("special-unit", STAGE, stage="inquiry")
    b.say("special-unit", STAGE, stage="indicator_screening")
    b.say("special-unit", "identification.reasonable_grounds_decided")
    refused = b.ask("special-unit", STATUS)
    b.say("special-unit", "identification.indicators_screened")
    return refused, b.ask("special-unit", STATUS)


def g_44() -> Pair:
    """A negative decision tells the person the reasons, and until when they may ask for a review."""
    b = screened(Bench())
    said = {**NEGATIVE}
    del said["review_until_days"]
    grounds = "identification.reasonable_grounds_decided"
    return b.ask("special-unit", grounds, **said), b.ask("special-unit", grounds, **NEGATIVE)


def g_45() -> Pair:
    """A reconsideration rests on something new."""
    b, kind = refused_by_grounds(Bench()).at("d8 9:00"), "review.requested"
    return b.ask("ngo-a", kind, ref="V-1", new_evidence=False), b.ask("ngo-a", kind, ref="V-1")


def g_46() -> Pair:
    """Thirty calendar days after 6 March end at 24:00 of 5 April."""
    b = refused_by_grounds(Bench())
    return b.at("d35 0:01").ask("ngo-a", "review.requested", ref="V-1"), b.at("d34 23:59").ask(
        "ngo-a", "review.requested", ref="V-1"
    )


def g_47() -> Pair:
    """No removal while a review may still be asked for."""
    b = refused_by_grounds(Bench())
    ended = "stay.hold_ended"
    return b.at("d34 23:59").ask("special-unit", ended, ref="H-1"), b.at("d35 0:01").ask(
        "special-unit", ended, ref="H-1"
    )


def g_48() -> Pair:
    """Nobody loses the bed in the review window, unless he wants to go."""
    b, discharged = refused_by_grounds(Bench()).at("d8 9:00"), "shelter.discharged"
    return (
        b.ask("shelter", discharged, ref="B-1", reason="not_identified"),
        b.ask("shelter", discharged, ref="B-1", reason="own_request"),
    )


def g_49() -> Pair:
    """A case with somebody in a bed is not closed."""
    return identified(Bench()).ask("vac", "case.closed"), left(Bench()).ask("vac", "case.closed")


def g_50() -> Pair:
    """A suspicion is not integrated; it may be lost."""
    b = signalled(Bench())
    return b.ask("ngo-a", "case.closed"), b.ask("ngo-a", "case.closed", reason="lost_contact")


def g_51() -> Pair:
    """A referral is answered once (I-3)."""
    return (
        accepted(Bench()).ask("special-unit", "referral.declined", ref="R-1"),
        acknowledged(Bench()).ask("special-unit", "referral.declined", ref="R-1"),
    )


def g_52() -> Pair:
    """Nobody is admitted without an offer."""
    b = begun(Bench())
    b.say("special-unit", "shelter.bed_requested", ref="B-1", to=["shelter"])
    return b.ask("shelter", "shelter.admitted", ref="B-1"), offered(Bench()).ask(
        "shelter", "shelter.admitted", ref="B-1"
    )


def g_53() -> Pair:
    """One bed at a time."""
    b = housed(Bench())
    b.consents("ngo-shelter")
    b.say("special-unit", "shelter.bed_requested", ref="B-2", to=["ngo-shelter"])
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-2")
    refused = b.ask("ngo-shelter", "shelter.admitted", ref="B-2")
    b.say("shelter", "shelter.discharged", ref="B-1")
    return refused, b.ask("ngo-shelter", "shelter.admitted", ref="B-2")


def g_54() -> Pair:
    """The state shelter is for those in identification; an NGO's takes a woman who is only suspected."""
    b = consented(Bench())
    b.consents("ngo-shelter")
    b.say("ngo-a", "shelter.bed_requested", ref="B-1", to=["ngo-shelter", "shelter"])
    for house in ("ngo-shelter", "shelter"):
        b.say(house, "shelter.bed_offered", ref="B-1")
    return b.ask("shelter", "shelter.admitted", ref="B-1"), b.ask("ngo-shelter", "shelter.admitted", ref="B-1")


def g_58() -> Pair:
    """Support ends after a negative decision on the status only by a plan for the time afterwards."""
    b = planned(Bench())
    b.say("special-unit", STATUS, **NOT_A_VICTIM)
    b.at("d60 9:00")
    refused = b.ask("vac", "plan.completed")
    b.say("vac", "plan.revised", planned_end_days=30)
    return refused, b.ask("vac", "plan.completed")


def g_59() -> Pair:
    """A relative withdraws nobody's case."""
    b = planned(Bench())
    return b.ask("vac", "case.withdrawn", requested_by="relative"), b.ask("vac", "case.withdrawn")


def g_60() -> Pair:
    """The allowance rests on a recognition (I-4); other help does not."""
    b = served(Bench())
    other = {"kind": "other_financial_assistance", "amount": {"value": "57.00", "currency": "AZN"}, "payee": "person"}
    return b.ask("fund", ORDER, ref="P-1"), b.ask("fund", ORDER, ref="P-1", **other)


def g_61() -> Pair:
    """Once for each recognition, unless the payment came back."""
    b = paid(Bench())
    refused = b.ask("fund", ORDER, ref="P-2")
    b.say("fund", "payment.failed", ref="P-1")
    return refused, b.ask("fund", ORDER, ref="P-2")


def g_62() -> Pair:
    """The tariff of the decision's day: 700 manat since 2024."""
    b = identified(Bench())
    return b.ask("fund", ORDER, ref="P-1", amount={"value": "400.00", "currency": "AZN"}), b.ask(
        "fund", ORDER, ref="P-1"
    )


def g_63() -> Pair:
    """A child's money goes into a deposit, whatever consent the fund has heard of."""
    b = child_identified(Bench())
    return b.ask("fund", ORDER, ref="P-1"), b.ask("fund", ORDER, ref="P-1", payee="deposit")


def g_64() -> Pair:
    """A court that hears the proceedings convicts; the prosecution only ends its own."""
    b, verdict = prosecuted(Bench()), "justice.verdict_recorded"
    return b.ask("prosecution", verdict, ref="J-1"), b.ask("court", verdict, ref="J-1")


def g_65() -> Pair:
    """Compensation goes to a recognised victim, not to somebody who is only presumed to be one."""
    grant = "fund.compensation_granted"
    return served(Bench()).ask("fund", grant, ref="C-1"), paid(Bench()).ask("fund", grant, ref="C-1")


def g_66() -> Pair:
    """The fund pays compensation that somebody has granted."""
    order = {"ref": "P-2", "kind": "compensation", "amount": {"value": "3000.00", "currency": "AZN"}}
    return convicted(Bench()).ask("fund", ORDER, **order), granted(Bench()).ask("fund", ORDER, **order)


def g_68() -> Pair:
    """The court granted between one and five thousand; nobody orders ninety-nine thousand."""
    b, order = granted(Bench()), {"ref": "P-2", "kind": "compensation"}
    return (
        b.ask("fund", ORDER, **order, amount={"value": "99000.00", "currency": "AZN"}),
        b.ask("fund", ORDER, **order, amount={"value": "5000.00", "currency": "AZN"}),
    )


def g_67() -> Pair:
    """Nobody plans with an agency whose access was ended; with another one, as before."""
    b = planned(Bench())
    b.say("special-unit", REVOKED, receivers=["ngo-l"], approver="A-2")
    return b.ask("vac", "needs.assessed", to=["ngo-l"]), b.ask("vac", "needs.assessed", to=["shelter"])


def g_69() -> Pair:
    """The fund pays, and is not shut out; the legal NGO may be."""
    b, two = served(Bench()), {"approver": "A-2"}
    return (
        b.ask("special-unit", REVOKED, receivers=["fund"], **two),
        b.ask("special-unit", REVOKED, receivers=["ngo-l"], **two),
    )


STORIES = {
    "G-40": g_40, "G-41": g_41, "G-42": g_42, "G-43": g_43, "G-44": g_44, "G-45": g_45, "G-46": g_46, "G-47": g_47,
    "G-48": g_48, "G-49": g_49, "G-50": g_50, "G-51": g_51, "G-52": g_52, "G-53": g_53, "G-54": g_54, "G-58": g_58, "G-59": g_59,
    "G-60": g_60,
    "G-61": g_61, "G-62": g_62, "G-63": g_63, "G-64": g_64, "G-65": g_65, "G-66": g_66, "G-67": g_67, "G-68": g_68, "G-69": g_69,
}  # fmt: skip

Cases = list[tuple[str, Refusal | None, str | None]]


def _of_status() -> Cases:
    refused, asked = unit_refused(Bench()), signalled(Bench())
    closed_case, withdrawn = closed(Bench()).at("d160 9:00"), planned(Bench())
    withdrawn.say("vac", "case.withdrawn")
    plan = {"to": ["vac"]}
    own = Bench(case="own")
    own.say("special-unit", "case.signal_recorded", detector="special_unit")
    own.consents("vac", by="special-unit")
    return [
        ("T01 once", asked.ask("ngo-a", "case.signal_recorded"), "G-40"),
        ("T02 once", referred(Bench()).ask("ngo-a", "referral.submitted", ref="R-9", to=["special-unit"], legal_basis="x"), "G-40"),
        ("T03b help by the one who was asked", refused.ask("ngo-a", "plan.adopted", **plan), None),
        ("T03b not without her refusal", consented(Bench()).ask("ngo-a", "plan.adopted", **plan), "G-40"),
        ("T08 not before a referral", _unit_begins(asked), "G-40"),
        ("T08 the unit's own find needs her consent", _unit_begins(own), "G-32"),
        ("T12 not before grounds", housed(Bench()).ask("special-unit", "recovery.extended"), "G-40"),
        ("T15 without a status", without_status(Bench()).ask("vac", "needs.assessed", to=["ngo-l"]), None),
        ("T17 consent goes on", withdrawn.ask("vac", "consent.withdrawn", receivers=["ngo-l"]), None),
        ("T17 she leaves", withdrawn.ask("shelter", "shelter.discharged", ref="B-1"), None),
        ("T17 no new referral", withdrawn.ask("vac", "referral.submitted", ref="R-9", to=["ngo-l"]), "G-40"),
        ("T17 once", withdrawn.ask("vac", "case.withdrawn"), "G-40"),
        ("T20 only a recognition is taken back", presumed(Bench()).ask("special-unit", "identification.status_revoked"), "G-40"),
        ("T21 closed: a permit", closed_case.ask("migration", "stay.permit_issued"), None),
        ("T21 closed: no plan", closed_case.ask("vac", "plan.adopted", to=["ngo-l"]), "G-40"),
        ("T21 closed: no second closing", closed_case.ask("vac", "case.closed"), "G-40"),
        ("T22 only a closed case is opened", planned(Bench()).ask("vac", "case.reopened"), "G-40"),
        ("T04 a dismissal after the referral", referred(Bench()).ask("ngo-a", "case.signal_dismissed"), "G-40"),
    ]  # fmt: skip


def _unit_begins(b: Bench) -> Refusal | None:
    b = b.fork()
    if b.view.detector != "special-unit":
        b.consents("special-unit")
    return b.ask("special-unit", STAGE)


def _of_answers() -> Cases:
    b = accepted(Bench())
    revoked = referred(Bench())
    revoked.say("ngo-a", "referral.revoked", ref="R-1")
    again = {"ref": "R-1", "to": ["special-unit"], "legal_basis": "x"}
    done = child_planned(Bench())
    done.say("vac", "referral.completed", ref="R-11")
    executed = paid(Bench())
    executed.say("fund", "payment.executed", decision=executed.view.effective)
    house, review = housed(Bench()), under_review(Bench())
    review.say("special-unit", "review.decided", ref="V-1", outcome="upheld")
    stop = planned(Bench())
    stop.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    stop.say("ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis="x")
    return [
        ("a second receipt", acknowledged(Bench()).ask("special-unit", "referral.acknowledged", ref="R-1"), "G-51"),
        ("asking goes on after acceptance", b.ask("special-unit", "referral.info_requested", ref="R-1"), None),
        ("an accepted referral is not taken back", b.ask("ngo-a", "referral.revoked", ref="R-1"), "G-51"),
        ("completed before acceptance", acknowledged(Bench()).ask("special-unit", "referral.completed", ref="R-1"), "G-41"),
        ("completed twice", done.ask("vac", "referral.completed", ref="R-11"), "G-51"),
        ("a revoked reference may be used again", revoked.ask("ngo-a", "referral.submitted", **again), None),
        ("a revoked referral is not supplemented", revoked.ask("ngo-a", "referral.info_supplied", ref="R-1"), "G-51"),
        ("paid twice", executed.ask("fund", "payment.executed", ref="P-1"), "G-51"),
        ("paid without an order", identified(Bench()).ask("fund", "payment.executed"), "G-51"),
        ("two offers", offered(Bench()).ask("shelter", "shelter.bed_offered", ref="B-1"), "G-51"),
        ("the hold is confirmed", house.ask("migration", "stay.hold_confirmed", ref="H-1"), "G-51"),
        ("admitted twice", house.ask("shelter", "shelter.admitted", ref="B-1"), "G-52"),
        ("reviewed twice", review.ask("special-unit", "review.decided", ref="V-1"), "G-51"),
        ("retained twice", stop.ask("ngo-l", "consent.stop_confirmed", answer="must_retain", legal_basis="x"), "G-51"),
        ("retained, and deleted when the law lets it", stop.ask("ngo-l", "consent.stop_confirmed"), None),
        ("not yet due is not late", house.ask("timekeeper", "deadline.breached", **_late("2026-03-09T20:00:00Z")), "G-51"),
        ("no follow-up of an open case", planned(Bench()).ask("timekeeper", "case.follow_up_due"), "G-51"),
        ("nothing to expire", b.ask("timekeeper", "referral.expired", ref="R-1"), "G-51"),
        ("no offer to lapse", house.ask("timekeeper", "shelter.offer_lapsed", ref="B-1", shelter="shelter"), "G-51"),
    ]  # fmt: skip


def _of_a_timekeeper_that_lies() -> Cases:
    """An announcement of the timekeeper that the history does not make due is refused."""
    ended, held, asked = planned(Bench()), planned(Bench()), planned(Bench())
    decision = ended.say("court", "access.terminated", approver="A-2").id
    erase = {"cause": decision}
    early, due = ended.fork().at("d15 23:58"), ended.fork().at("d16 0:00")
    court = held.say("court", "access.terminated", approver="A-2").id
    held.say("ngo-a", "access.hold_placed", reasons=["inspection"], until="2026-03-31")
    held.at("d16 0:00")
    glass = asked.say("shelter", "access.break_glass", ref="E-1", approver="A-2").id
    reseal = {"ref": "E-1", "cause": glass, "holder": "vac"}
    soon, ten = asked.fork().at("d8 10:08"), asked.fork().at("d8 10:10")
    referral = served(Bench())
    return [
        ("erased, though nobody has decided it", planned(Bench()).ask("timekeeper", "access.erasure_due"), "G-51"),
        ("erased before the week for objecting is over", early.ask("timekeeper", "access.erasure_due", **erase), "G-51"),
        ("the same, dated to its end", early.ask("timekeeper", "access.erasure_due", at=due.now, **erase), "G-51"),
        ("erased on its day", due.ask("timekeeper", "access.erasure_due", **erase), None),
        ("erased by a decision that is none", due.ask("timekeeper", "access.erasure_due"), "G-51"),
        ("erased while a hold stands", held.ask("timekeeper", "access.erasure_due", cause=court), "G-51"),
        ("sealed anew before the ten minutes", soon.ask("timekeeper", "access.reseal_due", **reseal), "G-51"),
        ("the same, dated to their end", soon.ask("timekeeper", "access.reseal_due", at=ten.now, **reseal), "G-51"),
        ("sealed anew after them", ten.ask("timekeeper", "access.reseal_due", **reseal), None),
        ("sealed anew by another than the holder", ten.ask("timekeeper", "access.reseal_due", **{**reseal, "holder": "ngo-a"}), "G-51"),
        ("a referral expired while it may be answered", referral.ask("timekeeper", "referral.expired", ref="R-2"), "G-51"),
    ]  # fmt: skip


def _late(due: str) -> dict[str, object]:
    return {"rule": "D-RG", "due": due, "late_by_minutes": 0, "cause": "0000000f-0000-7000-8000-00000000000f"}


def _of_ends() -> Cases:
    window, review = left(Bench()), under_review(Bench())
    window.say("special-unit", "identification.status_revoked")
    suspected = signalled(Bench())
    suspected.consents("vac")
    suspected.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
    asked = left(Bench())
    asked.say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    ended = identified(Bench())
    return [
        ("closing in the window", window.ask("vac", "case.closed"), "G-48"),
        ("closing after it, without a plan for the time afterwards", window.at("d150 9:00").ask("vac", "case.closed"), "G-58"),
        ("closing after it, since nobody finds her", window.ask("vac", "case.closed", reason="lost_contact"), None),
        ("a hold under review", review.at("d40 9:00").ask("special-unit", "stay.hold_ended", ref="H-1"), "G-47"),
        ("a hold of a recognised victim", ended.ask("special-unit", "stay.hold_ended", ref="H-1"), "G-47"),
        ("a hold of somebody who left the country", ended.ask("special-unit", "stay.hold_ended", ref="H-1", reason="left_country"), None),
        ("a bed under review", review.ask("shelter", "shelter.discharged", ref="B-1"), "G-48"),
        ("closing with a referral open", suspected.ask("ngo-a", "case.closed", reason="deceased"), "G-49"),
        ("dismissing with a referral open", suspected.ask("ngo-a", "case.signal_dismissed"), "G-49"),
        ("closing with a service asked for", asked.ask("vac", "case.closed"), "G-49"),
        ("a negative status without reasons", presumed(Bench()).ask("special-unit", STATUS, **{**NOT_A_VICTIM, "reasons": ["indicators_met"]}), None),
        ("a revocation without notice", _revoked_bare(identified(Bench())), "G-44"),
        ("a complaint needs nothing new", _complaint(), None),
        ("screening before its stage", begun(Bench()).ask("special-unit", "identification.indicators_screened"), "G-42"),
        ("an allowance by a tariff of before", identified(Bench()).ask("fund", ORDER, ref="P-1", tariff="az-2016"), "G-62"),
        ("an allowance after revocation", _after_revocation(), "G-60"),
        ("a child's allowance to the representative's account", child_identified(Bench()).ask("fund", ORDER, ref="P-1", payee="representative_account"), None),
        ("a claim that is discontinued by who opened it", prosecuted(Bench()).ask("prosecution", VERDICT, ref="J-1", outcome="discontinued"), None),
        ("a second verdict", convicted(Bench()).ask("court", VERDICT, ref="J-1"), "G-51"),
        ("a measure after the verdict", convicted(Bench()).ask("prosecution", "justice.measure_granted", ref="J-1"), None),
        ("a measure in no proceedings", prosecuted(Bench()).ask("court", "justice.measure_granted", ref="J-2"), "G-03"),
        ("proceedings that a fund hears", prosecuted(Bench()).ask("prosecution", "justice.case_opened", ref="J-2", court="fund"), "G-10"),
        ("proceedings under the reference of others", prosecuted(Bench()).ask("court", "justice.case_opened", ref="J-1"), "G-04"),
        ("money without a reference", paid(Bench()).ask("fund", "fund.compensation_granted"), "G-03"),
        ("money granted by a court that opened nothing", _court_without_proceedings(), "G-65"),
        ("money granted after a conviction without recognition", _convicted_and_revoked(), None),
        ("help in cash to a child in hand", child_identified(Bench()).ask("fund", ORDER, ref="P-1", kind="other_financial_assistance"), "G-63"),
    ]  # fmt: skip


def _revoked_bare(b: Bench) -> Refusal | None:
    return b.ask("special-unit", "identification.status_revoked", data=StatusRevoked(reasons=("new_evidence",)))


def _complaint() -> Refusal | None:
    b = refused_by_grounds(Bench())
    return b.ask("ngo-a", "review.requested", ref="V-1", kind="complaint_to_superior", new_evidence=False)


def _court_without_proceedings() -> Refusal | None:
    b = refused_by_grounds(Bench())
    b.say("ngo-a", "review.requested", ref="V-1", kind="court")
    return b.ask("court", "fund.compensation_granted", ref="C-1")


def _convicted_and_revoked() -> Refusal | None:
    b = convicted(Bench())
    b.say("special-unit", "identification.status_revoked")
    return b.ask("fund", "fund.compensation_granted", ref="C-1")


def _after_revocation() -> Refusal | None:
    b = identified(Bench())
    b.say("special-unit", "identification.status_revoked")
    return b.ask("fund", ORDER, ref="P-1")


def more() -> Cases:
    """Further cases of these rules."""
    return [*_of_status(), *_of_answers(), *_of_a_timekeeper_that_lies(), *_of_ends()]
