"""Figures of made-up cases: what ``nrmbus play --scale`` prints."""

import time
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.table import Table as Rows

from nrmbus.events.figures import TOTAL, Release
from nrmbus.play.scale import YEARS, played, rules_of, scaled
from nrmbus.play.scenario import Scenario
from nrmbus.statistics.counting import Count
from nrmbus.statistics.release import release_of
from nrmbus.statistics.spans import Span

AGENCY: Final = "statistics"
_SHOWN: Final = (
    ("persons with a signal", "signalled_by_sex", (TOTAL,)),
    ("identified victims", "identified_by_sex", (TOTAL,)),
    ("referrals", "referrals_by_role", (TOTAL,)),
)


def print_figures(scenario: Scenario, count: int, seed: int, folder: Path | None) -> None:
    """Make *count* cases out of *scenario*, count the figures of each year, print them, and write them into *folder*."""
    story = played(scenario)
    cases = list(scaled([story], count, seed))
    events = sum(len(case.facts) for case in cases)
    typer.echo(f"{count:,} cases with {events:,} events were made. To make the same ones again: --seed {seed}")
    rules = rules_of([story], scenario.policy)
    found: list[Release] = []
    rows = Rows("year", *(name for name, _, _ in _SHOWN), "cells", "suppressed", "seconds", box=None, pad_edge=False)
    for year in YEARS:
        started = time.monotonic()
        made = release_of(
            Count(rules, cases, year), Span(year), bus="made-up", by=AGENCY, checkpoints=(), earlier=tuple(found)
        )
        found.append(made)
        cells = [row for table in made.tables for row in table.rows]
        rows.add_row(
            made.period, *(_shown(made, name, keys) for _, name, keys in _SHOWN), f"{len(cells):,}",
            f"{sum(row.count is None for row in cells):,}", f"{time.monotonic() - started:.1f}",
        )  # fmt: skip
    Console().print(rows)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in found:
            (folder / f"figures-{each.period}.json").write_bytes(each.to_json())
        typer.echo(f"Written into {folder}: {', '.join(f'figures-{each.period}.json' for each in found)}")


def _shown(release: Release, name: str, keys: tuple[str, ...]) -> str:
    count = release.table(name).cell(*keys)
    return "suppressed" if count is None else f"{count:,}"
