"""Every page of every role in a real browser: the table says at which desk each one is opened, and a new page has to be in it."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import httpx
import pytest
from playwright.async_api import Page as Tab
from starlette.requests import Request

from agencies import CASE, NOW, Town
from coordinator.test_profiles import asked as asked_for_a_profile
from coordinator.test_profiles import checked
from desk.given import CANARY, FakeRegistrar, Given, desk_of
from desk.staff.given import PASSWORD
from desk.web.acts.test_approvals import asked
from desk.web.acts.test_pages import begun
from desk.web.browsing import browsing, employed, member
from desk.web.staff.given import OPEN, office
from desk.web.test_in_chromium import at_work
from figures_published import LAST, YEAR, hear
from nrmbus.desk.http.scopes import LOCAL
from nrmbus.desk.http.served import Door
from nrmbus.desk.http.tokens import NewToken
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import ROLES
from nrmbus.desk.web.application import AgencyPages, pages_of
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.rooms import ROOMS
from nrmbus.events import bulletin
from nrmbus.statistics.history import Histories
from nrmbus.statistics.service import Figures
from nrmbus.web.languages import Language
from statistics_story import Story
from web.browser import CHROMIUM, WALKED, chromium, faults, kinds, serving, too_wide, watched

pytestmark = [
    pytest.mark.oracle, pytest.mark.usefixtures("cheap_passwords"), pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]  # fmt: skip

OPENED_AT: Final[Mapping[str, str]] = {
    "/account": "vac", "/account/app": "vac", "/account/notices": "vac", "/account/passkeys": "vac", "/account/password": "vac",
    "/account/recovery-codes": "vac", "/acts": "vac", "/acts/{id}/{page}": "vac", "/approvals": "vac",
    "/approvals/{id}": "ngo-a", "/board": "vac", "/bulletins": "vac", "/cases/{case}/acts": "ngo-a", "/cases/{case}/notes": "vac",
    "/cases/{case}/referrals/{ref}": "vac", "/cases/{ref}": "vac", "/cases/{ref}/documents": "vac",
    "/cases/{ref}/documents/share": "vac", "/cases/{ref}/letters": "vac", "/cases/{ref}/reads": "vac",
    "/cases/{ref}/referrals": "vac", "/cases/{ref}/referrals/{referral}/copy": "vac", "/cases/{ref}/sheet": "vac",
    "/cases/{ref}/timeline": "vac", "/colleagues": "vac", "/condition": "vac", "/figures": "vac", "/groups": "ngo-a",
    "/intake": "vac", "/intake/{number}": "vac", "/lists/{queue}": "vac", "/readings": "vac", "/rules": "vac",
    "/rules/{name}": "vac", "/sessions": "vac", "/signals/new": "ngo-a", "/staff": "vac", "/staff/add": "vac",
    "/staff/{number}": "vac", "/staff/{number}/remove": "vac", "/staff/{number}/reset": "vac", "/systems": "vac",
    "/systems/add": "vac", "/systems/{name}/revoke": "ngo-a", "/work": "vac",
    "/releases": "statistics",
    "/missed": "coordinator", "/overview": "coordinator", "/profiles": "coordinator", "/profiles/{name}": "coordinator",
    "/sign-in": "sign-in", "/sign-in/code": "sign-in", "/sign-in/password": "sign-in",
    "/sign-in/second-factor": "sign-in", "/late-form": "sign-in",
}  # fmt: skip
"""Address of a page, and the desk at which a test opens it."""
NO_PAGE: Final = {
    "/": "leads to the first page", "/lists/stream": "a stream", "/session": "an answer to a script",
    "/figures/files/{name}": "a file to save", "/sign-in/provider": "leads to the agency's own sign-in",
    "/sign-in/provider/back": "comes from there",
}  # fmt: skip
"""Addresses that are no page, and why."""

BETWEEN: Final = (800, 1120)
"""Widths between a tablet and a desk, at which a table with many columns is too wide first."""

SAID: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    (
        "timekeeper",
        "agency.listening_changed",
        {"agency": "shelter", "listening": False, "since": "2026-03-02T05:00:00Z"},
    ),
    ("ngo-shelter", "provider.capacity_changed", {"women": "few", "children": "none", "men": "free"}),
)
"""News about agencies, which stand beside their names where somebody chooses a receiver."""

Starts = AbstractAsyncContextManager[tuple[str, ...]]


def test_every_address_is_in_the_table(program: str) -> None:
    """Given a new page in any room, this test fails until the table says at which desk it is opened, or why it is none."""
    del program
    there = {page.path for role in (None, *ROOMS) for page in pages_of(role) if page.method == "GET"}

    assert there == OPENED_AT.keys() | NO_PAGE.keys()
    assert not OPENED_AT.keys() & NO_PAGE.keys()


@asynccontextmanager
async def everybody(here: Given, language: Language) -> AsyncIterator[str]:
    """Yield the address of the pages of the desk *here*, where somebody who may do everything has signed in."""
    new = NewMember(name="Example Worker", roles=ROLES, language=language)
    who = await here.behind.staff.add_example(new, "door.json", OPEN)

    async def signed_in(_request: Request, _door: Door) -> Member | None:
        return who

    async with serving(AgencyPages(here.behind, signed_in)) as address:
        yield f"{address}{ROOT}"


@asynccontextmanager
async def at_vac(home: Path, language: Language) -> AsyncIterator[tuple[str, ...]]:
    """A centre with a referral to answer, a message of the public page, and the figures of two years."""
    async with at_work(home, language) as (here, starts):
        await hear(here, "vac", [LAST, YEAR])
        yield (*starts, f"{starts[0]}account/recovery-codes")


@asynccontextmanager
async def at_ngo(home: Path, language: Language) -> AsyncIterator[tuple[str, ...]]:
    """An NGO with a signature to give, a group, a system, a guide that was begun, and a shelter that does not listen."""
    async with desk_of("ngo-a", home) as here, everybody(here, language) as pages:
        for by, type_, said in SAID:
            event = here.registrar.event(by, type_, said, case=bulletin.of(by))
            await here.hear(here.registrar.register(event, to="ngo-a"))
        token = NewToken(
            name="booking", scopes=("read",), ends=datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        )
        await here.behind.tokens.add(token, LOCAL)
        async with browsing(here, employed(here, member("read_cases", "publish", number="S-1"))) as colleague:
            waiting = await asked(here, colleague)
        async with httpx.AsyncClient(base_url=pages.removesuffix(ROOT)) as browser:
            guide = (await browser.post(f"{ROOT}/signals/new")).headers["location"]
            referral = await begun(browser, "referral.submitted")
            bed = await begun(browser, "shelter.bed_requested")
        site = pages.removesuffix(ROOT)
        acts = (
            f"{pages}/",
            f"{pages}/groups",
            f"{pages}/systems",
            f"{pages}/signals/new",
            f"{pages}/cases/{CASE}/acts",
            f"{pages}/approvals/{waiting}",
        )
        yield (*acts, *(f"{site}{each}" for each in (guide, referral, bed)))


async def _nothing_new() -> None:
    return


@asynccontextmanager
async def at_statistics(home: Path, language: Language) -> AsyncIterator[tuple[str, ...]]:
    """The statistics, with a draft of a year to read."""
    story = Story()
    story.registrar.time = NOW
    async with desk_of("statistics", home, registrar=story.registrar) as here, everybody(here, language) as pages:
        for each in story.deliveries:
            await here.hear(each)
        known = {"facts": story.facts, "checkpoints": story.checkpoints, "is_known_to": lambda _: True}
        histories = cast("Histories", SimpleNamespace(**known))
        here.behind.beside[Figures] = Figures(here.desk, histories, _nothing_new)
        async with httpx.AsyncClient(base_url=pages.removesuffix(ROOT)) as browser:
            draft = (await browser.post(f"{ROOT}/releases/2025/draft")).headers["location"]
        yield (f"{pages}/releases", f"{pages.removesuffix(ROOT)}{draft}")


@asynccontextmanager
async def at_coordinator(home: Path, language: Language) -> AsyncIterator[tuple[str, ...]]:
    """The Coordinator's office, with figures, and a profile that a colleague wants to put in force."""
    async with (
        desk_of("coordinator", home, registrar=FakeRegistrar(Town())) as here,
        everybody(here, language) as pages,
    ):
        await hear(here, "coordinator", [LAST, YEAR])
        async with browsing(here, employed(here, member("read_cases", "publish", number="S-1"))) as colleague:
            waiting = await checked(colleague)
            await asked_for_a_profile(colleague, waiting)
        async with httpx.AsyncClient(base_url=pages.removesuffix(ROOT)) as browser:
            form = (await browser.post(f"{ROOT}/profiles/az@2024-02-08/activate")).headers["location"]
        yield (f"{pages}/overview", f"{pages}/approvals/{waiting}", f"{pages.removesuffix(ROOT)}{form}")


DESKS: Final[Mapping[str, Callable[[Path, Language], Starts]]] = {
    "vac": at_vac, "ngo-a": at_ngo, "statistics": at_statistics, "coordinator": at_coordinator,
}  # fmt: skip


def route_of(path: str) -> str:
    """Return the address in the table that *path* has; the one with the fewest values first."""
    below = path.removeprefix(ROOT)
    for each in sorted(OPENED_AT, key=lambda found: found.count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), below):
            return each
    return below


async def wrong_on(tab: Tab) -> list[str]:
    """Return what is wrong on the open page."""
    found, size = await faults(tab), tab.viewport_size or {"width": 360, "height": 900}
    for width in (size["width"], *BETWEEN):
        await tab.set_viewport_size({**size, "width": width})
        found += [f"wider than a window of {width}"] if await too_wide(tab) > 0 else []
    await tab.set_viewport_size(size)
    return [*found, *([] if await tab.title() else ["without a title"])]


@pytest.mark.parametrize("language", WALKED)
@pytest.mark.parametrize(
    "desk", ["ngo-a", *(pytest.param(each, marks=pytest.mark.slow) for each in DESKS if each != "ngo-a")]
)
async def test_each_page_of_a_desk_is_opened_and_has_no_serious_fault(
    tmp_path: Path, program: str, desk: str, language: Language
) -> None:
    """Given a phone, every page that the table names for the desk is found by links, and axe finds nothing serious on it."""

    def is_of_the_desk(path: str) -> bool:
        return OPENED_AT.get(route_of(path)) == desk

    async with DESKS[desk](tmp_path, language) as starts, chromium(program, width=360) as browser:
        tab = await browser.new_page()
        errors, found, opened = watched(tab), {}, set()
        async for kind, answer in kinds(tab, *starts, follows=is_of_the_desk):
            assert answer.status < 400, kind
            opened.add(route_of(kind.replace("…", "0")))
            if wrong := await wrong_on(tab):
                found[kind] = wrong
            assert CANARY not in await tab.content()

    assert {path for path, at in OPENED_AT.items() if at == desk} <= opened
    assert found == {}
    assert errors == []


@pytest.mark.parametrize("language", WALKED)
async def test_each_page_of_the_sign_in_has_no_serious_fault(tmp_path: Path, program: str, language: Language) -> None:
    """Given a first and a later sign-in, and a form that came too late, axe finds nothing serious on any page of the way."""
    async with (
        office(tmp_path) as it,
        serving(AgencyPages(it.here.behind)) as address,
        chromium(program, width=360) as browser,
    ):
        _, once = await it.staff.add(NewMember(name="Leyla Example", roles=("worker",), language=language), "door.json")
        await it.settled("Nigar Example", PASSWORD)
        await it.example("Aysel Example", "worker")
        tab = await browser.new_page()
        errors, found, opened = watched(tab), {}, set()

        async def look() -> None:
            opened.add(route_of(httpx.URL(tab.url).path))
            if wrong := await wrong_on(tab):
                found[tab.url] = wrong

        async def sign_in(name: str, password: str) -> None:
            await tab.goto(f"{address}/app/sign-in?lang={language}")
            await look()
            await tab.fill("#name", name)
            await tab.fill("#password", password)
            async with tab.expect_navigation():
                await tab.press("#password", "Enter")
            await look()

        await sign_in("Nigar Example", PASSWORD)
        await sign_in("Leyla Example", once or "")
        await tab.fill("#new", PASSWORD)
        await tab.fill("#again", PASSWORD)
        async with tab.expect_navigation():
            await tab.press("#again", "Enter")
        await look()
        await sign_in("Aysel Example", OPEN)
        await tab.goto(f"{address}/app/signals/new")
        it.later(minutes=20)
        async with tab.expect_navigation():
            await tab.click("main form[action$='/signals/new'] button")
        await tab.fill("#name", "Aysel Example")
        await tab.fill("#password", OPEN)
        async with tab.expect_navigation():
            await tab.press("#password", "Enter")
        await look()

    assert {path for path, at in OPENED_AT.items() if at == "sign-in"} <= opened
    assert found == {}
    assert errors == []
