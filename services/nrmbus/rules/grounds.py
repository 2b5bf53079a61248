"""The legal ground of each type of event, as a table that an authority can read: made from a profile, never by hand.

``python -m nrmbus.rules.grounds FILE…`` renews the table between the two marks in each FILE.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from nrmbus.rules.profile import Profile, Row, load_profile

PROFILE: Final = "az@2022-04-29"
BEGINS: Final = "<!-- types -->"
ENDS: Final = "<!-- end of types -->"
_HEAD: Final = ("type", "who publishes", "who is told, beside the sender", "who opens its letter", "ground", "u")


def _cell(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nobody"


def _opens(row: Row) -> str:
    if not row.opens:
        return "no letter, or nobody"
    return "; ".join(f"{part}: {_cell(terms)}" for part, terms in row.opens.items())


def table(profile: Profile) -> str:
    """Return the grounds of *profile* as a Markdown table: a row per type, in the profile's order, with the type as anchor."""
    rows = [_HEAD, tuple("---" for _ in _HEAD)]
    for name, row in profile.types.items():
        told = _cell(row.sees)
        kind = f'<a id="{name}"></a>`{name}`'
        rows.append((kind, _cell(row.by), told, _opens(row), row.basis, "*u*" if row.unverified else ""))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def renewed(text: str, profile: Profile) -> str:
    """Return *text* with the table of *profile* between its marks. Raises ValueError where a mark is missing."""
    before, _, rest = text.partition(BEGINS)
    old, found, after = rest.partition(ENDS)
    if not found or ENDS in before + old:
        message = f"the file has no place for the table: write {BEGINS} and {ENDS} where it belongs"
        raise ValueError(message)
    return f"{before}{BEGINS}\n{table(profile)}\n{ENDS}{after}"


def main() -> int:
    """Renew the table in each file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nrmbus.rules.grounds", description=main.__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--profile", default=PROFILE)
    chosen = parser.parse_args()
    for file in chosen.files:
        file.write_text(renewed(file.read_text(encoding="utf-8"), load_profile(chosen.profile)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
