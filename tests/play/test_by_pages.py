"""The mechanism by its pages alone: a program that only fills in forms plays a woman's and a child's referral."""

from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.play.report import Report
from play.by_pages import PagesStage
from play.stories import CHILD, WOMAN, text_of

pytestmark = pytest.mark.broker


def by_pages(home: Path, name: Path) -> Report:
    """Return what came of the story *name*, told through pages on a fresh bus."""
    folder = BusFolder(home / "bus")
    folder.create(play=True)
    with Supervisor(folder), PagesStage(folder) as stage:
        return play(parse(text_of(name), "story.yaml"), stage)


def test_the_first_story_is_played_by_filling_in_forms(tmp_path: Path) -> None:
    """Scenario 1, every expectation, through the pages of its agencies; no script, and nothing but what a page offers."""
    assert [str(failure) for failure in by_pages(tmp_path, WOMAN).failures] == []


@pytest.mark.slow
def test_the_child_s_path_is_played_by_filling_in_forms(tmp_path: Path) -> None:
    """Scenario 2, every expectation: guardianship and child commission first, through the same pages. Statistics are not built yet."""
    assert [str(failure) for failure in by_pages(tmp_path, CHILD).failures if failure.built] == []
