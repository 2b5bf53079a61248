"""The forms in a real browser: what is typed is saved by itself, no page has a fault of accessibility, and all goes without script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page, Route
from starlette.requests import Request

from agencies import CASE
from desk.given import CANARY, Given, desk_of
from desk.web.acts.test_pages import with_case
from desk.web.browsing import member
from desk.web.staff.given import office
from desk.web.staff.test_in_chromium import NAME, signed_in_at
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.web.application import AgencyPages
from web.browser import CHROMIUM, chromium, faults, serving, too_wide, watched

pytestmark = [
    pytest.mark.oracle, pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]  # fmt: skip

TICKED: Final = (
    "data.to=shelter", "data.to=vac", "data.mode=referral", "data.urgency=urgent", "data.services=safe_shelter",
)  # fmt: skip


@asynccontextmanager
async def at_a_case(home: Path) -> AsyncIterator[tuple[Given, str]]:
    """Yield a desk with a case, and the address of its pages."""
    async with desk_of("ngo-a", home) as here:
        await with_case(here)

        async def signed_in(_request: Request, _door: Door) -> Member | None:
            return member()

        async with serving(AgencyPages(here.behind, signed_in)) as address:
            yield here, f"{address}/app"


async def filled_in(page: Page, root: str, *, script: bool = True) -> list[str]:
    """Fill in a referral up to the check page; return the faults of each page on the way, which takes *script* to find."""
    found: list[str] = []

    async def look() -> None:
        if script:
            found.extend([*await faults(page), *(["too wide"] if await too_wide(page) > 0 else [])])

    await page.goto(f"{root}/cases/{CASE}/acts")
    await look()
    await page.get_by_role("button", name="Refer the person").click()
    await page.get_by_role("button", name="Continue").click()
    await look()  # with every error of an empty page
    for each in TICKED:
        name, _, value = each.partition("=")
        await page.check(f'input[name="{name}"][value="{value}"]')
    await page.select_option('select[name="data.reason"]', "EmergencyProtection")
    await page.get_by_role("button", name="Continue").click()
    await look()
    await page.fill('textarea[name="sealed.facts"]', CANARY)
    await page.get_by_role("button", name="Continue").click()
    await look()
    return found


@pytest.mark.parametrize("script", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_a_referral_is_filled_in_and_sent_on_a_phone(tmp_path: Path, program: str, *, script: bool) -> None:
    """Given a phone, with or without script, then each page of a referral is free of serious faults, and it is sent."""
    async with at_a_case(tmp_path) as (here, root), chromium(program, width=360, script=script) as browser:
        page = await browser.new_page()
        errors = watched(page)
        found = await filled_in(page, root, script=script)
        await page.get_by_role("button", name="Sign and send").click()
        await page.wait_for_url("**/sent")
        await here.settle()
        await page.reload()

        assert found == []
        assert await page.locator("h1").inner_text() == "Registered"
        assert not script or await faults(page) == []
        assert [
            each for each in errors if "422" not in each
        ] == []  # a browser reports the status of a page with errors


@pytest.mark.slow
async def test_continue_while_a_save_is_under_way_is_no_other_tab(tmp_path: Path, program: str) -> None:
    """Given a slow line on which a save is under way, when more is typed and sent, then all of it is saved, and no tab is named."""
    async with at_a_case(tmp_path) as (_, root), chromium(program) as browser:
        page = await browser.new_page()
        await filled_in(page, root)
        check = page.url
        await page.goto(check.replace("/check", "/letter"))
        saved, goes_on = asyncio.Event(), asyncio.Event()

        async def slow(route: Route) -> None:
            answer = await route.fetch()
            saved.set()
            await goes_on.wait()
            await route.fulfill(response=answer)

        await page.route("**/keep", slow)
        await page.fill('input[name="sealed.name"]', "Alina")
        await asyncio.wait_for(saved.wait(), 60)
        await page.fill('input[name="sealed.name"]', "Alina Example")
        await page.get_by_role("button", name="Continue").click()
        goes_on.set()
        await page.wait_for_url(lambda url: url != check.replace("/check", "/letter"))
        await page.get_by_role("heading", name="Check your answers").wait_for()
        assert await page.get_by_text("Alina Example").count() > 0


async def test_what_is_typed_is_saved_by_itself_and_an_answer_comes_without_a_reload(
    tmp_path: Path, program: str
) -> None:
    """Given a page that is closed without a click, then what was typed is there again; a sent event tells when it is registered."""
    async with at_a_case(tmp_path) as (here, root), chromium(program) as browser:
        page = await browser.new_page()
        await filled_in(page, root)
        check = page.url
        await page.goto(check.replace("/check", "/letter"))
        await page.fill('input[name="sealed.name"]', "Alina Example")
        await page.get_by_text("Saved at").wait_for()
        await page.close()

        page = await browser.new_page()
        await page.goto(check.replace("/check", "/letter"))
        assert await page.input_value('input[name="sealed.name"]') == "Alina Example"
        await page.goto(check)
        await page.get_by_role("button", name="Sign and send").click()
        await page.get_by_role("heading", name="Not registered yet").wait_for()
        await here.settle()

        await page.get_by_role("heading", name="Registered", exact=True).wait_for()


@pytest.mark.usefixtures("cheap_passwords")
async def test_a_form_that_nobody_touches_extends_no_session(tmp_path: Path, program: str) -> None:
    """Given a form that stays open without a key or a click, when its draft is saved two minutes before the session ends, then the session ends no later for it."""
    async with office(tmp_path) as it, serving(AgencyPages(it.here.behind)) as address, chromium(program) as browser:
        await it.example(NAME, "worker")
        page = await signed_in_at(await browser.new_page(), address, "signals/new")
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_selector("form[data-keep]")
        await page.wait_for_function("document.querySelector('.js-enabled')")
        await page.wait_for_load_state("networkidle")
        (before,) = [each.ends for each in it.staff.sessions.everybodys()]
        it.later(minutes=14)
        async with page.expect_response("**/keep") as saved:
            await page.clock.fast_forward(14 * 60_000)

        assert (await (await saved.value).json())["state"] == "saved"
        assert [each.ends for each in it.staff.sessions.everybodys()] == [before]
