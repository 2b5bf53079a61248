"""Readings stand apart from what happened, and the numbers of a case have the same names in every view."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from auditor.web.given import Hall
from cli.audit.typed_commands import Commands
from nrmbus.auditor.history.outcomes import Counts, is_reading

READINGS = 8
"""More than a fold shows open."""


@pytest.fixture(name="hall")
async def _hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    """Return the page after an auditor has searched and has read the case again and again."""
    hall = Hall(tmp_path, monkeypatch)
    for _ in range(READINGS):  # each session asks again
        async with hall.browser() as browser:
            assert (await browser.get(f"/cases/{hall.case}")).status_code == 200
    async with hall.browser() as browser:
        assert (await browser.get("/search?agency=vac")).status_code == 200
    return hall


@pytest.fixture(name="commands")
def _commands(hall: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Return a terminal on the same history."""
    commands = Commands(tmp_path / "bus", monkeypatch)
    commands.seen = hall.audited()
    return commands


def counted(hall: Hall) -> Counts:
    """Return the numbers of the case, counted here by hand."""
    about = hall.audited().history.about(hall.case)
    read = [each for each in about if each.said and each.said.type == "access.granted"]
    refused = [each for each in about if each.registration.verdict == "refused"]
    return Counts(len(about) - len(read) - len(refused), len(refused), 0, len(read))


def sentence(counts: Counts) -> str:
    """Return the English sentence that every view has."""
    return (
        f"registered: {counts.registered}; refused: {counts.refused}; "
        f"sealed again: {counts.sealed_again}; readings: {counts.readings}"
    )


@pytest.mark.thorough
def test_one_number_has_one_name_in_every_view(hall: Hall, commands: Commands, tmp_path: Path) -> None:
    """HTML file, text and JSON say the same of one case, however often somebody has read it."""
    counts = counted(hall)
    assert counts.readings >= READINGS
    body: dict[str, Any] = json.loads(commands.shown("replay", "--json", "--case", hall.case))
    commands.shown("replay", "--html", tmp_path / "case.html", "--case", hall.case)
    text = " ".join(commands.shown("replay", "--case", hall.case).split())

    assert body["cases"][0]["counts"] == asdict(counts)
    assert sentence(counts) in text
    assert sentence(counts) in (tmp_path / "case.html").read_text(encoding="utf-8")


async def test_the_page_has_the_same_number_under_the_same_name(hall: Hall) -> None:
    """The count includes the reading that showed the page, which was registered before."""
    async with hall.browser() as browser:
        page = (await browser.get(f"/cases/{hall.case}")).text
    assert counted(hall).readings == READINGS + 1
    assert sentence(counted(hall)) in page


def test_the_table_shows_readings_only_when_they_are_asked_for(hall: Hall, commands: Commands) -> None:
    """Without --readings they are one line; with it, and by their type, they stand in the table."""
    plain = " ".join(commands.shown("replay", "--case", hall.case).split())
    assert "access.granted" not in plain
    assert f"Readings that are not shown: {READINGS}." in plain
    for options in (("--readings",), ("--type", "access.granted")):
        shown = commands.shown("replay", "--case", hall.case, *options)
        assert shown.count("access.granted") == READINGS


def test_the_number_of_an_auditors_searches_is_not_shown_as_a_case(hall: Hall, commands: Commands) -> None:
    """Text and HTML show readings apart; output for programs has everything."""
    own = hall.users.own_number()
    shown = " ".join(commands.shown("replay").split())
    assert own not in shown
    assert "Readings about no case, such as searches: 1." in shown
    rows = [json.loads(line) for line in commands.shown("replay", "--jsonl").splitlines()]
    assert len(rows) == len(hall.audited().history.entries)
    assert sum(row.get("reading", False) for row in rows) == READINGS + 1


def test_the_html_file_has_readings_in_a_fold_behind_the_course(hall: Hall, commands: Commands, tmp_path: Path) -> None:
    """None of them stands in the course of the case."""
    commands.shown("replay", "--html", tmp_path / "case.html")
    page = (tmp_path / "case.html").read_text(encoding="utf-8")
    course, _, fold = page.partition('<details class="govuk-details fold">')
    assert "access.granted" not in course
    assert fold.count(f"<code>{hall.actor}</code>") == READINGS + 1
    assert "Readings about no case, such as searches: 1" in fold


async def test_a_search_leaves_readings_out_and_says_how_many(hall: Hall) -> None:
    """Readings are left out of a search; a link and a field show them."""
    read = sum(map(is_reading, hall.audited().history.entries))
    async with hall.browser() as browser:
        page = (await browser.get("/search?agency=auditor")).text
        only = (await browser.get("/search?agency=auditor&readings=1")).text
        by_type = (await browser.get("/search?type=access.granted")).text
    assert "Registrations: 0" in page
    found = re.search(r"Readings that fit the search and are left out here: (\d+)", page)
    assert found
    assert int(found[1]) == read + 1, "the search itself is one, on record before its answer"
    assert '<a href="/search?agency=auditor&amp;readings=1&amp;go=1&amp;page=1">' in page
    assert f"Registrations: {read + 2}" in only
    assert f"Registrations: {read + 3}" in by_type
