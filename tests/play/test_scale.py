"""Cases by the thousand out of played stories: the same for a seed, accepted by the Rules, and with a person each."""

import json
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
import typer
from typer.testing import CliRunner, Result

from nrmbus.cli.operate.play import play
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.figures import Release
from nrmbus.play.reader import find, parse, read
from nrmbus.play.scale import Story, played, rules_of, scaled
from play.stories import CHILD, CONSENT, SIGNAL, TAKEN_BACK, WOMAN, WORK, story

SEED: Final = 7
APP = typer.Typer()
APP.command()(play)


@pytest.fixture(name="stories", scope="module")
def _stories() -> list[Story]:
    """The first four stories, played once."""
    return [played(read(find(each))) for each in (WOMAN, CHILD, TAKEN_BACK, WORK)]


def run(*arguments: str) -> Result:
    """Type ``nrmbus play`` and *arguments*."""
    return CliRunner().invoke(APP, [str(CHILD), *arguments])


@pytest.mark.thorough
def test_a_seed_makes_the_same_cases_and_another_seed_others(stories: list[Story]) -> None:
    """One seed gives the same cases: references, persons and times."""
    first, again, other = (list(scaled(stories, 30, seed)) for seed in (SEED, SEED, SEED + 1))

    assert first == again
    assert {case.subject for case in first}.isdisjoint(case.subject for case in other)


def test_cases_are_as_many_as_asked_for_and_each_is_its_own(stories: list[Story]) -> None:
    """No two cases share a reference or an event, and persons differ."""
    cases = [case for case in scaled(stories, 50, SEED) if type(case.facts[0].event.data).keyed_by == "case"]
    ids = [fact.event.id for case in cases for fact in case.facts]
    told = [each for case in cases for each in case.coded.values() if "sex" in each]
    persons = {(each["sex"], each.get("age_band")) for each in told}

    assert len({case.subject for case in cases}) == len(cases) == 50
    assert len(set(ids)) == len(ids)
    assert len(persons) > 3


def test_the_rules_accept_every_copy(stories: list[Story]) -> None:
    """Each event is one that the Rules accept after those before it: the timekeeper speaks when something is due there, too."""
    rules = rules_of(stories, "az@2022-04-29")
    refused = []
    for case in islice(scaled(stories, 60, SEED), 60):
        view = rules.start(case.subject)
        for fact in case.facts:
            found = rules.judge(view, fact.event, fact.registered, spent=0)
            if found is not None:
                refused.append((fact.event.type, found.code, found.rule))
            view = rules.evolve(view, fact)

    assert refused == []


@pytest.mark.thorough
def test_the_command_prints_the_seed_and_writes_releases(tmp_path: Path) -> None:
    """The printed seed makes the same cases again, and each year's release is a file."""
    result = run("--memory", "--scale", "40", "--seed", "5", "--figures", str(tmp_path))

    assert result.exit_code == 0
    assert "40 cases" in result.stdout
    assert "--seed 5" in result.stdout
    releases = [Release.read(path.read_bytes()) for path in sorted(tmp_path.iterdir())]
    assert [each.period for each in releases] == ["2024", "2025", "2026"]
    assert all(
        row.count is None or row.count >= each.k
        for each in releases
        for table in each.tables
        for row in table.rows
        if table.unit == "persons"
    )
    assert json.loads((tmp_path / "figures-2025.json").read_bytes())["against"] == releases[0].digest


def test_a_consent_for_ever_stays_one() -> None:
    """Given a consent until the calendar's last day, then each copy has that day, in years before the story's and after."""
    told = parse(story(SIGNAL, CONSENT.replace("form: written", "form: written, expires: '9999-12-31'")), "story.yaml")
    days = {
        fact.event.data.expires
        for years in ((2024,), (2027,))
        for case in scaled([played(told)], 3, SEED, years)
        for fact in case.facts
        if isinstance(fact.event.data, ConsentGiven) and fact.event.data.expires
    }

    assert days == {"9999-12-31"}


def test_a_story_without_a_case_is_not_copied(tmp_path: Path) -> None:
    """Given a scenario that registers no case, then a sentence says so, and nothing is made."""
    path = tmp_path / "empty.yaml"
    path.write_text(story("- {check: inbox, agency: vac, count: 0}\n"), encoding="utf-8")
    result = CliRunner().invoke(APP, [str(path), "--memory", "--scale", "3"])

    assert result.exit_code == 2
    assert "registers no case" in result.stderr


def test_cases_are_put_on_no_bus() -> None:
    """Without --memory nothing is made, and a sentence says what to add."""
    result = run("--scale", "40")

    assert result.exit_code == 2
    assert "--memory" in result.stderr
