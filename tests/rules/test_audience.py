"""Audience: recipients of an event and openers of each part of its letter. Section 3 of RULES.md, scenarios/README.md."""

from typing import get_args

import pytest

from agencies import POLICY
from nrmbus.events.registry import TYPES
from nrmbus.rules import Agency, Rules, load_profile
from nrmbus.rules.audience import TERMS
from nrmbus.rules.conditions import CONDITIONS
from nrmbus.rules.references import RECORDS
from nrmbus.rules.running import ANSWERABLE
from nrmbus.rules.tables import Tables
from nrmbus.rules.vocabulary import Answerable, Condition, Record, Term
from rules.audience_rows import ROWS
from rules.audience_words import Seen
from rules.given import Bench
from rules.stories import child_planned, consented, housed, identified, planned, presumed, screened, signalled

PROFILE = load_profile(POLICY)


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=[f"{n} {row.by} {row.type}" for n, row in enumerate(ROWS)])
def test_a_row_of_section_3_reaches_exactly_those_it_names(row: Seen) -> None:
    """Exactly these get it, the sender left out; exactly these open each part that the letter carries."""
    b = row.story(Bench())
    event = b.event(row.by, row.type, letter=True, **row.said)
    audience = b.rules.audience(b.view, event)
    assert audience.recipients == row.sees
    letter = type(event.data).letter
    parts = letter.part_names() if letter else ()
    assert set(audience.opens) == set(parts)
    opened = {part: agencies for part, agencies in audience.opens.items() if agencies}
    assert opened == {part: agencies for part, agencies in row.opens.items() if agencies}


def test_every_type_has_a_row_and_every_row_a_case_here() -> None:
    """The published types, the profile's rows and the cases of this file name the same types."""
    assert {name for name, _ in TYPES} == set(PROFILE.types) == {row.type for row in ROWS}


def test_every_word_of_the_vocabulary_is_answered_and_used() -> None:
    """No word without a function, none that no row uses."""
    assert set(TERMS) == set(get_args(Term))
    assert set(CONDITIONS) == set(get_args(Condition))
    assert set(ANSWERABLE) == set(get_args(Answerable))
    assert set(RECORDS) == set(get_args(Record))
    used = {term for row in PROFILE.types.values() for terms in (row.sees, *row.opens.values()) for term in terms}
    assert used == set(get_args(Term))


@pytest.mark.parametrize(
    ("role", "parts"),
    [
        ("special_unit", "coded contact health identity story"),
        ("vac", "coded contact health identity story"),
        ("ngo_legal", "coded contact health identity story"),
        ("shelter_state", "coded contact health identity story"),
        ("guardianship", "coded contact health identity story"),
        ("child_commission", "coded contact health identity story"),
        ("prosecution", "coded contact health identity story"),
        ("fund", "coded contact identity money"),
        ("migration", "coded identity"),
        ("health", "coded contact health identity"),
        ("education", "coded contact identity"),
        ("embassy", "coded contact identity"),
    ],
)
def test_a_role_opens_at_most_its_parts_of_a_referral(role: str, parts: str) -> None:
    """Whichever agencies the sender names, the fund opens no story, the school no money, and migration no contact."""
    assert " ".join(sorted(Tables.of(PROFILE).may_open_of_referral(role))) == parts


def test_p2_the_statistics_open_no_part_by_a_senders_choice() -> None:
    """Of a child nobody asks for consent, and still no part of a letter is sealed to the statistics but the coded facts."""
    b = child_planned(Bench())
    shared = b.event("vac", "document.shared", to=["statistics"], letter=True)
    opens = b.rules.audience(b.view, shared).opens

    assert not any("statistics" in openers for openers in opens.values())
    assert not any(b.rules.could_open(b.view, shared, part, "statistics") for part in opens)


def test_a_consent_reaches_its_receiver_just_before_the_first_event_of_the_case() -> None:
    """The standing consents that cover the receiver come first, in the order in which they were given, and only once."""
    b = consented(Bench())
    vac = b.consents("vac", purposes=["tracing"])
    first = next(
        fact.event.id for fact in b.facts if fact.event.type == "consent.given" and "vac" in str(fact.event.data)
    )
    said = b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
    assert said.audience.earlier == {"vac": (first, vac[0].id)}
    assert b.view.count_for("vac") == 3
    again = b.say("ngo-a", "referral.submitted", ref="R-8", to=["vac"])
    assert again.audience.earlier == {}


def test_a_consent_that_stands_no_more_is_not_delivered() -> None:
    """Neither a withdrawn nor an expired consent is delivered."""
    b = signalled(Bench())
    b.consents("vac", expires="2026-03-04")
    b.consents("ngo-l")
    b.say("ngo-a", "consent.refused", receivers=["ngo-l"])
    b.at("d5 9:00").say("ngo-a", "consent.overridden", receivers=["hospital"])
    event = b.event("ngo-a", "safeguard.child_flagged", to=["guardianship"])
    assert b.rules.audience(b.view, event).earlier == {}
    sent = b.event("ngo-a", "referral.submitted", ref="R-9", to=["hospital", "ngo-l", "vac"])
    assert set(b.rules.audience(b.view, sent).earlier) == {"hospital"}


def test_no_receiver_of_a_consent_learns_of_another() -> None:
    """n receivers are n events, and each reaches its own receiver only."""
    b = signalled(Bench())
    reached = [said.audience.recipients for said in b.consents("special-unit", "vac", "fund")]
    assert reached == [("special-unit",), (), ()]


def test_an_event_under_a_consent_makes_the_assistance_centre_a_part_of_the_case() -> None:
    """Before the grounds the centre knows nothing; after them it may help."""
    b = screened(Bench())
    assert not b.view.on_case("vac")
    b.say("special-unit", "identification.reasonable_grounds_decided")
    assert b.view.on_case("vac")
    assert not b.view.on_case("fund")


def test_a_shelter_that_housed_keeps_its_part_and_one_that_confirmed_deletion_has_none() -> None:
    """Discharge ends no part, deletion ends all; a duty to retain ends none."""
    b = identified(Bench())
    b.say("shelter", "shelter.discharged", ref="B-1")
    assert b.view.on_case("shelter")
    b.say("vac", "consent.withdrawn", receivers=["shelter"])
    kept = b.fork()
    kept.say("shelter", "consent.stop_confirmed", answer="must_retain", legal_basis="x")
    assert kept.view.on_case("shelter")
    b.say("shelter", "consent.stop_confirmed", answer="deleted")
    assert not b.view.on_case("shelter")


def test_the_holder_is_the_first_that_applies() -> None:
    """The order is: detector, then special unit unless it is barred, then the adopter of the plan."""

    def follows(b: Bench) -> tuple[str, ...]:
        return b.rules.audience(b.view, b.event("embassy", "consent.given", receivers=["hospital"])).recipients

    assert follows(consented(Bench())) == ("ngo-a",)
    b = presumed(Bench())
    assert follows(b) == ("special-unit",)
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    assert follows(b) == ("ngo-a",)
    assert follows(planned(Bench())) == ("vac",)


def test_a_transfer_hands_the_case_over_on_acceptance_a_referral_does_not() -> None:
    """[S46]: ownership moves only when the receiver accepts."""

    def holder(mode: str, *, accepted: bool) -> tuple[str, ...]:
        b = consented(Bench())
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["ngo-l"], mode=mode)
        if accepted:
            b.say("ngo-l", "referral.accepted", ref="R-9")
        return b.rules.audience(b.view, b.event("embassy", "case.follow_up_due")).recipients

    assert holder("referral", accepted=True) == ("ngo-a",)
    assert holder("transfer", accepted=False) == ("ngo-a",)
    assert holder("transfer", accepted=True) == ("ngo-l",)


def test_agencies_that_join_the_directory_later_are_reached_too() -> None:
    """The mapping of agencies may grow under the Rules."""
    agencies = {"ngo-a": Agency("ngo-a", "ngo_outreach")}
    rules = Rules(PROFILE, agencies)
    b = Bench()
    event = b.event("ngo-a", "case.signal_recorded")
    assert rules.audience(b.view, event).recipients == ()
    agencies["unit"] = Agency("unit", "special_unit")
    assert rules.audience(b.view, event).recipients == ("unit",)


def test_a_revoked_consent_takes_an_agency_out_at_once() -> None:
    """The very next event does not reach the agency, unless the event stops something."""
    b = housed(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["shelter"])
    stage = b.event("special-unit", "identification.stage_entered", stage="inquiry")
    assert b.rules.audience(b.view, stage).recipients == ("ngo-a",)
    withdrawn = b.event("ngo-a", "case.withdrawn")
    assert "shelter" in b.rules.audience(b.view, withdrawn).recipients
