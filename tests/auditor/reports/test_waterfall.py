"""Waterfall of spans, as rows and as a piece of a page that loads nothing."""

import re
from html.parser import HTMLParser

import pytest

from nrmbus.auditor.reports.waterfall import WaterfallWords, milliseconds, tree, waterfall, waterfall_html
from nrmbus.telemetry.span_file import Span

MS = 1_000_000
TRACE, OTHER = "a" * 32, "b" * 32


def span(name: str, id: int, parent: int, start: int, end: int, *links: int, service: str = "ngo-a") -> Span:
    """A span by small numbers; times in milliseconds after some moment."""
    linked = tuple(f"{TRACE}-{link:016x}" for link in links)
    return Span(
        OTHER if links else TRACE, f"{id:016x}", f"{parent:016x}" if parent else "", linked, name, "consumer", service,
        (start + 10_000) * MS, (end + 10_000) * MS, "" if links else "referral.submitted", "" if links else "e-1", "", "",
    )  # fmt: skip


CREATE = span("create", 1, 0, 0, 2)
SEND = span("send", 2, 1, 3, 8)
REGISTER = span("register", 3, 1, 6, 7, service="registrar")
COMMIT = span("commit", 4, 0, 7, 20, 1, 9, 8, service="registrar")
PROCESS = span("process", 5, 1, 22, 30, service="shelter")
INNER = span("create", 6, 5, 25, 26, service="shelter")
WHOLE = [INNER, PROCESS, COMMIT, REGISTER, SEND, CREATE]


def test_rows_stand_below_what_they_come_from_in_order_of_time() -> None:
    """However the services' files were read; work on several events stands below the one that is shown."""
    rows = waterfall([*WHOLE, SEND])

    assert [(tree(row), row.span.name, row.after, row.took) for row in rows] == [
        ("", "create", 0.0, 2.0),
        ("├ ", "send", 3.0, 5.0),
        ("├ ", "register", 6.0, 1.0),
        ("├ ", "commit", 7.0, 13.0),
        ("└ ", "process", 22.0, 8.0),
        ("  └ ", "create", 25.0, 1.0),
    ]
    assert [(row.linked, row.others) for row in rows if row.linked] == [(True, 2)]
    assert (rows[2].left, rows[2].width) == (6 / 30, 1 / 30)


def test_a_span_without_its_parent_is_marked() -> None:
    """The sender's machine keeps its own, or no more: the rest is shown all the same."""
    rows = waterfall([REGISTER, PROCESS])

    assert [(row.span.name, row.depth, row.lost) for row in rows] == [("register", 0, True), ("process", 0, True)]


def test_of_nothing_there_are_no_rows() -> None:
    """And the piece of a page is an empty list."""
    assert waterfall([]) == []
    assert waterfall_html([]) == '<ol class="waterfall">\n</ol>\n'


@pytest.mark.parametrize("spans", [[span("a", 1, 1, 0, 1)], [span("a", 1, 2, 0, 1), span("b", 2, 1, 0, 1)]])
def test_spans_that_are_each_others_parents_are_all_shown(spans: list[Span]) -> None:
    """Nobody writes such; somebody's backup may hold it."""
    assert {row.span for row in waterfall(spans)} == set(spans)


def test_clocks_that_differ_do_not_break_it() -> None:
    """A receiver whose clock is behind seems to begin earlier, and a clock that was set back seems to end before it began."""
    rows = waterfall([CREATE, span("process", 5, 1, -4, -6)])

    assert [(row.span.name, row.after, row.took) for row in rows] == [("create", 4.0, 2.0), ("process", 0.0, -2.0)]
    assert all(0 <= row.left <= 1 and 0 <= row.width <= 1 for row in rows)


class Loads(HTMLParser):
    """Every tag and attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_piece_of_a_page_loads_and_runs_nothing() -> None:
    """No script, no style attribute, no address; bars lie inside the picture; the words are the page's language."""
    words = WaterfallWords(after="{ms} ms sonra", took="{ms} ms çəkdi", others="daha {count} hadisə ilə")
    text = waterfall_html(waterfall(WHOLE), words)
    found = Loads(text)
    bars = re.findall(r'<rect x="([\d.]+)%" width="([\d.]+)%"', text)

    assert found.tags == {"ol", "li", "p", "span", "b", "small", "svg", "rect"}
    assert not found.attributes & {"style", "src", "href", "onclick", "id"}
    assert len(bars) == len(WHOLE)
    assert all(float(x) >= 0 and float(width) > 0 and float(x) + float(width) <= 100.01 for x, width in bars)
    assert "22.0 ms sonra, 8.0 ms çəkdi" in text
    assert "daha 2 hadisə ilə" in text


def test_the_text_of_a_span_is_escaped() -> None:
    """It is read from files of a known shape only; should anything else get there, it is text."""
    text = waterfall_html(waterfall([CREATE._replace(service="<script>", type='"x"', outcome="&")]))

    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "&quot;x&quot;" in text


@pytest.mark.parametrize(("value", "expected"), [(0.04, "0.0"), (99.94, "99.9"), (100.4, "100"), (61_000.2, "61000")])
def test_a_length_has_as_many_digits_as_one_reads(value: float, expected: str) -> None:
    """One decimal below a hundred."""
    assert milliseconds(value) == expected
