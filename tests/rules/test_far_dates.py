"""Histories with absurd dates are read to their end: an event that would be due later is due at the last instant."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from nrmbus.events.model import Fact
from nrmbus.rules.calendar import LAST, Calendar
from rules.given import ONE_YEAR, Bench
from rules.stories import (
    begun,
    child_identified,
    closed,
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
