"""File lengths: past 400 lines a file is listed as a question to its reviewer, past 600 it fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.test_imports import AGENCIES
from contract.tree import ROOT, files, lay

ASKS = 400
"""From this length on the terminal summary names a Python file, for a reviewer to ask whether the file has one subject."""
LIMIT = 600
PROCEDURE = 150
SINGLE_FILE = {Path("services/nrmbus/auditor/evidence/verifier.py"): 772}
"""The offline verifier is handed to a stranger as one file, so it is not split."""


def budget(name: Path) -> int:
    """Return how many lines the file *name* (below the root) may have; an agency's folder holds little but its procedure."""
    if name.parts[:2] == ("services", "nrmbus") and len(name.parts) > 2 and name.parts[2] in AGENCIES:
        return {"procedure.py": PROCEDURE}.get(name.name, LIMIT)
    return SINGLE_FILE.get(name, LIMIT)


def lengths(root: Path) -> dict[Path, int]:
    """Return the number of lines of each Python file under *root*, by its path below *root*."""
    return {
        path.relative_to(root): len(path.read_text(encoding="utf-8").splitlines())
        for path in files(root)
        if path.suffix == ".py"
    }


def too_long(root: Path) -> list[str]:
    """Return each Python file under *root* over its budget, as ``path: lines of budget``."""
    return [f"{name}: {lines} of {budget(name)}" for name, lines in lengths(root).items() if lines > budget(name)]


def questions(root: Path) -> list[str]:
    """Return each Python file under *root* whose length asks whether the file has one subject, as ``path: lines``."""
    return [f"{name}: {lines}" for name, lines in lengths(root).items() if ASKS <= lines <= budget(name)]


def test_no_file_is_longer_than_its_budget(record_property: Callable[[str, object], None]) -> None:
    """A file fits in a reader's head, and an agency's procedure on two pages; files past 400 lines are recorded."""
    record_property("long_files", questions(ROOT))

    assert too_long(ROOT) == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("services/nrmbus/desk/store/ledger.py", 601),
        ("tests/desk/store/test_ledger.py", 601),
        ("services/nrmbus/police/procedure.py", 151),
        ("services/nrmbus/auditor/evidence/verifier.py", 773),
        ("services/nrmbus/auditor/evidence/file.py", 601),
    ],
)
def test_one_line_too_many_is_found(tmp_path: Path, name: str, lines: int) -> None:
    """Sabotage: a file one line over its budget is named, and a file of exactly its budget is not."""
    lay(tmp_path, {name: "x = 1\n" * lines})
    assert too_long(tmp_path) == [f"{name}: {lines} of {lines - 1}"]

    lay(tmp_path, {name: "x = 1\n" * (lines - 1)})
    assert too_long(tmp_path) == []


@pytest.mark.parametrize(("lines", "asked"), [(399, []), (400, ["tests/desk/store/test_ledger.py: 400"]), (601, [])])
def test_a_long_file_is_a_question_before_it_is_an_error(tmp_path: Path, lines: int, asked: list[str]) -> None:
    """A file of 400 to 600 lines is listed for the reviewer; a longer one is an error instead."""
    lay(tmp_path, {"tests/desk/store/test_ledger.py": "x = 1\n" * lines})

    assert questions(tmp_path) == asked
