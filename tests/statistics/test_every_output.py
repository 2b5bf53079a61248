"""Every output of the figures shows the same cells: JSON, CSV, SDMX, and the pages in three languages.

Figures of two years of cases by the hundred are heard by a desk. Each output is read with a reader of its own kind, and
compared with the JSON of the release, cell by cell.
"""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from desk.given import Given, desk_of
from desk.web.browsing import browsing, member
from figures_published import hear
from figures_scaled import in_order
from nrmbus.events.figures import TOTAL, Release, Table
from nrmbus.statistics import sdmx, shown
from nrmbus.statistics.document import document
from nrmbus.statistics.named import heading_of, word_of
from nrmbus.statistics.shown import number
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words

pytestmark = pytest.mark.thorough

ME: Final = "coordinator"
SEED: Final = 3
PERIODS: Final = ("2025", "2026-Q2", "2026")
Cells = dict[tuple[str, tuple[str, ...]], int | None]
NESTED: Final = {"identified_by_age_band", "identified_by_citizenship"}


@cache
def releases() -> tuple[Release, ...]:
    """Return the releases of `PERIODS`: made when a test asks, and not at collection."""
    return tuple(in_order(SEED, PERIODS))


class Tables(HTMLParser):
    """Tables of a page: name, headings, and the rows with each cell as text and change; and the numbers of each chart."""

    def __init__(self, html: str) -> None:
        """Read *html*."""
        super().__init__()
        self.found: list[tuple[str, list[str], list[tuple[bool, list[tuple[str, str]]]]]] = []
        self.bars: dict[str, list[str]] = {}
        self._name = self._into = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row, a cell or the number of a bar."""
        said = dict(attrs)
        kind = said.get("class") or ""
        match tag:
            case "h3":
                self._name = said.get("id") or ""
            case "table":
                self.found.append((self._name, [], []))
            case "thead" | "tbody":
                self._into = tag
            case "tr" if self._into == "tbody":
                self.found[-1][2].append(("nrm-row--within" in kind, []))
            case "th" | "td":
                self._add("")
                self._open = ["heading"] if self._into == "thead" else ["text"]
            case "span" if "nrm-change" in kind:
                self._open.append("change")
            case "text" if "nrm-chart__number" in kind:
                self._open = ["bar"]

    def handle_endtag(self, tag: str) -> None:
        """End a cell, or the change in it."""
        if tag in ("th", "td", "text"):
            self._open = []
        elif tag == "span" and self._open[-1:] == ["change"]:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Take the text of what is open."""
        match self._open[-1:]:
            case ["heading"]:
                self.found[-1][1][-1] += data
            case ["text"]:
                said, change = self.found[-1][2][-1][1][-1]
                self.found[-1][2][-1][1][-1] = (said + data, change)
            case ["change"]:
                said, change = self.found[-1][2][-1][1][-1]
                self.found[-1][2][-1][1][-1] = (said.strip(), change + data)
            case ["bar"]:
                self.bars.setdefault(self._name, []).append(data)

    def _add(self, text: str) -> None:
        if self._into == "thead":
            self.found[-1][1].append(text)
        else:
            self.found[-1][2][-1][1].append((text, ""))


@pytest.fixture(name="here")
async def _here(tmp_path: Path) -> AsyncIterator[Given]:
    """The coordinator's desk, which heard the figures of two years and a quarter."""
    async with desk_of(ME, tmp_path) as here:
        await hear(here, ME, releases())
        yield here


async def page(here: Given, path: str, language: Language = "en") -> str:
    """Return the text of the page at *path*."""
    async with browsing(here, member("read_cases", "publish", "approve", language=language)) as browser:
        answer = await browser.get(path)
        assert answer.status_code == 200, path
        return answer.text


def cells_of(release: Release) -> Cells:
    """Return each cell of the JSON of *release*; None if it is suppressed."""
    return {(table.id, row.keys): row.count for table in release.tables for row in table.rows}


def changes_of(release: Release) -> dict[tuple[str, tuple[str, ...]], int]:
    """Return the change of each cell of which both counts are published."""
    return {
        (table.id, row.keys): row.change for table in release.tables for row in table.rows if row.change is not None
    }


def whole(text: str) -> int:
    """Return the number in *text*, however its thousands are written."""
    return int(re.sub(r"\D", "", text))


def keys_of(table: Table, t: Words, headings: list[str], names: list[str], group: str | None) -> Iterator[Any]:
    """Yield the keys of each number of a row of a page, in the order of the columns; *group* is what the row is a part of."""
    words = [
        {word_of(t, dimension, row.keys[place]): row.keys[place] for row in table.rows}
        for place, dimension in enumerate(table.dimensions)
    ]
    if table.id in NESTED:
        yield (words[0][names[0]], TOTAL) if group is None else (group, words[1][names[0]])
    elif headings[: len(table.dimensions)] == [heading_of(t, each) for each in table.dimensions]:
        yield tuple(found[name] for found, name in zip(words, names, strict=True))
    else:
        down = 0 if headings[0] == heading_of(t, table.dimensions[0]) else 1
        for each in headings[1:]:
            pair = {down: words[down][names[0]], 1 - down: words[1 - down][each]}
            yield pair[0], pair[1]


def page_cells(html: str, release: Release, t: Words) -> tuple[Cells, dict[tuple[str, tuple[str, ...]], int]]:
    """Return each cell that a page shows, and each change. Every word of a row or column is looked up in the release."""
    shown_cells: Cells = {}
    changes: dict[tuple[str, tuple[str, ...]], int] = {}
    tables = {table.id: table for table in release.tables}
    for name, headings, rows in Tables(html).found:
        table, group = tables[name], ""
        is_list = name in NESTED or headings[: len(table.dimensions)] == [heading_of(t, e) for e in table.dimensions]
        labels = len(table.dimensions) if is_list and name not in NESTED else 1
        for is_within, cells in rows:
            names = [text.strip() for text, _ in cells[:labels]]
            every = list(keys_of(table, t, headings, names, group if is_within else None))
            if not is_within:
                group = every[0][0]
            numbers = cells[labels:]
            if is_list and len(numbers) == 2:
                numbers = [(numbers[0][0], numbers[1][0])]
            for keys, (text, change) in zip(every, numbers, strict=True):
                if text.strip() == "–":
                    continue
                place = (name, keys)
                assert place not in shown_cells, place
                shown_cells[place] = None if text.strip() == t("suppressed") else read_as(table, keys, text.strip(), t)
                if change.strip(" –"):
                    changes[place] = changed_by(table, keys, change.strip(), t)
    return shown_cells, changes


def read_as(table: Table, keys: tuple[str, ...], text: str, t: Words) -> int:
    """Return the number that *text* stands for. A time in words is looked up among those of the release; a hidden one is 0."""
    if table.unit != "minutes":
        return whole(text)
    count = table.cell(*keys) or 0
    assert text == number(t, count, "minutes")
    return count


def changed_by(table: Table, keys: tuple[str, ...], text: str, t: Words) -> int:
    """Return the change that *text* stands for."""
    sign = -1 if text.startswith("−") else 1
    if table.unit != "minutes":
        return sign * whole(text)
    change = next(row.change for row in table.rows if row.keys == keys)
    assert change is not None
    assert text[1:] == number(t, abs(change), "minutes")
    return sign * abs(change)


def published(cells: Cells) -> Cells:
    """Return the cells that are not suppressed."""
    return {place: count for place, count in cells.items() if count is not None}


@pytest.mark.slow
@pytest.mark.parametrize("period", PERIODS)
async def test_csv_and_sdmx_have_the_cells_of_the_json(here: Given, period: str) -> None:
    """Every file has every cell once: the same counts, and the same cells without one."""
    release = releases()[PERIODS.index(period)]
    files = {
        kind: await page(here, f"/app/figures/files/{release.digest}.{kind}") for kind in ("json", "csv", "sdmx.xml")
    }
    cells = cells_of(Release.read(files["json"].encode()))
    assert len(published(cells)) > 30
    assert len(cells) - len(published(cells)) > 30

    lines = list(csv.DictReader(io.StringIO(files["csv"])))
    sheet = {
        (each["table"], tuple(filter(None, (each["code_1"], each["code_2"])))): int(each["count"])
        if each["count"]
        else None
        for each in lines
    }
    assert len(lines) == len(cells)
    assert sheet == cells
    assert {each["status"] for each in lines if each["count"]} == {"published"}
    assert {each["status"] for each in lines if not each["count"]} == {"suppressed"}

    read: Cells = {}
    sets = [each for each in ET.fromstring(files["sdmx.xml"]) if each.tag.endswith("DataSet")]  # noqa: S314 - ours
    for table, found in zip(release.tables, sets, strict=True):
        observations = [dict(each.attrib) for each in found]
        about = [{n: v for n, v in each.items() if n[:3] not in ("OBS", "CON")} for each in observations]
        assert all(about.count(each) == 1 for each in about)
        for row, each in zip(table.rows, observations, strict=True):
            codes = {sdmx.code_of(dimension, key) for dimension, key in zip(table.dimensions, row.keys, strict=True)}
            assert codes <= set(each.values())
            assert each["OBS_STATUS"] + each["CONF_STATUS"] == ("AF" if "OBS_VALUE" in each else "QC")
            read[table.id, row.keys] = int(each["OBS_VALUE"]) if "OBS_VALUE" in each else None
    assert read == cells


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_and_the_document_show_the_published_cells_and_no_others(
    here: Given, language: Language
) -> None:
    """In each language: every published cell with its number and change, and a suppressed one in words or not at all."""
    t = Words(language, here.desk.seat.rules.profile.zone)
    for release in releases():
        cells, changes = cells_of(release), changes_of(release)
        on_page = await page(here, f"/app/figures?release={release.digest}&subject=all", language)
        for html in (on_page, document(release, t)):
            found, changed = page_cells(html, release, t)
            assert published(found) == published(cells)
            assert {place for place, count in found.items() if count is None} <= cells.keys() - published(cells).keys()
            assert changed == {place: change for place, change in changes.items() if place in published(cells)}
            for name, bars in Tables(html).bars.items():
                table = release.table(name)
                numbers = {number(t, row.count, table.unit) for row in table.rows if row.count is not None}
                assert set(bars) <= numbers


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_coordinator_s_pages_show_the_cells_of_the_release(here: Given, language: Language) -> None:
    """Main figures, duties and shares in each language; a share is of two published counts, and there is none beside a suppressed one."""
    t = Words(language, here.desk.seat.rules.profile.zone)
    newest = releases()[-1]
    main = re.findall(
        r'<li><span>([^<]*)</span><span class="nrm-numbers__number[^"]*">([^<]*)</span>',
        await page(here, "/app/overview", language),
    )
    due = [
        (t("Identified victims"), "identified_by_sex", TOTAL), (t("Persons with a signal"), "signalled_by_sex", TOTAL),
        (t("Referrals"), "referrals_by_role", TOTAL), (t("Missed deadlines"), "clocks_by_rule", TOTAL, "missed"),
    ]  # fmt: skip
    assert [(name, None if text == t("suppressed") else whole(text)) for name, text in main] == [
        (name, newest.table(table).cell(*keys)) for name, table, *keys in due
    ]
    for release in releases():
        html = await page(here, f"/app/missed?period={release.period}", language)
        rules, roles, *course = [
            {cells[0][0]: [text.strip() for text, _ in cells[1:]] for _, cells in rows}
            for _, _, rows in Tables(html).found
        ]
        for name, rows in (("clocks_by_rule", rules), ("clocks_by_role", roles)):
            table = release.table(name)
            assert rows == {
                word_of(t, table.dimensions[0], key): said
                for key in dict.fromkeys(row.keys[0] for row in table.rows if row.keys[0] != TOTAL)
                for said in [duty(table, key, t, is_short=len(next(iter(rows.values()))) == 1)]
                if said is not None
            }
        assert len(course) == 1
        assert sorted(course[0].values()) == sorted(
            filter(None, (duty(each.table("clocks_by_rule"), TOTAL, t) for each in releases()))
        )


def duty(table: Table, key: str, t: Words, *, is_short: bool = False) -> list[str] | None:
    """Return what the page must say of the duties of *key*: ended, met, missed and the share; None if nothing is published."""
    ended, met, missed = (table.cell(key, each) for each in (TOTAL, "met", "missed"))
    if ended is None and met is not None and missed is not None:
        ended = met + missed
    if (ended, met, missed) == (None, None, None):
        return None
    counts = [t("suppressed") if each is None else number(t, each, "events") for each in (ended, met, missed)]
    if is_short:
        return counts[:1]
    if met is None or ended is None:
        return [*counts, t("suppressed")]
    share = round(100 * met / ended)
    share = 99 if share == 100 and met < ended else 1 if share == 0 and met else share
    return [*counts, t("{percent} %", percent=share)]


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_page_that_shows_a_suppressed_cell_is_found(
    here: Given, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: the page writes 0 where a number is suppressed."""
    t = Words(language, here.desk.seat.rules.profile.zone)
    monkeypatch.setattr(shown, "_cell", lambda t, row, unit: shown.Cell(number(t, row.count or 0, unit)))
    release = releases()[-1]

    found, _ = page_cells(document(release, t), release, t)

    assert published(found) != published(cells_of(release))
