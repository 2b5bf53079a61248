"""G-20 to G-37: for each rule an event that it refuses, and a similar event that it lets pass."""

from typing import Any

from nrmbus.rules import Refusal
from rules.given import ONE_YEAR, Bench, Said, moment
from rules.stories import (
    BODIES,
    LEGAL,
    child_flagged,
    child_housed,
    child_identified,
    child_signalled,
    closed,
    consented,
    planned,
    presumed,
    served,
    signalled,
    unit_refused,
)

Pair = tuple[Refusal | None, Refusal | None]
REFERRAL = "referral.submitted"
TO_UNIT = {"ref": "R-9", "to": ["special-unit"], "legal_basis": LEGAL}
INTERVIEW = "identification.interview_held"


def g_20() -> Pair:
    """Nobody drops a child's signal alone; a second member of staff signs."""
    b = child_signalled(Bench())
    return b.ask("school", "case.signal_dismissed"), b.ask("school", "case.signal_dismissed", approver="A-2")


def g_21() -> Pair:
    """Safeguard first, then refer."""
    return child_signalled(Bench()).ask("school", REFERRAL, **TO_UNIT), child_flagged(Bench()).ask(
        "school", REFERRAL, **TO_UNIT
    )


def _interviewed(b: Bench, *attended: str) -> Refusal | None:
    return b.ask("special-unit", INTERVIEW, attended=["special_unit", *attended])


def _inquiring() -> Bench:
    b = child_housed(Bench()).at("d1 12:00")
    b.say("special-unit", "identification.stage_entered", stage="inquiry")
    return b


def g_22() -> Pair:
    """A child is interviewed with its representative."""
    b = _inquiring()
    return _interviewed(b, "doctor"), _interviewed(b, "doctor", "representative")


def g_23() -> Pair:
    """A child is interviewed with a doctor."""
    b = _inquiring()
    return _interviewed(b, "representative"), _interviewed(b, "representative", "doctor")


def g_24() -> Pair:
    """The decision allows kin, not the parents."""
    b = child_identified(Bench()).at("d120 9:00")
    b.say("child-commission", "safeguard.best_interests_decided")
    returned = "safeguard.returned_to_family"
    return b.ask("guardianship", returned, returned_to="parents"), b.ask("guardianship", returned, returned_to="kin")


def g_25() -> Pair:
    """A child's case cannot be withdrawn, an adult's can."""
    return child_identified(Bench()).ask("vac", "case.withdrawn"), planned(Bench()).ask("vac", "case.withdrawn")


def g_30() -> Pair:
    """She has refused the embassy; she has let the centre help."""
    b = consented(Bench())
    b.say("ngo-a", "consent.refused", receivers=["embassy"])
    return b.ask("ngo-a", REFERRAL, ref="R-9", to=["embassy"]), b.ask("ngo-a", REFERRAL, ref="R-9", to=["vac"])


def g_31() -> Pair:
    """She takes back what the legal NGO was allowed; after a new consent it may be asked again."""
    b = planned(Bench())
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    refused = b.ask("vac", REFERRAL, ref="R-9", to=["ngo-l"])
    b.consents("ngo-l", by="vac")
    return refused, b.ask("vac", REFERRAL, ref="R-9", to=["ngo-l"])


def g_32() -> Pair:
    """Nothing was said of the hospital, until it was."""
    b = consented(Bench())
    refused = b.ask("ngo-a", REFERRAL, ref="R-9", to=["hospital"], services=["health"])
    b.consents("hospital")
    return refused, b.ask("ngo-a", REFERRAL, ref="R-9", to=["hospital"], services=["health"])


def g_33() -> Pair:
    """The 24 hours are not to be dodged by withholding from the unit what nobody refused it."""
    said = {"ref": "R-9", "to": ["vac"], "withhold_from": ["special-unit"]}
    return consented(Bench()).ask("ngo-a", REFERRAL, **said), unit_refused(Bench()).ask("ngo-a", REFERRAL, **said)


def g_34() -> Pair:
    """She has refused the unit, and the receiver must know."""
    b, said = unit_refused(Bench()), {"ref": "R-9", "to": ["vac"]}
    return b.ask("ngo-a", REFERRAL, **said), b.ask("ngo-a", REFERRAL, withhold_from=["special-unit"], **said)


def g_35() -> Pair:
    """A referral to the special unit names its legal basis."""
    b = consented(Bench())
    return b.ask("ngo-a", REFERRAL, ref="R-9", to=["special-unit"]), b.ask("ngo-a", REFERRAL, **TO_UNIT)


def g_36() -> Pair:
    """Nobody records a consent to himself."""
    b = signalled(Bench())
    return b.ask("ngo-a", "consent.given", receivers=["ngo-a"]), b.ask("ngo-a", "consent.given", receivers=["vac"])


def g_26() -> Pair:
    """Nothing about a person is written into a case to whose data access was ended; what has no letter goes on."""
    b = planned(Bench())
    b.say("court", "access.terminated", approver="A-2", letter=True)
    return b.ask("vac", "plan.revised", letter=True), b.ask("vac", "plan.revised")


def g_27() -> Pair:
    """A hold ends within the year."""
    b = planned(Bench())
    hold = "access.hold_placed"
    return b.ask("auditor", hold, until="2028-03-03"), b.ask("auditor", hold, until="2027-03-02")


def g_28() -> Pair:
    """An erasure is refused on the last day of retention, and allowed on the next day."""
    b = closed(Bench(ONE_YEAR))
    cause = next(each.cause for each in b.rules.due(b.view) if each.type == "access.erasure_due")
    due = {"ground": "retention", "cause": cause}
    return b.at("d515 23:59").ask("timekeeper", "access.erasure_due", **due), b.at("d516 0:00").ask(
        "timekeeper", "access.erasure_due", **due
    )


def g_37() -> Pair:
    """The unit that found an adult itself records her consent with a second member of staff."""
    b = Bench()
    b.say("special-unit", "case.signal_recorded", detector="special_unit")
    given = {"receivers": ["special-unit"]}
    return b.ask("special-unit", "consent.given", **given), b.ask(
        "special-unit", "consent.given", approver="A-2", **given
    )


STORIES = {
    "G-20": g_20, "G-21": g_21, "G-22": g_22, "G-23": g_23, "G-24": g_24, "G-25": g_25, "G-30": g_30,
    "G-26": g_26, "G-27": g_27, "G-28": g_28, "G-31": g_31, "G-32": g_32, "G-33": g_33, "G-34": g_34, "G-35": g_35, "G-36": g_36, "G-37": g_37,
}  # fmt: skip


def _of_consent() -> list[tuple[str, Refusal | None, str | None]]:
    b = consented(Bench())
    b.say("ngo-a", "consent.refused", receivers=["vac"], purposes=["services"])
    vac = {"ref": "R-9", "to": ["vac"]}
    found = [
        ("services refused, services asked for", b.ask("ngo-a", REFERRAL, services=["legal"], **vac), "G-30"),
        ("services refused, none asked for", b.ask("ngo-a", REFERRAL, **vac), None),
    ]
    fund, migration = (next(f for f in b.facts if value_of(f.event, who)) for who in ("fund", "migration"))
    named: dict[str, object] = {"ref": "R-9", "to": ["fund"]}
    found += [
        ("the consent named covers", b.ask("ngo-a", REFERRAL, consent=[fund.event], **named), None),
        ("the consent named is another's", b.ask("ngo-a", REFERRAL, consent=[migration.event], **named), "G-32"),
    ]
    b = consented(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found += [("the unit after withdrawal", b.ask("ngo-a", REFERRAL, **TO_UNIT), "G-31")]
    b = presumed(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found += [
        ("the unit decides after withdrawal", b.ask("special-unit", "identification.status_decided"), "G-31"),
        ("the unit extends after withdrawal", b.ask("special-unit", "recovery.extended"), "G-31"),
        ("retained by no law", b.ask("special-unit", "consent.stop_confirmed", answer="must_retain"), "G-35"),
        (
            "retained by a law that is named",
            b.ask("special-unit", "consent.stop_confirmed", answer="must_retain", legal_basis="Law 958-IIQ"),
            None,
        ),
        ("deleted, by no law", b.ask("special-unit", "consent.stop_confirmed"), None),
        ("the unit ends the period after withdrawal", b.ask("special-unit", "recovery.ended"), "G-31"),
    ]
    b = served(Bench())
    b.say("fund", "referral.declined", ref="R-4")
    b.say("ngo-a", "consent.withdrawn", receivers=["fund"])
    found += [
        ("deleted by who has no part any more", b.ask("fund", "consent.stop_confirmed"), None),
        ("and nothing else said by it", b.ask("fund", "payment.ordered", ref="P-1"), "G-05"),
    ]
    return found


def value_of(event: object, receiver: str) -> bool:
    """Return whether *event* is a consent about *receiver*."""
    return receiver in getattr(getattr(event, "data", None), "receivers", ())


def _of_override_and_time() -> list[tuple[str, Refusal | None, str | None]]:
    b = signalled(Bench())
    b.say("ngo-a", "consent.overridden", receivers=["hospital"])
    hospital = {"ref": "R-9", "to": ["hospital"], "services": ["health"]}
    found = [
        ("an override without a ground in law", b.ask("ngo-a", REFERRAL, **hospital), "G-35"),
        ("an override with one", b.ask("ngo-a", REFERRAL, legal_basis="Law 958-IIQ", **hospital), None),
        ("an override of one's own", b.ask("ngo-a", "consent.overridden", receivers=["ngo-a"]), None),
    ]
    b = signalled(Bench())
    b.consents("vac", expires="2026-03-04")
    vac = {"ref": "R-9", "to": ["vac"]}
    found += [
        ("on the last day of a consent", b.at("d2 23:59").ask("ngo-a", REFERRAL, **vac), None),
        ("on the day after it", b.at("d3 0:00").ask("ngo-a", REFERRAL, **vac), "G-32"),
        (
            "dated back to its last day",
            b.at("d5 9:00").ask("ngo-a", REFERRAL, recorded=moment("d2 9:00"), **vac),
            "G-32",
        ),
    ]
    return found


def _of_children() -> list[tuple[str, Refusal | None, str | None]]:
    b = child_flagged(Bench())
    found = [
        ("one member of staff twice", b.ask("school", "case.signal_dismissed", approver="A-1"), "G-20"),
        ("a child's referral without a basis", b.ask("school", REFERRAL, ref="R-9", to=["vac"]), "G-35"),
        ("a child is not asked for consent", b.ask("school", REFERRAL, legal_basis=LEGAL, ref="R-9", to=["vac"]), None),
        ("a refusal of a child withholds nothing", _withheld(b), "G-33"),
    ]
    half = child_signalled(Bench())
    half.say("school", "safeguard.child_flagged", to=["guardianship"])
    found += [("half a safeguard", half.ask("school", REFERRAL, **TO_UNIT), "G-21")]
    adult = consented(Bench())
    says: dict[str, Any] = {"ref": "R-9", "to": ["vac"], "child": True, "legal_basis": LEGAL}
    found += [("a child by the referral alone", adult.ask("ngo-a", REFERRAL, **says), "G-21")]
    adult.say("ngo-a", "safeguard.child_flagged", to=BODIES)
    found += [("a child after all", adult.ask("ngo-a", REFERRAL, **says), None)]
    b = child_housed(Bench())
    found += [
        ("no decision on best interests", b.ask("guardianship", "safeguard.returned_to_family"), "G-24"),
        ("an interview in initial assistance", _interviewed(b, "representative", "doctor"), "G-42"),
    ]
    grown: Said | None = b.say("special-unit", "safeguard.age_assessed")
    b.say("special-unit", "consent.given", receivers=["vac"])
    found += [("of age meanwhile", b.ask("school", REFERRAL, **says), None)]
    found += [("an adult from here on", b.ask("special-unit", "identification.stage_entered", stage="inquiry"), "G-32")]
    unclear = child_housed(Bench())
    unclear.say("special-unit", "safeguard.age_assessed", result="unclear")
    stage = unclear.ask("special-unit", "identification.stage_entered", stage="inquiry")
    found += [("unclear: a child", stage, None)]
    assert grown
    return found


def _withheld(b: Bench) -> Refusal | None:
    b = b.fork()
    b.say("school", "consent.refused", receivers=["special-unit"])
    said = {"ref": "R-9", "to": ["vac"], "legal_basis": LEGAL}
    return b.ask("school", REFERRAL, withhold_from=["special-unit"], **said)


def more() -> list[tuple[str, Refusal | None, str | None]]:
    """Further cases of these rules."""
    return [*_of_consent(), *_of_override_and_time(), *_of_children()]
