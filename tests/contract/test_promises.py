"""Each promise has a test that names it, and a sabotage that shows that the test can fail."""

import re

from contract.tree import ROOT

PAGE = ROOT / "tests" / "README.md"
OURS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10")


def rows(page: str) -> list[tuple[str, list[str]]]:
    """Each row of the table: the promise, and the tests that it names."""
    found = re.findall(r"^\| (P\d+)[^|]*\|(.*)\|$", page, re.MULTILINE)
    return [(promise, re.findall(r"`([a-z_/]+\.py(?:::\w+)?)`", rest)) for promise, rest in found]


def missing(page: str) -> list[str]:
    """Tests that the page names and that are not there; rows with fewer than two."""
    absent = [promise for promise, tests in rows(page) if len(tests) < 2]
    for _, tests in rows(page):
        for test in tests:
            path, _, name = test.partition("::")
            file = ROOT / "tests" / path
            if not file.exists() or (name and f"def {name}(" not in file.read_text(encoding="utf-8")):
                absent.append(test)
    return absent


def test_every_promise_has_its_test_and_its_sabotage() -> None:
    """The page of the tests names both, and both are there."""
    page = PAGE.read_text(encoding="utf-8")

    assert missing(page) == []
    assert {promise for promise, _ in rows(page)} >= set(OURS)


def test_a_promise_without_its_test_is_named() -> None:
    """Sabotage: a renamed test, and a promise with no sabotage, are named."""
    page = "| P1 nothing is lost | `registrar/test_nowhere.py::test_x` | `wire/test_ids.py` |\n| P2 more | `wire/test_ids.py` | none |\n"

    assert missing(page) == ["P2", "registrar/test_nowhere.py::test_x"]
