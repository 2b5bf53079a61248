"""Figures of cases by the hundred, counted by programs that share no code with nrmbus: every number, year by year."""

import json
from functools import cache
from typing import Any, Final

import pytest

import recounted
import recounted_persons
from figures_scaled import cases_of, in_order, rules
from statistics_lines import lines_of

SEED: Final = 4
PERIODS: Final = ("2025", "2026-Q2", "2026")


@cache
def releases() -> tuple[dict[str, Any], ...]:
    """Return the JSON of each release."""
    return tuple(json.loads(each.to_json()) for each in in_order(SEED, PERIODS))


def coded() -> dict[str, dict[str, Any]]:
    """Return the coded part of each letter, by its event."""
    return {id: dict(fields) for case in cases_of(SEED) for id, fields in case.coded.items()}


@pytest.mark.parametrize("at", range(len(PERIODS)), ids=PERIODS)
def test_another_program_counts_the_same_events(at: int) -> None:
    """Referrals, answers, times, payments, grants, other events and missed duties of hundreds of cases are the published ones."""
    lines, known = lines_of(cases_of(SEED)), rules()
    named = {
        agency
        for line in lines
        for agency in [line["leaf"]["source"], *json.loads(line["envelope"]["value"]).get("to", ())]
    }
    counted = recounted.tables(lines, {agency: str(known.role_of(agency)) for agency in named}, PERIODS[at])

    assert sum(bool(rows) for rows in counted.values()) >= 9
    assert list(recounted.compared(counted, releases()[at])) == []


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
