"""Figures of cases by the hundred, counted by programs that share no code with nrmbus: every number, year by year."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import pytest

import recounted
import recounted_persons
from figures_scaled import cases_of, in_order, rules
from statistics_lines import lines_of

pytestmark = pytest.mark.thorough

SEED: Final = 4
PERIODS: Final = ("2025", "2026-Q2", "2026")


@cache
def releases() -> tuple[dict[str, Any], ...]:
    """Return the JSON of each release."""
    return tuple(json.loads(each.to_json()) for each in in_order(SEED, PERIODS))


def roles_in(lines: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the role of each agency that *lines* name."""
    known, values = rules(), [(line["leaf"]["source"], json.loads(line["envelope"]["value"])) for line in lines]
    return {agency: str(known.role_of(agency)) for source, data in values for agency in (source, *data.get("to", ()))}


def coded() -> dict[str, dict[str, Any]]:
    """Return the coded part of each letter, by its event."""
    return {id: dict(fields) for case in cases_of(SEED) for id, fields in case.coded.items()}


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(PERIODS)), ids=PERIODS)
def test_another_program_counts_the_same_events(at: int) -> None:
    """Referrals, answers, times, payments, grants, other events and missed duties of hundreds of cases are the published ones."""
    lines = lines_of(cases_of(SEED))
    counted = recounted.tables(lines, roles_in(lines), PERIODS[at])

    assert sum(bool(rows) for rows in counted.values()) >= 9
    assert list(recounted.compared(counted, releases()[at])) == []


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(PERIODS)), ids=PERIODS)
def test_published_events_are_about_as_many_cases_as_the_threshold(at: int) -> None:
    """A dozen events of one case would tell of one person, so the cases of each published count are counted too."""
    lines, about = lines_of(cases_of(SEED)), Counter[tuple[str, tuple[str, ...]]]()
    roles, courses = roles_in(lines), dict[str, list[dict[str, Any]]]()
    for line in lines:
        courses.setdefault(line["leaf"]["subject"], []).append(line)
    for course in courses.values():
        for table, rows in recounted.tables(course, roles, PERIODS[at]).items():
            about.update((table, keys) for keys, count in rows.items() if count)
    known = {table for table, _ in about} - {"clocks_by_rule"}  # this program knows the missed duties alone
    shown = [
        (table["id"], tuple(row["keys"]))
        for table in releases()[at]["tables"]
        for row in table["rows"]
        if table["unit"] == "events" and table["id"] in known and "count" in row
    ]

    assert len(shown) > 5
    assert [each for each in shown if about[each] < releases()[at]["k"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(PERIODS)), ids=PERIODS)
def test_another_program_counts_the_same_persons(at: int) -> None:
    """Given the coded parts, the persons of every table are the published ones."""
    lines = lines_of(cases_of(SEED))

    assert recounted_persons.differences(lines, coded(), releases()[at], "AZ") == []
    published = [
        table["id"]
        for table in releases()[at]["tables"]
        for row in table["rows"]
        if table["unit"] == "persons" and "count" in row
    ]
    assert len(set(published) & recounted_persons.tables(lines, coded(), PERIODS[at], 11, "AZ").keys()) > 16


@pytest.mark.slow
def test_a_person_who_is_counted_twice_is_found() -> None:
    """Sabotage: one woman more than there were."""
    forged = json.loads(json.dumps(releases()[0]))
    row = next(
        row
        for table in forged["tables"]
        if table["id"] == "identified_by_sex"
        for row in table["rows"]
        if row.get("count")
    )
    row["count"] += 1

    (found,) = recounted_persons.differences(lines_of(cases_of(SEED)), coded(), forged, "AZ")
    assert found.startswith(f"identified_by_sex {row['keys'][0]}: {row['count']} is published")
