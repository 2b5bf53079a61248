"""Notices to a former or new holder of a case: by a plan, a first stage or a transfer, and by nothing else.

Also notices that the special unit owes nothing more, because it closed the case or recorded the person's refusal.
"""

from collections.abc import Iterator

from rules.audience_words import UNIT, Seen, barring, going_on
from rules.given import Bench
from rules.stories import LEGAL, begun, consented, planned, presumed


def handed_over(b: Bench) -> Bench:
    """The NGO that found her hands the case over to the legal NGO; both have a part in it."""
    consented(b).say("ngo-a", "referral.submitted", ref="R-7", to=["ngo-l"], mode="transfer")
    b.say("ngo-l", "referral.accepted", ref="R-7")
    return b


def to_the_unit(b: Bench) -> Bench:
    """… and refers her to the special unit all the same, which takes her on."""
    handed_over(b).say("ngo-a", "referral.submitted", ref="R-1", to=[UNIT], legal_basis=LEGAL)
    b.say(UNIT, "referral.acknowledged", ref="R-1")
    b.say(UNIT, "referral.accepted", ref="R-1")
    return b


def _handed_on() -> Iterator[Seen]:
    yield Seen(presumed, "vac", "plan.adopted", ("ngo-l", "shelter", UNIT), said={"to": ["ngo-l", "shelter"]})
    yield Seen(barring(presumed, UNIT), "vac", "plan.adopted", ("ngo-a", "shelter"), said={"to": ["shelter"]})
    yield Seen(planned, "ngo-l", "plan.adopted", ("shelter", "vac"), said={"to": ["shelter"]})
    yield Seen(barring(planned, "vac"), "ngo-l", "plan.adopted", ("shelter",), said={"to": ["shelter"]})
    yield Seen(planned, "vac", "plan.adopted", ("shelter",), said={"to": ["shelter"]})
    yield Seen(to_the_unit, UNIT, "identification.stage_entered", ("ngo-a", "ngo-l"))
    held_by_other = going_on(to_the_unit, UNIT, "identification.stage_entered")
    yield Seen(held_by_other, UNIT, "identification.stage_entered", ("ngo-a",), said={"stage": "inquiry"})
    handed = {"ref": "R-8", "to": ["vac"]}
    again = going_on(handed_over, "ngo-a", "referral.submitted", mode="transfer", **handed)
    yield Seen(again, "vac", "referral.accepted", ("ngo-a", "ngo-l"), said={"ref": "R-8"})
    yield Seen(barring(again, "ngo-l"), "vac", "referral.accepted", ("ngo-a",), said={"ref": "R-8"})
    only_referred = going_on(handed_over, "ngo-a", "referral.submitted", mode="referral", **handed)
    yield Seen(only_referred, "vac", "referral.accepted", ("ngo-a",), said={"ref": "R-8"})
    of_a_plan = going_on(planned, "ngo-a", "referral.submitted", mode="transfer", ref="R-8", to=["ngo-l"])
    yield Seen(of_a_plan, "ngo-l", "referral.accepted", ("ngo-a",), said={"ref": "R-8"})
    of_the_unit = going_on(begun, "ngo-a", "referral.submitted", mode="transfer", ref="R-8", to=["ngo-l"])
    yield Seen(of_the_unit, "ngo-l", "referral.accepted", ("ngo-a",), said={"ref": "R-8"})


def _let_off() -> Iterator[Seen]:
    own = {"receivers": [UNIT]}
    yield Seen(begun, UNIT, "case.closed", ("ngo-a",))
    yield Seen(barring(begun, "ngo-a"), UNIT, "case.closed", ())
    for type in ("consent.refused", "consent.withdrawn"):
        yield Seen(begun, UNIT, type, ("ngo-a",), said=own)
        yield Seen(barring(begun, "ngo-a"), UNIT, type, (), said=own)
        yield Seen(begun, UNIT, type, (), said={"receivers": ["vac"]})
        yield Seen(begun, "ngo-a", type, (UNIT,), said=own)
        yield Seen(consented, UNIT, type, (), said=own)


HANDED_ON = (*_handed_on(), *_let_off())
