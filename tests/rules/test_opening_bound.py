"""Bound that a desk holds against its registrar: every reader under the Rules is within it, and few others (reading 17)."""

import pytest

from agencies import POLICY, ROLES
from nrmbus.events.model import Part
from nrmbus.rules import Profile, load_profile
from rules.audience_rows import ROWS
from rules.audience_words import Seen
from rules.given import Bench
from rules.stories import referred

NEVER = "auditor coordinator police-x registrar statistics timekeeper"
"""Agencies of this town that open no such part, whatever they have done."""


def beyond(b: Bench, by: str, type: str, part: Part, **said: str) -> set[str]:
    """Return the agencies that *part* of an event of *by* is sealed to in no history, by the desk's own view of *b*."""
    event = b.event(by, type, letter=True, **said)
    return {agency for agency in ROLES if not b.rules.could_open(b.view, event, part, agency)}


@pytest.mark.parametrize(
    ("by", "type", "part", "kept_out"),
    [
        ("iom", "return.travel_arranged", "place", "court fund prosecution"),
        ("iom", "return.risk_assessed", "story", "court fund prosecution"),
        ("iom", "return.completed", "coded", "court fund prosecution"),
        ("court", "access.terminated", "identity", ""),
        ("shelter", "shelter.bed_refused", "story", "court"),
    ],
)
def test_p2_a_part_is_sealed_to_no_role_without_an_act_that_its_row_asks_for(
    by: str, type: str, part: Part, kept_out: str
) -> None:
    """Who can hold a case, help with a return or ask for a bed may read; a court, the fund and the statistics are none of them."""
    assert beyond(Bench(), by, type, part) == {*NEVER.split(), *kept_out.split()}


@pytest.mark.parametrize(
    ("type", "part", "may"),
    [
        ("justice.measure_granted", "story", "court prosecution special-unit"),
        ("justice.verdict_recorded", "identity", "court fund prosecution special-unit"),
    ],
)
def test_p2_a_verdict_goes_to_the_parties_and_not_to_an_embassy(type: str, part: Part, may: str) -> None:
    """Proceedings are opened by a prosecution or a court, and heard by a court."""
    assert beyond(Bench(), "prosecution", type, part) == {*ROLES} - {*may.split()}


@pytest.mark.parametrize(("ref", "may"), [("R-1", {"ngo-a"}), ("R-2", None)], ids=["known here", "not known here"])
def test_p2_an_answer_goes_to_the_agency_that_asked(ref: str, may: set[str] | None) -> None:
    """A desk that has the referral seals its answer to the referral's sender alone; a desk that lost it, to any role that refers."""
    found = {*ROLES} - beyond(referred(Bench()), "special-unit", "referral.declined", "story", ref=ref)

    assert found == may if may else {"ngo-a", "school", "fund"} < found


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=[f"{n} {row.by} {row.type}" for n, row in enumerate(ROWS)])
def test_every_reader_of_a_row_is_within_the_bound_of_a_desk_that_knows_nothing(row: Seen) -> None:
    """A letter reaches its readers also from a desk that heard nothing of the case but what it answers."""
    b = row.story(Bench())
    event = b.event(row.by, row.type, letter=True, **row.said)
    bare = b.rules.start(b.subject).changed({"emergencies": b.view.emergencies})

    for part, readers in b.rules.audience(b.view, event).opens.items():
        assert [each for each in readers if not b.rules.could_open(bare, event, part, each)] == []


def detecting_fund() -> Profile:
    """Return a profile in which the fund may give the signal, and may not close the case that it then holds."""
    profile = load_profile(POLICY)
    rows = ("case.signal_recorded", "consent.given")
    types = {name: profile.types[name].model_copy(update={"by": (*profile.types[name].by, "fund")}) for name in rows}
    return profile.model_copy(update={"types": {**profile.types, **types}})


def test_a_holder_that_may_not_close_the_case_gets_its_letters() -> None:
    """The bound asks the profile who may hold a case, and has no list of its own."""
    b = Bench(detecting_fund())
    b.say("fund", "case.signal_recorded")
    b.consents("iom", by="fund")
    b.say("fund", "referral.submitted", ref="R-1", to=["iom"])
    b.say("iom", "return.consented")
    event = b.event("iom", "return.risk_assessed", letter=True)

    assert "fund" in b.rules.audience(b.view, event).opens["story"]
    assert b.rules.could_open(b.rules.start(b.subject), event, "story", "fund")
