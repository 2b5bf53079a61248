"""The table of what happens while a part is away names, for each row, a test that exists, or says that nothing is built."""

import re

from contract.tree import ROOT

PAGE = ROOT / "deploy" / "README.md"
_TEST = re.compile(r"`(tests/[a-z_/]+\.py)::(\w+)`")


def unshown(page: str) -> list[str]:
    """Return the rows of the table whose last cell names no test that exists, but for those that say "not built yet"."""
    table = page.partition("| away | meanwhile | back | shown by |\n")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines()[1:] if line.startswith("| ")]
    assert rows, "the table is there"
    return [row.split(" | ")[0].strip("| ") for row in rows if "not built yet" not in row and not _is_shown(row)]


def _is_shown(row: str) -> bool:
    found = _TEST.findall(row)
    return bool(found) and all(f"def {name}(" in (ROOT / path).read_text(encoding="utf-8") for path, name in found)


def test_each_row_is_shown_by_a_test() -> None:
    """Nobody has to believe the table."""
    assert unshown(PAGE.read_text(encoding="utf-8")) == []


def test_a_row_without_its_test_is_named() -> None:
    """Sabotage: a row whose test is gone, and one without a test."""
    page = PAGE.read_text(encoding="utf-8").replace("test_kill_9_of", "test_kill_8_of")
    extra = "| a house | it waits | by itself | none |\n| a desk |"

    assert unshown(page) == ["`nrmbus up`, killed"]
    assert unshown(page.replace("| a desk |", extra, 1)) == ["a house", "`nrmbus up`, killed"]
