"""Figures as a sheet for a spreadsheet."""

import csv
import io

from nrmbus.events.figures import TOTAL, Release, Row, Table
from nrmbus.statistics import sheet


def release(by_key: str) -> Release:
    """Return a release with one published and one suppressed cell."""
    rows = (Row(keys=(by_key,), count=31, before=20), Row(keys=(TOTAL,)))
    table = Table(id="identified_by_sex", title="By sex", unit="persons", dimensions=("sex",), rows=rows)
    return Release(
        bus="b", by="statistics", period="2026", k=11, profile="az@2022-04-29", checkpoints=(), tables=(table,)
    )


def test_each_cell_is_a_line() -> None:
    """A reader of CSV finds each cell with its codes; a suppressed one has no count, and is not 0."""
    lines = list(csv.DictReader(io.StringIO(sheet.write(release("F")))))

    assert [(line["code_1"], line["status"], line["count"], line["year_before"]) for line in lines] == [
        ("F", "published", "31", "20"),
        ("_T", "suppressed", "", ""),
    ]


def test_no_cell_is_a_formula() -> None:
    """A text that a spreadsheet would run begins with an apostrophe."""
    for key in ("-1", "+1", "@SUM"):
        assert f",'{key}," in sheet.write(release(key))
