"""The site of all pages: each page is in a section, each link leads somewhere, and nothing is fetched from elsewhere."""

import subprocess
from pathlib import Path

import pytest

from contract.test_compose import program
from contract.tree import ROOT, lay

DOCS = program(ROOT / ".ci" / "docs.py")


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    """Return a tree of two pages and an example, under git."""
    root = tmp_path / "tree"
    lay(root, {
        "README.md": "# nrmbus\nSee [rules](services/README.md#a), [x](deploy/a.json) and `[no](link.md)`.",
        "services/README.md": "# `services`\n## a\nBack [up](../README.md).",
        "deploy/a.json": "{}",
    })  # fmt: skip
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


@pytest.mark.thorough
def test_every_page_of_the_tree_is_in_one_section_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    """The site has each page once, and what it links to."""
    shown = DOCS.lay_out(ROOT, tmp_path)

    places = [place for _, entries in shown for _, place in entries]
    assert sorted(places) == sorted(set(places))
    assert {"index.md", "services/nrmbus/rules/RULES.md", "schemas/asyncapi.html"} <= set(places)
    assert all((tmp_path / each).is_file() for each in [*places, "deploy/examples/signal.json"])


def test_links_are_pointed_at_the_site(tree: Path, tmp_path: Path) -> None:
    """A folder's page opens the folder; code is left alone; a file that is linked to comes along."""
    shown = dict(DOCS.lay_out(tree, tmp_path / "pages"))

    assert shown["Overview"] == [("nrmbus", "index.md"), ("services", "services/index.md")]
    assert (tmp_path / "pages/index.md").read_text() == (
        "# nrmbus\nSee [rules](services/index.md#a), [x](deploy/a.json) and `[no](link.md)`."
    )
    assert (tmp_path / "pages/deploy/a.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("elsewhere/page.md", "# A page", "no section of .ci/docs.py has elsewhere/page.md"),
        ("deploy/README.md", "[gone](gone.md)", "deploy/README.md links to gone.md, which the tree does not have"),
    ],
)
def test_a_page_without_a_section_and_a_dead_link_are_refused(
    tree: Path, tmp_path: Path, path: str, text: str, says: str
) -> None:
    """Sabotage: the build names the page, and the link."""
    lay(tree, {path: text})

    with pytest.raises(DOCS.Stray, match=says):
        DOCS.lay_out(tree, tmp_path / "pages")


def test_a_dead_link_a_missing_heading_and_another_host_are_found_in_the_finished_site(tmp_path: Path) -> None:
    """Sabotage: what the generator made of the pages is read as a browser would."""
    lay(tmp_path, {
        "index.html": '<h2 id="a">A</h2><a href="#a">a</a><a href="b/">b</a><a href="https://example.org/">x</a>'
        '<a href="c.html">c</a><a href="b/#z">z</a><script src="https://cdn.example/x.js"></script>',
        "b/index.html": '<a href="../index.html#a">a</a>',
    })  # fmt: skip

    assert list(DOCS.strays(tmp_path)) == [
        "index.html fetches https://cdn.example/x.js",
        "index.html links to b/#z, and there is no such heading",
        "index.html links to c.html",
    ]


def test_a_site_without_its_pages_is_not_complete(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sabotage: given a generator that makes nothing and ends well, then the build fails, and names each page."""
    monkeypatch.setattr(DOCS, "ROOT", tree)
    monkeypatch.setattr(DOCS, "OUT", tree / "build" / "docs")
    generator = tree / "python"
    generator.write_text("#!/bin/sh\n", encoding="utf-8")
    generator.chmod(0o755)

    assert DOCS.main(str(generator)) == 1
    told = capsys.readouterr()
    assert told.err == "nrmbus: the generator made no page of index.md, services/index.md\n"
    assert told.out == ""


@pytest.mark.slow
def test_the_site_is_built() -> None:
    """`make docs` fetches its generator, builds all pages, and finds every link alive."""
    built = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stderr
    assert (ROOT / "build" / "docs" / "site" / "search.json").stat().st_size > 0
