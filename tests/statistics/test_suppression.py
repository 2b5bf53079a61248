"""Nobody can derive a small count: an attacker with a solver of programs in whole numbers tries it on every suppressed cell."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figures_attack import Cell, cells_of, derived, with_rest
from figures_made import FEW, Made, released, victims
from nrmbus.events.figures import Release, Row, Table
from nrmbus.statistics import release as release_module
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import SPECS, Spec
from nrmbus.statistics.suppression import Place, Sheet, hide

K = 11
QUARTERS: Sequence[str] = ("2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4")
Group = tuple[int, int, str, str, str]

BANDS = ("10-13", "16-17", "18-24", "25-34")
TYPICAL: Sequence[Group] = (
    (12, 1, "F", "25-34", "AZ"), (15, 4, "F", "18-24", "AZ"), (3, 5, "M", "10-13", "AZ"), (14, 8, "F", "25-34", "UZ"),
    (2, 8, "M", "25-34", "UZ"), (11, 9, "F", "16-17", "AZ"), (20, 11, "F", "18-24", "AZ"), (12, 11, "M", "18-24", "AZ"),
)  # fmt: skip

GROUPS = st.lists(
    st.tuples(
        st.integers(1, 40), st.integers(1, 12), st.sampled_from(("F", "M")), st.sampled_from(BANDS), st.sampled_from(("AZ", "UZ"))
    ),
    max_size=12,
)  # fmt: skip


def derivable(groups: Sequence[Group], releases: Sequence[Release]) -> dict[Cell, str]:
    """Return every cell that the attacker can derive to be small, or not to be 0."""
    counted = with_rest(
        {
            cell: count or 0
            for period in ("2026", *QUARTERS)
            for _, _, cell, count in cells_of(json.loads(_true(groups, period).to_json()))
        },
        {each.period for each in releases},
    )
    return derived([each.to_json() for each in releases], lambda cell: counted[cell] < K, K)[1]


def _true(groups: Sequence[Group], period: str) -> Release:
    """Return the figures as they are, with nothing suppressed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_module, "hide", lambda _: frozenset())
        return released(victims(groups), period)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish the tables that are linked most."""
    monkeypatch.setattr(release_module, "SPECS", FEW)


def in_order(groups: Sequence[Group], periods: Sequence[str]) -> list[Release]:
    """Return the releases of *periods*, each made beside those before."""
    made: list[Release] = []
    for period in periods:
        made.append(released(victims(groups), period, made))
    return made


def test_no_published_count_is_below_the_threshold() -> None:
    """Every published count is k or more, totals included."""
    (release,) = in_order(TYPICAL, ["2026"])
    counts = [row.count for table in release.tables for row in table.rows if row.count is not None]

    assert counts
    assert min(counts) >= K


def test_year_alone_keeps_what_can_be_published() -> None:
    """Suppression does not hide everything: totals, the larger sex and the larger age bands are there."""
    (release,) = in_order(TYPICAL, ["2026"])

    assert release.table("identified_by_sex").cell("_T") == 89
    assert release.table("identified_by_sex").cell("F") == 72
    assert release.table("identified_by_sex").cell("M") is None  # 17, hidden since X is 0 and F and the total are shown
    assert release.table("identified_by_age_band").cell("adult", "18-24") == 47


@pytest.mark.thorough
@pytest.mark.parametrize(
    "periods",
    [["2026"], ["2026", "2026-Q1", "2026-Q3", "2026-Q4"], ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4", "2026"]],
    ids=["year", "year first", "quarters first"],
)
def test_attacker_derives_no_small_count(periods: list[str]) -> None:
    """Neither one release nor all of a year show a suppressed count to be small, or not to be 0."""
    assert derivable(TYPICAL, in_order(TYPICAL, periods)) == {}


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(GROUPS, st.sampled_from([["2026"], ["2026-Q2", "2026"], ["2026", "2026-Q3"]]))
def test_attacker_derives_no_small_count_of_random_figures(groups: list[Group], periods: list[str]) -> None:
    """The same for figures that nobody has chosen."""
    assert derivable(groups, in_order(groups, periods)) == {}


def test_a_code_that_becomes_rare_is_no_way_around_a_correction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of thirteen Georgians are erased, and many others: without their row a correction would say it. The release stands."""
    monkeypatch.setattr(release_module, "SPECS", SPECS)

    def of(georgia: int, home: int, ukraine: int) -> Made:
        many = {"GE": georgia, "AZ": home, "UA": ukraine, "UZ": 30, "unknown": 11}
        return victims([(number, 1, "F", "25-34", code) for code, number in many.items()])

    first = released(of(13, 30, 30), "2026")
    assert first.table("identified_by_citizenship").cell("foreign", "GE") == 13

    assert released(of(10, 18, 19), "2026", [first]) == first


def test_whole_numbers_tell_no_more_than_fractions() -> None:
    """Given three sums that add up to an odd number, in fractions a cell can be 0, and in whole numbers it is odd: more is hidden."""
    a, b, c, small, first, second, third = (
        ("2026", ("made", (("code", name),))) for name in ("a", "b", "c", "d", "e", "f", "g")
    )
    sheet = Sheet(K, {a: 30, b: 30, c: 30, small: 1, first: 61, second: 60, third: 60}, kept_back={a, b, c})
    sheet.add(first, [small, a, b])
    sheet.add(second, [b, c])
    sheet.add(third, [a, c])

    assert hide(sheet) - {a, b, c, small} != set()


def small_only(sheet: Sheet) -> frozenset[Place]:
    """Hide the small cells and no other: the sabotage."""
    return frozenset(place for place, value in sheet.values.items() if value < sheet.k)


def without_links(hide: Callable[[Sheet], frozenset[Place]]) -> Callable[[Sheet], frozenset[Place]]:
    """Hide in each table as if there were no other: the other sabotage."""

    def alone(sheet: Sheet) -> frozenset[Place]:
        sheet.sums = {
            (total, parts): None for total, parts in sheet.sums if {period for period, _ in parts} == {total[0]}
        }
        return hide(sheet)

    return alone


def test_hiding_small_counts_alone_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: without complementary suppression the attacker derives the small counts exactly."""
    monkeypatch.setattr(release_module, "hide", small_only)

    assert derivable(TYPICAL, in_order(TYPICAL, ["2026"])) != {}


@pytest.mark.thorough
def test_forgetting_earlier_releases_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: if the year is protected without a look at its quarters, their small counts can be derived."""
    monkeypatch.setattr(release_module, "hide", without_links(hide))

    assert derivable(TYPICAL, in_order(TYPICAL, ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4", "2026"])) != {}


SHE: Group = (1, 1, "F", "25-34", "AZ")
HE: Group = (1, 1, "M", "18-24", "UZ")
MANY: Sequence[Group] = tuple(
    (30, month, sex, band, "AZ")
    for month in (1, 4, 8, 11)
    for sex in ("F", "M", "X", "unknown")
    for band in ("18-24", "25-34")
)


def differences(releases: Sequence[Release]) -> set[int]:
    """Return by how much published counts of a year differ from the published counts of its quarters, where they do."""
    shown = {
        (release.period, table.id, row.keys): row.count
        for release in releases for table in release.tables for row in table.rows if row.count is not None
    }  # fmt: skip
    found = set()
    for (period, table, keys), count in shown.items():
        parts = [shown.get((each, table, keys)) for each in QUARTERS]
        if period == "2026" and None not in parts:
            found.add(count - sum(each or 0 for each in parts))
    return found - {0}


def published(release: Release) -> set[tuple[str, tuple[str, ...]]]:
    """Return table and keys of each published count."""
    return {(table.id, row.keys) for table in release.tables for row in table.rows if row.count is not None}


def after_an_erasure(person: Group, order: Sequence[str]) -> list[Release]:
    """Return the releases in *order*, where *person* was erased before the last one."""
    made = in_order([*MANY, person], order[:-1])
    return [*made, released(victims(MANY), order[-1], made)]


@pytest.mark.thorough
@pytest.mark.parametrize("order", [(*QUARTERS, "2026"), ("2026", *QUARTERS)], ids=["then the year", "then a quarter"])
def test_difference_between_releases_tells_nothing_of_an_erased_person(order: Sequence[str]) -> None:
    """Quarters with her, and a year without her: no two published counts differ by one, and what is hidden is the same for anybody."""
    hers, his = after_an_erasure(SHE, order), after_an_erasure(HE, order)

    assert differences(hers) == differences(his) == set()
    for releases in (hers, his):
        year = next(each for each in releases if each.period == "2026")
        compared = set.intersection(*(published(each) for each in releases if each is not year))
        assert compared
        assert not compared & published(year) or order[0] == "2026"
    whole = in_order(MANY, order)
    assert whole[-1].table("identified_by_sex").cell("_T"), "without an erasure the counts are published"


def test_year_that_forgets_what_its_quarters_said_shows_the_erased_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: without a look at the difference the year shows by which counts she is missing."""
    monkeypatch.setattr(release_module, "_keep_back_what_would_differ_little", lambda *_: None)

    assert differences(after_an_erasure(SHE, (*QUARTERS, "2026"))) == {-1}


@pytest.mark.parametrize("person", [SHE, HE])
def test_figures_that_would_change_by_a_few_persons_stand(person: Group) -> None:
    """No correction follows an erasure: the hidden cells would show what the person had in common with others."""
    (first,) = in_order([*MANY, person], ["2026"])

    assert released(victims(MANY), "2026", [first]) is first


def test_correction_by_many_persons_is_published() -> None:
    """A correction is published if counts change by k or more, and the others do not change."""
    (first,) = in_order(MANY, ["2026"])
    corrected = released(victims([*MANY, (20, 2, "F", "25-34", "AZ")]), "2026", [first])

    assert corrected.previous == first.digest
    assert corrected.table("identified_by_sex").cell("F") == 260
    assert corrected.table("identified_by_sex").cell("M") == 240


def test_median_says_nothing_of_a_hidden_count() -> None:
    """A median stands beside a published count of the answers it measures: whether there is one does not tell their number."""
    at = datetime(2026, 3, 1)  # noqa: DTZ001 - a local time
    made = Made({})
    made._minutes = [
        (at, {"role": role, "sender": role, "answer": "accepted"}, 60) for role in ("vac", "fund") for _ in range(40)
    ]
    counts = {
        ("vac", "accepted"): None,
        ("vac", "declined"): None,
        ("vac", "_T"): 80,
        ("fund", "accepted"): 40,
        ("fund", "_T"): 80,
    }
    rows = tuple(Row(keys=keys, count=count) for keys, count in counts.items())
    answers = Table(id="answers_by_role", title="Answers", unit="events", dimensions=("role", "answer"), rows=rows)

    (medians,) = release_module._medians(made, Span(2026), [answers], {"minutes_to_answer_by_role": {}})

    assert (medians.cell("vac"), medians.cell("fund")) == (None, 60)


def test_year_before_stands_beside_each_count() -> None:
    """A row has the count that was published for the year before, so that the change can be read off."""
    (before,) = [released(victims([(30, 3, "F", "25-34", "AZ"), (20, 3, "M", "25-34", "AZ")], 2025), "2025")]
    release = released(victims(TYPICAL), "2026", [before])
    row = next(each for each in release.table("identified_by_sex").rows if each.keys == ("_T",))

    assert (row.count, row.before, row.change) == (89, 50, 39)
    assert release.against == before.digest


def test_table_ids_are_unique() -> None:
    """Each table has a name of its own."""
    assert len({each.id for each in SPECS}) == len(SPECS)
    assert all(isinstance(each, Spec) for each in SPECS)


class TestTheThresholdIsRaised:
    """Given figures that were published with k = 11, when a new profile has k = 15."""

    SMALL: Sequence[Group] = (
        (12, 2, "F", "18-24", "AZ"), (30, 2, "M", "18-24", "AZ"), (20, 3, "X", "18-24", "AZ"), (30, 3, "unknown", "18-24", "AZ"),
    )  # fmt: skip
    """Nobody's sex is hidden, and that of 12 is shown."""

    def raised(self, groups: Sequence[Group]) -> Made:
        """Return the counts of 2026 under the new threshold."""
        count = victims(groups)
        count.profile = count.profile.model_copy(update={"k": 15})
        return count

    def counts(self, release: Release) -> list[int]:
        """Return every count that *release* shows, those of the year before included."""
        return [
            each
            for table in release.tables
            if table.unit in ("persons", "events")
            for row in table.rows
            for each in (row.count, row.before)
            if each is not None
        ]

    def test_last_years_small_counts_are_not_shown_again(self) -> None:
        """A table with a count of 12 last year is not compared at all, and another one still is: nothing is left to derive it from."""
        last = released(victims(self.SMALL, 2025), "2025")
        assert 12 in self.counts(last)
        release = released(self.raised([(60, 2, "F", "25-34", "AZ"), (50, 3, "M", "25-34", "AZ")]), "2026", [last])

        assert min(self.counts(release)) >= 15
        assert {row.before for row in release.table("identified_by_sex").rows} == {None}
        assert {row.keys: row.before for row in release.table("identified_by_age").rows}["_T",] == 92

    def test_a_correction_shows_no_count_that_is_small_now(self) -> None:
        """A count of 12 of the same year, published already, is left out of the correction."""
        first = released(victims(self.SMALL), "2026")
        assert 12 in self.counts(first)
        later = self.raised([*self.SMALL, (40, 3, "M", "25-34", "AZ")])
        release = released(later, "2026", [first])

        assert release.previous == first.digest
        assert min(self.counts(release)) >= 15


class TestEventsOfAFewCases:
    """Given two people who have returned, and fourteen reports about them, which are duties met in time."""

    RETURN: Final = ("2026", "clocks", frozenset({("rule", "D-MONITOR")}))

    def made(self) -> Made:
        """Return the counts of thirty acknowledgements in thirty cases, and of the reports."""
        at = datetime(2026, 3, 1)  # noqa: DTZ001 - a local time
        met = {"outcome": "met", "role": "organisation"}
        reports = [(at, {"rule": "D-MONITOR", **met, "case": f"returned {number % 2}"}) for number in range(14)]
        receipts = [(at, {"rule": "D-ACK", **met, "case": f"case {number}"}) for number in range(30)]
        return Made({"clocks": [*reports, *receipts]})

    def released(self, monkeypatch: pytest.MonkeyPatch) -> Release:
        """Return the year, which has the duties alone."""
        monkeypatch.setattr(release_module, "SPECS", [each for each in SPECS if each.id == "clocks_by_rule"])
        return released(self.made(), "2026")

    def test_are_hidden_and_nobody_derives_that_there_are_any(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else everybody knew that somebody has returned, though the number of persons is hidden."""
        release = self.released(monkeypatch)

        assert release.table("clocks_by_rule").cell("D-MONITOR", "_T") is None
        assert derived([release.to_json()], lambda cell: cell == self.RETURN, K) == (1, {})

    def test_are_found_if_only_small_counts_are_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sabotage: nobody asks how many cases there are."""
        monkeypatch.setattr(Made, "few", lambda *_: frozenset())

        assert self.released(monkeypatch).table("clocks_by_rule").cell("D-MONITOR", "_T") == 14
