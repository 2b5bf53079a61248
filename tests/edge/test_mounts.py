"""A desk mounts the adapters that its settings name, behind the same check of the token."""

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from desk.given import CALLERS, TOKEN
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.door import Token
from nrmbus.desk.http.scopes import Caller
from nrmbus.desk.own_settings import edge_of
from nrmbus.edge.door import OwnDoor
from nrmbus.edge.mounts import ADAPTERS, mount
from nrmbus.edge.problems import PROBLEM_JSON


def zone() -> ZoneInfo:
    """Return the time zone of a bus."""
    return ZoneInfo("Asia/Baku")


@pytest.mark.parametrize("edge", [["hl7"], "cloudevents", {"cloudevents": True}, [["cloudevents"]], None])
def test_an_adapter_that_does_not_exist_stops_the_start(edge: object, tmp_path: Path) -> None:
    """A misspelt adapter is an error of the start, so that no system waits for an address that is not there."""
    (tmp_path / "agency.json").write_text(json.dumps({"edge": edge}))

    with pytest.raises(DeskError, match="edge_unknown"):
        edge_of(AgencyFolder(tmp_path))


def test_a_desk_has_the_adapters_that_its_settings_name(tmp_path: Path) -> None:
    """Without the setting there are none; an adapter that is named twice is mounted once."""
    (tmp_path / "agency.json").write_text("{}")
    assert edge_of(AgencyFolder(tmp_path)) == ()
    (tmp_path / "agency.json").write_text(json.dumps({"edge": [*ADAPTERS, *ADAPTERS]}))
    assert edge_of(AgencyFolder(tmp_path)) == tuple(ADAPTERS)


async def test_without_a_token_no_adapter_reads_a_request() -> None:
    """The token is checked before the adapter sees anything, also of a request to an adapter that asks the door for nothing."""
    served = Token(Starlette(), CALLERS.get)
    mount(ADAPTERS, served, "ngo-a", zone)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://desk") as client:
        for name in ADAPTERS:
            assert (await client.options(f"/{name}/events")).status_code == 401
        answer = await client.options("/cloudevents/events", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store", "an adapter hands opened letters on"


@pytest.mark.parametrize("name", ["cloudevents", "htcds"])
async def test_an_address_that_an_adapter_does_not_have_is_answered_as_at_the_door(name: str) -> None:
    """RFC 9457 for an unknown address, and for a method that the address does not take."""
    served = Token(Starlette(), CALLERS.get)
    mount([name], served, "ngo-a", zone)
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url=f"http://desk/{name}") as client:
        unknown = await client.get("/nothing", headers=headers)
        wrong = await client.delete("/inbox" if name == "cloudevents" else "/cases/x", headers=headers)

        for answer, status, code in ((unknown, 404, "not_found"), (wrong, 405, "method_not_allowed")):
            assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_JSON)
            assert (answer.json()["status"], answer.json()["code"]) == (status, code)
        assert "GET" in wrong.headers["allow"]


async def test_the_requests_of_an_adapter_count_as_the_one_that_its_caller_sent() -> None:
    """A page that an adapter makes of many requests to the door is one request of the token; a caller cannot say so of its own."""
    flood = Caller("flood", frozenset(), 60)
    served = Token(Starlette(), lambda header: flood if header == "Bearer flood" else None)
    door = OwnDoor(served, "ngo-a", zone)

    async def one(_: Request) -> JSONResponse:
        return JSONResponse({})

    async def many(request: Request) -> JSONResponse:
        answers: list[Any] = [await door.ask(request, "GET", "/one") for _ in range(30)]
        return JSONResponse(len(answers))

    served.app.routes.extend([Route("/one", one), Route("/many", many)])
    headers = {"authorization": "Bearer flood", "nrmbus.inner": "true", "inner": "true"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://desk") as client:
        assert (await client.get("/many", headers=headers)).json() == 30
        statuses = {(await client.get("/one", headers=headers)).status_code for _ in range(30)}

    assert statuses == {200, 429}
