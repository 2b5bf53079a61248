"""Build one site from every page of the tree, in build/docs/site: README, rooms, Rules, API, decisions, with search.

Usage: docs.py PYTHON, an interpreter with the packages of docs.txt.
A page stays where it is in the tree, so that its links work in an editor too; here they are pointed at the site. A file
that is no page, such as an example, comes along as it is. The build fails if a page is in no section, or not in the
finished site, or if a link there, or its fragment, leads nowhere or to another host: nothing is fetched while somebody
reads.
"""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "build" / "docs"
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "Overview": ("README.md", "services/README.md", "services/GLOSSARY.md"),
    "Agencies' systems": (
        "services/nrmbus/client/*.md", "services/nrmbus/desk/*.md", "services/nrmbus/desk/*/*.md", "services/nrmbus/desk/*/*/*.md",
        "services/nrmbus/edge/*.md", "services/nrmbus/edge/*/*.md", "services/nrmbus/web/*.md", "schemas/*.md", "schemas/*/*.md", "services/nrmbus/events/*.md",
        "services/nrmbus/published/*.md",
    ),
    "Rules": (
        "services/nrmbus/rules/*.md", "services/nrmbus/police/*.md", "services/nrmbus/shelter/*.md",
        "services/nrmbus/fund/*.md", "services/nrmbus/ngo/*.md", "services/nrmbus/migration/*.md", "services/nrmbus/consulate/*.md", "services/nrmbus/organisation/*.md", "services/nrmbus/play/*.md", "services/nrmbus/play/*/*.md",
        "services/nrmbus/centre/*.md", "services/nrmbus/hotline/*.md", "services/nrmbus/inspection/*.md", "services/nrmbus/public_services/*.md",
        "services/nrmbus/justice/*.md", "services/nrmbus/guardianship/*.md",
    ),
    "Operators": ("deploy/*.md", "deploy/*/*.md", "services/nrmbus/cli/*.md", "services/nrmbus/host/*.md", "services/nrmbus/backup/*.md", "services/nrmbus/canary/*.md"),
    "Auditors": ("SECURITY.md", "PRIVACY.md", "services/nrmbus/auditor/*.md", "services/nrmbus/auditor/*/*.md"),
    "How it is built": ("services/nrmbus/*/*.md", "services/nrmbus/*/*/*.md", "tests/*.md", "tests/*/*/*.md", "tests/*/*/*/*.md", "benchmarks/*.md", ".github/*.md", "CHANGELOG.md"),
    "Decisions": ("services/decisions/*.md",),
}  # fmt: skip
"""Sections of the site, each with its pages by pattern; a page stands in the first one that has it."""
DOCUMENTS: Final = {"schemas/asyncapi.html": "Events (AsyncAPI)", "schemas/openapi.html": "API (OpenAPI)"}
"""Pages that were made elsewhere, by their path; one that is not there is left out."""
_LINK: Final = re.compile(r"(?P<before>\]\(|^\[[^\]]+\]: )(?P<target>[^)\s]+)", re.MULTILINE)
_FENCE: Final = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


class Stray(Exception):
    """Raised when a page, a link or a fragment does not belong to the site; the message names each."""


def tracked(root: Path) -> list[str]:
    """Return the paths of all files of the tree, without what is made or ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git of the PATH
        cwd=root, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return sorted(path for path in listed.stdout.split("\0") if path and (root / path).is_file())


def sections(pages: Iterable[str]) -> dict[str, list[str]]:
    """Return the pages of each section, in the order of its patterns.

    Raises:
        Stray: a page is in no section.
    """
    left, found = list(pages), dict[str, list[str]]()
    for name, patterns in SECTIONS.items():
        chosen = [page for pattern in patterns for page in left if _fits(page, pattern)]
        found[name] = list(dict.fromkeys(chosen))
        left = [page for page in left if page not in found[name]]
    if left:
        raise Stray(f"no section of .ci/docs.py has {', '.join(left)}")
    return found


def _fits(page: str, pattern: str) -> bool:
    return page.count("/") == pattern.count("/") and fnmatch(page, pattern)


def place(path: str) -> str:
    """Return where a file of the tree stands in the site: nothing is hidden there, and a folder opens with its page."""
    parts = [part.removeprefix(".") for part in path.split("/")]
    if parts[-1] == "README.md":
        parts[-1] = "index.md"
    return "/".join(parts)


def pointed(text: str, page: str, files: frozenset[str]) -> tuple[str, set[str]]:
    """Return the *text* of *page* with its links pointed at the site, and the files of the tree that it links to.

    Raises:
        Stray: a link leads to nothing in the tree.
    """
    linked: set[str] = set()

    def renewed(match: re.Match[str]) -> str:
        target = match["target"]
        path, _, fragment = target.partition("#")
        if urlsplit(target).scheme or not path:
            return match[0]
        found = os.path.normpath(os.path.join(os.path.dirname(page), unquote(path)))  # noqa: PTH118, PTH120 - no file is asked
        found = f"{found}/README.md" if f"{found}/README.md" in files else found
        if found not in files:
            raise Stray(f"{page} links to {target}, which the tree does not have")
        linked.add(found)
        there = os.path.relpath(place(found), os.path.dirname(place(page)) or ".")  # noqa: PTH120 - the same
        return f"{match['before']}{there}{f'#{fragment}' if fragment else ''}"

    pieces = _FENCE.split(text)
    return "".join(each if number % 2 else _LINK.sub(renewed, each) for number, each in enumerate(pieces)), linked


def title(text: str, path: str) -> str:
    """Return the heading of a page, without marks; the name of its file where it has none."""
    found = _TITLE.search(text)
    return found[1].replace("`", "") if found else Path(path).stem


def lay_out(root: Path, target: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Write the pages, and the files that they link to, below *target*; return the navigation: title and place of each page.

    Raises:
        Stray: see `sections` and `pointed`.
    """
    files = frozenset(tracked(root))
    pages = [path for path in files if path.endswith(".md")]
    shown, due = list[tuple[str, list[tuple[str, str]]]](), set[str]()
    for path in DOCUMENTS.keys() & files:
        document = _Read()
        document.feed((root / path).read_text(encoding="utf-8"))
        due |= {path, *(files & {os.path.normpath(Path(path).parent / each) for each in document.links})}
    for name, of_section in sections(sorted(pages)).items():
        entries = []
        for page in of_section:
            text = (root / page).read_text(encoding="utf-8")
            entries.append((title(text, page), place(page)))
            text, linked = pointed(text, page, files)
            due |= {path for path in linked if not path.endswith(".md")}
            _write(target / place(page), text.encode())
        if name == "Agencies' systems":
            entries += [(said, place(path)) for path, said in DOCUMENTS.items() if path in files]
        shown.append((name, entries))
    for path in due:
        _write(target / place(path), (root / path).read_bytes())
    return shown


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def settings(shown: Iterable[tuple[str, list[tuple[str, str]]]]) -> str:
    """Return the settings of the site generator for this navigation; nothing of them asks another host."""
    nav = ",\n".join(
        f"  {{ {json.dumps(name)} = [\n"
        + ",\n".join(f"    {{ {json.dumps(said)} = {json.dumps(where)} }}" for said, where in entries)
        + "\n  ] }"
        for name, entries in shown
    )
    return f"""[project]
site_name = "nrmbus"
site_description = "A message bus for the cases of a National Referral Mechanism"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [
{nav}
]

[project.theme]
language = "en"
font = false
features = ["navigation.path", "navigation.tabs", "navigation.top", "search.highlight", "content.code.copy"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Dark"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Light"

[project.markdown_extensions.tables]
[project.markdown_extensions.admonition]
[project.markdown_extensions.attr_list]
[project.markdown_extensions.toc]
permalink = true
slugify = {{ object = "pymdownx.slugs.slugify", kwds = {{ case = "lower" }} }}
[project.markdown_extensions.pymdownx.superfences]
[project.markdown_extensions.pymdownx.highlight]
[project.markdown_extensions.sane_lists]
"""


class _Read(html.parser.HTMLParser):
    """Links, fragments and fetched addresses of one page of the site."""

    def __init__(self) -> None:
        super().__init__()
        self.links, self.ids, self.fetched = set[str](), set[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names, leads to, or has the browser fetch."""
        of = dict(attrs)
        self.ids |= {name for name in (of.get("id"), of.get("name")) if name}
        if tag == "a" and of.get("href"):
            self.links.add(of["href"] or "")
        is_fetched = tag != "a" and of.get("rel") not in ("canonical", "next", "prev")
        self.fetched |= {address for name in ("src", "href") if is_fetched and (address := of.get(name))}


def strays(site: Path) -> Iterator[str]:
    """Yield each link of the finished site that leads nowhere, and each address that it would fetch from another host."""
    read: dict[Path, _Read] = {}
    for path in sorted(site.rglob("*.html")):
        read[path] = _Read()
        read[path].feed(path.read_text(encoding="utf-8"))
    for path, page in read.items():
        here = path.relative_to(site)
        yield from (f"{here} fetches {each}" for each in sorted(page.fetched) if urlsplit(each).netloc)
        for link in sorted(page.links | page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            if not there.exists():
                yield f"{here} links to {link}"
            elif parts.fragment and there in read and unquote(parts.fragment) not in read[there].ids:
                yield f"{here} links to {link}, and there is no such heading"


def complete(site: Path, shown: Iterable[tuple[str, list[tuple[str, str]]]]) -> None:
    """Check that the finished site has each page of the navigation.

    Raises:
        Stray: the generator left pages out.
    """
    places = (where for _, entries in shown for _, where in entries)
    if left := [where for where in places if not (site / where).with_suffix(".html").is_file()]:
        raise Stray(f"the generator made no page of {', '.join(left)}")


def main(python: str) -> int:
    """Build the site with the generator of *python*; return 0, or 1 with what is wrong."""
    shutil.rmtree(OUT, ignore_errors=True)
    try:
        (OUT / "pages").mkdir(parents=True)
        shown = lay_out(ROOT, OUT / "pages")
        (OUT / "zensical.toml").write_text(settings(shown), encoding="utf-8")
        subprocess.run(
            [Path(python).absolute(), "-m", "zensical", "build", "--clean"],
            cwd=OUT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        complete(OUT / "site", shown)
        (OUT / "site" / "404.html").unlink(missing_ok=True)  # its links fit only a site at the root of a host
        found = list(strays(OUT / "site"))
    except (Stray, subprocess.CalledProcessError) as error:
        found = [str(error)]
    for each in found:
        sys.stderr.write(f"nrmbus: {each}\n")
    if not found:
        site = OUT.relative_to(ROOT) / "site"
        sys.stdout.write(f"The site is complete, and every link leads somewhere: {site / 'index.html'}\n")
        sys.stdout.write(f"Search needs a server: {python} -m http.server --bind 127.0.0.1 --directory {site}\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
