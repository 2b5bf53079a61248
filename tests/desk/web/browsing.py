"""A browser without a window for the pages of a desk in a test: it keeps cookies, and says who has signed in."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import httpx
from starlette.requests import Request

from desk.given import Given
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.web.application import AgencyPages
from nrmbus.web.words import Language

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
