"""Documents of a profile in Markdown: its tables, the picture of the statuses, and the procedures under it.

Each cell comes from the profile or from the code, and none from the pages of this project, whose remarks are about one country.
"""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from nrmbus.bus.errors import BusError
from nrmbus.desk.procedure.interface import numbered
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.rules.handbook.citations import OF_THE_ROW, Citation, citations
from nrmbus.rules.handbook.diagram import mermaid
from nrmbus.rules.handbook.tables import TABLES
from nrmbus.rules.profile import Profile

_SECTIONS: Final = (
    ("Roles", ("groups",)),
    ("Statuses", ("diagram", "statuses", "afterwards")),
    ("Types of event", ("types", "words", "parts")),
    ("Refusals, in the order of asking", ("refusals",)),
    ("Clocks", ("clocks",)),
    ("Values", ("values",)),
)


def documents(profile: Profile) -> dict[str, str]:
    """Return the documents of *profile* by the name of their file."""
    return {
        "rules.md": "\n".join(_rules(profile)),
        "statuses.mmd": f"{mermaid(profile)}\n",
        "procedures.md": "\n".join(_procedures(profile)),
    }


def write_documents(profile: Profile, folder: Path) -> tuple[Path, ...]:
    """Write the documents of *profile* into *folder*, which is made if it is missing; return their paths.

    Raises:
        BusError: the folder cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in documents(profile).items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            paths.append(path)
    except OSError as error:
        raise BusError(f"{folder} cannot be written: {error.strerror}.") from None
    return tuple(paths)


def _rules(profile: Profile) -> Iterator[str]:
    yield f"# The Rules under {profile.name}\n"
    yield f"Digest of the profile: `{profile.digest}`."
    yield f"Not confirmed by a readable law: {', '.join(profile.unverified) or 'nothing'}.\n"
    for title, tables in _SECTIONS:
        yield f"## {title}\n"
        yield from (f"{TABLES[name](profile, {})}\n" for name in tables)
    yield "## Laws\n"
    yield "| cited as | title |\n| --- | --- |"
    yield from (f"| {law.text} | {law.title or 'not in the list of laws'} |" for law in _laws(profile))
    yield ""


def _laws(profile: Profile) -> Iterable[Citation]:
    """Return each article that *profile* cites once, in the order of its rows."""
    rows = (
        *profile.types.values(),
        *profile.refusals.values(),
        *profile.clocks.values(),
        profile.emergency,
        profile.allowance,
    )
    found = (
        each
        for row in rows
        if row.basis != OF_THE_ROW
        for each in citations(row.basis, profile.laws)
        if each.anchor is None
    )
    return {each.text: each for each in found}.values()


def _procedures(profile: Profile) -> Iterator[str]:
    yield f"# Procedures under {profile.name}\n"
    for room in dict.fromkeys(ROOMS.values()):
        yield f"## {', '.join(role for role in ROOMS if ROOMS[role] == room)}\n"
        yield from numbered(import_module(f"nrmbus.{room}.procedure"), profile)
        yield ""
