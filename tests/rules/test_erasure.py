"""The end of access: a decision, a week to object, holds, and who is to erase by when."""

import pytest

from nrmbus.events.model import Fact
from rules.given import Bench
from rules.stories import closed, planned, signalled

UNIT = "special-unit"


def ended(b: Bench, by: str = "court") -> Bench:
    """A court, or prosecution, ends access to what is stored about the person; it never heard of the case before."""
    b.say(by, "access.terminated", approver="A-2", letter=True)
    return b


def test_after_a_week_all_holders_of_the_case_are_notified_once() -> None:
    """The notice comes neither in the week nor twice, and whichever authority decided."""
    b = ended(planned(Bench()))
    assert not [said for said in b.through("d14 23:00") if said.startswith("access.")]
    (said,) = [said for said in b.through("d60 0:00") if said.startswith("access.")]
    assert said == "access.erasure_due 17 Mar 24:00 court,migration,ngo-a,ngo-l,shelter,special-unit,vac"


def test_each_holder_owes_a_confirmation_and_the_court_is_notified_of_a_missing_one() -> None:
    """A holder that does not answer stays visible."""
    b = ended(signalled(Bench()))
    b.through("d9 0:00")
    owed = {clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-ERASE"}
    assert owed == {"court", "ngo-a", UNIT}
    b.say("ngo-a", "access.erasure_confirmed")
    b.say("court", "access.erasure_confirmed")
    breached = [said for said in b.through("d40 0:00") if said.startswith("D-ERASE")]
    assert [said.rpartition(" ")[2] for said in breached] == ["court,special-unit"]
    assert b.view.erasure.confirmed == {"ngo-a", "court"}


def test_after_another_decision_every_holder_confirms_again() -> None:
    """The later decision is confirmed too; one confirmation of a holder ends all that it owes."""

    def owed(b: Bench) -> list[str]:
        return [clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-ERASE"]

    b = ended(signalled(Bench()))
    b.through("d9 0:00")
    b.say("ngo-a", "access.erasure_confirmed")
    assert sorted(owed(b)) == ["court", UNIT]
    ended(b, "prosecution")
    b.through("d20 0:00")
    assert sorted(owed(b)) == ["court", "court", "ngo-a", "prosecution", UNIT, UNIT]
    for each in ("ngo-a", "court"):
        b.say(each, "access.erasure_confirmed")
    assert sorted(owed(b)) == ["prosecution", UNIT, UNIT]


def test_an_objection_stops_it_until_a_court_decides_again() -> None:
    """The same hold in prosecution's way goes on standing: only a court hears an objection."""
    b = ended(planned(Bench()), "prosecution")
    b.say("ngo-a", "access.hold_placed")
    assert not [said for said in b.fork().through("d29 0:00") if said.startswith("access.")]
    again = b.fork()
    ended(again, "prosecution")
    assert not [said for said in again.through("d29 0:00") if said.startswith("access.")]
    ended(b.at("d10 9:00"))
    (said,) = [said for said in b.through("d29 0:00") if said.startswith("access.")]
    assert said.startswith("access.erasure_due 19 Mar 24:00 ")


def test_a_hold_on_other_grounds_ends_by_its_day_alone() -> None:
    """No court's second decision shortens it; after its last day the erasure is due."""
    b = planned(Bench())
    b.say("auditor", "access.hold_placed", reasons=["criminal_proceedings", "objection"], until="2026-04-30")
    ended(b)
    ended(b.at("d10 9:00"))
    assert not [said for said in b.through("d59 23:00") if said.startswith("access.")]
    (said,) = [said for said in b.through("d62 0:00") if said.startswith("access.")]
    assert said.startswith("access.erasure_due 30 Apr 24:00 ")


def test_an_objection_shows_nobody_but_the_court_who_else_holds_the_case() -> None:
    """Co-holders do not learn of one another by an objection; an authority's hold is announced to all holders."""
    b = ended(planned(Bench()))
    assert b.say("ngo-a", "access.hold_placed").audience.recipients == ("court",)
    assert "ngo-a" in b.say("auditor", "access.hold_placed").audience.recipients


@pytest.mark.parametrize(("by", "rule"), [("fund", "G-01"), ("auditor", "G-01"), (UNIT, "G-01"), ("prosecution", None)])
def test_only_court_and_prosecution_end_access(by: str, rule: str | None) -> None:
    """A court or prosecution, heard of the case or not; nobody else."""
    refusal = planned(Bench()).ask(by, "access.terminated", approver="A-2")
    assert (refusal.rule if refusal else None) == rule


def test_two_of_the_court_act() -> None:
    """Actor and approver have to be two people."""
    b = planned(Bench())
    for approver in (None, "A-1"):
        refusal = b.ask("court", "access.terminated", approver=approver)
        assert refusal is not None
        assert refusal.rule == "G-20"


def test_a_case_that_is_not_there_is_not_ended() -> None:
    """A sender that does not know a case cannot object in it either."""
    for refusal in (
        Bench().ask("court", "access.terminated", approver="A-2"),
        planned(Bench()).ask("hospital", "access.hold_placed"),
        planned(Bench()).ask("hospital", "access.erasure_confirmed"),
    ):
        assert refusal is not None
        assert refusal.rule == "G-02"


def test_while_a_hold_stands_letters_go_on() -> None:
    """A case under a hold may be worked on; once the erasure is due, no letter is added."""
    b = ended(planned(Bench()))
    b.say("auditor", "access.hold_placed", until="2026-03-31")
    assert b.ask("vac", "plan.revised", letter=True) is None
    b.at("d29 14:59")  # in Baku it is 31 March, 23:59
    assert b.ask("vac", "plan.revised", letter=True) is None
    b.through("d31 9:00")
    refusal = b.ask("vac", "plan.revised", letter=True)
    assert refusal is not None
    assert refusal.code == "access_terminated"
    b.say("auditor", "access.hold_placed", until="2026-06-30")  # too late: holders erase already
    refusal = b.ask("vac", "plan.revised", letter=True)
    assert refusal is not None
    assert refusal.code == "access_terminated"


@pytest.mark.parametrize("reasons", [["objection"], ["civil_claim", "objection"]])
@pytest.mark.parametrize("before", [False, True], ids=["after the decision", "before it"])
def test_an_agency_that_objects_gives_itself_nothing_back(reasons: list[str], *, before: bool) -> None:
    """An agency's hold stops the erasure; letters stay refused, so that no other holder learns of the objection."""
    hold = {"reasons": reasons, "until": "2026-03-31"}
    b = planned(Bench())
    if before:
        b.say("vac", "access.hold_placed", **hold)
    ended(b)
    if not before:
        b.say("vac", "access.hold_placed", **hold)

    for agency in ("vac", "ngo-l"):
        refusal = b.ask(agency, "plan.adopted", to=["shelter"], letter=True)
        assert refusal is not None
        assert refusal.code == "access_terminated"
    assert (b.through("d20 9:00") == []) != (before and reasons == ["objection"])


@pytest.mark.parametrize(
    ("until", "rule"),
    [("2026-03-10", "G-27"), ("2026-03-11", None), ("2027-03-11", None), ("2027-03-12", "G-27")],
)
def test_the_last_day_of_a_hold_is_today_at_the_earliest_and_a_year_from_today_at_the_latest(
    until: str, rule: str | None
) -> None:
    """The last day may be today, or exactly a year from today."""
    refusal = planned(Bench()).at("d9 9:00").ask("auditor", "access.hold_placed", until=until)
    assert (refusal.rule if refusal else None) == rule


def test_a_closed_case_is_erased_too() -> None:
    """A closed case is erased in any of its statuses."""
    b = ended(closed(Bench()))
    assert [said for said in b.through("d400 0:00") if said.startswith("access.erasure_due")]


def test_the_statistics_confirm_and_get_no_part_of_the_case() -> None:
    """P2 and P6: whoever makes figures owes the confirmation of an erasure, hears of nothing else, and may say nothing else."""
    b = Bench()
    signal = b.event("ngo-a", "case.signal_recorded", letter=True)
    b.hear(Fact.of(signal, ("statistics",), b.now, 1))  # a copy of the coded part, which no row of the profile names
    ended(b)
    assert b.say("ngo-a", "consent.given", receivers=[UNIT]).audience.recipients == ()
    assert b.ask("statistics", "access.erasure_confirmed") is None
    for refused in (b.ask("statistics", "consent.given", receivers=[UNIT]), b.ask("statistics", "access.hold_placed")):
        assert refused is not None
        assert refused.rule == "G-01"

    b.through("d9 0:00")
    assert {clock.answerable for clock in b.rules.clocks(b.view) if clock.code == "D-ERASE"} == {
        "court", "ngo-a", "statistics",
    }  # fmt: skip
    assert b.say("statistics", "access.erasure_confirmed").audience.recipients == ("court",)
    assert not b.view.on_case("statistics")
    assert "statistics" not in {clock.answerable for clock in b.rules.clocks(b.view)}


def test_statistics_that_never_had_a_fact_of_the_case_are_not_told_of_its_erasure() -> None:
    """They hold nothing, and learn nothing: not even that the case ends."""
    b = ended(signalled(Bench()))
    assert b.ask("statistics", "access.erasure_confirmed") is not None
    (said,) = [said for said in b.through("d9 0:00") if said.startswith("access.")]
    assert "statistics" not in said
