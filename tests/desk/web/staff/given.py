"""A desk with people who sign in at its pages, as a browser without scripts does."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp

from desk.given import Given, StandingClock, desk_of
from desk.web.browsing import SITE
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.staff.staff import Staff
from nrmbus.desk.web.application import AgencyPages
from patience import eventually

OPEN = "open sesame"


@dataclass
class Office:
    """A desk, its people, and one browser."""

    here: Given
    clock: StandingClock
    browser: httpx.AsyncClient

    @property
    def staff(self) -> Staff:
        """Return the desk's people."""
        return self.here.behind.staff

    def later(self, **how: float) -> None:
        """Let time pass."""
        self.clock.time += timedelta(**how)

    async def get(self, path: str) -> httpx.Response:
        """Open a page below `/app`."""
        return await self.browser.get(f"/app{path}")

    async def send(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form to a path below `/app`, as a page of the desk does."""
        headers = {"sec-fetch-site": "same-origin"}
        return await self.browser.post(f"/app{path}", data=fields, headers=headers)

    async def example(self, name: str, *roles: Any) -> Member:
        """Return an invented member, who signs in with a password alone."""
        new = NewMember.model_validate({"name": name, "roles": roles})
        return await self.staff.add_example(new, "door.json", OPEN)

    async def signed_in(self, name: str, *roles: Any) -> Member:
        """Return an invented member who has signed in at this browser."""
        member = await self.example(name, *roles)
        answer = await self.send("/sign-in", name=name, password=OPEN)
        assert answer.status_code == 303, text_of(answer)
        return member

    async def settled(self, name: str, password: str, *roles: Any) -> tuple[Member, str]:
        """Return a member with an own *password* and an app, and the app's secret; nobody is signed in at this browser."""
        new = NewMember.model_validate({"name": name, "roles": roles or ("worker",)})
        member, once = await self.staff.add(new, "door.json")
        value, _ = await self.staff.with_password(name, once or "")
        assert await self.staff.set_first_password(value, password) is None
        secret = self.staff.half_way(value)[0].secret
        await self.staff.with_first_code(value, self.app(secret))
        self.later(minutes=1)
        return member, secret

    def app(self, secret: str) -> str:
        """Return what an authenticator app shows now."""
        return pyotp.TOTP(secret).at(self.clock.time)


@asynccontextmanager
async def office(
    home: Path, *, settings: StaffSettings | None = None, site: str = SITE, agency: str = "ngo-a"
) -> AsyncIterator[Office]:
    """Yield the desk of *agency* with a browser at its pages; the clock of its sessions stands."""
    clock = StandingClock()
    async with desk_of(agency, home) as here:
        here.behind._staff = Staff(here.desk.seat, settings or StaffSettings(), clock.now)
        transport = httpx.ASGITransport(AgencyPages(here.behind))
        async with httpx.AsyncClient(transport=transport, base_url=site, headers={"accept-language": "en"}) as browser:
            yield Office(here, clock, browser)


async def behind_a_removal(it: Office, who: Member, click: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Return the answer to *click*, which waits for the ledger behind the removal of *who*."""
    return await behind(it, it.staff.members.remove(who.number, "door.json"), click)


async def behind(
    it: Office, change: Coroutine[Any, Any, Any], click: Coroutine[Any, Any, httpx.Response]
) -> httpx.Response:
    """Return the answer to *click*, which waits for the ledger behind a *change* of the staff."""
    ledger = it.here.desk.seat.ledger

    def waiting() -> int:
        return len(ledger._turn._waiters or ())

    async with ledger.write():
        changing = asyncio.create_task(change)
        await eventually("the change waits for its turn", lambda: waiting() == 1)
        asking = asyncio.create_task(click)
        await eventually("the click waits behind it, or is answered", lambda: waiting() == 2 or asking.done())
    await changing
    return await asking


def text_of(answer: httpx.Response) -> str:
    """Return the words of a page's main part."""
    main = re.search(r"<main.*?</main>", answer.text, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main[0] if main else answer.text)).split())


def errors_of(answer: httpx.Response) -> list[str]:
    """Return what the summary of errors says; each entry leads to a field of the page."""
    found = re.search(r'<div class="govuk-error-summary.*?</ul>', answer.text, re.DOTALL)
    entries = re.findall(r'<a href="#([^"]+)">(.*?)</a>', found[0], re.DOTALL) if found else []
    for id, _ in entries:
        assert f'id="{id}"' in answer.text
    assert not found or "<title>Error: " in answer.text
    return [html.unescape(words).strip() for _, words in entries]
