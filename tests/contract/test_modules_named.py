"""Pages of rooms: a reader who looks for a module finds it in the table of the room's page."""

import re
from pathlib import Path
from typing import Final

from contract.tree import ROOT, files, lay

SERVICES: Final = "services/nrmbus"
PAGE: Final = "README.md"
TABLE: Final = re.compile(r"^\| (module|file) \|", re.MULTILINE)
NAMED: Final = re.compile(r"`([a-z0-9_/]+?)(?:\.py|/)?`")
OTHER_FORM: Final = frozenset({"bus", "events", "registrar"})
"""Rooms whose page names every module in sentences, a list, or a table by purpose."""
OF_ONE_SECTION: Final = frozenset({"rules"})
"""Rooms whose only such table is about a part of the room, here the handbook."""


def rooms(root: Path) -> dict[Path, list[Path]]:
    """Return the modules of each folder with a page, by the folder: those nearer to another page are that page's."""
    found = [path.relative_to(root / SERVICES) for path in files(root) if path.is_relative_to(root / SERVICES)]
    modules: dict[Path, list[Path]] = {path.parent: [] for path in found if path.name == PAGE}
    for path in found:
        if path.suffix == ".py" and not path.name.startswith("__") and "migrations" not in path.parts:
            room = next((each for each in path.parents if each in modules), None)
            if room is not None:
                modules[room].append(path.relative_to(room).with_suffix(""))
    return modules


def unnamed(root: Path) -> list[str]:
    """Return the modules that the page of their room does not name, though it has a table of them."""
    found = list[str]()
    for room, modules in rooms(root).items():
        page = (root / SERVICES / room / PAGE).read_text(encoding="utf-8")
        if str(room) in OTHER_FORM or (TABLE.search(page) and str(room) not in OF_ONE_SECTION):
            named = set(NAMED.findall(page))
            found += [(room / each).as_posix() for each in modules if not _is_named(each, named)]
    return found


def _is_named(module: Path, named: set[str]) -> bool:
    """Return whether *named* has the module by its path or its name, or a folder that it is in."""
    return module.name in named or any(each.as_posix() in named for each in (module, *module.parents))


def test_a_page_with_a_table_of_modules_names_every_module() -> None:
    """Given a room whose page has a table of its modules, then no module of the room is missing from that page."""
    assert unnamed(ROOT) == []


def test_a_module_that_a_page_leaves_out_is_found(tmp_path: Path) -> None:
    """Given pages with and without such a table, then a module is missing only where a table leaves it out."""
    table = "| module | its part |\n| --- | --- |\n| `one`, `deep/two`, `folder` | parts |\n"
    lay(
        tmp_path,
        {
            f"{SERVICES}/room/{PAGE}": table,
            **{
                f"{SERVICES}/room/{each}.py": ""
                for each in ("one", "two", "deep/two", "deep/three", "folder/four", "__init__")
            },
            f"{SERVICES}/room/inner/{PAGE}": "No table.\n",
            f"{SERVICES}/room/inner/five.py": "",
        },
    )

    assert unnamed(tmp_path) == ["room/deep/three", "room/two"]
