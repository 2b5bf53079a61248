"""Pages of an agency's people in a real browser: without script, in the dark, by the keyboard, and true without a reload."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request

from agencies import BUS, CASE, SIGNAL
from desk.given import CANARY, REF, Given, desk_of
from intake.given import holder, take
from nrmbus.desk import intake
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import ROLES
from nrmbus.desk.web.application import AgencyPages
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import IntakeStore
from nrmbus.web.languages import Language
from web.browser import CHROMIUM, WALKED, chromium, faults, has_head_and_foot, kinds, serving, tab_to, too_wide, watched

pytestmark = [
    pytest.mark.oracle, pytest.mark.usefixtures("cheap_passwords"), pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]  # fmt: skip

A4: Final = 687
"""Width of a sheet of A4 without its margins, in pixels of CSS."""
REFERRAL: dict[str, Any] = {
    "to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"],
}  # fmt: skip


async def written_to(here: Given, home: Path) -> None:
    """Give the desk a public page, on which somebody has written."""
    store, hotline = IntakeStore(home), Hotline(BUS, "vac")
    here.behind.home = home
    await intake.tend(here.desk.seat, home)
    take(store, holder(), hotline=hotline)
    store.close()


@asynccontextmanager
async def at_work(home: Path, language: Language) -> AsyncIterator[tuple[Given, tuple[str, ...]]]:
    """Yield a desk with a case that waits for it, and where somebody who may do everything begins: first page, case, act."""
    async with desk_of("vac", home) as here:
        everything = NewMember(name="Example Worker", roles=ROLES, language=language)
        who = await here.behind.staff.add_example(everything, "door.json", "open sesame")

        async def signed_in(_request: Request, _door: Door) -> Member | None:
            return who

        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        sent = registrar.event(
            "ngo-a", "referral.submitted", REFERRAL, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        await here.settle()
        await written_to(here, home)
        async with serving(AgencyPages(here.behind, signed_in)) as address:
            async with httpx.AsyncClient(base_url=address) as browser:
                begun = await browser.post(f"/app/cases/{CASE}/acts/referral.accepted", data={"ref": REF})
            act = begun.headers["location"]
            yield here, tuple(f"{address}{path}" for path in ("/app/", f"/app/cases/{CASE}", act))


@pytest.mark.slow
async def test_the_pages_are_complete_without_script_on_a_desk_and_in_the_dark(tmp_path: Path, program: str) -> None:
    """Given a browser without JavaScript that asks for dark colours, the same pages have no serious fault."""
    async with at_work(tmp_path, "en") as (_, starts):
        async with chromium(program, script=False) as browser:
            page = await browser.new_page()
            without = [kind async for kind, _ in kinds(page, *starts)]
        async with chromium(program, dark=True) as browser:
            page = await browser.new_page()
            found = {kind: wrong async for kind, _ in kinds(page, *starts) if (wrong := await faults(page))}

    assert without
    assert found == {}


async def test_a_work_list_stays_true_without_a_reload(tmp_path: Path, program: str) -> None:
    """A row comes while somebody stands on another one: the focus stays, the change is said, and so is a lost connection."""
    async with at_work(tmp_path, "en") as (here, starts), chromium(program) as browser:
        page = await browser.new_page()
        errors = watched(page)
        await page.goto(f"{starts[0]}work")
        await page.locator("[data-row] .govuk-button").focus()
        held = await page.evaluate("document.activeElement.id")
        registrar = here.registrar
        sent = registrar.event("ngo-a", "referral.submitted", REFERRAL, case="12" * 16, referral="34" * 16)
        await here.hear(registrar.register(sent, to="vac"))
        await page.locator("[data-row]").nth(1).wait_for()
        said = page.locator("[data-live-said]", has_text="New rows: 1. Rows that are gone: 0.")
        await said.wait_for(state="attached")

        assert await page.evaluate("document.activeElement.id") == held
        assert await page.locator(".nrm-tabs [data-count=waits] span").first.text_content() == "2"
        await page.route("**/lists/stream", lambda route: route.abort())
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.locator(".nrm-live--gone", has_text="The connection is gone.").wait_for()

    assert [each for each in errors if "ERR_FAILED" not in each] == []


async def test_the_current_tab_alone_has_a_line_in_forced_colours(tmp_path: Path, program: str) -> None:
    """Given a reader whose system sets all colours, then of the tabs of a list and the pages of a case the current one alone is underlined."""
    lined = """all => all.map(each => {
      const { borderBottomColor } = getComputedStyle(each);
      return [each.hasAttribute("aria-current"), borderBottomColor === getComputedStyle(document.body).backgroundColor];
    })"""
    async with at_work(tmp_path, "en") as (_, starts), chromium(program) as browser:
        page = await browser.new_page()
        await page.emulate_media(forced_colors="active")
        for path, tabs in (("work", ".nrm-tabs a"), (f"cases/{CASE}", ".nrm-subnav a")):
            await page.goto(f"{starts[0]}{path}")
            found = await page.eval_on_selector_all(tabs, lined)

            assert sorted({*map(tuple, found)}) == [(False, True), (True, False)]


@pytest.mark.parametrize("language", WALKED)
async def test_a_page_on_paper_has_all_its_columns_and_nothing_to_press(
    tmp_path: Path, program: str, language: Language
) -> None:
    """Given somebody who prints a work list or a case on A4, a list is a table, no column is cut off, everything folded is open, and no button, form, navigation or address of a link is on the sheet."""
    async with at_work(tmp_path, language) as (_, starts), chromium(program, width=A4) as browser:
        page = await browser.new_page()
        await page.emulate_media(media="print")
        wide, pressed, addresses, rows = {}, {}, {}, set()
        for path in ("work", "board", "lists/others", "lists/cases", f"cases/{CASE}", f"cases/{CASE}/timeline"):
            await page.goto(f"{starts[0]}{path}")
            wide[path] = await too_wide(page)
            pressed[path] = await page.locator(
                "main :is(button, input, select, .govuk-button, .nrm-subnav):visible"
            ).count()
            after = "all => all.map(each => getComputedStyle(each, '::after').content).filter(each => !['none', 'normal'].includes(each))"
            addresses[path] = await page.eval_on_selector_all("main a:not([hidden])", after)
            shapes = "all => all.map(each => getComputedStyle(each).display)"
            rows |= {*await page.eval_on_selector_all("main .nrm-rows tr", shapes)}
        await page.goto(f"{starts[0]}cases/{CASE}/acts")
        folded = await page.locator("details:not([open]) > :not(summary):visible").count()

    assert rows == {"table-row"}
    assert folded > 0, "what is folded on the screen is on the sheet"
    assert set(wide.values()) == {0}
    assert set(pressed.values()) == {0}
    assert [each for found in addresses.values() for each in found] == []


async def test_the_person_s_paper_has_no_address_of_the_desk_on_it(tmp_path: Path, program: str) -> None:
    """Given a browser that prints its own head and foot, then no sheet of a copy of one page or of many has them, and a page for colleagues has; Back and another language lead to the form."""
    async with at_work(tmp_path, "en") as (here, starts), chromium(program) as browser:
        page = await browser.new_page()
        await page.goto(starts[1])
        is_on_others = await has_head_and_foot(page)
        asks = f"{starts[1]}/referrals/{REF}/copy"
        await page.goto(asks)
        await page.locator("input[value=contacts]").check()
        await page.get_by_role("button", name="Русский").click()
        await page.locator("html[lang=ru]").wait_for()
        is_kept = await page.locator("input[value=contacts]").is_checked()
        await page.goto(asks)
        await page.locator("input[value=contacts]").check()
        await page.locator("input[name=language][value=en]").check()
        await here.during(page.locator("#kept .govuk-button").click())
        await page.locator(".nrm-paper__sheet").wait_for()
        address = urlsplit(page.url).path
        is_on_one = await has_head_and_foot(page)
        await page.evaluate("""() => {
          const sheet = document.querySelector(".nrm-paper__sheet");
          for (let more = 0; more < 40; more++) sheet.append(sheet.querySelector("section").cloneNode(true));
        }""")
        is_on_many = await has_head_and_foot(page)
        await here.during(page.reload())
        await page.locator(".nrm-paper__sheet").wait_for()
        await page.go_back()
        await page.locator("#kept").wait_for()

    assert (address, is_kept) == ("/app/print", True)
    assert (is_on_others, is_on_one, is_on_many) == (True, False, False)


async def test_a_referral_is_answered_by_the_keyboard_alone(tmp_path: Path, program: str) -> None:
    """Given no mouse, somebody finds what waits, accepts it, checks the answer and sends it; then the row is gone."""
    async with at_work(tmp_path, "en") as (here, starts), chromium(program, width=360) as browser:
        page = await browser.new_page()

        async def press(selector: str, leads: str) -> None:
            await tab_to(page, selector)
            async with page.expect_navigation(url=re.compile(leads)):
                await page.keyboard.press("Enter")

        await page.goto(starts[0])
        await press(".nrm-next a", f"/referrals/{REF}$")
        await press('form[action$="/acts/referral.accepted"] button', "/what$")
        await tab_to(page, "input[type=radio]")
        await page.keyboard.press("Space")
        await press('button[value="on"]', "/check$")
        await press('form[action$="/send"] button', "/sent$")
        await here.settle()
        await press('a[href$="/sent"]', "/sent$")
        heading = await page.inner_text("h1")
        await page.goto(starts[0])
        left = await page.locator(f'a[href$="/referrals/{REF}"]').count()

    assert (heading, left) == ("Registered", 0)
