"""The page of figures in a real browser: on a phone, on paper, and for who does not see it."""

from pathlib import Path
from typing import Final

import pytest
from starlette.requests import Request

from desk.given import desk_of
from desk.web.browsing import member
from figures_published import LAST, YEAR, hear
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.web.application import AgencyPages
from web.browser import CHROMIUM, chromium, faults, serving, too_wide, watched, widths

pytestmark = [
    pytest.mark.oracle, pytest.mark.parametrize("program", CHROMIUM, ids=["chromium"][: len(CHROMIUM)]),
]  # fmt: skip

PAPER: Final = 688
"""Width of an A4 page between its margins, in pixels."""
APART: Final = "all => Math.min(...all.map(each => parseFloat(getComputedStyle(each).paddingLeft)))"


async def test_the_figures_fit_every_width_and_a_sheet_of_paper(program: str, tmp_path: Path) -> None:
    """No sideways scrolling, no fault that axe finds, light and dark, without a script; A4 has every table and no navigation."""

    async def signed_in(_request: Request, _door: Door) -> Member | None:
        return member("read_cases", language="ru")

    async with desk_of("vac", tmp_path) as here:
        await hear(here, "vac", [LAST, YEAR])
        async with serving(AgencyPages(here.behind, signed_in)) as address:
            for dark in (False, True):
                async with chromium(program, script=not dark, dark=dark) as browser:
                    page = await browser.new_page()
                    errors = watched(page)
                    await page.goto(f"{address}/app/figures?subject=all")
                    for width in widths():
                        await page.set_viewport_size({"width": width, "height": 900})
                        assert await too_wide(page) <= 0
                    assert errors == []
                    if not dark:
                        assert await faults(page) == []
                    await page.emulate_media(media="print")
                    await page.set_viewport_size({"width": PAPER, "height": 900})
                    cells = page.locator(".nrm-rows--figures .nrm-number")
                    assert await cells.evaluate_all(APART) >= 8, "a number touches the column before it"
                    assert not await page.locator(".nrm-tabs").is_visible()
                    assert await page.locator(".nrm-rows--figures thead").first.is_visible()
