"""The example bus: two days of invented work, told so that they end now."""

from datetime import UTC, datetime, timedelta

import pytest

from nrmbus.cli.membership.admitting import newcomers_of
from nrmbus.cli.operate.invented import agencies_file
from nrmbus.play.example import told
from nrmbus.play.example_figures import event_of, invented
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.scenario import Publish, Scenario
from rules.given import Bench

FRIDAY_NIGHT = datetime(2026, 11, 27, 23, 40, 7, tzinfo=UTC)
AGENCIES = newcomers_of(agencies_file(), "az@2022-04-29")


@pytest.fixture(name="story", scope="module")
def _story() -> Scenario:
    return told(AGENCIES, FRIDAY_NIGHT)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "now",
    [FRIDAY_NIGHT, datetime(2027, 1, 1, 3, tzinfo=UTC), datetime(2028, 3, 1, 12, tzinfo=UTC)],
    ids=["before a weekend", "on a holiday", "after a leap day"],
)
def test_the_stories_hold_at_whatever_moment_they_end(now: datetime) -> None:
    """Overdue, due soon, answered: every expectation of both stories holds, moved to end at any moment."""
    report = play(told(AGENCIES, now), MemoryBus())

    assert [str(failure) for failure in report.failures] == []
    assert report.green


@pytest.mark.slow
@pytest.mark.thorough
def test_the_figures_of_last_year_show_some_numbers_and_hide_the_others() -> None:
    """People see both: numbers of k and more, and words where a number stays hidden. The Rules take the release."""
    release = invented(2025, bus="play-0123456789abcdef", partitions=1, policy="az@2022-04-29")
    counts = [row.count for table in release.tables for row in table.rows if table.unit in ("persons", "events")]

    assert sum(each is not None for each in counts) > 80
    assert None in counts
    assert (release.table("signalled_by_sex").cell("_T") or 0) > 200
    bench = Bench.of_bulletin("statistics")
    assert (
        bench.ask("statistics", "stats.period_published", approver="A-2", **event_of(release, "A-1", "A-2")["data"])
        is None
    )


def test_nothing_is_backdated(story: Scenario) -> None:
    """The bus begins two days ago, the last step is now, and each event is published when it happens."""
    assert story.steps[-1].at == FRIDAY_NIGHT
    assert timedelta(days=2) < FRIDAY_NIGHT - story.starts < timedelta(days=2, hours=1)
    assert all(step.occurred == step.at for step in story.steps)
    assert [step.at for step in story.steps] == sorted(step.at for step in story.steps)


def test_no_step_is_about_an_agency_that_is_not_there(story: Scenario) -> None:
    """The first story has a police station and an embassy, which the example has not."""
    assert story.agencies.keys() == AGENCIES.keys()
    published = [step.what for step in story.steps if isinstance(step.what, Publish)]
    assert {each.by for each in published} | {to for each in published for to in each.to or ()} <= AGENCIES.keys()
    assert all(each.expect == "registered" for each in published)


def test_what_people_read_has_no_mark_of_the_tests(story: Scenario) -> None:
    """A stranger who opens a letter reads an invented name, not the mark by which the tests look for a leak."""
    letters = [step.what.sealed for step in story.steps if isinstance(step.what, Publish) and step.what.sealed]
    assert any(each.get("name") == "Nora Invented" for each in letters)
    assert "CANARY" not in str(letters)
