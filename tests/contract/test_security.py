"""Every row of SECURITY.md names tests that exist."""

import re

from contract.tree import ROOT

PAGE = ROOT / "SECURITY.md"
ASKED = (
    "Curious operator", "Stolen desk", "Corrupt officer", "Forged agency", "Substituted key", "Replayed event",
    "Withheld event", "Cut or forked log", "Rogue registrar", "Backup on a stick", "Poisoned record",
    "Traffic analysis", "Re-identified statistic", "Plaintext by accident",
)  # fmt: skip


def rows(page: str) -> list[list[str]]:
    """The cells of each threat."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def unshown(page: str) -> list[str]:
    """Return rows without four cells or without a test, and tests that are missing or unnamed: a file alone shows nothing."""
    found = []
    for cells in rows(page):
        tests = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", cells[-1])
        if len(cells) != len(("threat", "control", "default", "test")) or not tests:
            found.append(cells[0])
        for path, name in tests:
            file = ROOT / "tests" / path
            if not file.exists() or not name or f"def {name}(" not in file.read_text(encoding="utf-8"):
                found.append(f"{path}::{name}")
    return found


def test_every_threat_has_a_control_a_default_and_a_test() -> None:
    """No row promises what no test shows."""
    page = PAGE.read_text(encoding="utf-8")

    assert unshown(page) == []
    assert [threat for threat in ASKED if f"**{threat}**" not in page] == []


def test_a_row_without_its_test_is_named() -> None:
    """Sabotage: a missing test, a row without a test, and a row with a whole file."""
    head = "| threat | control | shipped default | test |\n| --- | --- | --- | --- |\n"
    page = f"{head}| a | b | c | `wire/test_nowhere.py::test_x` |\n| d | e | f | none |\n| g | h | i | `wire/keys/test_keys.py` |\n"

    assert unshown(page) == ["wire/test_nowhere.py::test_x", "d", "wire/keys/test_keys.py::"]
