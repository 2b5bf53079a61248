"""Histories with absurd dates are read to their end: an event that would be due later is due at the last instant."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from agencies import AGENCIES, POLICY
from nrmbus.events.case import FollowUpDue
from nrmbus.events.errors import Invalid
from nrmbus.events.examples import example
from nrmbus.events.model import Data, Fact
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import schema_of
from nrmbus.rules import read_profile
from nrmbus.rules.calendar import LAST, Calendar
from rules.given import ONE_YEAR, Bench, figures
from rules.stories import (
    assessed,
    begun,
    child_identified,
    closed,
    erasing,
    housed,
    offered,
    planned,
    served,
    under_review,
    without_status,
)

CALENDAR = Calendar.of(ONE_YEAR)
FAR = [
    LAST,
    datetime(9999, 12, 31, 20, 30, tzinfo=UTC),
    datetime(9999, 12, 30, 21, 0, tzinfo=UTC),
    datetime(9999, 12, 1, tzinfo=UTC),
    datetime(9999, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
]
FAR_SAID: Final = (
    "0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "0000", "0000-Q1", "0001", "9999", "9999-Q4", "9999-Q1", 0, 1, 2, 99, 999, 3660, 5_270_400, 10**9,
)  # fmt: skip
"""Days, times, periods and numbers at the ends of what the fields of events may say."""
HUGE: Final = 10**15
HUGE_NUMBERS: Final = f"""
name: xa@2027-01-01
extends: {POLICY}
changes:
  retention: {{letter_days: {HUGE}, objection_days: {HUGE}, hold_days: {HUGE}}}
  emergency: {{object_minutes: {HUGE}, answer_hours: {HUGE}}}
  periods:
    bed_offer_hours: {HUGE}
    activation_notice_hours: {HUGE}
    follow_up_months: [3, 121, {HUGE}]
    stay_days: {HUGE}
    recovery_days: {HUGE}
  clocks: {{D-REFER: {{length: {{hours: {HUGE}}}}}, D-HOLD: {{length: {{hours: {HUGE}}}}}}}
"""
"""A profile that reads, with numbers that nobody can mean. If such a profile is in force, it has to be judged by."""


@pytest.mark.parametrize("instant", FAR)
def test_the_calendar_answers_for_every_instant(instant: datetime) -> None:
    """No day of it lies beyond the first or the last there is."""
    day = CALENDAR.day(instant)

    assert CALENDAR.begins(day) <= CALENDAR.ends(day) <= LAST
    assert CALENDAR.days_after(instant, 400) <= LAST
    assert CALENDAR.working_day_after(day, 10) >= day
    assert CALENDAR.months_after(day, 12) >= day


@pytest.mark.thorough
@pytest.mark.parametrize("instant", FAR)
@pytest.mark.parametrize(
    "story", [begun, offered, housed, planned, served, under_review, closed, without_status, child_identified]
)
def test_a_forged_history_is_read_to_its_end(story: Callable[[Bench], Bench], instant: datetime) -> None:
    """Each event has a date and a registration of the forger's choice; views, duties and due events are still computed."""
    honest = story(Bench(ONE_YEAR))
    for registered in (instant, honest.now):
        b = Bench(ONE_YEAR)
        for fact in honest.facts:
            event = fact.event.model_copy(update={"time": instant})
            b.now = registered
            b.rules.judge(b.view, event, registered)
            b.rules.audience(b.view, event)
            b.hear(Fact.of(event, fact.recipients, registered, fact.number))
            b.rules.clocks(b.view)
            b.rules.due(b.view)
            b.rules.kept(b.view)

        assert b.view.status == honest.view.status


def test_an_offer_of_the_last_hour_lapses_at_the_last_instant() -> None:
    """The offer's hours lie beyond the last possible day, which once raised OverflowError."""
    b = offered(Bench())
    last = LAST - timedelta(minutes=5)
    event = b.event("shelter", "shelter.bed_offered", ref="B-1", at=last)
    b.hear(Fact.of(event, ("special-unit",), b.now, 99))

    assert [due.at for due in b.rules.due(b.view) if due.type == "shelter.offer_lapsed"] == [LAST]


def far(data: type[Data]) -> Iterator[Data]:
    """Yield an example of *data* for each value of `FAR_SAID` that one of its fields may have."""
    members: dict[str, Any] = example(schema_of(data), full=True)["event"]["data"]
    for name in members:
        for said in FAR_SAID:
            try:
                yield data.from_mapping({**members, name: said})
            except Invalid:
                continue


@pytest.mark.thorough
@pytest.mark.parametrize("data", TYPES.values(), ids=[f"{name} {version}" for name, version in TYPES])
def test_every_event_with_a_far_day_a_far_year_or_a_huge_number_is_judged(data: type[Data]) -> None:
    """Given any published type, when a field has the least or the greatest value, then every rule still has an answer."""
    case = under_review(Bench(ONE_YEAR))
    by = next(each for each in AGENCIES if case.rules.may_publish(each, data.type))
    b = case if data.keyed_by == "case" else Bench.of_bulletin(by, ONE_YEAR)
    records = (b.view.referrals, b.view.beds, b.view.holds, b.view.reviews)
    for said in far(data):
        for ref in (None, *(next(iter(each)) for each in records if each)):
            event = b.event(by, data.type, data=said, reference=ref, approver="A-2")
            list(b.rules.refusals(b.view, event, b.now))
            fact = Fact.of(event, b.rules.audience(b.view, event).recipients, b.now, 99)
            b.rules.afresh().activate(fact)
            after = b.rules.evolve(b.view, fact)
            b.rules.clocks(after)
            b.rules.due(after)
            b.rules.kept(after)


@pytest.mark.parametrize("period", ["9999", "9999-Q4", "9999-Q1", "0000", "0000-Q1"])
def test_figures_of_a_year_that_no_calendar_has_are_refused(period: str) -> None:
    """Given figures that are sound otherwise, then the last year there is is not over, and there was no year 0."""
    b = Bench.of_bulletin("statistics")
    event = b.event("statistics", "stats.period_published", approver="A-2", **figures(period=period))

    assert "G-17" in {refusal.rule for refusal in b.rules.refusals(b.view, event, b.now)}


def test_a_profile_in_force_from_the_first_day_there_is_is_dated_back() -> None:
    """Given a day that begins before the first instant in UTC, then the activation is refused as any earlier day."""
    bench = Bench.of_bulletin("coordinator")
    refusal = bench.ask("coordinator", "policy.profile_activated", approver="A-2", valid_from="0001-01-01")

    assert refusal is not None
    assert refusal.rule == "G-15"


def huge(story: Callable[[Bench], Bench] | None = None) -> Bench:
    """Return a case, in which *story* happened, under the profile of `HUGE_NUMBERS`."""
    b = Bench(read_profile(HUGE_NUMBERS))
    return story(b) if story else b


@pytest.mark.parametrize("story", [begun, offered, housed, served, under_review, closed, erasing, assessed])
def test_a_case_under_a_profile_with_huge_numbers_is_judged(story: Callable[[Bench], Bench]) -> None:
    """Given periods longer than the calendar, then all duties and due events are still computed."""
    b = huge(story)

    b.rules.clocks(b.view)
    assert all(due.at <= LAST for due in b.rules.due(b.view))
    b.rules.kept(b.view)


def test_a_hold_of_any_length_stands_where_the_profile_allows_any() -> None:
    """Given the longest hold of three million years, then the last day there is is not too late, and yesterday too early."""
    b = huge(closed)

    assert b.ask("ngo-a", "access.hold_placed", until="9999-12-31") is None
    refusal = b.ask("ngo-a", "access.hold_placed", until="2026-03-01")
    assert refusal is not None
    assert refusal.rule == "G-27"


def test_an_emergency_may_be_answered_for_ever_where_the_profile_says_so() -> None:
    """Given endless hours to answer and minutes to object, then the answer is never late, and sealing is due at the end of time."""
    b = huge(planned)
    b.say("shelter", "access.break_glass", ref="E-1", approver="A-2")
    (emergency,) = b.view.emergencies.values()

    assert b.rules.may_be_answered(b.view, emergency, LAST)
    assert [due.at for due in b.rules.due(b.view) if due.type == "access.reseal_due"] == [LAST]


def test_no_profile_follows_one_that_asks_for_endless_notice() -> None:
    """Given a notice longer than the calendar, then every activation is too near, and the notice still has a length."""
    bench = Bench.of_bulletin("coordinator", read_profile(HUGE_NUMBERS))
    refusal = bench.ask("coordinator", "policy.profile_activated", approver="A-2")

    assert refusal is not None
    assert refusal.rule == "G-15"
    assert bench.rules.notice == timedelta.max


def test_a_follow_up_that_no_event_can_name_is_not_due() -> None:
    """Given months up to the end of time, then those of the first ten years are due."""
    b = huge(closed)

    assert [due.data for due in b.rules.due(b.view) if due.type == FollowUpDue.type] == [FollowUpDue(month=3)]
