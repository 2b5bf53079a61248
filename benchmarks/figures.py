"""Figures of a year over 10,000 cases: counting, putting together with suppression, and the memory of it.

The cases are copies of the played stories (`nrmbus play --scale`), over three years. Each size is measured in a process of its
own, so that its memory is its own. Beside it, the same facts are read and folded by the Rules alone.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrmbus.events.figures import Release
from nrmbus.play.load import POLICY
from nrmbus.play.reader import find, read
from nrmbus.play.scale import YEARS, played, rules_of, scaled
from nrmbus.rules import Rules
from nrmbus.statistics.counting import Count
from nrmbus.statistics.persons import ERASED, Case
from nrmbus.statistics.release import release_of
from nrmbus.statistics.spans import Span

SIZES: Final = (1_000, 10_000)
SEED: Final = 7
STORIES: Final = (
    "01-woman-referred-by-ngo", "02-child-begging-found-by-school", "03-she-takes-it-back", "04-two-days-of-work",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of each part, for the last year of *cases*, and MiB of the process before counting and at its most."""

    cases: int
    events: int
    folding: float
    counting: float
    releasing: float
    quarter: float
    before: float
    most: float


def figures() -> list[Figures]:
    """Measure each size in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return [pool.apply(measured, (size,)) for size in SIZES]


def measured(size: int) -> Figures:
    """Measure the release of the last year over *size* cases, after those of the years before it."""
    stories = [played(read(find(Path(each)))) for each in STORIES]
    rules, cases = rules_of(stories, POLICY), list(scaled(stories, size, SEED))
    before, folding = _memory(), _folded(rules, cases)
    earlier: list[Release] = []
    for year in YEARS[:-1]:
        earlier.append(_released(Count(rules, cases, year), Span(year), earlier))
    started = time.monotonic()
    count = Count(rules, cases, YEARS[-1])
    counted = time.monotonic()
    quarter = _released(count, Span(YEARS[-1], 1), earlier)
    first = time.monotonic()
    _released(count, Span(YEARS[-1]), [*earlier, quarter])
    ended = time.monotonic()
    return Figures(
        size, sum(len(case.facts) for case in cases), folding, counted - started, ended - first, first - counted, before,
        _memory(),
    )  # fmt: skip


def lines(found: Sequence[Figures]) -> list[str]:
    """Return the table of *found*."""

    def row(name: str, which: str, form: str) -> str:
        return f"| {name} | " + " | ".join(format(getattr(each, which), form) for each in found) + " |"

    return [
        "| figures of a year, cases over three years | " + " | ".join(f"{each.cases:,} cases" for each in found) + " |",
        "| --- |" + " --- |" * len(found),
        row("events", "events", ",.0f"),
        row("counting, s", "counting", ".1f"),
        row("… beside it: the Rules alone fold the same events, s", "folding", ".1f"),
        row("release of a quarter, with suppression, s", "quarter", ".1f"),
        row("release of the year beside its quarter, with suppression, s", "releasing", ".1f"),
        row("memory with all cases, before counting, MiB", "before", ".0f"),
        row("… at its most, MiB", "most", ".0f"),
    ]


def _released(count: Count, span: Span, earlier: Sequence[Release]) -> Release:
    return release_of(count, span, bus="made-up", by="statistics", checkpoints=(), earlier=earlier)


def _folded(rules: Rules, cases: Sequence[Case]) -> float:
    counted = [case for case in cases if all(fact.event.type != ERASED for fact in case.facts)]
    started = time.monotonic()
    for case in counted:
        view = rules.start(case.subject)
        for fact in case.facts:
            view = rules.evolve(view, fact)
    return time.monotonic() - started


def _memory() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return most / 1024 if sys.platform == "darwin" else most  # there it is in bytes, elsewhere in KiB
