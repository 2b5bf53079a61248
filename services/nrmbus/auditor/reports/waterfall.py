"""Waterfall of spans, as rows and as a piece of a page: the steps of an event, with their order and length. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from nrmbus.telemetry.span_file import Span

_NANOSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One span in the waterfall. ``after`` and ``took`` are milliseconds; ``left`` and ``width`` shares of the whole, 0 to 1.

    ``depth`` counts the spans above. ``lost``: the parent span is not kept here. ``linked``: the span worked on several
    events at once, as a transaction does, and is below the first of them that is shown; ``others`` counts the rest.
    """

    span: Span
    depth: int
    last: tuple[bool, ...]
    """For each level down to this one, whether its last row is reached; the lines of the tree are drawn from it."""
    lost: bool
    after: float
    took: float
    left: float
    width: float
    linked: bool
    others: int


def waterfall(spans: Iterable[Span]) -> list[Row]:
    """Return *spans* as rows, by their beginning, each below its parent or linked span; times count from the earliest span.

    The clocks of several machines may differ: times are shown as each machine recorded them.
    """
    unique = {each.id: each for each in spans}
    ordered = sorted(unique.values(), key=lambda each: (each.start, each.end, each.id))
    if not ordered:
        return []
    first = ordered[0].start
    whole = max(max(each.end for each in ordered) - first, 1)
    below: dict[str, list[Span]] = {}
    for each in ordered:
        below.setdefault(_above(each, unique), []).append(each)
    return [_row(span, last, unique, first, whole) for span, last in _walk(below, unique)]


def _above(span: Span, unique: Mapping[str, Span]) -> str:
    """Return the id of the span above *span*, empty at the top."""
    candidates = (span.parent, *(each.partition("-")[2] for each in span.links))
    return next((each for each in candidates if each in unique), "")


def _walk(below: Mapping[str, Sequence[Span]], unique: Mapping[str, Span]) -> Iterator[tuple[Span, tuple[bool, ...]]]:
    """Yield spans depth first. Spans in a circle of parents, which no service writes, come last."""
    shown: set[str] = set()
    tops: Sequence[Span] = below.get("", ())
    while True:
        waiting = _beside(tops, ())
        while waiting:
            span, last = waiting.pop()
            if span.id not in shown:
                shown.add(span.id)
                yield span, last
                waiting += _beside([each for each in below.get(span.id, ()) if each.id not in shown], last)
        tops = [each for each in unique.values() if each.id not in shown][:1]
        if not tops:
            return


def _beside(spans: Sequence[Span], above: tuple[bool, ...]) -> list[tuple[Span, tuple[bool, ...]]]:
    """Return siblings in reverse order, each with whether it is the last one."""
    return [(span, (*above, index == len(spans) - 1)) for index, span in enumerate(spans)][::-1]


def _row(span: Span, last: tuple[bool, ...], unique: Mapping[str, Span], first: int, whole: int) -> Row:
    return Row(
        span=span,
        depth=len(last) - 1,
        last=last,
        lost=bool(span.parent) and span.parent not in unique,
        after=(span.start - first) / _NANOSECONDS,
        took=(span.end - span.start) / _NANOSECONDS,
        left=(span.start - first) / whole,
        width=max(span.end - span.start, 0) / whole,
        linked=bool(span.links),
        others=sum(each.partition("-")[2] not in unique for each in span.links),
    )


# -- as a piece of a page --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WaterfallWords:
    """Words of the waterfall in the page's language; names of services, types and steps are the same in all languages."""

    after: str = "after {ms} ms"
    took: str = "took {ms} ms"
    lost: str = "its parent span is not kept here"
    others: str = "other events in the same step: {count}"


def waterfall_html(rows: Iterable[Row], words: WaterfallWords = WaterfallWords()) -> str:
    """Return *rows* as one ``<ol class="waterfall">``: no script, no style attribute, nothing loaded; every value escaped."""
    return '<ol class="waterfall">\n' + "".join(_item(row, words) for row in rows) + "</ol>\n"


def _item(row: Row, words: WaterfallWords) -> str:
    span = row.span
    what = f"{span.name} {span.type}".strip()
    result = " ".join(each for each in (span.outcome, span.code) if each)
    times = f"{words.after.format(ms=milliseconds(row.after))}, {words.took.format(ms=milliseconds(row.took))}"
    notes = [words.lost] if row.lost else []
    if row.others:
        notes.append(words.others.format(count=row.others))
    left = min(row.left, 0.995)
    width = max(min(row.width, 1 - left), 0.005)
    return (
        f'<li><p><span class="tree">{escape(tree(row))}<b>{escape(span.service)}</b></span>'
        f"<span>{escape(what)}</span>"
        + (f"<span>{escape(result)}</span>" if result else "")
        + f'<span class="time">{escape(times)}</span></p>'
        + "".join(f"<p><small>{escape(each)}</small></p>" for each in notes)
        + '<svg width="100%" height="10" role="presentation" aria-hidden="true">'
        f'<rect width="100%" height="10" fill="#eef1f4"/>'
        f'<rect x="{left:.2%}" width="{width:.2%}" height="10" fill="#1f5f8b"/></svg></li>\n'
    )


def tree(row: Row) -> str:
    """Return the lines that lead to *row*, as characters; empty at the top."""
    if row.depth == 0:
        return ""
    above = "".join("  " if last else "│ " for last in row.last[1:-1])
    return f"{above}{'└' if row.last[-1] else '├'} "


def milliseconds(value: float) -> str:
    """Return a number of milliseconds for people: one decimal below a hundred."""
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
