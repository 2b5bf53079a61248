"""People found together: a group is a number, and each person is a case of her own that names the incident."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from agencies import town
from desk.given import FakeRegistrar, Given, desk_of
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


def signal_of(page: str) -> str:
    """Return the address at which the list of groups in *page* records a person of its first group."""
    found = re.search(r"/app/groups/[0-9a-f]{32}/signal", page)
    assert found is not None
    return found[0]


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
        record = signal_of(page)

        await sent(here, browser, await browser.post(record), PERSON)
        assert "1 of 2 people have a case. Record the others." in (await browser.get("/app/groups")).text

        (signal,) = [row for row in await here.rows("outbox") if row.type == "case.signal_recorded"]
        assert f"/app/groups/{json.loads(signal.clear)['incident']}/signal" == record
        assert signal.subject not in record


async def test_a_person_who_was_recorded_twice_is_counted_once(tmp_path: Path) -> None:
    """Given a second signal for the same person, when it is dismissed as a duplicate, then the page asks for the other person still."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await sent(here, browser, await browser.post("/app/groups"), SITE)
        record = signal_of((await browser.get("/app/groups")).text)
        for _ in range(2):
            await sent(here, browser, await browser.post(record), PERSON)
        assert "2 of 2 people have a case." in (await browser.get("/app/groups")).text

        once, twice = (row.subject for row in await here.rows("outbox") if row.type == "case.signal_recorded")
        dismissal = await browser.post(f"/app/cases/{twice}/acts/case.signal_dismissed")
        await sent(here, browser, dismissal, {"data.reason": "duplicate"})
        page = (await browser.get("/app/groups")).text
        assert "1 of 2 people have a case. Record the others." in page
        assert (once in page, twice in page) == (True, False)


async def test_a_group_is_there_after_a_loss_of_the_ledger(tmp_path: Path) -> None:
    """Given a desk that hears its own events again with an empty outbox, then the group is counted, and takes further people."""
    world = town()
    async with (
        desk_of("ngo-a", tmp_path / "lost", registrar=FakeRegistrar(world)) as here,
        browsing(here, member()) as browser,
    ):
        await sent(here, browser, await browser.post("/app/groups"), SITE)
        record = signal_of((await browser.get("/app/groups")).text)
        await sent(here, browser, await browser.post(record), PERSON)
        records = list(here.sent)
    registrar = FakeRegistrar(world)
    async with desk_of("ngo-a", tmp_path / "new", registrar=registrar) as here, browsing(here, member()) as browser:
        for each in records:
            await here.hear(registrar.register(each, to="ngo-a"))
        assert await here.rows("outbox") == []

        assert "1 of 2 people have a case. Record the others." in (await browser.get("/app/groups")).text
        assert (await browser.post(record)).status_code == 303


async def test_a_strangers_incident_and_an_agency_that_finds_nobody_have_no_page(tmp_path: Path) -> None:
    """The fund may open no incident; and nobody begins a signal for an incident that is not the agency's."""
    async with desk_of("fund", tmp_path / "fund") as here, browsing(here, member()) as browser:
        assert (await browser.get("/app/groups")).status_code == 404
    async with desk_of("ngo-a", tmp_path / "ngo") as here, browsing(here, member()) as browser:
        assert (await browser.post(f"/app/groups/{'9' * 32}/signal")).status_code == 404
