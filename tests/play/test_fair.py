"""Fair treatment in the stories: another sex, citizenship, language or kind of NGO, and the same happens to the person."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from nrmbus.play import reader
from nrmbus.play.memory import MemoryBus
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from play.stories import WOMAN, text_of

SWAPS: Final = {
    "sex": ((r"\bsex: F\b", "sex: M"), (r"\bsex: M\b", "sex: F")),
    "citizenship": ((r"\bcitizenship: [A-Z]{2}\b", "citizenship: XB"),),
    "language": ((r"\b(language|interpreter): [a-z]{3}\b", r"\1: tur"),),
    "kind of NGO": ((r"\bngo_outreach\b", "ngo_legal"), (r"\bngo_legal\b", "ngo_outreach")),
}


def swapped(text: str, what: str) -> str:
    """Return the story with the swaps of *what*, all at once."""
    patterns = SWAPS[what]
    whole = re.compile("|".join(f"(?:{pattern})" for pattern, _ in patterns))

    def other(found: re.Match[str]) -> str:
        return next(re.sub(pattern, to, found[0]) for pattern, to in patterns if re.fullmatch(pattern, found[0]))

    return whole.sub(other, text)


def happened(text: str) -> list[Any]:
    """Return what each step of the story came to: verdict, rule and recipients, and every failed expectation."""
    report = play(parse(text, "story.yaml"), MemoryBus())
    rows = [(row.who, row.event, row.result, row.received) for row in report.rows]
    return [*rows, *map(str, report.failures)]


STORIES: Final = sorted((Path(reader.__file__).parent / "scenarios").glob("*.yaml"))
"""Every story that comes with nrmbus; a new story is among them automatically."""


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_same_happens_to_anybody(path: Path) -> None:
    """Nothing of the story depends on who the person is, or on which kind of NGO helps."""
    text = path.read_text(encoding="utf-8")
    other = text
    for what in SWAPS:
        other = swapped(other, what)

    assert happened(other) == happened(text)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("what", SWAPS)
def test_each_swap_alone_changes_nothing(what: str) -> None:
    """Two changes do not hide one another."""
    text = text_of(WOMAN)

    assert happened(swapped(text, what)) == happened(text)


def test_a_swap_changes_the_story_that_is_played() -> None:
    """Sabotage: the swap is no empty one, and a story in which another role sends is another story."""
    text = text_of(WOMAN)
    assert all(swapped(text, what) != text for what in SWAPS)

    assert happened(text.replace("role: ngo_outreach", "role: police_other")) != happened(text)
