"""Pages of the released figures, at the desk of an agency that has nothing to do with them."""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from pysdmx.io.xml.doc_validation import validate_doc

from desk.given import Given, desk_of
from desk.web.browsing import browsing, member
from figures_published import CORRECTED, LAST, YEAR, hear
from nrmbus.events.figures import Release
from nrmbus.statistics.document import document
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words

ME: Final = "vac"


@pytest.fixture(name="here")
async def _here(tmp_path: Path) -> AsyncIterator[Given]:
    """A desk that heard the figures of two years."""
    async with desk_of(ME, tmp_path) as here:
        await hear(here, ME, [LAST, YEAR])
        yield here


async def page(here: Given, path: str, *, language: Language = "en") -> httpx.Response:
    """Return the page at *path* for somebody who works there."""
    async with browsing(here, member("read_cases", language=language)) as browser:
        return await browser.get(path)


async def test_the_newest_year_is_shown_with_a_table_beside_each_chart(here: Given) -> None:
    """Every chart is an image with title and description, and stands beside the table with its numbers."""
    shown = (await page(here, "/app/figures?subject=all")).text

    assert "Figures for 2026" in shown
    charts = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert charts
    for each in charts:
        title, told = re.search(r'aria-labelledby="(\S+) (\S+)"', each).groups()  # type: ignore[union-attr]
        assert f'<title id="{title}">' in each
        assert f'<desc id="{told}">The longest bar is' in each
        assert shown.partition(each)[2].lstrip().startswith(('</figure><div class="nrm-wide"', "<figcaption>"))
    assert "style=" not in shown.replace('rel="stylesheet"', "")


async def test_suppressed_numbers_are_words_and_the_method_is_told(here: Given) -> None:
    """Three children are below k: no number says so. The page names k, the place of the history, and the release."""
    shown = (await page(here, "/app/figures?subject=all")).text

    assert '<span class="nrm-suppressed">suppressed</span>' in shown
    assert "Suppressed: the number is below 11, zero included" in shown
    assert YEAR.digest in shown
    assert "nrmbus figures --year 2026" in shown


async def test_another_period_has_an_address_and_an_unknown_one_is_no_page(here: Given) -> None:
    """A year is chosen by a link; what is not there is not found."""
    assert "Figures for 2025" in (await page(here, "/app/figures?period=2025")).text
    assert (await page(here, "/app/figures?period=2019")).status_code == 404
    assert (await page(here, "/app/figures?release=0")).status_code == 404


async def test_a_subject_is_a_page_and_all_of_them_are_one(here: Given) -> None:
    """The first page has the first subject and leads to every other one, also of an earlier release; an unknown one is no page."""
    await hear(here, ME, [CORRECTED])
    first = (await page(here, "/app/figures")).text
    earlier = (await page(here, f"/app/figures?release={YEAR.digest}&subject=referrals")).text
    whole = (await page(here, "/app/figures?subject=all")).text

    def tables(shown: str) -> int:
        return shown.count('class="nrm-figure"')

    led_to = re.findall(r'href="(/app/figures\?period=2026&amp;subject=\w+)"', first)
    others = [(await page(here, each.replace("&amp;", "&"))).text for each in led_to if not each.endswith("all")]
    assert tables(first) + sum(map(tables, others)) == tables(whole)
    assert all(0 < tables(each) < tables(whole) for each in (first, *others))
    assert f"release={YEAR.digest}&amp;subject=money" in earlier
    assert (await page(here, "/app/figures?subject=weather")).status_code == 404


async def test_a_correction_leads_to_the_earlier_release_and_back(here: Given) -> None:
    """The corrected figures are shown; the earlier ones stay readable, and say that they are corrected."""
    await hear(here, ME, [CORRECTED])

    newest = (await page(here, "/app/figures")).text
    earlier = (await page(here, f"/app/figures?release={YEAR.digest}")).text

    assert "These figures correct an earlier release." in newest
    assert f"release={YEAR.digest}" in newest
    assert "A later release corrects these figures." in earlier


async def test_files_are_the_release_and_what_is_made_of_it(here: Given) -> None:
    """JSON is the release byte for byte; CSV and SDMX have its cells; another ending is no file."""
    files = {
        kind: await page(here, f"/app/figures/files/{YEAR.digest}.{kind}")
        for kind in ("json", "csv", "sdmx.xml", "structure.xml")
    }

    assert Release.read(files["json"].content).digest == YEAR.digest
    assert len(list(csv.reader(io.StringIO(files["csv"].text)))) == 1 + sum(len(each.rows) for each in YEAR.tables)
    validate_doc(files["sdmx.xml"].text)
    validate_doc(files["structure.xml"].text)
    assert all("attachment" in each.headers["content-disposition"] for each in files.values())
    assert (await page(here, f"/app/figures/files/{YEAR.digest}.exe")).status_code == 404
    assert (await page(here, "/app/figures/files/.json")).status_code == 404


async def test_a_desk_without_figures_says_when_they_come(tmp_path: Path) -> None:
    """An empty page explains itself, and the navigation leads to it."""
    async with desk_of(ME, tmp_path) as here:
        shown = (await page(here, "/app/figures")).text

    assert "No figures are released yet" in shown
    assert 'href="/app/figures" aria-current="page"' in shown


@pytest.mark.parametrize("language", LANGUAGES)
async def test_page_and_document_speak_the_reader_s_language(here: Given, language: Language) -> None:
    """The same numbers, in Azerbaijani, English and Russian; the document loads nothing."""
    t = Words(language, here.desk.seat.rules.profile.zone)
    shown, whole = (await page(here, "/app/figures?subject=all", language=language)).text, document(YEAR, t)

    for each in (shown, whole):
        assert f'<html lang="{language}"' in each
        assert t("Identified victims by sex") in each
    assert not re.search(r'(src|href)="(?!#)', whole)
    assert "<script" not in whole
