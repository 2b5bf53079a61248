"""G-01 to G-15: for each rule an event that it refuses, and a similar event that it lets pass."""

from typing import Any

from nrmbus.rules import Refusal
from rules.given import Bench
from rules.stories import (
    BODIES,
    LEGAL,
    accepted,
    begun,
    child_flagged,
    child_housed,
    child_planned,
    closed,
    consented,
    identified,
    offered,
    paid,
    planned,
    presumed,
    referred,
    served,
)

Pair = tuple[Refusal | None, Refusal | None]
REFERRAL = "referral.submitted"


def g_01() -> Pair:
    """Only the special unit receives a person; a police station never does, and hears nothing of the case by that."""
    b = accepted(Bench())
    return (
        b.ask("police-x", "handover.person_received", ref="R-1"),
        b.ask("special-unit", "handover.person_received", ref="R-1"),
    )


def g_02() -> Pair:
    """The fund is named in a consent, but has neither sent nor received anything; asked for money, it has."""
    return (
        presumed(Bench()).ask("fund", "referral.declined", ref="R-4"),
        served(Bench()).ask("fund", "referral.declined", ref="R-4"),
    )


def g_03() -> Pair:
    """The legal NGO is on the case by the plan, and has not heard of the referral to the fund."""
    b = served(Bench())
    return b.ask("ngo-l", "referral.declined", ref="R-4"), b.ask("ngo-l", "referral.declined", ref="R-2")


def g_04() -> Pair:
    """Guardianship hears of the child's referral, and is not who was asked."""
    b = child_housed(Bench())
    return (
        b.ask("guardianship", "referral.info_requested", ref="R-10"),
        b.ask("special-unit", "referral.info_requested", ref="R-10"),
    )


def g_05() -> Pair:
    """A shelter without a bed has no part in the case any more; the shelter with the bed goes on."""
    b = child_housed(Bench())
    return (
        b.ask("shelter", "shelter.admitted", ref="B-10"),
        b.ask("ngo-shelter", "shelter.discharged", ref="B-10", reason="own_request"),
    )


def g_06() -> Pair:
    """The centre holds the plan and so the case; the NGO that found her closes nothing any more."""
    b = identified(Bench()).at("d112 10:00")
    b.say("shelter", "shelter.discharged", ref="B-1")
    return b.ask("ngo-a", "case.closed"), b.ask("vac", "case.closed")


def g_07() -> Pair:
    """At the special unit only the duty officer gives the receipt."""
    b = referred(Bench())
    return (
        b.ask("special-unit", "referral.acknowledged", ref="R-1", duty_role="patrol"),
        b.ask("special-unit", "referral.acknowledged", ref="R-1"),
    )


def g_08() -> Pair:
    """Nothing of a case happened before its first event."""
    b = Bench().at("1:00")
    b.say("ngo-a", "case.signal_recorded", occurred="0:30")
    return (
        b.ask("ngo-a", "case.signal_dismissed", occurred="0:29"),
        b.ask("ngo-a", "case.signal_dismissed", occurred="0:30"),
    )


def g_10() -> Pair:
    """No person is handed to a police body other than the special unit."""
    b = consented(Bench())
    said = {"ref": "R-9", "legal_basis": LEGAL}
    return b.ask("ngo-a", REFERRAL, to=["police-x"], **said), b.ask("ngo-a", REFERRAL, to=["special-unit"], **said)


def g_11() -> Pair:
    """The fund may not open what she told; the special unit may."""
    b = consented(Bench())
    parts = {"story": frozenset({"facts"}), "money": frozenset[str]()}
    said = {"ref": "R-9", "legal_basis": LEGAL, "letter": True}
    return (
        b.ask("ngo-a", REFERRAL, to=["fund"], letter_parts=parts, **said),
        b.ask("ngo-a", REFERRAL, to=["fund", "special-unit"], letter_parts=parts, **said),
    )


ACTIVATED = "policy.profile_activated"


def g_14() -> Pair:
    """A profile whose values are not those of the digest is put in force by nobody."""
    b = Bench.of_bulletin("coordinator")
    two = {"approver": "A-2"}
    return b.ask("coordinator", ACTIVATED, digest="0" * 64, **two), b.ask("coordinator", ACTIVATED, **two)


def g_15() -> Pair:
    """An activation is not dated back: on 2 March it holds from 3 March on, and not from the day itself."""
    b = Bench.of_bulletin("coordinator")
    two = {"approver": "A-2"}
    return (
        b.ask("coordinator", ACTIVATED, valid_from="2026-03-02", **two),
        b.ask("coordinator", ACTIVATED, valid_from="2026-03-03", **two),
    )


STORIES = {
    "G-01": g_01, "G-02": g_02, "G-03": g_03, "G-04": g_04, "G-05": g_05,
    "G-06": g_06, "G-07": g_07, "G-08": g_08, "G-10": g_10, "G-11": g_11, "G-14": g_14, "G-15": g_15,
}  # fmt: skip


def _objections(b: Bench) -> list[tuple[str, Refusal | None, str | None]]:
    """She has agreed; the NGO that detected her holds the case, and the special unit has recorded a consent of its own."""
    b = b.fork()
    (by_unit,) = b.consents("hospital", by="special-unit")
    b.say("ngo-a", "consent.refused", receivers=["embassy"])
    fund = next(fact.event for fact in b.facts if "fund" in str(fact.event.data))
    refusal = b.facts[-1].event
    of = {"receivers": ["hospital"]}
    return [
        ("the holder objects to another's", b.ask("ngo-a", "consent.objected", consent=[by_unit], **of), None),
        ("another than the holder", b.ask("special-unit", "consent.objected", consent=[by_unit], **of), "G-06"),
        ("an objection to nothing", b.ask("ngo-a", "consent.objected", **of), "G-03"),
        ("to a consent of another receiver", b.ask("ngo-a", "consent.objected", consent=[fund], **of), "G-03"),
        ("one of two is another's", b.ask("ngo-a", "consent.objected", consent=[by_unit, fund], **of), "G-03"),
        ("to a refusal", b.ask("ngo-a", "consent.objected", consent=[refusal], receivers=["embassy"]), "G-03"),
    ]


def more() -> list[tuple[str, Refusal | None, str | None]]:
    """Further cases of these rules: what is asked, its answer, and the rule expected (None: allowed)."""
    found: list[tuple[str, Refusal | None, str | None]] = []
    b = consented(Bench())
    found += [
        ("a case that nobody has opened", Bench().ask("ngo-a", "case.closed"), "G-02"),
        ("a stranger", b.ask("embassy", "case.closed"), "G-02"),
        ("an auditor", b.ask("ngo-a", REFERRAL, ref="R-9", to=["auditor"]), "G-10"),
        ("a court is no receiver", b.ask("ngo-a", REFERRAL, ref="R-9", to=["court"]), "G-10"),
        ("a bed of the centre", b.ask("ngo-a", "shelter.bed_requested", ref="B-9", to=["vac"]), "G-10"),
        ("a bed of a shelter", b.ask("ngo-a", "shelter.bed_requested", ref="B-9", to=["shelter"]), None),
        ("a referral without a reference", b.ask("ngo-a", REFERRAL, to=["vac"]), "G-03"),
        ("a consent of another case", b.ask("ngo-a", REFERRAL, ref="R-9", to=["vac"], consent=[_strange(b)]), "G-03"),
        (
            "a referral to who is withheld from",
            b.ask("ngo-a", REFERRAL, ref="R-9", to=["ngo-l", "vac"], withhold_from=["vac"]),
            "G-10",
        ),
        (
            "a referral withheld from somebody else",
            b.ask("ngo-a", REFERRAL, ref="R-9", to=["ngo-l"], withhold_from=["vac"]),
            None,
        ),
        (
            "a bed of who is withheld from",
            b.ask("ngo-a", "shelter.bed_requested", ref="B-9", to=["shelter"], withhold_from=["shelter"]),
            "G-10",
        ),
        ("a flag for an NGO", b.ask("ngo-a", "safeguard.child_flagged", to=["ngo-l"]), "G-10"),
        ("a flag for the guardian bodies", b.ask("ngo-a", "safeguard.child_flagged", to=BODIES), None),
        ("somebody else's signal", b.ask("special-unit", "case.signal_dismissed"), "G-06"),
        *_objections(b),
    ]
    b = begun(Bench())
    found += [
        ("a hold of the fund", b.ask("special-unit", "stay.hold_requested", ref="H-1", to=["fund"]), "G-10"),
        ("a reference of another's referral", b.ask("special-unit", REFERRAL, ref="R-1", to=["vac"]), "G-04"),
        ("a revocation by the receiver", b.ask("special-unit", "referral.info_supplied", ref="R-1"), "G-04"),
        ("the sender accepts its own", b.ask("ngo-a", "referral.accepted", ref="R-1"), "G-04"),
        ("an unknown bed", b.ask("shelter", "shelter.bed_offered", ref="B-1"), "G-02"),
    ]
    b = planned(Bench())
    found += [
        ("a service of the fund", b.ask("vac", "service.requested", ref="S-9", to=["fund"]), "G-10"),
        ("a service of a legal NGO", b.ask("vac", "service.requested", ref="S-9", to=["ngo-l"]), None),
    ]
    b = child_planned(Bench())
    for type in ("document.shared", "needs.assessed", "plan.adopted", "service.delivered"):
        said = {"letter": True} if type != "service.delivered" else {"ref": "S-9"}
        found += [
            (f"a child's {type} for {who}", b.ask("vac", type, to=[who], **said), "G-10")
            for who in ("statistics", "nobody-known")
        ]
    found += [("a child's needs for the fund", b.ask("vac", "needs.assessed", to=["fund"], letter=True), None)]
    b = offered(Bench())
    b.say("special-unit", "consent.refused", receivers=["vac"])
    found += [
        ("a hold that was not asked for", b.ask("special-unit", "stay.hold_ended", ref="H-7"), "G-03"),
        ("a shelter answers for another", b.ask("shelter", "shelter.bed_offered", ref="B-7"), "G-03"),
        ("a withdrawal that never was", b.ask("shelter", "consent.stop_confirmed"), "G-03"),
    ]
    b = paid(Bench())
    grounds = next(fact.event.id for fact in b.facts if fact.event.type.endswith("grounds_decided"))
    found += [
        ("a decision the fund has not heard of", b.ask("fund", "payment.executed", decision=grounds), "G-03"),
        ("the auditor reads any case", b.ask("auditor", "access.granted"), None),
        ("the auditor says nothing else of it", b.ask("auditor", "letter.opened", cause=b.facts[0].event.id), "G-02"),
        ("who knows the case reads it", b.ask("fund", "access.granted", what="letter", parts=["money"]), None),
        ("who does not know it does not", b.ask("hospital", "access.granted"), "G-02"),
        ("no service of the bus reads", b.ask("timekeeper", "access.granted"), "G-01"),
        ("a letter the fund has not got", b.ask("fund", "letter.opened", cause=b.facts[0].event.id), "G-03"),
    ]
    found += _documents()
    b = planned(Bench())
    b.say("vac", "service.requested", ref="S-2", to=["ngo-l"])
    found += [
        ("a service that another was asked for", b.ask("shelter", "service.delivered", ref="S-2"), "G-04"),
        ("a service by who was asked", b.ask("ngo-l", "service.delivered", ref="S-2"), None),
        ("a permit on a hold of its own", b.ask("migration", "stay.permit_issued"), None),
    ]
    b = closed(Bench()).at("d160 9:00")
    found += [
        ("the special unit reads a closed case", b.ask("special-unit", "access.granted"), None),
        ("the auditor reads a closed case", b.ask("auditor", "access.granted"), None),
        ("the auditor asks over all cases", Bench().ask("auditor", "access.granted", what="search"), None),
        ("an agency asks over all cases", Bench().ask("ngo-a", "access.granted", what="search"), "G-02"),
        ("the special unit opens a closed case", b.ask("special-unit", "case.reopened"), None),
        ("another opens a closed case", b.ask("ngo-a", "case.reopened"), "G-06"),
    ]
    child = child_flagged(Bench())
    police = Bench(case="police")
    police.say("police-x", "case.signal_recorded", detector="police_other")
    police.consents("vac", "special-unit", by="police-x")
    said = {"ref": "R-9", "legal_basis": LEGAL}
    found += [
        ("police refers to the centre", police.ask("police-x", REFERRAL, to=["vac"], **said), "G-10"),
        ("police shares with the centre", police.ask("police-x", "document.shared", to=["vac"]), "G-10"),
        ("police shares with the unit", police.ask("police-x", "document.shared", to=["special-unit"]), None),
        ("police refers to the unit", police.ask("police-x", REFERRAL, to=["special-unit"], **said), None),
        ("the commission knows the child", child.ask("child-commission", "safeguard.best_interests_decided"), None),
    ]
    b = Bench(case="incident")
    b.say("ngo-a", "incident.opened")
    found += [("an incident is no case", b.ask("ngo-a", "case.closed"), "G-02")]
    return found


def _documents() -> list[tuple[str, Refusal | None, str | None]]:
    """A document of two chunks for the legal NGO, of which the first has come."""
    chunk = "document.chunk_sent"
    b = planned(Bench())
    first: dict[str, Any] = {"to": ["ngo-l"], "cause": b.say("vac", "document.shared", to=["ngo-l"]).id}
    begun = b.fork()
    begun.say("vac", chunk, **first)
    done = begun.fork()
    done.say("vac", chunk, index=1, **first)
    barred = begun.fork()
    barred.say("ngo-a", "consent.withdrawn", receivers=["ngo-l"])
    elsewhere = {**first, "cause": b.facts[0].event.id}
    return [
        ("a chunk before its turn", b.ask("vac", chunk, index=1, **first), "G-51"),
        (
            "a chunk for an agency that did not get the announcement",
            b.ask("vac", chunk, **{**first, "to": ["special-unit"]}),
            "G-03",
        ),
        ("a chunk of no document", b.ask("vac", chunk, **elsewhere), "G-03"),
        ("a chunk of another agency's document", b.ask("ngo-l", chunk, **{**first, "to": ["vac"]}), "G-04"),
        ("a chunk by a receiver", b.ask("ngo-l", chunk, **first), "G-04"),
        ("a chunk a second time", begun.ask("vac", chunk, index=0, **first), "G-51"),
        ("the next chunk", begun.ask("vac", chunk, index=1, **first), None),
        ("the next chunk after a withdrawal", barred.ask("vac", chunk, index=1, **first), "G-31"),
        ("one chunk too many", done.ask("vac", chunk, index=2, **first), "G-51"),
        ("a document with no consent for its receiver", b.ask("vac", "document.shared", to=["embassy"]), "G-32"),
    ]


def _strange(b: Bench) -> object:
    other = b.fork()
    other.facts += other.facts
    return other.say("ngo-a", "consent.given", receivers=["vac"])
