"""A case at the desk of a victim assistance centre, with what came and what went, and words that must stay sealed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, FakeRegistrar, Given, Read, desk_of
from desk.web.browsing import browsing
from nrmbus.desk.staff.members import Member
from nrmbus.wire.envelope import decode

AT: Final = f"/app/cases/{CASE}"
PAPER: Final = "/app/print"
COPY: Final = {"case": CASE, "referral": REF}
"""What the form of the person's copy names beside what is chosen."""
REFERRAL: Final[dict[str, Any]] = {
    "to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"],
}  # fmt: skip
SEALED: Final[dict[str, Any]] = {"identity": {"name": CANARY}, "story": {"facts": f"{CANARY}, at length"}}
CONSENT: Final = {
    "purposes": ["information_sharing"],
    "receivers": ["vac"],
    "given_by": "individual",
    "form": "written",
}
TAKEN_BACK: Final = {"purposes": ["information_sharing"], "receivers": ["vac"]}


async def came(here: Given, type: str, data: dict[str, Any], *, by: str = "ngo-a", **more: Any) -> str:
    """Let the desk receive what the agency *by* publishes; return the event's id."""
    record = here.registrar.event(by, type, data, **more)
    await here.hear(here.registrar.register(record, to=here.desk.seat.me))
    return decode(record).id


async def referred(here: Given) -> str:
    """Let the desk receive a signal, a consent and a referral with a letter; return the referral's id."""
    await came(here, "case.signal_recorded", SIGNAL)
    await came(here, "consent.given", CONSENT)
    id = await came(here, "referral.submitted", REFERRAL, parts=SEALED, opens=["vac"], referral=REF)
    await here.settle()
    return id


@asynccontextmanager
async def at_vac(
    home: Path, who: Member, registrar: FakeRegistrar | None = None
) -> AsyncIterator[tuple[Given, httpx.AsyncClient, str]]:
    """Yield the desk with the referred case, a browser in which *who* has signed in, and the referral's id."""
    async with desk_of("vac", home, registrar=registrar) as here, browsing(here, who) as browser:
        yield here, browser, await referred(here)


@asynccontextmanager
async def after_a_loss(
    home: Path, who: Member, patch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Given, httpx.AsyncClient, str]]:
    """Yield the same at a desk whose ledger is new, after *who* had opened the letter and printed the sheet: the inbox was read again."""
    heard, hear = list[Read](), Given.hear

    async def noted(here: Given, record: Read) -> None:
        heard.append(record)
        await hear(here, record)

    with patch.context() as noting:
        noting.setattr(Given, "hear", noted)
        async with at_vac(home / "before", who) as (here, browser, id):
            await opened(here, browser, id)
            await here.during(browser.post(f"{AT}/sheet", data={"purpose": "court"}))
    registrar = here.registrar
    async with desk_of("vac", home / "after", registrar=registrar) as here, browsing(here, who) as browser:
        for record in heard:
            await here.hear(record)
        yield here, browser, id


async def opened(here: Given, browser: httpx.AsyncClient, *letters: str, purpose: str = "case_work") -> httpx.Response:
    """Return the answer to opening *letters*, while the registrar registers what the desk sends."""
    form = {"letter": list(letters), "purpose": purpose}
    return await here.during(browser.post(f"{AT}/letters", data=form))
