"""A browser without a window for the pages of a desk in a test: it keeps cookies, and says who has signed in."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from html import unescape
from typing import Final

import httpx
from starlette.requests import Request

from agencies import NOW, identity
from desk.given import Given
from desk.test_directory import directory, entered
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.web.application import AgencyPages
from nrmbus.directory import Directory, joining
from nrmbus.directory.entry import Kind
from nrmbus.web.languages import Language

WORKER: Final[tuple[Permission, ...]] = ("read_cases", "open_letters", "publish")
SITE: Final = "http://127.0.0.1:8000"


def member(
    *permissions: Permission, number: str = "4711", name: str = "Example Worker", language: Language = "en"
) -> Member:
    """Return a member with *permissions*; without any, a worker's."""
    return Member(number, name, ("worker",), language, frozenset(permissions or WORKER))


def employed(here: Given, who: Member) -> Member:
    """Return *who*, whom the desk *here* knows from now on as a member: the first of two signatures counts only of one."""
    here.behind.staff.members._members[who.number] = who
    return who


def gone(here: Given, agency: str, kind: Kind, found: Directory | None = None) -> None:
    """Let the desk *here* learn that *agency*, of *found* or else of the town, is suspended or at its own request ``retired``."""
    found = here.desk.seat.directory = found or directory()
    entry = joining.repeated(found, agency, kind, made=NOW)
    entered(found, joining.asked_by(entry, [identity(agency).signing]) if kind == "retired" else entry)


@asynccontextmanager
async def browsing(here: Given, who: Member | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a browser at the pages of the desk *here*; *who* has signed in."""

    async def signed_in(_request: Request, _door: Door) -> Member | None:
        return who

    transport = httpx.ASGITransport(AgencyPages(here.behind, signed_in))
    async with httpx.AsyncClient(transport=transport, base_url=SITE, follow_redirects=False) as browser:
        yield browser


def titles(pages: Iterable[httpx.Response]) -> list[str]:
    """Return the title of each of *pages*."""
    return [each.text.partition("<title>")[2].partition("</title>")[0] for each in pages]


def kept_in(page: httpx.Response) -> dict[str, list[str]]:
    """Return what a browser sends of the form of *page* that goes with every language."""
    form = re.search(r'<form id="kept".*?</form>', page.text, re.DOTALL)
    assert form, "the page has no such form"
    found: dict[str, list[str]] = {}
    elsewhere = re.findall(r'<input[^>]* form="kept"[^>]*>', page.text)
    for tag in (*re.findall(r"<input[^>]*>", form[0]), *elsewhere):
        name, value = re.search(r' name="([^"]*)"', tag), re.search(r' value="([^"]*)"', tag)
        is_sent = " checked" in tag or not re.search(r'type="(?:radio|checkbox)"', tag)
        if name and is_sent:
            found.setdefault(name[1], []).append(unescape(value[1]) if value else "")
    for name_of_select, options in re.findall(r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        found[name_of_select] = [unescape(chosen[1]) if chosen else ""]
    return found


async def in_russian(browser: httpx.AsyncClient, page: httpx.Response, **filled: list[str]) -> httpx.Response:
    """Return *page* in Russian, by its button, after somebody has *filled* in fields of its form."""
    button = re.search(r'<button[^>]* form="kept" formaction="([^"]+)"[^>]* lang="ru">', page.text)
    assert button, "the page has no button of another language"
    sent = kept_in(page) | filled | {"go": ["language"]}
    shown = await browser.post(unescape(button[1]), data=sent, headers={"sec-fetch-site": "same-origin"})
    assert (shown.status_code, '<html lang="ru"' in shown.text) == (200, True)
    assert "govuk-error-summary" not in shown.text, "nothing is judged"
    return shown
