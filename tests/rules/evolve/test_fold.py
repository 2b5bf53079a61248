"""Folding: an agency's view from its own events, total on any part of a history, and the same however often it is done."""

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agencies import AGENCIES, POLICY, ROLES
from nrmbus.events.model import Fact
from nrmbus.rules import Rules, View, load_profile
from nrmbus.rules.persistent_map import DRAWER, PersistentMap
from rules.given import Bench
from rules.stories import (
    child_identified,
    child_planned,
    closed,
    identified,
    paid,
    presumed,
    referred,
    refused_by_grounds,
    served,
    under_review,
    without_status,
)

RULES = Rules(load_profile(POLICY), AGENCIES)


def _reviewed(b: Bench) -> Bench:
    under_review(b).at("d9 9:00").say("special-unit", "review.decided", ref="V-1")
    return b


def _withdrawn(b: Bench) -> Bench:
    served(b).through("d13 9:00")
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    b.say("vac", "case.withdrawn")
    b.say("ngo-l", "consent.stop_confirmed")
    return b


def _reported(b: Bench) -> Bench:
    referred(b).say("special-unit", "letter.unreadable", cause=b.facts[-1].event.id)
    b.say("special-unit", "letter.opened", cause=b.facts[-2].event.id)
    return b


STORIES: tuple[Callable[[Bench], Bench], ...] = (
    closed, paid, child_identified, without_status, _reviewed, _withdrawn, _reported,
)  # fmt: skip
HISTORIES = [story(Bench(case=story.__name__)).facts for story in STORIES]


def fold(facts: list[Fact], rules: Rules = RULES) -> View:
    """The view after *facts*, in their order."""
    view = rules.start("0" * 32)
    for fact in facts:
        view = rules.evolve(view, fact)
    return view


@pytest.mark.parametrize("story", STORIES)
def test_replay_gives_the_live_view(story: Callable[[Bench], Bench]) -> None:
    """I-7: folded again from the start, the view is the one that was grown event by event."""
    b = story(Bench())
    again = fold(b.facts, b.rules)
    assert dataclasses.replace(again, subject=b.subject) == b.view


@pytest.mark.thorough
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_part_of_any_history_in_any_order_gives_a_view(data: st.DataObject) -> None:
    """Evolve never raises, and neither do the questions about what it gives; the same part gives the same view."""
    history = data.draw(st.sampled_from(HISTORIES))
    part = data.draw(
        st.permutations(history).flatmap(lambda facts: st.integers(0, len(facts)).map(lambda n: facts[:n]))
    )
    view = fold(part)
    assert fold(part) == view
    RULES.clocks(view)
    RULES.due(view)
    for fact in history:
        first = RULES.judge(view, fact.event, fact.registered)
        assert RULES.judge(view, fact.event, fact.registered) == first
        assert RULES.audience(view, fact.event) == RULES.audience(view, fact.event)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_step_changes_no_view_that_was_there_before(data: st.DataObject) -> None:
    """Views are values: the desk may keep an old one and compare."""
    history = data.draw(st.sampled_from(HISTORIES))
    cut = data.draw(st.integers(0, len(history) - 1))
    before, twin = fold(history[:cut]), fold(history[:cut])
    RULES.evolve(before, history[cut])
    assert before == twin


def _own(b: Bench, agency: str) -> View:
    """Return the fold of *agency*'s events as in its own ledger: with consents from when they reached it, its own only."""
    heard: list[Fact] = []
    full = b.rules.start(b.subject)
    for fact in b.facts:
        audience = b.rules.audience(full, fact.event)
        for earlier in audience.earlier.get(agency, ()):
            heard += [each for each in b.facts if each.event.id == earlier]
        if agency == fact.event.source or agency in fact.recipients:
            heard.append(fact)
        full = b.rules.evolve(full, fact)
    alone = [
        Fact(
            event=each.event,
            recipients=() if each.event.source == agency else (agency,),
            registered=each.registered,
            number=each.number,
        )
        for each in heard
    ]
    return fold(alone, b.rules)


@pytest.mark.parametrize(
    ("story", "shown"),
    [
        (presumed, dict.fromkeys(("ngo-a", "special-unit", "shelter", "vac", "migration"), "PRESUMED")),
        (identified, dict.fromkeys(("ngo-a", "special-unit", "shelter", "vac", "fund"), "IDENTIFIED")),
        (identified, {"migration": "PRESUMED", "ngo-l": None}),
        (closed, {"vac": "CLOSED", "special-unit": "CLOSED", "shelter": "CLOSED", "ngo-a": "IDENTIFIED"}),
        (refused_by_grounds, {"ngo-a": "NOT_IDENTIFIED", "shelter": "NOT_IDENTIFIED", "migration": None}),
        (without_status, {"ngo-a": "SUPPORT_NO_STATUS", "vac": "SUPPORT_NO_STATUS", "special-unit": "SUSPECTED"}),
        (child_planned, {"guardianship": "PRESUMED", "school": "PRESUMED", "child-commission": "REFERRED"}),
        (child_identified, {"fund": "IDENTIFIED", "guardianship": "IDENTIFIED", "vac": "IDENTIFIED", "shelter": None}),
    ],
)
def test_an_agency_that_lacks_the_events_before_sets_the_status_from_the_event_alone(
    story: Callable[[Bench], Bench], shown: dict[str, str | None]
) -> None:
    """Each desk shows the status by its own events; migration never learns of a recognition, and rightly lags."""
    b = story(Bench())
    assert {agency: _own(b, agency).status for agency in shown} == shown


@pytest.mark.parametrize("story", [closed, child_identified, _withdrawn, without_status])
def test_an_agency_and_the_registrar_count_the_same_events(story: Callable[[Bench], Bench]) -> None:
    """`expectedversion` counts the events that an agency can see, including consents before its first event."""
    b = story(Bench())
    for agency in ROLES:
        assert _own(b, agency).count_for(agency) == b.view.count_for(agency), agency


@pytest.mark.parametrize("agency", ["ngo-l", "vac"])
def test_desks_on_both_sides_see_that_a_departed_agency_owes_nothing(agency: str) -> None:
    """By their own events alone, each desk shows the duties of the agency as the registrar has them."""
    b = served(Bench())
    b.say("ngo-l", "referral.accepted", ref="R-2")
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])

    def owed(view: View) -> list[str]:
        return sorted(clock.code for clock in b.rules.clocks(view) if clock.answerable == "ngo-l")

    assert owed(_own(b, agency)) == owed(b.view) == ["D-ASSIGN", "D-STOP"]
    b.say("ngo-l", "consent.stop_confirmed")
    assert owed(_own(b, agency)) == owed(b.view) == []


def test_a_desk_does_not_report_a_wrong_status_that_it_cannot_know() -> None:
    """The centre has heard of no status before the plan; its own judge leaves that to the registrar."""
    b = child_planned(Bench())
    view = _own(b, "ngo-shelter")
    event = b.event("ngo-shelter", "service.delivered", ref="S-1")
    assert b.rules.judge(dataclasses.replace(view, status=None), event, b.now) is None


def test_a_letters_receipt_moves_no_status_and_counts_for_nobody() -> None:
    """Said by a desk about a letter, not by a person about a case."""
    b = referred(Bench())
    before = b.view
    b.say("special-unit", "letter.opened", cause=b.facts[-1].event.id)
    assert (b.view.status, b.view.counts) == (before.status, before.counts)


def test_a_decline_gives_the_status_before_the_referral_back() -> None:
    """T07, also by revocation, and also to somebody who had help without a status (T23)."""
    b = without_status(Bench()).at("d2 9:00")
    b.consents("special-unit", by="vac")
    said = {"to": ["special-unit"], "legal_basis": "CoM 21/2008 art. 7"}
    b.say("vac", "referral.submitted", ref="R-9", **said)
    declined, revoked = b.fork(), b.fork()
    declined.say("special-unit", "referral.declined", ref="R-9")
    revoked.say("vac", "referral.revoked", ref="R-9")
    statuses = [each.view.status for each in (b, declined, revoked)]
    assert statuses == ["REFERRED", "SUPPORT_NO_STATUS", "SUPPORT_NO_STATUS"]


def test_another_referrals_decline_leaves_the_status() -> None:
    """Only the referral by which the case became REFERRED takes it back."""
    b = referred(Bench())
    b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"])
    b.say("vac", "referral.declined", ref="R-9")
    assert b.view.status == "REFERRED"


def test_consent_stands_by_the_cases_numbers_not_by_its_delivery() -> None:
    """A consent that is delivered late does not undo the withdrawal after it."""
    b = presumed(Bench())
    b.say("ngo-a", "consent.withdrawn", receivers=["shelter"])
    given = next(fact for fact in b.facts if getattr(fact.event.data, "receivers", ()) == ("shelter",))
    late = b.rules.evolve(b.view, given)
    assert late.consents == b.view.consents


def test_a_hold_asked_for_twice_stands_until_each_is_ended() -> None:
    """Each request is a record of its own."""
    b = identified(Bench())
    b.say("special-unit", "stay.hold_requested", ref="H-2", to=["migration"], ground="status", until_days=365)
    b.say("special-unit", "stay.hold_ended", ref="H-1", reason="permit_issued")
    assert [hold.ended for hold in b.view.holds.values()] == [True, False]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers()), max_size=400))
def test_a_persistent_map_is_a_dictionary_that_keeps_its_past(entries: list[tuple[int, int]]) -> None:
    """The map has the last value at each key, over any number of drawers; older maps stay as they were."""
    records: PersistentMap[int] = PersistentMap()
    expected: dict[str, int] = {}
    kept = []
    for key, number in entries:
        kept.append((records, dict(expected)))
        records, expected[str(key)] = records.put(str(key), number), number
    kept.append((records, expected))
    for old, known in kept[:: max(1, len(kept) // 5)]:
        assert {str(key): old.get(str(key)) for key in range(201) if str(key) in known} == known
        assert old.get("nowhere") is None
        assert old.get(None) is None
    assert len(records.last) <= DRAWER


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_look_changes_nothing_of_what_is_looked_at(story: Callable[[Bench], Bench]) -> None:
    """Status, parties, counts and clocks of a case stay as they are, however often somebody reads it."""
    b = story(Bench(case=story.__name__))
    before, duties, due = b.view, b.rules.clocks(b.view), b.rules.due(b.view)
    b.say("auditor", "access.granted", what="case", purpose="court")
    b.say("special-unit", "access.granted", what="letter", purpose="case_work", parts=["identity"])

    assert b.view == before
    assert (b.rules.clocks(b.view), b.rules.due(b.view)) == (duties, due)


def test_a_question_over_no_case_makes_none() -> None:
    """A question of the auditor over all cases has a number of its own, under which no case exists and no clock runs."""
    b = Bench()
    b.say("auditor", "access.granted", what="search", purpose="audit")

    assert b.view == b.rules.start(b.view.subject)
    assert not b.view.exists
    assert (b.rules.clocks(b.view), b.rules.due(b.view)) == ((), ())


@pytest.mark.parametrize("facts", HISTORIES, ids=[story.__name__ for story in STORIES])
def test_a_changed_view_differs_in_its_changes_alone(facts: list[Fact]) -> None:
    """A view is copied field by field, whatever is in it; a field that a view does not have is an error, never lost."""
    view = fold(facts)
    changes = {"status": "CLOSED", "child": True, "running": ()}

    assert view.changed(changes) == dataclasses.replace(view, status="CLOSED", child=True, running=())
    assert view.changed({}) == view == fold(facts)
    with pytest.raises(AttributeError):
        view.changed({"statuss": "CLOSED"})
