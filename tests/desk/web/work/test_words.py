"""Words of the queues and of the navigation, which are data: each is translated as those of code and templates are."""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from contract.tree import ROOT
from nrmbus.desk.web.work.pages import SORTS
from nrmbus.desk.web.work.queues import files as known_files
from nrmbus.desk.web.work.rows import AGENCY, COLUMNS, headings
from nrmbus.web.languages import Language
from nrmbus.web.words import Words
from web.test_words import untranslated

NAMES = frozenset({"name", "lead", "title", "text"})
"""Members of the data that a reader sees."""


def sentences(value: Any, *, is_task: bool = False) -> Iterator[str]:
    """Yield every sentence that a reader sees in the data *value*."""
    if isinstance(value, list):
        for each in value:
            yield from sentences(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str):
                if name in NAMES or is_task:
                    yield each
            else:
                yield from sentences(each, is_task=name == "tasks")


def of_files() -> set[str]:
    """Return the sentences of every file of queues, and of the navigation."""
    files = [*ROOT.glob("services/nrmbus/**/queues.yaml"), ROOT / "services/nrmbus/desk/web/places.yaml"]
    assert len(files) == len(known_files()) + 1
    return {each for path in files for each in sentences(yaml.safe_load(path.read_text()))}


def test_no_file_of_queues_says_a_thing_twice() -> None:
    """The second of two equal keys would take the place of the first, and words would be missing on a page."""
    for path in ROOT.glob("services/nrmbus/**/queues.yaml"):
        file = yaml.compose(path.read_text())
        assert isinstance(file, yaml.MappingNode)
        keys = [key.value for key, _ in file.value]
        assert len(keys) == len(set(keys)), path


@pytest.mark.parametrize("language", ["az", "ru"])
def test_every_sentence_of_the_queues_is_translated(language: Language) -> None:
    """Names, columns and empty lists are in the reader's language."""
    shown = of_files() | {*COLUMNS.values(), *AGENCY.values(), *SORTS.values()}
    assert {"Duty desk", "Work list", "To read", "Nothing waits for you", "Overdue"} <= shown
    assert untranslated({(None, each) for each in shown}, language) == []


def test_the_list_of_answers_says_when_each_came() -> None:
    """An answer came at a time and does not wait since then: its column has another heading than that of what waits."""
    queues = {each.id: each for each in known_files()[""].queues}
    shown = {id: dict(headings(Words("en", ZoneInfo("UTC")), queues[id]))["since"] for id in ("answered", "waits")}
    assert shown == {"answered": "When", "waits": "Since"}
