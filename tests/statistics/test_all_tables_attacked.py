"""Nobody can derive a small count of all tables together, of cases by the hundred."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import figures_scaled
from figures_attack import Cell, cells_of, derived, with_rest
from figures_made import released
from nrmbus.events.figures import Release
from nrmbus.play.load import POLICY
from nrmbus.play.reader import find, read
from nrmbus.play.scale import YEARS, played, rules_of, scaled
from nrmbus.statistics import release as release_module
from nrmbus.statistics.counting import Count

pytestmark = pytest.mark.thorough

STORIES: Final = ("01-woman-referred-by-ngo", "02-child-begging-found-by-school", "03-she-takes-it-back")
YEAR: Final = YEARS[-1]
QUARTERS: Final = tuple(f"{YEAR}-Q{quarter}" for quarter in (1, 2, 3, 4))
K: Final = 11
PARTS: Final = ("Q1", "Q2", "Q3", "Q4")
WHOLE: Final = {
    "years first": [period for year in figures_scaled.YEARS for period in (str(year), *(f"{year}-{q}" for q in PARTS))],
    "quarters first": [
        period for year in figures_scaled.YEARS for period in (*(f"{year}-{q}" for q in PARTS), str(year))
    ],
    "as it comes": ["2025-Q2", "2025", "2025-Q4", "2026-Q1", "2026", "2026-Q3", "2026-Q2"],
}


@cache
def counted(seed: int) -> Count:
    """Return the counts of three hundred copies of the stories."""
    stories = [played(read(find(Path(each)))) for each in STORIES]
    return Count(rules_of(stories, POLICY), list(scaled(stories, 300, seed)), YEAR)


@cache
def in_truth(seed: int) -> Mapping[Cell, int]:
    """Return the true count of each cell of the year and of its quarters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_module, "hide", lambda _: frozenset())
        true = [json.loads(released(counted(seed), period).to_json()) for period in (str(YEAR), *QUARTERS)]
    return {cell: value or 0 for each in true for _, _, cell, value in cells_of(each)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize(
    "periods",
    [
        pytest.param((str(YEAR), QUARTERS[0]), id="year first"),
        pytest.param((QUARTERS[1], str(YEAR)), id="quarter first"),
    ],
)
def test_attacker_derives_no_small_count_of_any_table(periods: Sequence[str], seed: int) -> None:
    """Given a year and a quarter of scaled stories in all tables, no cell is known to be small, or not to be 0."""
    count = counted(seed)
    releases: list[Release] = []
    for period in periods:
        releases.append(released(count, period, releases))
    true = with_rest(dict(in_truth(seed)), {each.period for each in releases})
    number, found = derived([each.to_json() for each in releases], lambda cell: true[cell] < K, K)

    assert number > 1000
    assert found == {}


def everything(periods: Sequence[str], seed: int) -> tuple[int, list[str]]:
    """Return how many cells were attacked, and what was derived of small ones, with the true count."""
    releases = figures_scaled.in_order(seed, periods)
    true = figures_scaled.counted(seed, releases)
    number, found = derived([each.to_json() for each in releases], lambda cell: true[cell] < K, K)
    return number, [f"{cell} is {true[cell]}: {told}" for cell, told in found.items()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("periods", "seed"),
    [
        pytest.param(["2025", "2026-Q2", "2026"], 4, id="a quarter before its year"),
        pytest.param(["2025", "2026"], 1, id="two years", marks=pytest.mark.slow),
        *(pytest.param(WHOLE[name], 5, id=name, marks=pytest.mark.slow) for name in WHOLE),
    ],
)
def test_attacker_derives_nothing_of_two_years(periods: Sequence[str], seed: int) -> None:
    """Given years and quarters in all tables, released in any order, no small count of them is known to be small, or not to be 0."""
    number, found = everything(periods, seed)

    assert number > 1000
    assert found == []


@pytest.mark.slow
def test_row_that_is_there_for_its_count_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a region has a row because its count is k or more, and the suppression ignores this knowledge."""
    monkeypatch.setattr(release_module, "OPEN", frozenset())

    assert everything(["2025"], 4)[1] != []
