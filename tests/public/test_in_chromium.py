"""The public pages in a real browser: every page, the way out, and a message with the page's own script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from intake.given import KEY, opened
from intake.public_page import CANARY, HOTLINE, SETTING
from nrmbus.intake import codes
from nrmbus.intake.messages import Written
from nrmbus.intake.store import IntakeStore
from nrmbus.public.settings import PublicSettings
from nrmbus.public.site import INFORMATION, PublicSite
from nrmbus.web.languages import LANGUAGES
from web.browser import CHROMIUM, chromium, faults, has_head_and_foot, serving, too_wide, watched

pytestmark = [pytest.mark.oracle, pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)])]


async def _another(_request: Request) -> HTMLResponse:
    return HTMLResponse("<title>Weather</title><p>Sunny</p>")


@asynccontextmanager
async def public(home: Path) -> AsyncIterator[tuple[IntakeStore, str, str]]:
    """Yield the file, the address of the pages, and the address of the neutral page."""
    store = opened(home)
    async with serving(Starlette(routes=[Route("/{rest:path}", _another)])) as elsewhere:
        settings = PublicSettings.parse(SETTING, home)
        object.__setattr__(settings, "exit", f"{elsewhere}/weather")  # without TLS, which a setting does not allow
        async with serving(PublicSite(settings, store, HOTLINE).application()) as address:
            yield store, address, settings.exit
    store.close()


async def at_form(page: Page, address: str) -> None:
    """Come from another page, read, and go on to the form."""
    await page.goto(f"{address}/en/")
    await page.get_by_role("link", name="Write to us without your name").click()
    await page.get_by_role("link", name="I am alone: continue").click()
    await page.get_by_label("What happened").wait_for()


async def test_axe_finds_nothing_serious_on_any_page(tmp_path: Path, program: str) -> None:
    """On a small phone, in light and dark; in no language a script fails, or a page is wider than the screen."""
    found: dict[str, list[str]] = {}
    async with public(tmp_path) as (_, address, _exit), chromium(program, width=320) as browser:
        page = await browser.new_page()
        errors = watched(page)
        for language in LANGUAGES:
            for name in (*INFORMATION, "before", "write", "answer"):
                await page.goto(f"{address}/{language}/{name}")
                wrong = ["too wide"] if await too_wide(page) > 0 else []
                if language == "az":
                    wrong += await faults(page)
                    await page.emulate_media(color_scheme="dark")
                    wrong += await faults(page)
                    await page.emulate_media(color_scheme="light")
                if wrong:
                    found[f"{language}/{name}"] = wrong

    assert found == {}
    assert errors == []


@pytest.mark.slow
async def test_leaving_takes_the_whole_site_out_of_the_back_button(tmp_path: Path, program: str) -> None:
    """By the button and by three times Shift; what was typed is gone, and Back leads to where she came from."""
    async with public(tmp_path) as (_, address, neutral), chromium(program, width=360) as browser:
        for way in ("button", "keys"):
            page = await browser.new_page()
            await page.goto(f"{neutral}?before")
            await at_form(page, address)
            await page.get_by_label("What happened").fill(CANARY)
            if way == "button":
                await page.locator(".leave .exit").click()
            else:
                await page.keyboard.press("Shift")
                assert "2 more times" in await page.locator(".count").inner_text()
                await page.keyboard.press("Shift")
                await page.keyboard.press("Shift")
            await page.wait_for_url(neutral)
            await page.go_back()
            assert page.url == f"{neutral}?before"


async def test_capital_letters_do_not_leave_the_page(tmp_path: Path, program: str) -> None:
    """Shift that is pressed to write is not counted."""
    async with public(tmp_path) as (_, address, _exit), chromium(program) as browser:
        page = await browser.new_page()
        await at_form(page, address)
        await page.get_by_label("What happened").focus()
        for each in "ABCDE":
            await page.keyboard.press(f"Shift+{each}")

        assert await page.get_by_label("What happened").input_value() == "ABCDE"
        assert page.url == f"{address}/en/write"


async def test_a_message_goes_with_the_page_s_own_proof(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person writes, sees her code once, and reads the answer with it; there is no wait for a browser with scripts."""
    monkeypatch.setattr(codes, "MEMORY", 1 << 20)
    async with public(tmp_path) as (store, address, _exit), chromium(program, width=360) as browser:
        page = await browser.new_page()
        errors = watched(page)
        await at_form(page, address)
        places = await page.evaluate("history.length")
        await page.get_by_role("button", name="Русский").click()
        await page.get_by_role("button", name="English").click()
        await page.wait_for_url(f"{address}/en/write")
        assert (
            await page.evaluate("history.length") == places
        )  # nothing was typed, so each page takes the other's place
        await page.get_by_label("For myself").check()
        await page.get_by_label("What happened").fill(CANARY)
        await page.get_by_role("button", name="Русский").click()
        await page.locator("html[lang=ru]").wait_for()
        assert await page.locator("#text").input_value() == CANARY
        await page.get_by_role("button", name="English").click()
        await page.locator("html[lang=en]").wait_for()
        assert store.threads() == []
        await page.get_by_label("Number or address").press("Enter")
        await page.locator(".code").wait_for()
        assert (await page.locator(".languages").count(), await faults(page)) == (0, [])
        assert not await has_head_and_foot(page), "somebody may find the paper with her code"
        code = await page.locator(".code").inner_text()
        (thread,) = store.threads()
        message = store.thread(thread.number).messages[0]  # type: ignore[union-attr]
        parts = HOTLINE.opened(message.letter, {KEY.kid: KEY}, id=message.id, ref=thread.ref)
        assert Written.of_parts(parts) == Written(CANARY, "en", "myself")

        await page.goto(f"{address}/en/answer")
        await page.get_by_label("Your code").fill(code)
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("heading", name="Nobody has opened your message yet").wait_for()
        assert await faults(page) == []
        assert errors == []
