"""Notices to agencies that owe what an event ends: no desk goes on showing a duty that is over."""

from collections.abc import Iterator

from agencies import AGENCIES
from nrmbus.rules import Agency, Rules
from rules.audience_words import MOST, UNIT, Seen, barring, going_on
from rules.given import Bench
from rules.stories import LEGAL, begun, child_flagged, consented, referred, refused_by_grounds, signalled

UNIT_TWO = {**AGENCIES, "special-unit-2": Agency("special-unit-2", "special_unit")}
COURT_TWO = {**AGENCIES, "court-2": Agency("court-2", "court")}
MIGRATION_TWO = {**AGENCIES, "migration-2": Agency("migration-2", "migration")}
GUARDIANSHIP_TWO = {**AGENCIES, "guardianship-2": Agency("guardianship-2", "guardianship")}


def _bed_asked(b: Bench) -> Bench:
    """The NGO asks a shelter for a bed, and has not referred anybody."""
    signalled(b).consents("shelter")
    b.say("ngo-a", "shelter.bed_requested", ref="B-9", to=["shelter"])
    return b


def _hospital_accepted(b: Bench) -> Bench:
    """A hospital has accepted a referral, and owes a first step."""
    referred(b).consents("hospital", "school")
    b.say("ngo-a", "referral.submitted", ref="R-8", to=["hospital"])
    b.say("hospital", "referral.accepted", ref="R-8")
    return b


def _school_asked(b: Bench) -> Bench:
    """… and asks the school, after it has helped: its own duty is over."""
    _hospital_accepted(b).say("hospital", "service.delivered", service="health")
    b.say("hospital", "referral.submitted", ref="R-9", to=["school"])
    return b


def _handed_to_an_ngo(b: Bench) -> Bench:
    """The NGO that found her asks the legal NGO, and nobody has referred her yet."""
    consented(b).say("ngo-a", "referral.submitted", ref="R-7", to=["ngo-l"])
    return b


def _two_offices(b: Bench) -> Bench:
    """Two offices are to hold her removal."""
    b.rules = Rules(b.rules.profile, MIGRATION_TWO)
    begun(b).consents("migration-2")
    b.say(UNIT, "stay.hold_requested", ref="H-9", to=["migration", "migration-2"])
    return b


def _two_courts(b: Bench) -> Bench:
    """She goes to court, and there are two."""
    b.rules = Rules(b.rules.profile, COURT_TWO)
    refused_by_grounds(b).say("ngo-a", "review.requested", ref="V-1", kind="court")
    return b


def _two_guardianships(b: Bench) -> Bench:
    """Two districts know of the child, and owe it a representative."""
    b.rules = Rules(b.rules.profile, GUARDIANSHIP_TWO)
    child_flagged(b).say("school", "safeguard.child_flagged", to=["guardianship-2"])
    return child_waiting_on(b)


def child_waiting_on(b: Bench) -> Bench:
    """The special unit takes the child on, and its inquiry begins."""
    said = {"child": True, "legal_basis": LEGAL}
    b.say("school", "referral.submitted", ref="R-10", to=[UNIT], **said)
    b.say(UNIT, "referral.accepted", ref="R-10")
    b.say(UNIT, "identification.stage_entered")
    b.say(UNIT, "identification.stage_entered", stage="inquiry")
    return b


def _two_units(b: Bench) -> Bench:
    """Two bodies decide in this country; the one that took her on owes the decision, and both know of the case."""
    b.rules = Rules(b.rules.profile, UNIT_TWO)
    begun(b).consents("special-unit-2")
    b.say(UNIT, "identification.stage_entered", stage="inquiry")
    b.say(UNIT, "identification.stage_entered", stage="indicator_screening")
    b.say(UNIT, "identification.indicators_screened")
    return b


def _two_accepted(b: Bench) -> Bench:
    """Two bodies decide, both were asked, and both have accepted."""
    b.rules = Rules(b.rules.profile, UNIT_TWO)
    consented(b).consents("special-unit-2")
    b.say("ngo-a", "referral.submitted", ref="R-10", to=[UNIT, "special-unit-2"], legal_basis=LEGAL)
    for each in (UNIT, "special-unit-2"):
        b.say(each, "referral.accepted", ref="R-10")
    return b


def _recovering(b: Bench) -> Bench:
    """… and her recovery period has begun."""
    _two_units(b).say(UNIT, "identification.reasonable_grounds_decided")
    b.say(UNIT, "recovery.period_started")
    return b


def relieved() -> Iterator[Seen]:
    """Yield the rows that tell somebody of the end of its duty."""
    yield Seen(_bed_asked, "ngo-a", "case.signal_dismissed", ("shelter", UNIT))
    yield Seen(_hospital_accepted, "ngo-a", "case.withdrawn", ("hospital", UNIT))
    yield Seen(_school_asked, "ngo-a", "case.withdrawn", ("hospital", "school", UNIT))
    closing = going_on(_hospital_accepted, UNIT, "referral.declined", ref="R-1")
    yield Seen(closing, "ngo-a", "case.closed", ("hospital", UNIT), said={"reason": "lost_contact"})
    unit, to_unit = {**dict.fromkeys(MOST, (UNIT,)), "money": ()}, {"ref": "R-8", "to": [UNIT]}
    yield Seen(_handed_to_an_ngo, "ngo-l", "referral.submitted", ("ngo-a", UNIT), unit, to_unit)
    yield Seen(barring(_handed_to_an_ngo, "ngo-a", "ngo-l"), "ngo-l", "referral.submitted", (UNIT,), unit, to_unit)
    both = {"ref": "R-8", "to": [UNIT, "vac"]}
    shared = {part: (UNIT, "vac") if openers else () for part, openers in unit.items()}
    yield Seen(_handed_to_an_ngo, "ngo-l", "referral.submitted", (UNIT, "vac"), shared, both)
    yield Seen(_two_offices, "migration", "stay.hold_confirmed", ("migration-2", UNIT), said={"ref": "H-9"})
    yield Seen(
        _two_courts, "court", "review.decided", ("court-2", "ngo-a", "shelter", UNIT, "vac"), said={"ref": "V-1"}
    )
    yield Seen(_two_guardianships, "guardianship", "safeguard.representative_assigned", ("guardianship-2", UNIT))
    yield Seen(
        child_flagged,
        "school",
        "safeguard.child_flagged",
        ("child-commission", "guardianship", UNIT),
        said={"to": ["guardianship"]},
    )
    other = "special-unit-2"
    yield Seen(_two_units, other, "identification.reasonable_grounds_decided", ("ngo-a", UNIT, "vac"))
    yield Seen(_two_accepted, UNIT, "identification.stage_entered", ("ngo-a", other))
    opened = dict.fromkeys(("health", "story"), ("vac",))
    for type in ("recovery.extended", "recovery.reviewed", "recovery.ended"):
        yield Seen(_recovering, other, type, (UNIT, "vac"), opened if type == "recovery.extended" else {})
    opened = dict.fromkeys(("coded", "story"), ("vac",))
    yield Seen(_recovering, other, "identification.status_decided", ("fund", "ngo-a", UNIT, "vac"), opened)
    yield Seen(_two_units, other, "safeguard.age_assessed", (UNIT,))
