"""Stories that go unusual and lawful ways, in memory: each plays through, or is refused by the rule that the story names.

A new one is a file in `unusual/`, in the format of the scenarios that come with nrmbus. All stories together play every
numbered line of every procedure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from nrmbus.desk.procedure.interface import Line
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.play import reader
from nrmbus.play.reader import parse
from nrmbus.play.report import Report
from nrmbus.play.scenario import Publish
from play.stories import played

STORIES: Final = tuple(sorted((Path(__file__).parent / "unusual").glob("*.yaml")))
PACKAGED: Final = tuple(sorted((Path(reader.__file__).parent / "scenarios").glob("*.yaml")))


@dataclass(frozen=True, slots=True)
class Played:
    """Reports of all stories, all numbered lines of procedures, and the lines that acted, as room and function name."""

    reports: dict[Path, Report]
    lines: frozenset[tuple[str, str]]
    acted: frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def every_story() -> Played:
    """Every story, played once while the procedures note which of their lines act."""
    acted: set[tuple[str, str]] = set()
    lines: set[tuple[str, str]] = set()
    with pytest.MonkeyPatch.context() as patch:
        for room in {*ROOMS.values()}:
            procedure = import_module(f"nrmbus.{room}.procedure")
            for name, function in _numbered(procedure).items():
                lines.add((room, name))
                noting = _noting(acted, (room, name), function)
                patch.setattr(procedure, name, noting)
        told = {each: played(parse(each.read_text(encoding="utf-8"), each.name)) for each in (*STORIES, *PACKAGED)}
    return Played(told, frozenset(lines), frozenset(acted))


def _numbered(procedure: ModuleType) -> dict[str, Any]:
    """Return the numbered lines of *procedure*, and the numbered steps without events of their own."""
    texts = {
        name: each.text if isinstance(each, Line) else getattr(each, "__doc__", None)
        for name, each in vars(procedure).items()
    }
    return {name: vars(procedure)[name] for name, text in texts.items() if text and text[:1].isdecimal()}


def _noting(acted: set[tuple[str, str]], key: tuple[str, str], each: Any) -> Any:
    """Wrap *each*: *key* is in *acted* once the function answers, or changes the given state."""
    function: Callable[..., Any] = each.function if isinstance(each, Line) else each

    @wraps(function)
    def noting(*given: Any) -> Any:
        answer = function(*given)
        if answer is not None and answer is not given[0]:
            acted.add(key)
        return answer

    return Line(each.types, noting) if isinstance(each, Line) else noting


@pytest.mark.thorough
@pytest.mark.parametrize("story", STORIES, ids=[each.stem for each in STORIES])
def test_an_unusual_way_comes_to_its_end(every_story: Played, story: Path) -> None:
    """Every step holds, and history and live state agree at the end."""
    assert every_story.reports[story].failures == ()


@pytest.mark.thorough
def test_each_numbered_line_of_each_procedure_acts_in_some_story(every_story: Played) -> None:
    """Every line of a procedure acts in at least one story."""
    assert every_story.lines - every_story.acted == set()
    assert {room for room, _ in every_story.lines} == {*ROOMS.values()}


@pytest.mark.thorough
def test_each_agency_with_a_procedure_acts_in_some_story() -> None:
    """No procedure is one that nobody ever follows."""
    told = [parse(each.read_text(encoding="utf-8"), each.name) for each in (*STORIES, *PACKAGED)]
    acting = {
        each.agencies[step.what.by].role
        for each in told
        for step in each.steps
        if isinstance(step.what, Publish) and step.what.expect == "registered"
    }

    assert set(ROOMS) - acting == set()


def test_a_house_that_still_bars_the_next_one_is_found() -> None:
    """Sabotage: the consent to the house that closed is not taken back, so nobody may admit her."""
    story = next(each for each in STORIES if each.stem == "house-that-closed-its-doors")
    lines = story.read_text(encoding="utf-8").splitlines()
    kept = "\n".join(each for each in lines if "consent.withdrawn" not in each)
    report = played(parse(kept, story.name), keep_going=True)

    assert "G-53" in str(report.failures[0])
