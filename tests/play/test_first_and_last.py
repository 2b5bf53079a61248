"""How people come in and what comes after: a group, a call without a name, the end of support; in memory, and on a bus."""

from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import find, read
from play.stories import AFTER, CALL, RAID, altered, play_file


@pytest.mark.thorough
@pytest.mark.parametrize(("story", "steps"), [(RAID, 67), (CALL, 51), (AFTER, 54)])
def test_it_holds(story: Path, steps: int) -> None:
    """Recipients, openers, refusals, clocks and states are as written, to the replay at the end."""
    report = play_file(story)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == steps


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("story", "line", "other"),
    [
        (RAID, "receivers: [ngo-aid]}, seen_by: [ngo-aid]}", "receivers: [ngo-l]}, seen_by: []}"),
        (RAID, "outcome: continues}, other_case: benjamin, approver: second, seen", "outcome: continues}, other_case: benjamin, seen"),
        (RAID, "to: [child-commission, guardianship], data", "to: [guardianship], data"),
        (CALL, ", withhold_from: [special-unit]},\n     sealed: {contact", "},\n     sealed: {contact"),
        (CALL, "as: fresh, data: {purposes: [information_sharing, services]", "as: fresh, data: {purposes: [services]"),
        (AFTER, "reason: integrated, follow_up: true}, seen_by", "reason: integrated, follow_up: false}, seen_by"),
        (AFTER, "receivers: [special-unit, vac], given_by", "receivers: [special-unit], given_by"),
    ],
    ids=[
        "access not cut", "merged by one officer", "one guardian body", "not withheld", "no fresh consent", "no follow-up",
        "a consent of the old case",
    ],
)  # fmt: skip
def test_an_altered_story_does_not_hold(story: Path, line: str, other: str) -> None:
    """Sabotage: each alteration is found by one of the story's expectations."""
    assert not altered(story, line, other).green


def test_the_inspection_is_told_whose_help_to_ask_about_again() -> None:
    """After the decision on the recruiter its desk names the NGO that held his case and the others'."""
    stage = MemoryBus()
    play(read(find(RAID)), stage)

    (task,) = [each for each in stage.tasks("inspection") if each.code == "cut_access"]
    assert task.alternatives == ("ngo-aid",)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.parametrize("story", [RAID, CALL, AFTER], ids=["raid", "call", "after the end"])
def test_it_holds_on_a_real_bus(story: Path, tmp_path: Path) -> None:
    """Registrar, timekeeper and desks as processes say the same as the memory."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True)
    with Supervisor(folder), BusStage(folder) as stage:
        report = play(read(find(story)), stage)

    assert [str(failure) for failure in report.failures] == []
