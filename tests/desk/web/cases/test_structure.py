"""What a screen reader goes by on the pages of a case: headings in order, captions, labels, landmarks, one of each id."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from desk.documents.test_reading import received
from desk.web.browsing import member
from desk.web.cases.given import AT, COPY, PAPER, at_vac, opened
from desk.web.cases.test_pages import EVERYTHING, PAGES
from desk.web.cases.test_sharing import FILE, SAID, SHARE

_FIELDS: Final = frozenset({"input", "select", "textarea"})
_UNSEEN: Final = frozenset({"hidden", "submit"})


class Structure(HTMLParser):
    """Faults in the structure of one page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._level, self._mains, self._heads = 0, 0, 0
        self._ids: list[str] = []
        self._fields: list[str] = []
        self._labels: set[str] = set()
        self._points: set[str] = set()
        self._tables: list[bool] = []
        self.feed(page)
        self.faults += [f"id {each} twice" for each in set(self._ids) if self._ids.count(each) > 1]
        self.faults += [f"{each} has no label" for each in self._fields if each not in self._labels]
        self.faults += [f"nothing has the id {each}" for each in self._points - set(self._ids)]
        if (self._mains, self._heads) != (1, 1):
            self.faults.append(f"{self._mains} main, {self._heads} h1")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        has = {name: value or "" for name, value in attrs}
        if "id" in has:
            self._ids.append(has["id"])
        if len(tag) == len("h1") and tag[0] == "h" and tag[1].isdecimal():
            level = int(tag[1])
            self._heads += level == 1
            if level > self._level + 1 and not (self._level == 0 and level == 2):
                self.faults.append(f"h{level} after h{self._level}")
            self._level = level
        self._mains += tag == "main"
        if tag in _FIELDS and has.get("type") not in _UNSEEN:
            self._fields.append(has.get("id", "?"))
        if tag == "label":
            self._labels.add(has.get("for", ""))
        self._points |= set(has.get("aria-describedby", "").split())
        if tag == "a" and has.get("href", "").startswith("#"):
            self._points.add(has["href"][1:])
        if tag == "table":
            self._tables.append(False)
        if tag == "caption":
            self._tables[-1] = True
        if tag == "th" and "scope" not in has:
            self.faults.append("th without scope")
        if tag == "nav" and not has.get("aria-label"):
            self.faults.append("nav without a name")

    def handle_endtag(self, tag: str) -> None:
        """Look at the end of one element."""
        if tag == "table" and not self._tables.pop():
            self.faults.append("table without caption")


async def test_every_page_of_a_case_can_be_followed_without_seeing_it(tmp_path: Path) -> None:
    """Given every page, form with errors, opened letter and paper, none has a fault of structure."""
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, id):
        await received(here)
        await here.settle()
        pages = {below: (await browser.get(AT + below)).text for below in (*PAGES, "/documents/share")}
        for below in ("/letters", "/documents", "/sheet"):
            pages[f"{below} with errors"] = (await browser.post(AT + below)).text
        pages["copy with errors"] = (await browser.post(PAPER, data=COPY)).text
        pages["share with errors"] = (await browser.post(SHARE, files=FILE)).text
        pages["share, checked"] = (await browser.post(SHARE, data=SAID, files=FILE)).text
        pages["opened"] = (await opened(here, browser, id)).text
        pages["who read"] = (await browser.get(f"{AT}/reads")).text
        pages["sheet"] = (await here.during(browser.post(f"{AT}/sheet", data={"purpose": "court"}))).text
        paper = {**COPY, "language": "en", "says": "all"}
        pages["copy"] = (await here.during(browser.post(PAPER, data=paper))).text

    assert {name: found for name, page in pages.items() if (found := Structure(page).faults)} == {}


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<main><h1></h1><h3></h3></main>", "h3 after h1"),
        ("<main><h1></h1><table></table></main>", "table without caption"),
        ('<main><h1></h1><input id="a"></main>', "a has no label"),
        ('<main><h1 id="a"></h1><p id="a"></p></main>', "id a twice"),
        ('<main><h1></h1><a href="#b"></a></main>', "nothing has the id b"),
        ("<h1></h1>", "0 main, 1 h1"),
    ],
)
def test_a_fault_is_found(page: str, fault: str) -> None:
    """Sabotage: each kind of fault is seen."""
    assert Structure(page).faults == [fault]
