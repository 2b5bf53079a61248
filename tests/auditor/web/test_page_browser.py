"""The auditor's pages in a real Chromium: on a telephone, a tablet and a desk; light and dark; by keyboard alone; with and without scripts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page

from auditor.web.given import NAME, PASSWORD, PHONE, Hall
from nrmbus.auditor.web import sessions
from nrmbus.web.languages import LANGUAGES, Language
from web.browser import CHROMIUM, WALKED, chromium, faults, serving, tab_to, too_wide, watched, widths

pytestmark = [pytest.mark.oracle, pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)])]


@dataclass(frozen=True, slots=True)
class Sitting:
    """A browser at the pages of a played history; ``errors`` has what failed in it."""

    page: Page
    hall: Hall
    base: str
    errors: list[str]

    async def go(self, path: str) -> None:
        """Open *path*."""
        await self.page.goto(f"{self.base}{path}")


@asynccontextmanager
async def sitting(
    program: str, home: Path, *, language: Language = "en", signed_in: bool = True, script: bool = True
) -> AsyncIterator[Sitting]:
    """Yield a browser that speaks *language*, signed in or before the sign-in."""
    with pytest.MonkeyPatch.context() as patch:
        hall = Hall(home, patch)
        async with serving(hall.app) as base, chromium(program, script=script) as browser:
            page = await browser.new_page()
            here = Sitting(page, hall, base, watched(page))
            await here.go(f"/?lang={language}")
            if signed_in:
                await page.fill("#name", NAME)
                await page.fill("#password", PASSWORD)
                await page.select_option("#purpose", "court")
                await page.click("main button")
                await page.fill("#code", PHONE.shows(NAME, await page.content()))
                await page.click("main button")
                assert page.url == f"{base}/search", "nobody was let in"
            yield here


def places(hall: Hall) -> list[str]:
    """Every page there is."""
    return [
        "/search?go=1", "/search?q=x&number=y", f"/cases/{hall.case}", f"/cases/{hall.case}?step=14",
        hall.event("referral.submitted"), hall.event("identification.status_decided"), "/agencies", "/checkpoints",
    ]  # fmt: skip


@pytest.mark.parametrize("language", WALKED)
async def test_no_page_has_a_serious_fault_or_is_wider_than_its_window(
    tmp_path: Path, program: str, language: Language
) -> None:
    """Given each page in each language, axe finds nothing serious on a telephone or, in the dark, on a desk; all can be touched."""
    found = {}
    async with sitting(program, tmp_path, language=language) as here:
        page, hall = here.page, here.hall
        hall.refused["vac"] = "root_differs"  # so that the warning is on every page
        for path in ["/search", *places(hall)]:
            await here.go(path)
            for width in widths():
                await page.set_viewport_size({"width": width, "height": 900})
                await page.emulate_media(color_scheme="dark" if width == 1280 else "light")
                # Colours are the same in all languages, and so is what the longest page has more of.
                asked = width == 360 and path != f"/cases/{hall.case}"
                wrong = await faults(page) if asked or (width == 1280 and language == "en") else []
                low = "all => all.filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 34).length"
                touched = "main button, main select, main input:not([type=hidden])"
                if await too_wide(page) > 0 or await page.eval_on_selector_all(touched, low) or wrong:
                    found[path, width] = wrong
            assert await page.get_attribute("html", "lang") == language
    assert found == {}
    # Chromium calls it an error that the page of a mistyped number has the status 422.
    assert [each for each in here.errors if "status of 422" not in each] == []


async def test_every_page_is_fit_for_a_screen_reader_and_loads_nothing_from_elsewhere(
    tmp_path: Path, program: str
) -> None:
    """Every field has a label, every table its headers; styles and scripts are the page's own."""
    async with sitting(program, tmp_path) as here:
        for path in ["/search", *places(here.hall)]:
            await here.go(path)
            for lacking in (
                "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).length",
                "[...document.querySelectorAll('table')].filter(e => !e.querySelector('thead th[scope=col]')).length",
                "[...document.querySelectorAll('tbody tr')].filter(e => !e.querySelector('th[scope=row]')).length",
                "[...document.querySelectorAll('[aria-labelledby]')].filter(e => !document.getElementById(e.getAttribute('aria-labelledby'))).length",
                "document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size",
                "document.querySelectorAll('h1').length - 1",
            ):
                assert await here.page.evaluate(lacking) == 0, (path, lacking)
            loaded = "performance.getEntriesByType('resource').map(e => e.name)"
            assert all(each.startswith(f"{here.base}/static/") for each in await here.page.evaluate(loaded))


@pytest.mark.slow
async def test_the_keyboard_alone_leads_from_the_sign_in_to_an_event(tmp_path: Path, program: str) -> None:
    """Given no mouse, a person signs in, searches, opens a case and an event; what has the focus can be seen."""
    async with sitting(program, tmp_path, signed_in=False) as here:
        page = here.page

        async def enter(path: str) -> None:
            async with page.expect_navigation(url=re.compile(re.escape(here.base) + path)):
                await page.keyboard.press("Enter")

        await tab_to(page, ".govuk-skip-link")
        await tab_to(page, "#name")
        await page.keyboard.type(NAME)
        await tab_to(page, "#password")
        await page.keyboard.type(PASSWORD)
        await tab_to(page, "#purpose")
        await page.keyboard.press("ArrowDown")
        await tab_to(page, "main button")
        await enter("/sign-in/code")
        assert (await faults(page), await too_wide(page) > 0) == ([], False)
        await tab_to(page, "#code")
        await page.keyboard.type(PHONE.shows(NAME, await page.content()))
        await tab_to(page, "main button")
        await enter("/search")
        await tab_to(page, "main button[name=go]")
        await enter(r"/search\?.*go=1")
        await tab_to(page, "main a[href^='/cases/']")
        await enter("/cases/")
        await tab_to(page, "main a[href^='/events/']")
        await enter("/events/")

        assert await page.text_content("h1") == "Signal recorded"
        assert [each["what"] for each in here.hall.asked()] == ["search", "case", "event"]


@pytest.mark.slow
async def test_the_page_warns_before_the_session_ends_and_leads_back_after_it(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two minutes without a question, a dialog offers to stay; when the session is over, the sign-in leads to the same page."""
    async with sitting(program, tmp_path) as here:
        page, case = here.page, f"/cases/{here.hall.case}"
        monkeypatch.setattr(sessions, "IDLE_SECONDS", 121)
        await here.go(case)
        await page.get_by_role("button", name="Stay signed in").click()
        await page.wait_for_selector("#nrm-session", state="hidden")
        await page.wait_for_selector("#nrm-session", state="visible")
        await page.context.clear_cookies()
        async with page.expect_navigation():
            await page.get_by_role("button", name="Stay signed in").click()
        assert "You were signed out" in await page.inner_text("main")
        await page.fill("#name", NAME)
        await page.fill("#password", PASSWORD)
        await page.select_option("#purpose", "court")
        async with page.expect_navigation():
            await page.click("main form button")
        await page.fill("#code", PHONE.shows(NAME, await page.content()))
        async with page.expect_navigation():
            await page.click("main form button")
        assert page.url == f"{here.base}{case}"


async def test_the_slider_shows_the_case_as_of_where_it_is_let_go(tmp_path: Path, program: str) -> None:
    """While moving, the slider names its registration; when released, the case is shown as of then, without a new question."""
    async with sitting(program, tmp_path) as here:
        page = here.page
        await here.go(f"/cases/{here.hall.case}")
        before = len(here.hall.asked())
        await page.eval_on_selector("#step", "each => { each.value = 3; each.dispatchEvent(new Event('input')); }")
        assert (await page.inner_text("#step-time")).startswith("3 of 66 · 2 March 2026")
        async with page.expect_navigation():
            await page.eval_on_selector("#step", "each => each.dispatchEvent(new Event('change'))")

        assert "step=3" in page.url
        assert await page.locator("ol.line > li").count() == 3
        assert await page.inner_text(".badge") == "Suspected"
        assert len(here.hall.asked()) == before


async def test_it_does_so_without_a_script_too(tmp_path: Path, program: str) -> None:
    """By its button, and by a day: a plain form."""
    async with sitting(program, tmp_path, script=False) as here:
        page = here.page
        await here.go(f"/cases/{here.hall.case}?step=5")
        assert await page.locator("ol.line > li").count() == 5
        async with page.expect_navigation():
            await page.locator(".slider button").first.click()
        assert await page.locator("ol.line > li").count() == 5
        await page.fill("#as_of", "2026-03-03")
        async with page.expect_navigation():
            await page.locator(".slider button").last.click()
        assert await page.locator("ol.line > li").count() == 28


@pytest.mark.slow
async def test_the_print_has_the_record_and_nothing_else(tmp_path: Path, program: str) -> None:
    """The print is A4 and ends with question, time and asker, in each language; it has no menu, form or slider."""
    async with sitting(program, tmp_path) as here:
        page = here.page
        for language in LANGUAGES:
            for path in (f"/cases/{here.hall.case}?", f"{here.hall.event('referral.submitted')}&"):
                await here.go(f"{path}lang={language}")
                printed = await page.pdf(prefer_css_page_size=True)
                assert printed.startswith(b"%PDF-")
                assert re.search(rb"/MediaBox \[0 0 59[45][.0-9]* 84[12]", printed)
                assert 1 <= len(re.findall(rb"/Type /Page\b(?!s)", printed)) <= 9
            await page.emulate_media(media="print")
            hidden = "[...document.querySelectorAll('nav, form, .slider')].filter(e => e.checkVisibility()).length"
            assert await page.evaluate(hidden) == 0
            assert await page.is_visible("footer")
            await page.emulate_media(media="null")
