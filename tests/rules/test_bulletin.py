"""Events about no case: they stand in their publisher's bulletin, move nothing, and are never a case."""

from dataclasses import replace

import pytest

from nrmbus.events import bulletin
from nrmbus.events.registry import TYPES
from nrmbus.events.stats import PeriodPublished
from nrmbus.rules import Agency
from rules.given import DEFAULTS, Bench, figures
from rules.stories import signalled

ABOUT_NO_CASE = sorted(data.type for data in TYPES.values() if data.keyed_by == "agency")
AUTHOR = {
    "agency.listening_changed": "timekeeper",
    "stats.period_published": "statistics",
    "policy.profile_activated": "coordinator",
}


def test_the_bulletin_of_an_agency_is_known_without_asking_and_is_no_case() -> None:
    """Everybody computes the same subject; it has the form of a reference, and no fact of anybody in it."""
    found = {bulletin.of(agency) for agency in ("shelter", "vac", "ngo-a")}

    assert len(found) == 3
    assert all(len(each) == 32 and bulletin.is_bulletin(each) for each in found)
    assert not bulletin.is_bulletin(Bench().subject)
    assert bulletin.of("example-ngo") == "00000000ffffffff7d9cd869ec6fd3e2"


@pytest.mark.parametrize("type", ABOUT_NO_CASE)
def test_what_is_about_no_case_has_no_letter(type: str) -> None:
    """Nothing of it is sealed, so nothing of it may be about a person: no letter, no text, only codes and metadata."""
    for (name, _), data in TYPES.items():
        if name == type:
            assert data.letter is None
            assert not data.technical


@pytest.mark.parametrize("type", ABOUT_NO_CASE)
def test_an_event_about_no_case_moves_nothing(type: str) -> None:
    """No status, no part, no clock, no consent, no year of keeping: only the latest of what was said."""
    by = AUTHOR.get(type, "shelter")
    b = Bench.of_bulletin(by)

    said = b.say(by, type, approver="A-2")
    more = figures(previous=said.event.data.release) if isinstance(said.event.data, PeriodPublished) else {}
    again = b.say(by, type, approver="A-2", **more)

    assert (b.view.status, b.view.parts, b.view.running, b.view.classes) == (None, {}, (), frozenset())
    assert (b.rules.clocks(b.view), b.rules.due(b.view)) == ((), ())
    assert b.rules.kept(b.view) is None
    assert [each.data for each in b.view.bulletin.values()] == [again.event.data]
    assert b.view.count_for(by) == 2


def test_the_latest_word_is_kept_for_each_agency_that_it_is_about() -> None:
    """The timekeeper speaks of many agencies in one bulletin."""
    b = Bench.of_bulletin("timekeeper")
    for agency, listening in (("shelter", False), ("vac", False), ("shelter", True)):
        b.say("timekeeper", "agency.listening_changed", agency=agency, listening=listening)

    found = {key: each.data.listening for key, each in b.view.bulletin.items()}  # type: ignore[attr-defined]
    assert found == {"agency.listening_changed shelter": True, "agency.listening_changed vac": False}


def test_the_latest_figures_are_kept_for_each_period() -> None:
    """What was published of a year and of its quarters is known, so that a later release takes all of it into account."""
    b = Bench.of_bulletin("statistics")
    quarter = figures(period="2025-Q1")
    b.say("statistics", "stats.period_published", approver="A-2", **quarter)
    b.say("statistics", "stats.period_published", approver="A-2", **figures(within={"beside": [quarter["release"]]}))

    assert sorted(b.view.bulletin) == ["stats.period_published 2025", "stats.period_published 2025-Q1"]


def test_nobody_writes_into_the_bulletin_of_another() -> None:
    """Neither an event about no case, nor a case, nor a reading stands in another's bulletin, or in one's own but for the first."""
    own, others = Bench.of_bulletin("shelter"), Bench.of_bulletin("vac")

    assert own.ask("shelter", "provider.capacity_changed") is None
    for bench, by, type in (
        (others, "shelter", "provider.capacity_changed"),
        (signalled(Bench()), "ngo-a", "provider.capacity_changed"),
        (Bench.of_bulletin("ngo-shelter"), "ngo-shelter", "case.signal_recorded"),
        (own, "auditor", "access.granted"),
        (Bench.of_bulletin("vac"), "vac", "incident.opened"),
    ):
        event = bench.event(by, type)
        event = event.model_copy(update={"subject": bench.subject})
        found = bench.rules.judge(bench.view, event, bench.now)
        assert found is not None
        assert found.rule == "G-02"


def test_what_concerns_the_bus_is_told_to_everybody_but_those_that_receive_nothing() -> None:
    """Services and test agencies have no inbox, and an auditor reads the history; an agency of another role is not forgotten."""
    b = Bench.of_bulletin("timekeeper")
    b.rules = type(b.rules)(
        b.rules.profile,
        {
            name: Agency(name, name)
            for name in ("registrar", "timekeeper", "auditor", "canary", "vac", "court", "statistics")
        },
    )
    found = b.rules.audience(b.view, b.event("timekeeper", "agency.listening_changed"))

    assert found.recipients == ("court", "statistics", "vac")


def test_a_breach_names_only_agencies_that_can_be_told() -> None:
    """The police may be affected and are told, though nobody hands a person over to them; a service is no agency to tell."""
    b = Bench.of_bulletin("vac")

    assert b.ask("vac", "data.breach_reported", to=["ngo-a", "police-x"]) is None
    refused = b.ask("vac", "data.breach_reported", to=["timekeeper"])
    assert refused is not None
    assert refused.rule == "G-10"


def test_every_type_about_no_case_has_an_example_here() -> None:
    """Each of them runs through the tests above."""
    assert set(ABOUT_NO_CASE) <= set(DEFAULTS)
    assert replace(Bench().view).bulletin == {}
