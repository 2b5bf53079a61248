"""Scenario 1 without a mouse: nobody needs more than a keyboard, from the sign-in to the last step."""

from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from play.by_keyboard import KeyboardStage
from play.stories import WOMAN, text_of
from web.browser import CHROMIUM

pytestmark = pytest.mark.broker


@pytest.mark.slow
@pytest.mark.parametrize("program", CHROMIUM)
def test_the_woman_s_path_is_played_by_the_keyboard_alone(tmp_path: Path, program: str) -> None:
    """Given Tab, arrows, space and Enter, then every expectation of scenario 1 holds, and each focus is seen."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    with Supervisor(folder), KeyboardStage(folder, program) as stage:
        report = play(parse(text_of(WOMAN), "story.yaml"), stage)

    assert [str(failure) for failure in report.failures] == []
