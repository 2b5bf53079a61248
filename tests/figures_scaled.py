"""Figures of two years of made-up cases by the hundred: every table, released one after another, and the true counts."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from figures_attack import Cell, cells_of, with_rest
from figures_made import released
from nrmbus.events.figures import Release
from nrmbus.play.example_figures import STORIES
from nrmbus.play.load import POLICY
from nrmbus.play.reader import find, read
from nrmbus.play.scale import Story, played, rules_of, scaled
from nrmbus.rules import Rules
from nrmbus.statistics import release as release_module
from nrmbus.statistics.counting import Count
from nrmbus.statistics.persons import Case

YEARS: Final = (2025, 2026)
QUARTERS: Final = ("Q1", "Q2", "Q3", "Q4")


@cache
def stories() -> tuple[Story, ...]:
    """Return the stories of which the cases are copies, played once."""
    return tuple(played(read(find(Path(each)))) for each in STORIES)


@cache
def cases_of(seed: int, number: int = 300) -> tuple[Case, ...]:
    """Return cases of both years, the same for a *seed*."""
    return tuple(scaled(stories(), number, seed, YEARS))


def rules() -> Rules:
    """Return the Rules of the cases, with every agency."""
    return rules_of(stories(), POLICY)


@cache
def count_of(seed: int, number: int, year: int) -> Count:
    """Return the counts of a year, of which any release of it is made."""
    return Count(rules(), cases_of(seed, number), year)


def in_order(seed: int, periods: Sequence[str], number: int = 300) -> list[Release]:
    """Return the releases of *periods* in this order, each made beside those before."""
    made: list[Release] = []
    for period in periods:
        made.append(released(count_of(seed, number, int(period[:4])), period, made))
    return made


def counted(seed: int, published: Sequence[Release], number: int = 300) -> dict[Cell, int]:
    """Return the true count of each cell of the years of *published*, of their quarters, and of those not published."""
    years = dict.fromkeys(each.period[:4] for each in published)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_module, "hide", lambda _: frozenset())
        true = [
            json.loads(each.to_json())
            for year in years
            for period in (year, *(f"{year}-{quarter}" for quarter in QUARTERS))
            for each in in_order(seed, [period], number)
        ]
    found = {cell: value or 0 for each in true for _, _, cell, value in cells_of(each)}
    return with_rest(found, {each.period for each in published})
