"""Recipients and openers of the way home: for each row of section 3 about a return or a bar, cases that show its terms."""

from collections.abc import Iterator

from rules.audience_words import UNIT, Seen, barring, going_on
from rules.given import Bench
from rules.stories import arranged, assessed, child_identified, home, identified, wishing

PLAN = ("ngo-l", "shelter")
"""Members of the plan, who hear of the steps and open nothing."""
CLOSE = ("iom", UNIT, "vac")
HELPED = {"to": ["embassy", "iom"]}


def _agreed(b: Bench) -> Bench:
    identified(b).consents("iom", "embassy", by="vac")
    return b


def _agreed_by_referral(b: Bench) -> Bench:
    """The centre asks an organisation to help her home."""
    identified(b).consents("iom", by="vac")
    b.say("vac", "referral.submitted", ref="R-7", to=["iom"], reason="Return")
    return b


def _helped(b: Bench) -> Bench:
    """The unit plans her way home with an organisation and the embassy, as she agreed."""
    _agreed(b).say(UNIT, "return.consented", **HELPED)
    return b


def _helped_by_the_consulate(b: Bench) -> Bench:
    identified(b).consents("consulate", by="vac")
    b.say(UNIT, "return.consented", to=["consulate"])
    return b


def _travelling(b: Bench) -> Bench:
    _helped(b).say("iom", "return.risk_assessed")
    b.say("embassy", "return.travel_arranged")
    return b


_barred = going_on(_travelling, "migration", "stay.embassy_barred")

_barred_alone = going_on(identified, "migration", "stay.embassy_barred")


def _child(b: Bench) -> Bench:
    """A child wants to go home, with the help of an organisation."""
    _child_referred(b).say("guardianship", "safeguard.best_interests_decided", outcome="return_to_parents")
    b.say(UNIT, "return.consented", given_by="caregiver")
    b.say(UNIT, "return.risk_assessed")
    return b


def _child_referred(b: Bench) -> Bench:
    """The organisation is asked to help a child."""
    child_identified(b).say("vac", "referral.submitted", ref="R-7", to=["iom"], child=True, legal_basis="a law")
    return b


def _child_travels(b: Bench) -> Bench:
    _child(b).say(UNIT, "return.travel_arranged")
    return b


def _child_home(b: Bench) -> Bench:
    _child(b).say(UNIT, "return.travel_arranged")
    b.say(UNIT, "return.completed")
    return b


def _of_children() -> Iterator[Seen]:
    """The bodies that protect a child hear of each step, and open what concerns the child."""
    told = ("child-commission", "guardianship", "ngo-shelter", UNIT, "vac")
    opened = dict.fromkeys(("coded", "story"), ("child-commission", "guardianship", UNIT, "vac"))
    yield Seen(_child_referred, "iom", "return.consented", told, opened, {"given_by": "caregiver"})
    yield Seen(_child, "iom", "return.risk_assessed", told, opened)
    yield Seen(_child_travels, "iom", "return.completed", told, opened)
    yield Seen(_child_home, "iom", "return.monitored", told, opened)
    yield Seen(_child, "iom", "return.stopped", told, {"story": ()})


def returns() -> Iterator[Seen]:
    """Each step reaches the unit, the holder, the plan and the helpers; dangers and journey are for those who need them."""
    nobody = {"story": ()}
    everybody = ("embassy", *PLAN, "vac")
    wanted = {"coded": ("embassy", "iom", "vac"), "story": ("vac",)}
    yield Seen(_agreed, UNIT, "return.consented", tuple(sorted(("iom", *everybody))), wanted, HELPED)
    yield Seen(
        wishing, UNIT, "return.risk_assessed", ("iom", *PLAN, "vac"), dict.fromkeys(("coded", "story"), ("iom", "vac"))
    )
    yield Seen(
        _helped, "iom", "return.risk_assessed", (*PLAN, UNIT, "vac"), dict.fromkeys(("coded", "story"), (UNIT, "vac"))
    )
    bodies = ("child-commission", "guardianship", "ngo-shelter", "vac")
    opened = ("child-commission", "guardianship", "vac")
    yield Seen(_child, UNIT, "return.travel_arranged", bodies, dict.fromkeys(("place", "story"), opened))
    yield from _of_children()
    yield Seen(
        assessed,
        "iom",
        "return.travel_arranged",
        (*PLAN, UNIT, "vac"),
        dict.fromkeys(("place", "story"), (UNIT, "vac")),
    )
    travel = dict.fromkeys(("place", "story"), CLOSE)
    yield Seen(_travelling, "embassy", "return.travel_arranged", ("iom", *PLAN, UNIT, "vac"), travel)
    yield Seen(
        _travelling,
        "iom",
        "return.travel_arranged",
        ("embassy", *PLAN, UNIT, "vac"),
        dict.fromkeys(("place", "story"), (UNIT, "vac")),
    )
    arrived = {"coded": ("embassy", UNIT, "vac"), "story": (UNIT, "vac")}
    yield Seen(_travelling, "iom", "return.completed", ("embassy", *PLAN, UNIT, "vac"), arrived)
    yield Seen(
        _barred, "iom", "return.completed", (*PLAN, UNIT, "vac"), dict.fromkeys(("coded", "story"), (UNIT, "vac"))
    )
    yield Seen(home, "iom", "return.monitored", (*PLAN, UNIT, "vac"), dict.fromkeys(("coded", "story"), (UNIT, "vac")))
    yield Seen(home, "vac", "return.monitored", ("iom", *PLAN, UNIT), dict.fromkeys(("coded", "story"), ("iom", UNIT)))
    own = dict.fromkeys(("coded", "story"), (UNIT, "vac"))
    yield Seen(_agreed_by_referral, "iom", "return.consented", (*PLAN, UNIT, "vac"), own)
    yield Seen(wishing, "iom", "return.risk_assessed", (*PLAN, UNIT, "vac"), own)
    yield Seen(wishing, UNIT, "return.stopped", ("iom", *PLAN, "vac"), nobody)
    yield Seen(wishing, "iom", "return.stopped", (*PLAN, UNIT, "vac"), nobody)
    yield Seen(
        arranged, UNIT, "return.completed", ("iom", *PLAN, "vac"), dict.fromkeys(("coded", "story"), ("iom", "vac"))
    )
    yield Seen(arranged, "iom", "return.completed", (*PLAN, UNIT, "vac"), own)
    yield Seen(_travelling, "vac", "return.stopped", ("embassy", "iom", *PLAN, UNIT), nobody)
    yield Seen(_barred, "vac", "return.stopped", ("embassy", "iom", *PLAN, UNIT), nobody)
    yield Seen(barring(arranged, "iom", "vac"), "vac", "return.stopped", ("iom", *PLAN, UNIT), nobody)
    yield Seen(
        barring(arranged, "iom", "vac"),
        UNIT,
        "return.risk_assessed",
        (*PLAN, "vac"),
        dict.fromkeys(("coded", "story"), ("vac",)),
    )
    yield Seen(identified, "migration", "stay.embassy_barred", (*PLAN, UNIT, "vac"), {"story": (UNIT,)})
    yield Seen(_barred_alone, "migration", "stay.embassy_bar_lifted", (*PLAN, UNIT, "vac"), nobody)
    yield Seen(_travelling, "migration", "stay.embassy_barred", ("iom", *PLAN, UNIT, "vac"), {"story": (UNIT,)})
    yield Seen(_helped_by_the_consulate, "migration", "stay.embassy_barred", (*PLAN, UNIT, "vac"), {"story": (UNIT,)})
    yield Seen(_barred, "migration", "stay.embassy_bar_lifted", ("iom", *PLAN, UNIT, "vac"), nobody)
