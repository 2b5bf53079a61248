"""How long a file may be: past that, the reader loses the thread and a reviewer asks which word of the Rules needed it."""

from pathlib import Path

import pytest

from contract.test_imports import AGENCIES
from contract.tree import ROOT, files, lay

LONGEST = 399
PROCEDURE = 150
APP = 30
SINGLE_FILE = {Path("services/nrmbus/auditor/verifier.py"): 799}
"""What is handed to a stranger as one file cannot be cut in two."""


def budget(name: Path) -> int:
    """Lines that the file *name* (below the root) may have; an agency's folder holds little but its procedure."""
    if name.parts[:2] == ("services", "nrmbus") and len(name.parts) > 2 and name.parts[2] in AGENCIES:
        return {"procedure.py": PROCEDURE, "app.py": APP}.get(name.name, LONGEST)
    return SINGLE_FILE.get(name, LONGEST)


def too_long(root: Path) -> list[str]:
    """Each Python file under *root* over its budget, as ``path: lines of budget``."""
    found = []
    for path in files(root):
        if path.suffix == ".py":
            name = path.relative_to(root)
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > budget(name):
                found.append(f"{name}: {lines} of {budget(name)}")
    return found


def test_no_file_is_longer_than_its_budget() -> None:
    """A file fits in a reader's head; an agency's procedure on two pages."""
    assert too_long(ROOT) == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("services/nrmbus/desk/ledger.py", 400),
        ("tests/desk/test_ledger.py", 400),
        ("services/nrmbus/police/procedure.py", 151),
        ("services/nrmbus/ngo/app.py", 31),
        ("services/nrmbus/auditor/verifier.py", 800),
        ("services/nrmbus/auditor/bundle.py", 400),
    ],
)
def test_one_line_too_many_is_found(tmp_path: Path, name: str, lines: int) -> None:
    """Sabotage: each budget, exceeded by one line, is noticed; met exactly, it is not."""
    lay(tmp_path, {name: "x = 1\n" * lines})
    assert too_long(tmp_path) == [f"{name}: {lines} of {lines - 1}"]

    lay(tmp_path, {name: "x = 1\n" * (lines - 1)})
    assert too_long(tmp_path) == []
