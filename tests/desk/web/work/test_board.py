"""The page of a role: its lists, and the table of services by case."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE
from desk.given import REF, desk_of
from desk.web.browsing import browsing, member
from desk.web.work.given import a_referral_comes
from nrmbus.desk.web.work import pages
from nrmbus.desk.web.work.queues import files

OTHER = "12" * 16


async def test_services_stand_in_a_table_by_case(tmp_path: Path) -> None:
    """A service that a referral asks for has its column, with state and date; no case has it that was not asked."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        before = (await browser.get("/app/board")).text
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        after = (await browser.get("/app/board")).text

    table = before.partition("nrm-matrix")[2]
    assert '<td data-label="Legal aid"><strong class="govuk-tag govuk-tag--yellow">No answer yet' in table
    assert '<strong class="govuk-tag govuk-tag--green">Accepted' in after.partition("nrm-matrix")[2]
    assert "2 March 2026" in table


async def test_a_table_of_services_that_leaves_cases_out_says_so_and_has_the_overdue_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more cases than the table has rows, it names their number, leads to all, and shows the one with an overdue service, whatever changed since elsewhere."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        here.clock.time = here.registrar.time = here.clock.time + timedelta(days=10)
        await a_referral_comes(here, OTHER, "ef" * 16)
        whole = (await browser.get("/app/board")).text.partition("nrm-matrix")[2]
        here.clock.time += timedelta(minutes=1)  # the board is made once a minute
        monkeypatch.setattr(pages, "PAGE", 1)
        cut = (await browser.get("/app/board")).text.partition("nrm-matrix")[2]

    assert "cases are shown" not in whole
    assert 0 < whole.index(f"/cases/{CASE}") < whole.index(f"/cases/{OTHER}")
    assert "1 of 2 cases are shown" in cut
    assert 'href="/app/lists/cases"' in cut
    assert f"/cases/{CASE}" in cut
    assert f"/cases/{OTHER}" not in cut


async def test_the_board_opens_whatever_time_another_agency_names(tmp_path: Path) -> None:
    """Given a service at the last hour of the calendar, which no clock of the country reaches, then the board has its day."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        data = {"service": "legal", "when": "9999-12-31T23:00:00Z"}
        said = here.registrar.event("ngo-a", "service.scheduled", data, referral=OTHER)
        await here.hear(here.registrar.register(said, to="vac"))
        await here.settle()
        board = await browser.get("/app/board")

    assert board.status_code == 200
    assert "31 December 9999" in board.text.partition("nrm-matrix")[2]


@pytest.mark.parametrize(
    ("agency", "says"),
    [
        ("special-unit", ["Duty desk", "New referrals", "Recovery periods"]),
        ("shelter", ["Bed board", "Places", "Held for somebody"]),
        ("fund", ["Payments", "Owed by the tariff", "Ordered"]),
        ("vac", ["Plans and people", "Who has come", "Helped without a status"]),
        ("hospital", ["Services and signals", "Services to give"]),
        ("guardianship", ["Children first"]),
        ("ngo-a", ["Hand-offs", "Refer to somebody else"]),
    ],
)
async def test_each_role_has_its_board(tmp_path: Path, agency: str, says: list[str]) -> None:
    """The board of a role stands in the navigation, and each of its lists can be opened alone."""
    async with desk_of(agency, tmp_path) as here, browsing(here, member()) as browser:
        page = await browser.get("/app/board")
        assert page.status_code == 200
        assert f'href="/app/board" aria-current="page">{says[0]}' in page.text
        for each in says:
            assert each in page.text
        for board in (each for file in files().values() for each in file.boards if each.name == says[0]):
            for queue in board.sections:
                alone = await browser.get(f"/app/lists/{queue.id}")
                assert alone.status_code == 200
                assert "Project-Id-Version" not in alone.text, "the header of a catalogue is no text"


async def test_an_agency_without_a_board_has_the_lists(tmp_path: Path) -> None:
    """A role without a page of its own is led to the work list, and has no such place."""
    async with desk_of("timekeeper", tmp_path) as here, browsing(here, member()) as browser:
        assert (await browser.get("/app/board")).headers["location"] == "/app/work"
        assert "/app/board" not in (await browser.get("/app/work")).text
