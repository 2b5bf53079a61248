"""Wandering cases: seeded stories of events that the Rules allow, over few agencies so that rare cases come often."""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from agencies import AGENCIES, POLICY
from nrmbus.events.model import Fact
from nrmbus.rules import Rules, load_profile
from nrmbus.rules.tables import Tables
from rules.given import Bench

UNIT: Final = "special-unit"
PROFILE: Final = load_profile(POLICY)
WORLD: Final = {
    id: AGENCIES[id]
    for id in (
        "ngo-a", "ngo-l", "vac", "shelter", "ngo-shelter", UNIT, "fund", "migration", "guardianship", "child-commission",
        "court", "timekeeper", "iom", "embassy",
    )
}  # fmt: skip
WORLD_WITHOUT_COURT: Final = {id: agency for id, agency in WORLD.items() if id != "court"}

Fields = Mapping[str, Any]
_TO: Final = ("ngo-a", "ngo-l", "vac", "shelter", "ngo-shelter", UNIT, "iom", "embassy")
_HELD: Final = ("ngo-a", "ngo-l", "vac", UNIT)
_NEW: Final = ("X-1", "X-2", "X-3")
_SAID: Final[Mapping[str, tuple[Fields, ...]]] = {
    "consent.given": tuple({"receivers": [each]} for each in _TO),
    "consent.refused": tuple({"receivers": [each]} for each in (UNIT, UNIT, *_HELD, "court")),
    "consent.withdrawn": tuple({"receivers": [each]} for each in (*_HELD, *_HELD, "shelter")),
    "consent.overridden": tuple({"receivers": [each]} for each in _TO),
    "consent.objected": ({"receivers": ["vac"]},),
    "consent.stop_confirmed": ({"answer": "deleted"}, {"answer": "must_retain"}),
    "referral.submitted": (
        {"to": [UNIT]}, {"to": [UNIT]}, {"to": [UNIT, "vac"]}, {"to": ["vac"]}, {"to": ["ngo-l"], "mode": "transfer"},
        {"to": ["vac"], "withhold_from": [UNIT]}, {"to": ["ngo-a", "ngo-l"]},
    ),
    "document.shared": ({"to": ["vac"]}, {"to": ["ngo-l", UNIT]}),
    "document.chunk_sent": ({"to": ["vac"]},),
    "shelter.bed_requested": ({"to": ["shelter"]}, {"to": ["ngo-shelter", "shelter"]}),
    "shelter.discharged": ({"reason": "own_request"}, {}),
    "stay.hold_requested": ({"to": ["migration"]},),
    "plan.adopted": ({"to": ["ngo-l"]}, {"to": ["ngo-a", "shelter"]}),
    "needs.assessed": ({"to": ["ngo-l"]},),
    "service.requested": ({"to": ["ngo-l"]}, {"to": ["ngo-l", "vac"]}),
    "service.not_delivered": ({},),
    "safeguard.child_flagged": ({"to": ["child-commission", "guardianship"]},),
    "safeguard.age_assessed": ({"result": "adult"}, {"result": "child"}),
    "review.requested": ({}, {"kind": "court"}, {"kind": "complaint_to_superior"}),
    "review.decided": ({}, {"outcome": "upheld"}),
    "identification.stage_entered": tuple({"stage": each} for each in PROFILE.statuses.stages),
    "identification.reasonable_grounds_decided": (
        {}, {"outcome": "negative", "reasons": ["indicators_not_met"], "review_until_days": 30},
    ),
    "identification.status_decided": (
        {}, {"status": "NotAVictimOfTrafficking", "reasons": ["indicators_not_met"], "review_until_days": 30},
    ),
    "return.consented": ({}, {"to": ["iom"]}, {"to": ["embassy", "iom"]}, {"given_by": "caregiver"}),
    "return.risk_assessed": ({}, {}, {"outcome": "not_safe"}),
    "return.monitored": ({"again": True}, {}),
    "case.closed": ({"reason": "lost_contact"},),
    "case.merged": ({}, {"outcome": "ends"}),
    "case.signal_dismissed": ({},),
    "payment.ordered": ({}, {"kind": "compensation"}, {"kind": "other_financial_assistance"}),
    "payment.executed": ({}, {"kind": "compensation"}, {"kind": "other_financial_assistance"}),
    "justice.case_opened": ({"court": "court"}, {}),
    "justice.verdict_recorded": ({}, {"outcome": "discontinued"}),
}  # fmt: skip
_OFTEN: Final = (
    "consent.given", "consent.withdrawn", "consent.stop_confirmed", "consent.stop_confirmed", "referral.submitted",
    "referral.accepted", "identification.stage_entered", "plan.adopted", "review.requested", "case.withdrawn",
)  # fmt: skip
_BY: Final = {
    name: tuple(id for id, agency in WORLD.items() if agency.role in publishers - {"timekeeper"})
    for name, publishers in Tables.of(PROFILE).publishers.items()
}
_NAMED: Final = tuple(
    name
    for name, row in PROFILE.types.items()
    if _BY[name] and not row.opening and row.by != ("timekeeper",) and not name.startswith(("letter.", "access."))
)
_CHOICES: Final = (*_NAMED, *(_OFTEN * 4))
WAITS: Final = (0, 0, 0, 0, 2, 30, 24 * 9, 24 * 40)


def bench(*, court: bool = True) -> Bench:
    """A case over the few agencies of this module."""
    b = Bench(PROFILE)
    b.rules = Rules(PROFILE, WORLD if court else WORLD_WITHOUT_COURT)
    return b


def attempt(b: Bench, by: str, type: str, **said: Any) -> bool:
    """Say it if the Rules let it in; tell whether they did."""
    event = b.event(by, type, **{"legal_basis": "a law", "approver": "A-2", **said})
    if b.rules.judge(b.view, event, b.now) is not None:
        return False
    b.hear(Fact.of(event, b.rules.audience(b.view, event).recipients, b.now, len(b.facts) + 1))
    return True


def wait(b: Bench, hours: int) -> None:
    """Let time pass, in which the timekeeper says what is due."""
    until = b.now + timedelta(hours=hours)
    while (due := next(iter(b.rules.due(b.view)), None)) is not None and due.at <= until:
        b.say_due(due.type)
    b.now = max(b.now, until)


def references(b: Bench) -> Iterator[str | None]:
    """Every reference that something in the case has, and none."""
    view = b.view
    known = dict.fromkeys(
        (
            *view.referrals,
            *view.beds,
            *view.holds,
            *view.reviews,
            *view.services,
            *view.payments,
            *view.grants,
            *view.proceedings,
        )
    )
    yield from (ref for ref in known if "-" not in ref)  # a record without a reference has its event's id
    yield None


def opened(b: Bench, dice: random.Random) -> None:
    """Somebody gives the signal, of an adult or a child, and the person agrees to a few."""
    by = dice.choice(("ngo-a", "ngo-a", "ngo-a", "vac", UNIT))
    child = dice.random() < 0.25
    attempt(b, by, "case.signal_recorded", detector=WORLD[by].role, child=child)
    for each in _TO:
        if dice.random() < 0.7:
            attempt(b, by, "consent.overridden" if each == by else "consent.given", receivers=[each])
    if child:
        attempt(b, by, "safeguard.child_flagged", to=["child-commission", "guardianship"])


def wandered(seed: int, *, steps: int = 30) -> Bench:
    """The case of that *seed* after *steps* things that were let in, or as many as there were."""
    dice = random.Random(seed)
    b = bench(court=dice.random() < 0.7)
    opened(b, dice)
    for _ in range(steps):
        wait(b, dice.choice(WAITS))
        refs = tuple(references(b))
        for _ in range(40):
            type = dice.choice(_CHOICES)
            said = dict(dice.choice(_SAID.get(type, ({},))))
            ref = dice.choice(refs)
            named = {"ref": dice.choice(_NEW)} if ref is None else {"reference": ref}
            if attempt(b, dice.choice(_BY[type]), type, **named, **said):
                break
    return b


def said_in(b: Bench) -> list[str]:
    """Return the events of the case, for the message of a failed test."""
    return [f"{fact.event.source} {fact.event.type} {fact.event.data.to_mapping()}" for fact in b.facts]


SETTLING: Final[tuple[tuple[str, Fields], ...]] = (
    ("referral.declined", {}),
    ("referral.revoked", {}),
    ("service.not_delivered", {}),
    ("return.stopped", {}),
    ("shelter.discharged", {"reason": "own_request"}),
    ("review.decided", {"outcome": "upheld"}),
)
"""Events that lead to a close without anybody's agreement: pending questions are answered, residents leave, returns stop."""


def may_close(b: Bench) -> str | None:
    """Return an agency that may close the case now, or None."""
    for by in dict.fromkeys((*b.view.counts, *b.view.parts)):
        for type in ("case.closed", "case.signal_dismissed"):
            event = b.event(by, type, **{"reason": "lost_contact"} if type == "case.closed" else {}, approver="A-2")
            if b.rules.judge(b.view, event, b.now) is None:
                return by
    return None


def settle(b: Bench) -> None:
    """Have everybody answer what was asked."""
    for ref in tuple(references(b)):
        for type, said in SETTLING:
            for by in dict.fromkeys((*b.view.counts, *b.view.parts)):
                attempt(b, by, type, reference=ref, **said)


def is_closable(b: Bench, *, settled: Callable[[Bench], None] = settle) -> bool:
    """Return whether some agency may close the case: now, once all is answered, or after the days for a review."""
    b = b.fork()
    for hours in (0, 0, 24 * 60, 24 * 400):
        if b.view.status == "CLOSED" or may_close(b):
            return True
        settled(b)
        wait(b, hours)
    return b.view.status == "CLOSED" or may_close(b) is not None
