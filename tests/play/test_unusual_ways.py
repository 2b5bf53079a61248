"""Stories that go unusual and lawful ways, in memory: each plays through, or is refused by the rule that the story names.

A new one is a file in `unusual/`, in the format of the scenarios that come with nrmbus.
"""

from pathlib import Path
from typing import Final

import pytest

from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.play import reader
from nrmbus.play.reader import parse
from nrmbus.play.scenario import Publish
from play.stories import played

STORIES: Final = tuple(sorted((Path(__file__).parent / "unusual").glob("*.yaml")))


@pytest.mark.parametrize("story", STORIES, ids=[each.stem for each in STORIES])
def test_an_unusual_way_comes_to_its_end(story: Path) -> None:
    """Every step holds, and history and live state agree at the end."""
    assert played(parse(story.read_text(encoding="utf-8"), story.name)).failures == ()


def test_each_agency_with_a_procedure_acts_in_some_story() -> None:
    """No procedure is one that nobody ever follows; the statistics answer nobody, and count (`tests/statistics`)."""
    stories = (*STORIES, *(Path(reader.__file__).parent / "scenarios").glob("*.yaml"))
    told = [parse(each.read_text(encoding="utf-8"), each.name) for each in stories]
    acting = {
        each.agencies[step.what.by].role
        for each in told
        for step in each.steps
        if isinstance(step.what, Publish) and step.what.expect == "registered"
    }

    assert set(ROOMS) - acting == {"statistics"}


def test_a_house_that_still_bars_the_next_one_is_found() -> None:
    """Sabotage: the consent to the house that closed is not taken back, so nobody may admit her."""
    story = next(each for each in STORIES if each.stem == "house-that-closed-its-doors")
    lines = story.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(each for each in lines if "consent.withdrawn" not in each)
    report = played(parse(kept, story.name), keep_going=True)

    assert "G-53" in str(report.failures[0])
