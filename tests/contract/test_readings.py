"""Readings of the Rules: each is numbered, dated and held by a test that is there."""

import ast
import re
from collections.abc import Iterator

import pytest

from contract.tree import ROOT

PAGE = ROOT / "services" / "nrmbus" / "rules" / "RULES.md"
ROW = re.compile(r'\| <a id="r-(\d+)"></a>(\d+) \|.*\| (\d{4}-\d\d-\d\d) \| `([^`|]+)` \|')


def rows(page: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each reading of *page*, and the test that holds it."""
    for line in page.splitlines():
        if line.startswith('| <a id="r-'):
            found = ROW.fullmatch(line)
            assert found, f"no number, day and test: {line[:60]}"
            assert found[1] == found[2]
            yield int(found[1]), found[4]


def defined(source: str) -> set[str]:
    """Return the tests of *source*, those of a class as ``Class::test``."""
    tree = ast.parse(source)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {each.name for each in tree.body if isinstance(each, functions)}
    for group in tree.body:
        if isinstance(group, ast.ClassDef):
            names |= {f"{group.name}::{each.name}" for each in group.body if isinstance(each, functions)}
    return names


def missing(held_by: str) -> bool:
    """Return whether the test *held_by* (path from the root and name, or a path alone) is missing."""
    path, _, name = held_by.partition("::")
    file = ROOT / path
    return not file.is_file() or bool(name and name not in defined(file.read_text(encoding="utf-8")))


@pytest.mark.thorough
def test_each_reading_is_held_by_a_test_that_is_there() -> None:
    """Without its test a reading is an opinion: the next change would decide otherwise, and nobody would see it."""
    found = list(rows(PAGE.read_text(encoding="utf-8")))

    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert [(number, held) for number, held in found if missing(held)] == []


def test_a_test_that_is_not_there_is_missed() -> None:
    """By its file, its class or its name."""
    here = "tests/contract/test_readings.py"

    assert missing(f"{here}::test_that_nobody_wrote")
    assert missing("tests/contract/test_gone.py")
    assert missing(f"{here}::TestNobody::test_each_reading_is_held_by_a_test_that_is_there")
    assert not missing(f"{here}::test_each_reading_is_held_by_a_test_that_is_there")
