"""The auditor's doors and its verifier, and what nobody asks in good faith: an answer, with the token or without."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import pytest

from auditor.web.given import Hall
from hostile import bounded, not_plain
from nrmbus.auditor.evidence.verifier import Trust, Verification
from nrmbus.auditor.history.selection import moment
from nrmbus.auditor.web.api import door
from nrmbus.bus.errors import BusError
from nrmbus.bus.http_server import Listening

LONG = "9" * 5000


@pytest.fixture(name="hall")
def _hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall(tmp_path, monkeypatch)


ADDRESSES = {
    "a partition of thirty digits": f"/checkpoint/{'9' * 30}",
    "a partition of five thousand digits": f"/checkpoint/{LONG}",
    "a number of five thousand digits": f"/proof/0/{LONG}",
    "a number of nineteen digits": f"/proof/0/{'9' * 19}",
    "no number": "/proof/0/0",
    "as many witnesses as digits": f"/checkpoint/0?witnesses={LONG}",
    "a tile at the end of a long way": f"/tile/0/0/{'x000/' * 3000}000",
    "a tile of a partition that no folder is called": f"/tile/{'9' * 400}/0/000",
    "a way out": "/entries/0/..%2f..%2fusers.json",
    "a way out by a zero byte": "/entries/0/000%00",
    "a line end": "/tile/0/0/000%0a",
}


@pytest.mark.parametrize("what", ADDRESSES)
async def test_an_address_that_no_monitor_asks_for(what: str, hall: Hall, tmp_path: Path) -> None:
    """The answer is 404, never an internal error."""
    (tmp_path / "door").mkdir()
    listening = Listening(tmp_path / "door")
    listening.socket.close()
    transport = httpx.ASGITransport(door(hall, listening, hall.site.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for token, expected in ((f"Bearer {listening.token}", {404}), ("Bearer x", {401, 404})):
            with bounded():
                answer = await client.get(ADDRESSES[what], headers={"authorization": token})
            assert answer.status_code in expected
            assert answer.status_code == 404 or answer.headers["www-authenticate"] == "Bearer"
            assert LONG not in answer.text


@pytest.mark.parametrize("number", [1, 5])
async def test_a_log_that_is_being_read_again_has_no_proof_yet(hall: Hall, tmp_path: Path, number: int) -> None:
    """Given a co-signed checkpoint of more registrations than are committed, when any proof is asked for, then the answer is 404."""
    (tmp_path / "door").mkdir()
    listening = Listening(tmp_path / "door")
    listening.socket.close()
    log = SimpleNamespace(origin="nrmbus/0123456789abcdef/p0", size=7, head=SimpleNamespace(size=3))
    logs = SimpleNamespace(
        ingests={0: SimpleNamespace(log=log)}, cosigned=SimpleNamespace(newest=lambda *_: (100, b"note", 0))
    )
    keeper = cast("Any", SimpleNamespace(logs=logs, turn=asyncio.Lock(), home=tmp_path))
    transport = httpx.ASGITransport(door(keeper, listening))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get(f"/proof/0/{number}", headers={"authorization": f"Bearer {listening.token}"})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("span", "wants"),
    [
        ("from=0001-01-01&to=9999-12-31", "A day is written like"),
        ("from=9999-12-31&to=0001-01-01", "The first day is after the last day."),
        ("from=0001-01-02&to=9999-12-30", ""),
        ("at=0001-01-01", ""),
    ],
)
async def test_the_first_and_the_last_day_that_there_are(span: str, wants: str, hall: Hall) -> None:
    """A page says what it wants instead of failing."""
    async with hall.browser() as browser:
        page = await browser.get(f"/search?go=1&{span}")

    assert page.status_code == (422 if wants else 200)
    assert wants in page.text


@pytest.mark.parametrize(
    "text", ["0001-01-01", "9999-12-31", "0000-01-01", "2026-02-30", "2026-W10-1", "\u0662026-03-02", ""]
)
@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("zone", ["Asia/Baku", "America/New_York"])
def test_a_day_is_one_that_lies_in_utc_too(text: str, begin: bool, zone: str) -> None:  # noqa: FBT001 - a row of a table
    """Or the option says what it wants."""
    try:
        found = moment(text, ZoneInfo(zone), "--from", begin=begin)
    except BusError as error:
        assert "--from wants a day" in str(error)  # noqa: PT017 - either answer is right here
    else:
        assert found is not None
        assert found.year in {1, 9999}


@pytest.mark.parametrize("what", ["pipe", "device"])
def test_evidence_that_is_no_plain_file(what: str, tmp_path: Path) -> None:
    """A court's machine waits for nobody."""
    with bounded():
        done = Verification(not_plain(tmp_path)[what], Trust())
    assert [line.result for line in done.lines] == ["evidence_unreadable"]
