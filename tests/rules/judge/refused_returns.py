"""G-29 and G-55 to G-57: for each rule of the way home an event that it refuses, and a similar event that it lets pass."""

from nrmbus.rules import Refusal
from rules.given import Bench
from rules.stories import arranged, assessed, child_identified, closed, home, identified, under_review, wishing

Pair = tuple[Refusal | None, Refusal | None]
Cases = list[tuple[str, Refusal | None, str | None]]
UNIT = "special-unit"
CONSENT, RISK, TRAVEL = "return.consented", "return.risk_assessed", "return.travel_arranged"
ARRIVAL, REPORT, STOP = "return.completed", "return.monitored", "return.stopped"
DANGEROUS = {"outcome": "not_safe"}
REFERRAL = {"ref": "R-8", "to": ["embassy"], "legal_basis": "a law"}


def g_29() -> Pair:
    """Nobody is sent into a danger that was found."""
    b, safe = wishing(Bench()), wishing(Bench())
    b.say("iom", RISK, **DANGEROUS)
    safe.say("iom", RISK, outcome="can_return_with_measures")
    return b.ask("iom", TRAVEL), safe.ask("iom", TRAVEL)


def g_55() -> Pair:
    """A supervisor's override opens no way to an embassy; the person's word does."""
    b, agreed = identified(Bench()), identified(Bench())
    b.say("vac", "consent.overridden", receivers=["embassy"])
    agreed.consents("embassy", by="vac")
    return b.ask("vac", "referral.submitted", **REFERRAL), agreed.ask("vac", "referral.submitted", **REFERRAL)


def g_56() -> Pair:
    """Nobody assesses a return that the person does not want."""
    b = identified(Bench())
    return b.ask(UNIT, RISK), wishing(Bench()).ask("iom", RISK)


def g_57() -> Pair:
    """Travel comes after the risk was assessed."""
    return wishing(Bench()).ask("iom", TRAVEL), assessed(Bench()).ask("iom", TRAVEL)


STORIES = {"G-29": g_29, "G-55": g_55, "G-56": g_56, "G-57": g_57}


def _child(outcome: str | None = None, given_by: str = "caregiver") -> Bench:
    b = child_identified(Bench())
    if outcome:
        b.say("guardianship", "safeguard.best_interests_decided", outcome=outcome)
    b.say(UNIT, CONSENT, given_by=given_by)
    b.say(UNIT, RISK)
    return b


def _of_adults() -> Cases:
    b, on_the_way, back = wishing(Bench()), arranged(Bench()), home(Bench())
    stopped = arranged(Bench())
    stopped.say("vac", STOP)
    dangerous = arranged(Bench())
    dangerous.say(UNIT, RISK, **DANGEROUS)
    refused = arranged(Bench())
    refused.say("vac", "consent.withdrawn", receivers=["iom"])
    reviewed = under_review(Bench()).at("d9 9:00")
    reviewed.say(UNIT, CONSENT)
    reviewed.say(UNIT, RISK)
    pending = reviewed.ask(UNIT, TRAVEL)
    reviewed.say(UNIT, "review.decided", ref="V-1", outcome="upheld")
    return [
        ("a wish that a relative reports", identified(Bench()).ask(UNIT, CONSENT, given_by="other"), "G-56"),
        ("a wish that a carer reports for an adult", identified(Bench()).ask(UNIT, CONSENT, given_by="caregiver"), "G-56"),
        ("an embassy says that she wants to come", b.ask("embassy", CONSENT), "G-01"),
        ("an embassy says that it is safe", b.ask("embassy", RISK), "G-01"),
        ("helped by the legal NGO", identified(Bench()).ask(UNIT, CONSENT, to=["ngo-l"]), "G-10"),
        ("helped by an embassy that she was not asked about", identified(Bench()).ask(UNIT, CONSENT, to=["embassy"]), "G-32"),
        ("a second return beside the first", b.ask(UNIT, CONSENT), "G-51"),
        ("arrival before travel", assessed(Bench()).ask("iom", ARRIVAL), "G-57"),
        ("a report before arrival", on_the_way.ask("iom", REPORT), "G-57"),
        ("a report without a return", identified(Bench()).ask("vac", REPORT), "G-57"),
        ("arrival", on_the_way.ask("iom", ARRIVAL), None),
        ("arrival twice", back.ask("iom", ARRIVAL), "G-51"),
        ("travel after arrival", back.ask("iom", TRAVEL), "G-51"),
        ("another return after the first", back.ask("iom", CONSENT), None),
        ("the journey of somebody who changed her mind", stopped.ask("iom", ARRIVAL), "G-56"),
        ("stopped twice", stopped.ask(UNIT, STOP), "G-51"),
        ("stopped after arrival", back.ask("iom", STOP), "G-51"),
        ("a danger that was found after the journey was arranged", dangerous.ask("iom", ARRIVAL), "G-29"),
        ("an organisation that she takes her consent from", refused.ask("iom", ARRIVAL), "G-31"),
        ("a journey while a review is undecided", pending, "G-29"),
        ("a journey after the review", reviewed.ask(UNIT, TRAVEL), None),
        ("closing while a return is under way", b.ask("vac", "case.closed"), "G-49"),
        ("a report after closing", _after_closing().ask("iom", REPORT), None),
        ("a return in a closed case", closed(Bench()).ask(UNIT, CONSENT), "G-40"),
    ]  # fmt: skip


def _after_closing() -> Bench:
    b = home(Bench())
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", "case.closed", reason="returned_home")
    return b


def _of_embassies() -> Cases:
    agreed = identified(Bench())
    agreed.consents("embassy", "iom", by="vac")
    barred = agreed.fork()
    barred.say("migration", "stay.embassy_barred", letter=True)
    twice = barred.ask(UNIT, "stay.embassy_barred")
    lifted = barred.fork()
    lifted.say("migration", "stay.embassy_bar_lifted")
    at_work = agreed.fork()
    at_work.say(UNIT, CONSENT, to=["embassy", "iom"])
    at_work.say("iom", RISK)
    stopping = at_work.fork()
    stopping.say("migration", "stay.embassy_barred")
    child = child_identified(Bench())
    cared = child.fork()
    cared.consents("embassy", by="guardianship", given_by="caregiver")
    return [
        ("an embassy that she agreed to", agreed.ask(UNIT, CONSENT, to=["embassy"]), None),
        ("a bar outweighs her consent", barred.ask(UNIT, CONSENT, to=["embassy"]), "G-55"),
        ("a bar leaves the organisation alone", barred.ask(UNIT, CONSENT, to=["iom"]), None),
        ("a bar on a bar", twice, "G-51"),
        ("lifted", lifted.ask(UNIT, CONSENT, to=["embassy"]), None),
        ("lifted twice", lifted.ask("migration", "stay.embassy_bar_lifted"), "G-51"),
        ("an embassy arranges what she agreed to", at_work.ask("embassy", TRAVEL), None),
        ("an embassy arranges while a bar stands", stopping.ask("embassy", TRAVEL), "G-55"),
        ("a child's embassy without its carer's word", child.ask(UNIT, CONSENT, to=["embassy"], given_by="caregiver"), "G-55"),
        ("a child's embassy with it", cared.ask(UNIT, CONSENT, to=["embassy"], given_by="caregiver"), None),
    ]  # fmt: skip


def _of_children() -> Cases:
    return [
        ("a child travels without a decision on best interests", _child().ask(UNIT, TRAVEL), "G-24"),
        ("against it", _child("not_to_return").ask(UNIT, TRAVEL), "G-24"),
        ("as it allows", _child("return_to_parents").ask(UNIT, TRAVEL), None),
        ("a child who wants it", _child("kinship_care", "individual").ask(UNIT, TRAVEL), None),
        ("a stranger's word for a child", child_identified(Bench()).ask(UNIT, CONSENT, given_by="other"), "G-56"),
        ("a child that is found to be an adult and was not asked", _grown(), "G-56"),
    ]


def _grown() -> Refusal | None:
    b = _child("return_to_parents")
    b.say(UNIT, "safeguard.age_assessed")
    return b.ask(UNIT, TRAVEL)


def more() -> Cases:
    """Further cases of these rules."""
    return [*_of_adults(), *_of_embassies(), *_of_children()]
