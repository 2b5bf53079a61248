"""People found together: a group is a number, and each person is a case of her own that names the incident."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from desk.given import Given, desk_of
from desk.web.acts.test_pages import filled
from desk.web.browsing import browsing, member

SITE: dict[str, Any] = {"data.place_type": "workplace", "data.head_count": "2"}
PERSON: dict[str, Any] = {
    "data.child": "no", "data.urgency": "urgent", "data.detected_abroad": "no", "data.basis": ["indicators"],
    "data.detector": "ngo_outreach",
}  # fmt: skip


async def sent(here: Given, browser: httpx.AsyncClient, begun: httpx.Response, answers: dict[str, Any]) -> str:
    """Fill in the draft that *begun* leads to, send it, and return the page that says what became of it."""
    at = begun.headers["location"]
    while not at.endswith("/check"):
        answer = await filled(browser, at, answers)
        assert answer.status_code == 303
        at = answer.headers["location"]
    done = await here.during(browser.post(at.replace("/check", "/send")))
    return (await browser.get(done.headers["location"])).text


async def test_a_group_is_recorded_once_and_each_person_alone(tmp_path: Path) -> None:
    """Given two people found together, the page counts them; each signal names the incident and opens a case of its own."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        assert "You found several people together" in (await browser.get("/app/signals/new")).text
        assert "No group is recorded yet." in (await browser.get("/app/groups")).text

        after = await sent(here, browser, await browser.post("/app/groups"), SITE)
        assert 'href="/app/groups">Record the people' in after
        page = (await browser.get("/app/groups")).text
        assert "0 of 2 people have a case. Record the others." in page
        assert "Another place of work, such as a farm or a factory" in page
        incident = re.search(r"/app/groups/([0-9a-f]{32})/signal", page)
        assert incident is not None

        await sent(here, browser, await browser.post(incident[0]), PERSON)
        assert "1 of 2 people have a case. Record the others." in (await browser.get("/app/groups")).text

        (signal,) = [row for row in await here.rows("outbox") if row.type == "case.signal_recorded"]
        assert json.loads(signal.clear)["incident"] == incident[1]
        assert signal.subject != incident[1]


async def test_a_strangers_incident_and_an_agency_that_finds_nobody_have_no_page(tmp_path: Path) -> None:
    """The fund may open no incident; and nobody begins a signal for an incident that is not the agency's."""
    async with desk_of("fund", tmp_path / "fund") as here, browsing(here, member()) as browser:
        assert (await browser.get("/app/groups")).status_code == 404
    async with desk_of("ngo-a", tmp_path / "ngo") as here, browsing(here, member()) as browser:
        assert (await browser.post(f"/app/groups/{'9' * 32}/signal")).status_code == 404
