"""Sign-in and session in a real browser: a passkey from the first sign-in to the next, and a warning before a session ends."""

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page

from desk.staff.given import PASSWORD
from desk.web.staff.given import OPEN, office
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.web.application import AgencyPages
from web.browser import CHROMIUM, chromium, has_head_and_foot, serving, watched

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.usefixtures("cheap_passwords"),
    pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]

NAME = "Leyla Example"


async def signs_in(page: Page, address: str, name: str, password: str) -> None:
    """Type *name* and *password*, and press Enter."""
    await page.goto(f"{address}/app/sign-in")
    await page.fill("#name", name)
    await page.fill("#password", password)
    await page.press("#password", "Enter")


async def signed_in_at(page: Page, address: str, path: str) -> Page:
    """Return *page*, whose clock is under the test's control, at *path* after the sign-in of an invented member."""
    await page.clock.install()
    await signs_in(page, address, NAME, OPEN)
    await page.wait_for_selector(".nrm-who")
    await page.goto(f"{address}/app/{path}")
    return page


async def test_a_passkey_is_set_up_at_the_first_sign_in_and_signs_in_alone(tmp_path: Path, program: str) -> None:
    """Given a device that keeps passkeys, the person types name and password once and never again."""
    async with office(tmp_path) as it, serving(AgencyPages(it.here.behind)) as here, chromium(program) as browser:
        address = here.replace("127.0.0.1", "localhost")
        _, once = await it.staff.add(NewMember(name=NAME, roles=("worker",), language="en"), "door.json")
        page = await browser.new_page()
        errors = watched(page)
        device = await browser.new_cdp_session(page)
        await device.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        await device.send("WebAuthn.addVirtualAuthenticator", {"options": options})

        await signs_in(page, address, NAME, once or "")
        await page.fill("#new", PASSWORD)
        await page.fill("#again", PASSWORD)
        await page.press("#again", "Enter")
        await page.click("#passkey-button")
        await page.wait_for_selector(".nrm-codes")
        assert not await has_head_and_foot(page), "a paper with codes does not say where they sign in"
        await page.goto(f"{address}/app/account")
        await page.click(".nrm-who button")
        await page.wait_for_url("**/sign-in?out=1")
        await page.click("#passkey-button")
        await page.wait_for_selector(".nrm-who")
        assert [each.how for each in it.staff.sessions.everybodys()] == ["passkey"]
        assert errors == []


@pytest.mark.slow
async def test_a_session_warns_before_its_end_and_leads_back_after_it(tmp_path: Path, program: str) -> None:
    """The warning comes two minutes before, staying extends it, another tab's use is noticed, and the end hides the page."""
    async with office(tmp_path) as it, serving(AgencyPages(it.here.behind)) as address, chromium(program) as browser:
        await it.example(NAME, "worker")
        page = await signed_in_at(await browser.new_page(), address, "account")
        dialog = page.locator("#nrm-session")

        async def passes(minutes: int) -> None:
            it.later(minutes=minutes)
            async with page.expect_response("**/app/session"):
                await page.clock.fast_forward(minutes * 60_000)

        async def elsewhere() -> None:
            value = next(each["value"] for each in await browser.cookies() if each["name"] == "nrmbus-ngo-a")
            assert await it.staff.sessions.use(value or "")

        await page.wait_for_function("document.querySelector('.js-enabled')")
        await page.wait_for_load_state("networkidle")
        it.later(minutes=10)
        await page.clock.fast_forward(10 * 60_000)
        await elsewhere()
        await passes(4)
        assert not await dialog.is_visible(), "another tab was used four minutes ago"
        await passes(10)
        await dialog.wait_for(state="visible")
        async with page.expect_response("**/app/session"):
            await page.click("[data-stay]")
        await dialog.wait_for(state="hidden")
        (session,) = it.staff.sessions.everybodys()
        assert session.ends - it.clock.time == timedelta(minutes=15)
        await passes(16)
        await page.wait_for_url("**/sign-in?over=1&back=%2Faccount")


@pytest.mark.slow
async def test_a_page_on_which_something_was_typed_stays_when_the_session_ends(tmp_path: Path, program: str) -> None:
    """Given a changed form, the page says that the person was signed out, keeps the form, and goes on after a sign-in elsewhere."""
    async with office(tmp_path) as it, serving(AgencyPages(it.here.behind)) as address, chromium(program) as browser:
        await it.example(NAME, "worker")
        page = await signed_in_at(await browser.new_page(), address, "account/password")
        await page.wait_for_function("document.querySelector('.js-enabled')")
        await page.wait_for_load_state("networkidle")
        await page.fill("#new", "a new long password")
        it.later(minutes=16)
        async with page.expect_response("**/app/session"):
            await page.clock.fast_forward(16 * 60_000)
        ended = page.locator("#nrm-session-over")
        await ended.wait_for(state="visible")
        assert not await page.locator("#nrm-session").is_visible()
        assert page.url == f"{address}/app/account/password"
        assert await page.input_value("#new") == "a new long password"

        other = await browser.new_page()
        await signs_in(other, address, NAME, OPEN)
        await other.wait_for_selector(".nrm-who")
        async with page.expect_response("**/app/session"):
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await ended.wait_for(state="hidden")
        assert await page.input_value("#new") == "a new long password"
