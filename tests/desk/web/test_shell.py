"""The frame of an agency's pages: who may come in, what every answer has, and what an error says."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.types import Receive, Scope, Send

from agencies import Town
from desk.given import FakeRegistrar, desk_of
from desk.web.browsing import SITE, browsing, member
from desk.web.cases.given import AT, referred
from nrmbus.desk.web.beside import Beside
from nrmbus.web.guard import HEADERS


async def test_without_a_session_every_page_leads_to_the_sign_in(tmp_path: Path) -> None:
    """Nobody sees more than the sign-in page before a session begins."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here) as browser:
        answer = await browser.get("/app/")

    assert (answer.status_code, answer.headers["location"]) == (303, "/app/sign-in")


async def test_every_answer_forbids_what_a_page_does_not_need(tmp_path: Path) -> None:
    """Pages, redirects, errors and refused forms have the same headers, and are kept by no browser."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        answers = [
            await browser.get("/app/work"),
            await browser.get("/app/nowhere"),
            await browser.post("/app/"),
        ]

    assert [each.status_code for each in answers] == [200, 404, 404]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)


async def test_a_desk_of_another_country_begins_in_english(tmp_path: Path) -> None:
    """Given a bus with a profile of another country, then a browser without a language of ours reads English."""
    for policy, language in (("md@2014-03-28", "en"), ("az@2022-04-29", "az")):
        registrar = FakeRegistrar(Town(policy=policy))
        async with desk_of("ngo-a", tmp_path / language, registrar=registrar) as here, browsing(here) as browser:
            page = await browser.get("/app/sign-in", headers={"accept-language": "ro-MD,ro;q=0.9"})
            assert f'<html lang="{language}"' in page.text


async def test_the_language_of_the_account_comes_before_the_browser_s(tmp_path: Path) -> None:
    """The frame is in the member's language, and another may be asked for."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(language="ru")) as browser:
        own = await browser.get("/app/work", headers={"accept-language": "en"})
        asked = await browser.get("/app/work?lang=az")
        later = await browser.get("/app/work")

    assert '<html lang="ru"' in own.text
    assert '<html lang="az"' in later.text, "the choice holds until the sign-out"
    assert '<html lang="az"' in asked.text
    assert asked.headers["set-cookie"].startswith("lang=az;")
    assert "Path=/app" in asked.headers["set-cookie"]


@pytest.mark.parametrize(("bus", "is_said"), [("play-0123456789abcdef", True), ("0123456789abcdef", False)])
async def test_every_page_of_a_bus_for_playing_says_that_it_is_one(tmp_path: Path, bus: str, *, is_said: bool) -> None:
    """Nobody takes an example for the real thing, before the sign-in either; on a bus for real cases nothing is said."""
    async with desk_of("ngo-a", tmp_path) as here:
        here.desk.seat.bus = bus
        async with browsing(here) as browser:
            page = await browser.get("/app/sign-in?lang=en")

    assert ("Everything here is invented." in page.text) is is_said


async def test_an_error_page_needs_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a ledger's server that is away, then a colleague who signs second reads what happened, with the way back of a form."""
    signer = member("read_cases", "open_letters", "publish", "approve")
    async with desk_of("vac", tmp_path) as here, browsing(here, signer) as browser:
        await referred(here)
        assert (await browser.get("/app/work")).status_code == 200

        def away() -> None:
            raise OperationalError(None, None, OSError("away"))

        monkeypatch.setattr(here.desk.seat.ledger, "read", away)
        form = {"letter": "x", "purpose": "case_work"}
        answers = [
            await browser.get(AT),
            await browser.post(f"{AT}/letters", data=form),
            await browser.get("/app/nowhere"),
            await browser.get("/app/staff"),
        ]

    assert [each.status_code for each in answers] == [503, 503, 404, 403]
    assert all("The desk cannot reach its store." in each.text for each in answers[:2])
    assert f'href="{AT}/letters"' in answers[1].text


async def test_the_pages_stand_beside_the_door(tmp_path: Path) -> None:
    """The door answers as ever; a browser that comes to it is led to the pages; a browser keeps a style until it is another."""

    async def api(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with desk_of("ngo-a", tmp_path) as here:
        transport = httpx.ASGITransport(Beside(api, here.behind))
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as browser:
            assert (await browser.get("/v1/cases")).status_code == 299
            assert (await browser.get("/", headers={"accept": "*/*"})).status_code == 299
            led = await browser.get("/", headers={"accept": "text/html,*/*"})
            style = await browser.get("/app/static/page.css")
            same = await browser.get("/app/static/page.css", headers={"if-none-match": style.headers["etag"]})
            other = await browser.get("/app/static/page.css", headers={"if-none-match": '"of-the-version-before"'})
            assert (await browser.get("/app/static/..%2fpage.css")).status_code == 404

    assert led.headers["location"] == "/app/"
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert style.headers["cache-control"] == "private, no-cache"
    assert (same.status_code, same.content, other.content) == (304, b"", style.content)
