"""Each promise has a test with its number, and a sabotage that shows the test can fail."""

import ast
import re
from collections.abc import Iterable

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


def late(page: str) -> list[str]:
    """Tests that the page names and that `make test` leaves out, since they, or their file, are marked ``slow``."""
    return [
        test
        for _, tests in rows(page)
        for test in tests
        if is_slow((ROOT / "tests" / test.partition("::")[0]).read_text(encoding="utf-8"), test.partition("::")[2])
    ]


def is_slow(text: str, name: str) -> bool:
    """Return whether the test *name* of a file with this *text*, or every test of the file, is marked ``slow``."""
    marks: list[ast.expr] = []
    tests: list[list[ast.expr]] = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            marks.append(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            tests += [node.decorator_list] if name in {"", node.name} else []
    return _slow(marks) or (bool(tests) and all(map(_slow, tests)))


def _slow(marks: Iterable[ast.expr]) -> bool:
    """Return whether one of *marks* is ``slow`` for every case: one parameter that is slow leaves the others."""
    texts = [ast.unparse(each) for each in marks]
    return any(re.search(r"\bmark\.slow\b", each) for each in texts if not each.startswith("pytest.mark.parametrize("))


def test_every_promise_has_its_test_and_its_sabotage() -> None:
    """The page of the tests names both, and both are there."""
    page = PAGE.read_text(encoding="utf-8")

    assert missing(page) == []
    assert late(page) == []
    assert {promise for promise, _ in rows(page)} >= set(OURS)


def test_a_promise_without_its_test_is_named() -> None:
    """Sabotage: a renamed test, and a promise with no sabotage, are named."""
    page = "| P1 nothing is lost | `registrar/test_nowhere.py::test_x` | `wire/test_ids.py` |\n| P2 more | `wire/test_ids.py` | none |\n"

    assert missing(page) == ["P2", "registrar/test_nowhere.py::test_x"]


def test_a_promise_that_ci_leaves_out_is_named() -> None:
    """Sabotage: a test of the table that is marked slow, directly or by its file, is named, and so is a slow file."""
    one = "@pytest.mark.slow\ndef test_a(): ...\ndef test_b(): ...\n"
    assert [is_slow(one, name) for name in ("test_a", "test_b", "")] == [True, False, False]
    assert is_slow("@pytest.mark.slow\ndef test_a(): ...\n", "")
    assert is_slow("pytestmark = [pytest.mark.broker, pytest.mark.slow]\ndef test_a(): ...\n", "test_a")
    case = '@pytest.mark.parametrize("a", [1, pytest.param(2, marks=pytest.mark.slow)])\ndef test_a(a): ...\n'
    assert not is_slow(case, "test_a"), "one case of a test is long, and the others run"
