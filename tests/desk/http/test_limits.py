"""Limits of a token: a system that runs wild is told when to come again, and no other system waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agencies import CASE
from desk.given import desk_of
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.errors import BusError
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.http.door import Token
from nrmbus.desk.http.limits import A_MINUTE, AT_A_TIME, PART, Limits
from nrmbus.desk.http.scopes import LOCAL, Caller
from nrmbus.desk.own_settings import requests_of
from nrmbus.wire import times
from patience import eventually

CALLERS = {
    "Bearer flood": Caller("flood", frozenset(), 60),
    "Bearer quiet": Caller("quiet", frozenset(), 60),
    "Bearer local": LOCAL,
}


class Clock:
    """Shows the seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Held:
    """Route whose answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.let_go, self.waiting = asyncio.Event(), 0

    async def __call__(self, _: Request) -> Response:
        """Answer once it is let go."""
        self.waiting += 1
        await self.let_go.wait()
        return Response()


@asynccontextmanager
async def door(clock: Clock, held: Held | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a door with one route that answers at once, and one that is *held*."""

    async def at_once(_: Request) -> Response:
        return Response()

    routes = [Route("/", at_once, methods=["GET", "POST"]), *([Route("/held", held.__call__)] if held else [])]
    guarded = Token(Starlette(routes=routes), lambda given: CALLERS.get(given or ""), Limits(clock))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://desk") as client:
        yield client


def token(name: str) -> dict[str, str]:
    """Return the header of the caller *name*."""
    return {"authorization": f"Bearer {name}"}


async def test_a_flood_is_told_when_to_come_again_and_nobody_else_waits() -> None:
    """Of 60 requests a minute 10 may come at once; then one a second, as `Retry-After` says."""
    clock = Clock()
    async with door(clock) as client:
        found = [(await client.get("/", headers=token("flood"))).status_code for _ in range(12)]
        refused = await client.get("/", headers=token("flood"))

        assert found == [200] * 10 + [429] * 2
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many_requests", "1")
        for other in ("quiet", "local"):
            assert (await client.get("/", headers=token(other))).status_code == 200
        clock.now += int(refused.headers["retry-after"])
        assert [(await client.get("/", headers=token("flood"))).status_code for _ in range(2)] == [200, 429]


async def test_a_program_of_the_desks_own_account_has_no_limit() -> None:
    """The token of `door.json` is that of the command line and of pages on this machine."""
    async with door(Clock()) as client:
        assert {(await client.get("/", headers=token("local"))).status_code for _ in range(100)} == {200}


async def test_large_bodies_count_more() -> None:
    """A body of half a mebibyte counts as nine requests, and so does one of unknown size."""

    async def unknown() -> AsyncIterator[bytes]:
        yield b"x"

    for body in (bytes(8 * PART), unknown()):
        async with door(Clock()) as client:
            assert (await client.post("/", headers=token("flood"), content=body)).status_code == 200
            assert [(await client.get("/", headers=token("flood"))).status_code for _ in range(2)] == [200, 429]


async def test_an_upload_that_is_refused_unread_costs_no_more_than_the_largest_document(tmp_path: Path) -> None:
    """Given a video of 4 GB that is refused by its announced size, then the system may read its inbox at once."""

    async def begun() -> AsyncIterator[bytes]:
        yield b"%PDF-1.7"

    async with desk_of("vac", tmp_path) as here:
        asked = {
            "name": "archive",
            "scopes": ["read", "publish"],
            "ends": times.write(wall_now() + timedelta(days=1)),
        }
        made = (await here.door.post("/v1/tokens", json=asked)).json()
        mine = {"authorization": f"Bearer {made['token']}"}
        upload = await here.door.post(
            "/v1/documents", params={"case": CASE}, headers=mine | {"content-length": "4000000000"}, content=begun()
        )
        inbox = await here.door.get("/v1/inbox", headers=mine)

        assert (upload.status_code, upload.json()["code"]) == (413, "document_too_large")
        assert inbox.status_code == 200


async def test_a_token_holds_half_of_the_connections_at_most() -> None:
    """Whoever opens long polls without end leaves room for the other systems, and gets in again when one is answered."""
    clock, held = Clock(), Held()
    async with door(clock, held) as client:
        waiting = []
        for _ in range(AT_A_TIME):
            clock.now += 1
            waiting.append(asyncio.create_task(client.get("/held", headers=token("flood"))))
            await eventually("it is asked", lambda: held.waiting == len(waiting))
        clock.now += 60
        refused = await client.get("/", headers=token("flood"))

        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await client.get("/", headers=token("quiet"))).status_code == 200
        held.let_go.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
        assert (await client.get("/", headers=token("flood"))).status_code == 200


async def test_a_token_may_have_a_limit_of_its_own(tmp_path: Path) -> None:
    """The administrator sets it with the token, and the list shows it; the refusal is as the document says."""
    async with desk_of("ngo-a", tmp_path) as here:
        asked = {
            "name": "booking",
            "scopes": ["read"],
            "ends": times.write(wall_now() + timedelta(days=1)),
            "a_minute": 1,
        }
        made = (await here.door.post("/v1/tokens", json=asked)).json()
        booking = {"authorization": f"Bearer {made['token']}"}
        answers = [await here.door.get("/v1/cases", headers=booking) for _ in range(2)]

        assert [each.status_code for each in answers] == [200, 429]
        assert 1 < int(answers[1].headers["retry-after"]) <= 60
        (seen,) = (await here.door.get("/v1/tokens")).json()["tokens"]
        assert seen["a_minute"] == made["a_minute"] == 1


@pytest.mark.parametrize("found", ["6000", 0, True, 1.5, 2_000_000])
def test_a_limit_in_the_settings_that_is_none_stops_the_start(found: object, tmp_path: Path) -> None:
    """A slip of the pen neither opens the door for all nor closes it."""
    home = AgencyFolder(tmp_path)
    write_json(home.agency_json, {})
    assert requests_of(home) == A_MINUTE
    write_json(home.agency_json, {"requests_a_minute": found})

    with pytest.raises(BusError, match="is no limit"):
        requests_of(home)
