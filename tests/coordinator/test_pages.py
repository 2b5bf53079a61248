"""Pages of the Coordinator's office, as its people use them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agencies import NOW, identity
from desk.cheap import cheap_passwords
from desk.given import Given, desk_of
from desk.test_directory import directory, entered, state
from desk.web.browsing import browsing, member
from desk.web.staff.given import behind_a_removal, office
from figures_published import CORRECTED, LAST, YEAR
from figures_published import hear as figures
from nrmbus.coordinator import pages
from nrmbus.coordinator.deadlines import over_all
from nrmbus.coordinator.procedure import RELEASED
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.web.application import pages_of
from nrmbus.desk.web.rooms import ROOMS, room_of
from nrmbus.directory import joining
from nrmbus.events import bulletin
from nrmbus.events.figures import Release, Row, Table
from nrmbus.play.example_figures import invented
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire.envelope import decode

__all__ = ("cheap_passwords",)

ME: Final = "coordinator"
SILENT: Final[dict[str, Any]] = {"agency": "shelter", "listening": False, "since": "2026-03-02T05:00:00Z"}
BREACH: Final[dict[str, Any]] = {
    "kind": "lost", "classes": ["DC3"], "persons": "1-10", "measures": ["examined", "keys_changed"], "ended": False,
}  # fmt: skip


async def hear(here: Given, by: str, type_: str, data: dict[str, Any]) -> None:
    """Deliver an event about no case, *data* of *type_*, in the bulletin of *by*."""
    said = here.registrar.event(by, type_, data, case=bulletin.of(by))
    await here.hear(here.registrar.register(said, to=ME))
    await here.settle()


@pytest.fixture(name="here")
async def _here(tmp_path: Path) -> AsyncIterator[Given]:
    """The desk of the office."""
    async with desk_of(ME, tmp_path) as here:
        yield here


async def page(here: Given, path: str, *, language: Language = "en") -> httpx.Response:
    """Return the page at *path* for somebody of the office."""
    async with browsing(here, member("read_cases", "publish", "approve", language=language)) as browser:
        return await browser.get(path)


async def test_the_first_page_is_the_overview_and_no_work_list(here: Given) -> None:
    """Whoever signs in comes to the overview; nothing in the navigation leads to a case."""
    first = await page(here, "/app/")
    shown = await page(here, "/app/overview")

    assert (first.status_code, first.headers["location"]) == (303, "/app/overview")
    navigation = shown.text.partition("govuk-service-navigation__list")[2].partition("</nav>")[0]
    assert "Overview" in navigation
    assert "Approvals" in navigation
    assert not any(each in navigation for each in ("/work", "/lists/cases", "/board", "/signals", "/colleagues"))


async def test_an_office_that_heard_nothing_is_told_what_will_stand_there(here: Given) -> None:
    """An empty page explains itself."""
    shown = (await page(here, "/app/overview")).text

    assert "Nothing is to be done" in shown
    assert "Every agency takes what is delivered." in shown
    assert "No agency reports one." in shown
    assert "az@2022-04-29" in shown


async def test_a_silent_agency_stands_there_until_it_reads_again(here: Given) -> None:
    """With what to do, which agency, and since when."""
    await hear(here, "timekeeper", "agency.listening_changed", SILENT)
    shown = (await page(here, "/app/overview")).text
    assert (
        "The desk of shelter no longer takes what is delivered. Call the agency, and ask when it runs again." in shown
    )
    assert "2 March 2026, 09:00" in shown

    await hear(here, "timekeeper", "agency.listening_changed", SILENT | {"listening": True})
    shown = (await page(here, "/app/overview")).text
    assert "Every agency takes what is delivered." in shown
    assert "no longer takes what is delivered" not in shown
    assert "Nothing is to be done" in shown


async def test_a_breach_is_on_the_page_behind_more_tasks_than_it_shows(
    here: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more releases of figures to read than the overview shows, then a later breach is there, and the page says how many tasks it shows."""
    monkeypatch.setattr(pages, "_MOST_TASKS", 3)
    async with here.desk.seat.ledger.write() as tx:
        for number in range(5):
            how = {"subject": "", "event_id": str(number), "kind": RELEASED, "about": "{}"}
            open_task(tx, opened="2026-03-02T05:00:00Z", **how)
    await hear(here, "shelter", "data.breach_reported", BREACH)
    shown = (await page(here, "/app/overview")).text

    assert "shelter reported a breach of data. Ask what is done" in shown
    assert shown.count('name="task"') == 3
    assert "3 of 6 tasks are shown. The next ones appear once these are done." in shown


@pytest.mark.parametrize("now", ["suspended", "retired"])
async def test_an_agency_that_is_not_admitted_is_not_called_for_its_silence(here: Given, now: str) -> None:
    """Given a silent agency, when it is suspended or leaves the bus, then nobody is asked to call it: no return would be published."""
    await hear(here, "timekeeper", "agency.listening_changed", SILENT)
    here.desk.seat.directory = found = directory()
    if now == "retired":
        retired = joining.repeated(found, "shelter", "retired", made=NOW)
        entered(found, joining.asked_by(retired, [identity("shelter").signing]))
    else:
        state(found, "shelter", "suspended")
    shown = (await page(here, "/app/overview")).text

    assert "Every agency takes what is delivered." in shown
    assert "no longer takes what is delivered" not in shown


async def test_a_second_silence_is_one_task(here: Given) -> None:
    """Given an agency back and silent again, then the page asks once to call the agency; another one's silence stays."""
    for agency, listening in (("shelter", False), ("vac", False), ("shelter", True), ("shelter", False)):
        await hear(here, "timekeeper", "agency.listening_changed", SILENT | {"agency": agency, "listening": listening})
    shown = (await page(here, "/app/overview")).text

    assert shown.count("The desk of shelter no longer takes what is delivered.") == 1
    assert shown.count("The desk of vac no longer takes what is delivered.") == 1


async def test_the_task_of_a_past_silence_is_done(here: Given) -> None:
    """Given an agency that reads again, then no list of open tasks has the task that no page shows any more."""
    for agency, listening in (("shelter", False), ("vac", False), ("shelter", True)):
        await hear(here, "timekeeper", "agency.listening_changed", SILENT | {"agency": agency, "listening": listening})
    tasks = (await here.door.get("/v1/tasks")).json()["tasks"]

    assert [each["sentence"].partition(" no longer")[0] for each in tasks] == ["The desk of vac"]
    assert (await here.door.get("/health")).json()["tasks"] == 1


async def test_a_breach_is_shown_as_a_band_until_it_is_over(here: Given) -> None:
    """Kind, number of persons as a band, and what was done; no person and no case."""
    await hear(here, "ngo-a", "data.breach_reported", BREACH)
    shown = (await page(here, "/app/overview")).text
    assert "ngo-a reported a breach of data." in shown
    assert "<br>Keys or passwords were changed</td>" in shown
    assert "No agency reports one." not in shown

    await hear(here, "ngo-a", "data.breach_reported", BREACH | {"ended": True})
    assert "No agency reports one." in (await page(here, "/app/overview")).text


async def test_the_end_of_one_breach_leaves_another_on_the_page(here: Given) -> None:
    """Given two breaches of an agency, when the second is over, then the first stays, and each task says what its own report asks."""
    await hear(here, "ngo-a", "data.breach_reported", BREACH)
    await hear(here, "ngo-a", "data.breach_reported", BREACH | {"kind": "stolen"})
    await hear(here, "ngo-a", "data.breach_reported", BREACH | {"kind": "stolen", "ended": True})
    shown = (await page(here, "/app/overview")).text

    assert shown.count("ngo-a reported a breach of data. Ask what is done, until the breach is over.") == 2
    assert shown.count("ngo-a reports that a breach of data is over. Read what was done.") == 1
    table = shown.partition('id="breaches"')[2].partition("</section>")[0]
    assert table.count('<th scope="row"') == 1
    assert "No agency reports one." not in table

    await hear(here, "ngo-a", "data.breach_reported", BREACH | {"classes": ["DC4"], "ended": True})
    assert "No agency reports one." in (await page(here, "/app/overview")).text


@pytest.mark.parametrize(("cause", "left"), [(0, 1), (1, 0)])
async def test_a_report_that_names_its_cause_ends_that_breach(here: Given, cause: int, left: int) -> None:
    """Given two breaches of different kinds, then the end that names the report of one leaves the other, whatever kind it says."""
    reports = []
    for data in (BREACH, BREACH | {"kind": "stolen"}):
        said = here.registrar.event("ngo-a", "data.breach_reported", data, case=bulletin.of("ngo-a"))
        reports.append((decode(said).id, data["kind"]))
        await here.hear(here.registrar.register(said, to=ME))
    over = here.registrar.event(
        "ngo-a", "data.breach_reported", BREACH | {"kind": "altered", "ended": True}, case=bulletin.of("ngo-a"), causationid=reports[cause][0],
    )  # fmt: skip
    await here.hear(here.registrar.register(over, to=ME))
    await here.settle()
    shown = (await page(here, "/app/overview")).text

    table = shown.partition('id="breaches"')[2].partition("</section>")[0]
    t = Words("en", here.desk.seat.rules.profile.zone)
    assert table.count('<th scope="row"') == 1
    assert t.capital(t.code("BreachKind", reports[left][1])) in table


async def test_a_task_is_marked_as_done_once(here: Given) -> None:
    """It leaves the page; a task that is not there is no page."""
    await hear(here, "timekeeper", "agency.listening_changed", SILENT)
    async with browsing(here, member("read_cases", "publish")) as browser:
        answer = await browser.post("/app/overview/done", data={"task": "1"}, headers={"sec-fetch-site": "same-origin"})
        again = await browser.post("/app/overview/done", data={"task": "1"}, headers={"sec-fetch-site": "same-origin"})

    assert (answer.status_code, again.status_code) == (303, 404)
    assert "Nothing is to be done" in (await page(here, "/app/overview")).text


@pytest.mark.usefixtures("cheap_passwords")
async def test_who_was_removed_marks_no_task_as_done(tmp_path: Path) -> None:
    """Given a click that waits for the ledger behind the removal of its sender, then the task stays on the overview of the others."""
    async with office(tmp_path, agency=ME) as it:
        await hear(it.here, "timekeeper", "agency.listening_changed", SILENT)
        one = await it.signed_in("Rena Example", "worker")
        answer = await behind_a_removal(it, one, it.send("/overview/done", task="1"))

        assert answer.headers.get("location", "")[:19] == "/app/sign-in?over=1"
        assert [row.done for row in await it.here.rows("tasks")] == [None]


async def test_main_figures_stand_first_with_their_change(here: Given) -> None:
    """Totals of the newest year, and what the release asks of the office."""
    await figures(here, ME, [LAST, YEAR])
    shown = (await page(here, "/app/overview")).text

    assert "Figures for 2026" in shown
    assert re.search(r'<span>Identified victims</span><span class="nrm-numbers__number">88</span>', shown)
    assert "+18 against the year before" in shown
    assert [shown.count(f"New figures are released: {year}.") for year in (2025, 2026)] == [1, 1]
    leads = re.findall(r'href="(/app/figures\?release=[^"]*)">Figures for (\d+)</a>', shown)
    assert sorted(year for _, year in leads) == ["2025", "2026"]
    for address, year in leads:
        assert f"Figures for {year}" in (await page(here, address)).text
    assert "The figures of 2025 are not released" not in shown


async def test_a_year_without_its_figures_is_missed_in_the_next(here: Given) -> None:
    """The yearly information is owed: the overview says so until the year is released, and names no country's law."""
    shown = (await page(here, "/app/overview")).text
    assert "The figures of 2025 are not released" in shown
    assert "958-IIQ" not in shown
    await figures(here, ME, [LAST])
    assert "The figures of 2025 are not released" not in (await page(here, "/app/overview")).text


async def test_missed_deadlines_are_counts_of_a_period(here: Given) -> None:
    """By clock, for each period that is released; no case and no agency is named."""
    await figures(here, ME, [LAST, YEAR])
    shown = (await page(here, "/app/missed")).text

    assert "In this period no kind had enough of them: nothing can be shown." in shown
    assert "No case and no agency is named" in shown
    assert (await page(here, "/app/missed?period=2025")).status_code == 200
    assert (await page(here, "/app/missed?period=2019")).status_code == 404


@pytest.mark.slow
@pytest.mark.thorough
async def test_the_share_over_all_is_shown_where_the_threshold_allows_it(here: Given) -> None:
    """Given many deadlines, then the share met in time over all; of kinds whose numbers are hidden, no share and no column."""
    release = invented(2025, bus="play-0123456789abcdef", partitions=1, policy="az@2022-04-29")
    await figures(here, ME, [release])
    shown = (await page(here, "/app/missed")).text
    t = Words("en", here.desk.seat.rules.profile.zone)

    met, missed = (release.table("clocks_by_rule").cell("_T", each) for each in ("met", "missed"))
    assert met is not None
    assert missed is not None
    assert f">{round(100 * met / (met + missed))} %<" in shown
    assert shown.count("only how many ended") == 2
    assert (_percent(9_998, 2, t), _percent(1, 9_999, t)) == ("99 %", "1 %")


def _percent(met: int, missed: int, t: Words) -> str:
    """Return how the share of a deadline is written of which so many were met and missed."""
    rows = [Row(keys=("_T", "met"), count=met), Row(keys=("_T", "missed"), count=missed)]
    table = Table(id="clocks_by_rule", title="x", unit="events", dimensions=("rule", "outcome"), rows=tuple(rows))
    whole = over_all(Release.from_mapping({**YEAR.to_mapping(), "tables": [table.to_mapping()]}), t)
    assert whole is not None
    return whole.shown_percent


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_overview_is_there_in_every_language(here: Given, language: Language) -> None:
    """The same facts, in the reader's language."""
    await hear(here, "ngo-a", "data.breach_reported", BREACH)

    shown = await page(here, "/app/overview", language=language)

    assert shown.status_code == 200
    assert f'<html lang="{language}"' in shown.text


def test_only_the_office_has_the_pages_of_its_room() -> None:
    """Another agency's desk has the pages of every desk, and no more."""
    room = room_of(ME)
    assert room is not None
    own = {each.path for each in room.routes.routes}

    assert own <= {each.path for each in pages_of(ME)}
    assert own.isdisjoint(each.path for each in pages_of("vac"))
    assert set(ROOMS) == {ME, "statistics"}
    assert all(each.may != "anybody" for each in room.routes.routes)


async def test_a_correction_asks_to_replace_what_was_published(here: Given) -> None:
    """The task is another one than that of new figures."""
    await figures(here, ME, [LAST, YEAR, CORRECTED])

    shown = (await page(here, "/app/overview")).text

    assert shown.count("New figures are released:") == 2
    assert shown.count("Figures that were published before are corrected: 2026.") == 1
