"""The child's path by its pages alone; `test_canaries.py` plays the woman's so, and then looks for her words."""

from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from play.by_pages import PagesStage
from play.stories import CHILD, text_of

pytestmark = pytest.mark.broker


@pytest.mark.slow
def test_the_child_s_path_is_played_by_filling_in_forms(tmp_path: Path) -> None:
    """Scenario 2, every expectation: guardianship and child commission first, through the same pages."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    with Supervisor(folder), PagesStage(folder) as stage:
        report = play(parse(text_of(CHILD), "story.yaml"), stage)

    assert [str(failure) for failure in report.failures] == []
