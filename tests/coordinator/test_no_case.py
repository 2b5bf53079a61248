"""The Coordinator's office gets no event of a case: by the Rules, in every story, and in the file of its desk."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from agencies import CASE
from desk.given import desk_of
from nrmbus.events import bulletin
from nrmbus.events.registry import data_type
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import read
from nrmbus.play.scenario import Participant, Scenario
from nrmbus.rules import load_profile

ME: Final = "coordinator"
STORIES: Final = sorted((Path(__file__).parents[2] / "services/nrmbus/play/scenarios").glob("*.yaml"))


def with_the_office(story: Scenario) -> Scenario:
    """Return *story* with a Coordinator's office among its agencies."""
    return replace(story, agencies={ME: Participant(role=ME), **story.agencies})


def test_no_type_about_a_case_is_for_the_coordinator() -> None:
    """Nobody may send the office an event of a case, and no row of section 3 that is about one names the office."""
    profile = load_profile("az@2022-04-29")

    assert ME in profile.expand(("NEVER_RECIPIENTS",))
    told = {"coordinator", "everybody"}
    named = [
        name
        for name, row in profile.types.items()
        if told & {*row.sees, *(each for part in row.opens.values() for each in part)}
    ]
    assert named
    assert {data_type(name, 1).keyed_by for name in named} == {"agency"}


@pytest.mark.thorough
@pytest.mark.parametrize("path", STORIES, ids=[each.stem for each in STORIES])
def test_no_story_brings_a_case_to_the_coordinator(path: Path) -> None:
    """A bus with the office plays every story, and the office hears of no case and no incident."""
    bus = MemoryBus()
    play(with_the_office(read(path)), bus, keep_going=True)

    assert {data_type(each, 1).keyed_by for each in bus.inbox(ME)} <= {"agency"}


async def test_the_file_of_the_office_s_desk_holds_no_case(tmp_path: Path) -> None:
    """What the office hears leaves bulletins in its ledger, and no reference of a case beside them."""
    async with desk_of(ME, tmp_path) as here:
        registrar = here.registrar
        data = {"agency": "shelter", "listening": False, "since": "2026-03-02T05:00:00Z"}
        said = registrar.event("timekeeper", "agency.listening_changed", data, case=bulletin.of("timekeeper"))
        await here.hear(registrar.register(said, to=ME))
        await here.settle()

    files = [path.read_bytes() for path in tmp_path.rglob("ledger*") if path.is_file()]
    assert any(bulletin.of("timekeeper").encode() in each for each in files)
    assert not any(CASE.encode() in each for each in files)
