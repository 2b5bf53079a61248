"""Write what the pages have of the Rules and the procedures again: tables and picture from the profile, lines from the code."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from nrmbus.desk.procedure.interface import numbered
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.tables import renewed
from nrmbus.rules.profile import Profile
from nrmbus.rules.profile_files import load_profile

ROOT: Final = Path(__file__).resolve().parent.parent
WITH_TABLES: Final = ("PRIVACY.md", "services/nrmbus/rules/README.md", "services/nrmbus/rules/RULES.md")
_LINES: Final = re.compile(r"(?:^\d+\. .*\n)+", re.MULTILINE)


def pages(profile: Profile, root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield each page with its text as it should be: the tables of *profile*, and each procedure's lines."""
    for name in WITH_TABLES:
        yield root / name, renewed((root / name).read_text(encoding="utf-8"), profile)
    for room in sorted(set(ROOMS.values())):
        page = root / "services" / "nrmbus" / room / "README.md"
        yield page, with_lines(page.read_text(encoding="utf-8"), lines_of(room, profile))


def lines_of(room: str, profile: Profile) -> list[str]:
    """Return the numbered lines of the procedure in *room* under *profile*, in the code's order: its own functions', and those that it shares."""
    return list(numbered(import_module(f"nrmbus.{room}.procedure"), profile))


def with_lines(page: str, lines: list[str]) -> str:
    """Return *page* with *lines* as its first numbered list. Exit with a sentence if the page has none."""
    text = "".join(f"{line}\n" for line in lines)
    changed, found = _LINES.subn(lambda _: text, page, count=1)
    if not found:
        sys.exit("nrmbus: a procedure's page has no numbered list: write one line, such as 1. A line.")
    return changed


if __name__ == "__main__":
    for path, wanted in pages(load_profile(PROFILE)):
        path.write_text(wanted, encoding="utf-8")
