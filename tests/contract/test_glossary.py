"""The glossary: every type that it names can be imported, and every link of the entry pages leads somewhere."""

import importlib
import re
from pathlib import Path

import pytest

from contract.test_bases import anchors
from contract.tree import ROOT, lay

GLOSSARY = "services/GLOSSARY.md"
PAGES = (GLOSSARY, "README.md", "services/README.md")
TYPE = re.compile(r"`(nrmbus(?:\.\w+)+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def rows(page: str) -> list[list[str]]:
    """Return the cells of each word's row in *page*."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line[:2] == "| "]
    return [row for row in cells if row[0] not in ("word", "---")]


def unimportable(page: str) -> list[str]:
    """Return each type in *page* that is neither a module nor a name in one."""
    found = []
    for name in TYPE.findall(page):
        module, _, member = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            try:
                getattr(importlib.import_module(module), member)
            except (ImportError, AttributeError):
                found.append(name)
    return found


def slugs(page: str) -> set[str]:
    """Return the anchors of *page*: explicit ones and those that GitHub derives from headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {*anchors(page), *(re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings)}


def dead_links(root: Path, name: str) -> list[str]:
    """Return each relative link of the page *name* under *root* without its file, or without its anchor there."""
    page = root / name
    found = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in slugs(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


def test_every_type_in_the_glossary_can_be_imported() -> None:
    """A reader finds each word in the code under the name that the glossary gives; a rename edits its row."""
    page = (ROOT / GLOSSARY).read_text(encoding="utf-8")

    assert len(TYPE.findall(page)) > 40
    assert unimportable(page) == []


def test_every_word_has_one_row() -> None:
    """One word has one meaning, type and source: no cell is empty, and no word comes twice."""
    found = rows((ROOT / GLOSSARY).read_text(encoding="utf-8"))
    words = [word for row in found for word in row[0].split(", ")]

    assert [row for row in found if len(row) != 4 or not all(row)] == []
    assert sorted(set(words)) == sorted(words)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_the_entry_pages_leads_somewhere(name: str) -> None:
    """The pages that a newcomer reads first have no dead link, to a file or to a place in one."""
    assert dead_links(ROOT, name) == []


@pytest.mark.parametrize("name", ["README.md", "services/README.md"])
def test_the_entry_pages_link_the_glossary(name: str) -> None:
    """A newcomer who meets a word of the project finds its meaning from either page."""
    assert "GLOSSARY.md)" in (ROOT / name).read_text(encoding="utf-8")


def test_a_type_that_is_gone_is_found() -> None:
    """Sabotage: a renamed class, a moved module and a package that never was are named; a module and a class are not."""
    page = "`nrmbus.rules.Rule` `nrmbus.desk.ledger.Ledger` `nrmbus.gone` `nrmbus.rules` `nrmbus.rules.Rules`"

    assert unimportable(page) == ["nrmbus.rules.Rule", "nrmbus.desk.ledger.Ledger", "nrmbus.gone"]


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """Sabotage: a link to a file or an anchor that is not there is named; good links, and links to the web, are not."""
    good = "[a](https://example.org/x) [b](there.md) [c](there.md#set) [d](there.md#a-heading-here) [e](#own)"
    lay(
        tmp_path,
        {
            "there.md": '<a id="set"></a>\n## A heading, here\n',
            "page.md": f"# Own\n{good} [f](gone.md) [g](there.md#no)",
        },
    )

    assert dead_links(tmp_path, "page.md") == ["gone.md", "there.md#no"]
