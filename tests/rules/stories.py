"""Stories that bring a case to the point where a test begins; each continues the one before. All persons are invented."""

from rules.given import NEGATIVE, Bench

CONSENTED = ("special-unit", "shelter", "vac", "ngo-l", "fund", "migration")
LEGAL = "CoM 21/2008 art. 7"
REPORTED = {"detector": "consulate", "detected_abroad": True}
BODIES = ["child-commission", "guardianship"]


def signalled(b: Bench) -> Bench:
    """0:00: an NGO meets a woman."""
    b.say("ngo-a", "case.signal_recorded", letter=True)
    return b


def consented(b: Bench) -> Bench:
    """0:40: she lets six agencies help."""
    signalled(b).at("0:40").consents(*CONSENTED)
    return b


def referred(b: Bench) -> Bench:
    """1:10: the NGO refers her to the special unit."""
    consented(b).at("1:10")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], legal_basis=LEGAL, letter=True)
    return b


def acknowledged(b: Bench) -> Bench:
    """2:00: its duty officer gives a receipt."""
    referred(b).at("2:00").say("special-unit", "referral.acknowledged", ref="R-1")
    return b


def accepted(b: Bench) -> Bench:
    """4:00: it takes her on."""
    acknowledged(b).at("4:00").say("special-unit", "referral.accepted", ref="R-1")
    return b


def begun(b: Bench) -> Bench:
    """4:15: initial assistance."""
    accepted(b).at("4:15").say("special-unit", "identification.stage_entered")
    return b


def offered(b: Bench) -> Bench:
    """4:20: the state shelter offers a bed."""
    begun(b).at("4:20").say("special-unit", "shelter.bed_requested", ref="B-1", to=["shelter"], letter=True)
    b.say("shelter", "shelter.bed_offered", ref="B-1")
    return b


def housed(b: Bench) -> Bench:
    """4:50: she is in the house; 6:00: migration holds her removal."""
    offered(b).at("4:50").say("shelter", "shelter.admitted", ref="B-1")
    b.at("5:00").say("special-unit", "stay.hold_requested", ref="H-1", to=["migration"], letter=True)
    b.at("6:00").say("migration", "stay.hold_confirmed", ref="H-1")
    return b


def kept_after_closing(b: Bench) -> Bench:
    """The person withdraws her consent to the house, the house has to retain its data, and the case is closed. She still lives there."""
    housed(b).say("ngo-a", "consent.withdrawn", receivers=["shelter"])
    b.say("shelter", "consent.stop_confirmed", answer="must_retain", legal_basis=LEGAL)
    b.say("special-unit", "case.closed", reason="lost_contact")
    return b


def screened(b: Bench) -> Bench:
    """d4 10:00: the indicators were gone through."""
    housed(b).at("d1 11:00").say("special-unit", "identification.stage_entered", stage="inquiry")
    b.at("d4 9:00").say("special-unit", "identification.stage_entered", stage="indicator_screening")
    b.at("d4 10:00").say("special-unit", "identification.indicators_screened", letter=True)
    return b


def presumed(b: Bench) -> Bench:
    """d4 11:00: reasonable grounds; the recovery period begins."""
    screened(b).at("d4 11:00").say("special-unit", "identification.reasonable_grounds_decided")
    b.say("special-unit", "recovery.period_started")
    return b


def planned(b: Bench) -> Bench:
    """d8 10:00: the assistance centre and she agree on a plan with the shelter and the legal NGO."""
    presumed(b).at("d8 9:00").say("vac", "needs.assessed", to=["shelter"], letter=True)
    b.at("d8 10:00").say("vac", "plan.adopted", to=["ngo-l", "shelter"])
    return b


def served(b: Bench) -> Bench:
    """d8 11:30: it asks the legal NGO and the fund."""
    planned(b).at("d8 11:00")
    b.say("vac", "referral.submitted", ref="R-2", to=["ngo-l"], urgency="urgent", services=["legal"], letter=True)
    b.at("d8 11:30")
    b.say("vac", "referral.submitted", ref="R-4", to=["fund"], urgency="normal", services=["cash"], letter=True)
    return b


def identified(b: Bench) -> Bench:
    """d42 9:00: she is recognised."""
    planned(b).at("d42 9:00").say("special-unit", "identification.status_decided", letter=True)
    return b


def paid(b: Bench) -> Bench:
    """d42 9:00: the fund orders the allowance."""
    identified(b).say("fund", "payment.ordered", ref="P-1")
    return b


def left(b: Bench) -> Bench:
    """d112 10:00: she has a flat of her own."""
    identified(b).at("d112 10:00").say("shelter", "shelter.discharged", ref="B-1")
    return b


def closed(b: Bench) -> Bench:
    """d150 9:00: the centre closes the case."""
    left(b).at("d150 9:00").say("vac", "case.closed")
    return b


def prosecuted(b: Bench) -> Bench:
    """d43 9:00: the unit refers her to the prosecution, which opens a criminal case that the court will hear."""
    identified(b).at("d43 9:00").consents("prosecution")
    b.say("special-unit", "referral.submitted", ref="R-7", to=["prosecution"], legal_basis=LEGAL, letter=True)
    b.say("prosecution", "referral.accepted", ref="R-7")
    b.say("prosecution", "justice.case_opened", ref="J-1", court="court", letter=True)
    return b


def convicted(b: Bench) -> Bench:
    """d120 9:00: the court convicts somebody and confiscates property."""
    prosecuted(b).at("d120 9:00").say("court", "justice.verdict_recorded", ref="J-1", letter=True)
    return b


def granted(b: Bench) -> Bench:
    """d121 9:00: the court grants her compensation."""
    convicted(b).at("d121 9:00").say("court", "fund.compensation_granted", ref="C-1")
    return b


def refused_by_grounds(b: Bench) -> Bench:
    """d4 11:00: no reasonable grounds; a review may be asked for until 24:00 of 5 April."""
    screened(b).at("d4 11:00").say("special-unit", "identification.reasonable_grounds_decided", **NEGATIVE)
    return b


def under_review(b: Bench) -> Bench:
    """d8 9:00: the NGO asks for a reconsideration."""
    refused_by_grounds(b).at("d8 9:00").say("ngo-a", "review.requested", ref="V-1", letter=True)
    return b


def unit_refused(b: Bench) -> Bench:
    """0:45: she lets the centre and the legal NGO help, and refuses the special unit."""
    signalled(b).at("0:40").consents("vac", "ngo-l")
    b.at("0:45").say("ngo-a", "consent.refused", receivers=["special-unit"])
    return b


def without_status(b: Bench) -> Bench:
    """0:50: the NGO sends her to the centre, of which the special unit must not hear."""
    unit_refused(b).at("0:50")
    b.say("ngo-a", "referral.submitted", ref="R-5", to=["vac"], withhold_from=["special-unit"], letter=True)
    return b


# The way home


def wishing(b: Bench) -> Bench:
    """d60 9:00: she wants to go home, and an organisation that she agreed to takes that down."""
    identified(b).at("d60 9:00").consents("iom", by="vac")
    b.say("vac", "referral.submitted", ref="R-7", to=["iom"], reason="Return", services=["repatriation"], letter=True)
    b.say("iom", "referral.accepted", ref="R-7")
    b.say("iom", "return.consented", letter=True)
    return b


def assessed(b: Bench) -> Bench:
    """d62 9:00: she can return."""
    wishing(b).at("d62 9:00").say("iom", "return.risk_assessed", letter=True)
    return b


def arranged(b: Bench) -> Bench:
    """d63 9:00: the journey is arranged, within fourteen days."""
    assessed(b).at("d63 9:00").say("iom", "return.travel_arranged", letter=True)
    return b


def home(b: Bench) -> Bench:
    """d70 9:00: she has arrived."""
    arranged(b).at("d70 9:00").say("iom", "return.completed", letter=True)
    return b


def found_abroad(b: Bench) -> Bench:
    """The consulate reports a citizen, and arranges the journey home."""
    b.say("consulate", "case.signal_recorded", **REPORTED)
    b.at("1:00").say("consulate", "return.consented")
    b.at("2:00").say("consulate", "return.risk_assessed")
    b.at("d3 9:00").say("consulate", "return.travel_arranged", days=7)
    return b


def merging(b: Bench) -> Bench:
    """d5 9:00: the special unit finds that another case is hers too, and goes on with this one."""
    presumed(b).at("d5 9:00").say("special-unit", "case.merged", letter=True, approver="A-2")
    return b


# A child


def child_signalled(b: Bench) -> Bench:
    """0:00: a school finds a boy who begs."""
    b.say("school", "case.signal_recorded", detector="education", child=True, urgency="urgent", letter=True)
    return b


def child_flagged(b: Bench) -> Bench:
    """0:30: guardianship and the commission hear of him."""
    child_signalled(b).at("0:30").say("school", "safeguard.child_flagged", to=BODIES)
    return b


def child_referred(b: Bench) -> Bench:
    """1:00: the school refers him."""
    child_flagged(b).at("1:00")
    b.say("school", "referral.submitted", ref="R-10", to=["special-unit"], child=True, legal_basis=LEGAL, letter=True)
    return b


def child_begun(b: Bench) -> Bench:
    """2:10: initial assistance."""
    child_referred(b).at("1:30").say("special-unit", "referral.acknowledged", ref="R-10")
    b.at("2:00").say("special-unit", "referral.accepted", ref="R-10")
    b.at("2:10").say("special-unit", "identification.stage_entered")
    return b


def child_housed(b: Bench) -> Bench:
    """6:00: the NGO's shelter takes him in; the state's had no place."""
    child_begun(b).at("4:00")
    b.say("special-unit", "shelter.bed_requested", ref="B-10", to=["ngo-shelter", "shelter"], letter=True)
    b.say("ngo-shelter", "shelter.bed_offered", ref="B-10")
    b.say("shelter", "shelter.bed_refused", ref="B-10")
    b.at("5:00").say("guardianship", "safeguard.representative_assigned")
    b.at("6:00").say("ngo-shelter", "shelter.admitted", ref="B-10")
    return b


def erasing(b: Bench) -> Bench:
    """The court has ended access to what is stored, nobody objected, and it is to be erased now."""
    planned(b).say("court", "access.terminated", approver="A-2")
    b.say_due("access.erasure_due")
    return b


def child_screened(b: Bench) -> Bench:
    """d4 10:00: stages and screening."""
    child_housed(b).at("d1 12:00").say("special-unit", "identification.stage_entered", stage="inquiry")
    b.at("d4 9:00").say("special-unit", "identification.stage_entered", stage="indicator_screening")
    b.at("d4 10:00").say("special-unit", "identification.indicators_screened", letter=True)
    return b


def child_waiting(b: Bench) -> Bench:
    """d1 12:00: the inquiry begins, and nobody represents the boy yet."""
    child_begun(b).at("d1 12:00").say("special-unit", "identification.stage_entered", stage="inquiry")
    return b


def child_prosecuted(b: Bench) -> Bench:
    """d18 9:00: the prosecution opens a criminal case about what was done to him."""
    child_identified(b).at("d18 9:00")
    said = {"child": True, "legal_basis": LEGAL}
    b.say("special-unit", "referral.submitted", ref="R-17", to=["prosecution"], letter=True, **said)
    b.say("prosecution", "referral.accepted", ref="R-17")
    b.say("prosecution", "justice.case_opened", ref="J-1", court="court", letter=True)
    return b


def child_presumed(b: Bench) -> Bench:
    """d4 15:00: reasonable grounds."""
    child_screened(b).at("d4 15:00").say("special-unit", "identification.reasonable_grounds_decided")
    b.say("special-unit", "recovery.period_started")
    return b


def child_planned(b: Bench) -> Bench:
    """d9 9:00: the assistance centre, asked on d8, has a plan."""
    child_presumed(b).at("d8 10:00")
    said = {"urgency": "normal", "services": ["education"], "child": True, "legal_basis": "CoM 123/2009"}
    b.say("special-unit", "referral.submitted", ref="R-11", to=["vac"], letter=True, **said)
    b.at("d8 15:00").say("vac", "referral.accepted", ref="R-11")
    b.at("d9 9:00").say("vac", "plan.adopted", to=["ngo-shelter"], planned_end_days=180)
    return b


def child_identified(b: Bench) -> Bench:
    """d17 9:00: he is recognised."""
    child_planned(b).at("d17 9:00").say("special-unit", "identification.status_decided", letter=True)
    return b
