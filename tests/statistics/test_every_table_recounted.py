"""Every table is counted a second time, by programs that know the documentation and not the code: each cell, hidden or not.

`recounted` counts tables of events from envelopes, `recounted_persons` tables of persons from coded parts, `recounted_duties`
duties from what the Rules say is owed. The cases are copies of the scenarios, and random stories over every role and type.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

import figures_told
import recounted
import recounted_duties
import recounted_persons
from agencies import POLICY
from figures_made import released
from nrmbus.play.reader import find, read
from nrmbus.play.scale import played, rules_of, scaled
from nrmbus.rules import Rules
from nrmbus.statistics import counting, persons
from nrmbus.statistics import release as release_module
from nrmbus.statistics.counting import Count
from nrmbus.statistics.duties import duties_of
from nrmbus.statistics.persons import Case
from nrmbus.statistics.specs import NEEDS
from recounted import Rows
from statistics_lines import lines_of

pytestmark = pytest.mark.thorough

STORIES: Final = (
    "01-woman-referred-by-ngo", "02-child-begging-found-by-school", "05-home-or-here", "07-no-and-then-a-court",
    "09-raid-on-a-building-site", "15-late-at-every-step",
)  # fmt: skip
PERIODS: Final = ("2026", "2026-Q1", "2026-Q2")
K: Final = 11
COUNTRY: Final = "AZ"


@dataclass(frozen=True, eq=False)
class Made:
    """Cases to count, with the Rules for counting. Compared by identity, so that counts can be cached."""

    rules: Callable[[], Rules]
    cases: tuple[Case, ...]


Counted = Callable[[Made, int], Count]


@cache
def copies() -> Made:
    """Return the Rules and the cases of copies of scenarios."""
    stories = [played(read(find(Path(each)))) for each in STORIES]
    return Made(lambda: rules_of(stories, POLICY), tuple(scaled(stories, 120, 5, (2025, 2026))))


@cache
def told(first: int = 0, number: int = 16) -> Made:
    """Return the Rules and the cases of random stories."""
    return Made(lambda: figures_told.RULES, figures_told.cases_of(first, number))


def count_of(made: Made, year: int) -> Count:
    """Return what the statistics count in *year*."""
    return Count(made.rules(), made.cases, year)


once: Final = cache(count_of)
"""The same, counted once for all tests in which the statistics count as they do."""


def counted(made: Made, period: str, count: Counted = once) -> dict[str, Rows]:
    """Return every cell that is not 0 of every table, as the statistics count it, before any is hidden."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_module, "hide", lambda _: frozenset())
        release = released(count(made, int(period[:4])), period)
    return {
        table.id: {row.keys: row.count for row in table.rows if row.count is not None and row.count != 0}
        for table in release.tables
    }


@cache
def duties_ended(made: Made) -> Sequence[recounted_duties.Ended]:
    """Return the duties of all cases that were met or missed, as the other program finds them."""
    return recounted_duties.ends_of(made.rules(), {case.subject: case.facts for case in made.cases})


@cache
def recount(made: Made, period: str) -> dict[str, Rows]:
    """Return every cell of every table, as the other programs count it."""
    rules, cases = made.rules(), made.cases
    lines = lines_of(cases)
    coded = {id: dict(fields) for case in cases for id, fields in case.coded.items()}
    named = {a for each in lines for a in (each["leaf"]["source"], *recounted_persons.data(each).get("to", ()))}
    roles = {agency: str(rules.role_of(agency)) for agency in named}
    events = recounted.tables(lines, roles, period)
    duties = recounted_duties.tables(duties_ended(made), roles, period)
    return events | recounted_persons.tables(lines, coded, period, K, COUNTRY) | duties


def differences(made: Made, period: str, count: Counted = once) -> list[str]:
    """Return each cell of which the two counts differ."""
    first, second = counted(made, period, count), recount(made, period)
    return [
        f"{table} {' '.join(keys)}: {first[table].get(keys)} by the statistics, {second[table].get(keys)} by the recount"
        for table in first
        for keys in sorted(first[table].keys() | second[table].keys())
        if first[table].get(keys, 0) != second[table].get(keys, 0)
    ]


MADE: Final[Mapping[str, Callable[[], Made]]] = {"copies of scenarios": copies, "random stories": told}


@pytest.mark.slow
@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("source", MADE)
def test_second_count_is_the_same_in_every_cell(source: str, period: str) -> None:
    """Persons, events, duties, times and money of a year and its quarters are the same, the small ones and the totals included."""
    assert differences(MADE[source](), period) == []


@pytest.mark.slow
def test_no_table_is_without_a_second_count() -> None:
    """A new table fails here until a program counts the table by the documentation alone, from cases that fill it."""
    both = [(counted(made, "2026"), recount(made, "2026")) for made in (copies(), told())]
    seen = {table for first, second in both for table, rows in first.items() if rows and second.get(table)}

    assert NEEDS.keys() - seen == set()


@pytest.mark.slow
def test_second_count_is_the_same_for_long() -> None:
    """Random stories from a number that a failure prints."""
    first = secrets.randbits(20)
    assert list(chain.from_iterable(differences(told(first, 250), each) for each in PERIODS)) == [], first


def sabotaged(found: Iterable[str]) -> set[str]:
    """Return the tables in which something differs."""
    return {each.split(" ", 1)[0] for each in found}


@pytest.mark.slow
def test_clock_that_counts_for_the_wrong_agency_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a duty counts for the agency that asked."""
    monkeypatch.setattr(counting, "duties_of", lambda *of: [each._replace(agency="fund") for each in duties_of(*of)])

    assert sabotaged(differences(told(), "2026", count_of)) == {"clocks_by_role"}


@pytest.mark.slow
def test_form_in_the_wrong_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: servitude counts as another form."""
    monkeypatch.delitem(persons._FORM_OF, "Servitude")

    assert sabotaged(differences(copies(), "2026", count_of)) == {"identified_by_form", "identified_by_sex_and_form"}


# The year before


def before(release: Mapping[str, Any], last: Mapping[str, Any]) -> list[str]:
    """Return each row of *release* that does not name the count which *last* published for the same row; both are JSON alone."""
    published = {(table["id"], *row["keys"]): row.get("count") for table in last["tables"] for row in table["rows"]}
    return [
        f"{table['id']} {' '.join(row['keys'])}: {row.get('before')}"
        for table in release["tables"]
        for row in table["rows"]
        if row.get("before") != published.get((table["id"], *row["keys"]))
    ]


def years(made: Made) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the releases of two years, the second one beside the first, as JSON."""
    first = released(once(made, 2025), "2025")
    second = released(once(made, 2026), "2026", [first])
    return json.loads(first.to_json()), json.loads(second.to_json())


@pytest.mark.slow
def test_count_of_the_year_before_is_the_published_one() -> None:
    """In every table, a row names what was published for the same row a year earlier, and nothing where that was hidden."""
    last, release = years(copies())
    named = [row for table in release["tables"] for row in table["rows"] if "before" in row]

    assert before(release, last) == []
    assert len(named) > 50


@pytest.mark.slow
def test_count_of_another_row_is_found_as_the_year_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: what is compared is the total."""
    whole = release_module._last_year
    monkeypatch.setattr(
        release_module,
        "_last_year",
        lambda *of: {keys: max(each or 0 for each in shown.values()) for shown in [whole(*of)] for keys in shown},
    )
    last, release = years(copies())

    assert before(release, last) != []
