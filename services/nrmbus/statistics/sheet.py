"""Release of figures as CSV (RFC 4180), one line for each cell. Pure.

A spreadsheet takes a cell that begins with one of ``= + - @`` for a formula. Codes begin with none of them; whatever does
gets an apostrophe in front, so that a name of a bus or agency can do nothing there either.
"""

import csv
import io
from typing import Final

from nrmbus.events.figures import Release

HEADER: Final = (
    "period", "table", "unit", "dimension_1", "code_1", "dimension_2", "code_2", "status", "count", "year_before",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def write(release: Release) -> str:
    """Return *release* as CSV with a header; a suppressed cell has the status `suppressed` and no count."""
    out = io.StringIO(newline="")
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(HEADER)
    for table in release.tables:
        for row in table.rows:
            said = [*zip(table.dimensions, row.keys, strict=True), ("", ""), ("", "")][:2]
            status = "suppressed" if row.count is None else "published"
            about = (release.period, table.id, table.unit, *(each for pair in said for each in pair), status)
            lines.writerow([*map(_plain, about), row.count, row.before])
    return out.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
