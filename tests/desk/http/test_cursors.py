"""A program that keeps nothing itself has the desk keep how far it has read."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import SIGNAL
from desk.given import CANARY, desk_of


async def test_a_cursor_is_kept_for_its_token_alone(tmp_path: Path) -> None:
    """Given a cursor, when the desk starts again, it is still there; another token has another one of the same name."""
    other = {"authorization": "Bearer a-token-to-read"}
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        newest = (await here.door.put("/v1/cursors/booking")).json()["after"]
        moved = await here.door.put("/v1/cursors/booking", params={"after": 0})
        theirs = await here.door.put("/v1/cursors/booking", params={"after": newest}, headers=other)

        assert (newest, moved.json()["after"], theirs.json()["after"]) == (1, 0, 1)
    async with desk_of("vac", tmp_path, registrar=registrar) as here:
        assert (await here.door.get("/v1/cursors/booking")).json()["after"] == 0
        assert [each["name"] for each in (await here.door.get("/v1/cursors")).json()["cursors"]] == ["booking"]
        assert (await here.door.delete("/v1/cursors/booking")).status_code == 200
        assert (await here.door.get("/v1/cursors/booking")).status_code == 404
        assert (await here.door.delete("/v1/cursors/booking")).status_code == 404
        assert (await here.door.get("/v1/cursors/booking", headers=other)).json()["after"] == 1


async def test_a_cursor_of_another_ledger_is_not_kept(tmp_path: Path) -> None:
    """Given a ledger that was replaced, when a program keeps a row of the former one, it hears so, however long the new one is; a cursor names its ledger."""
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        ledger = here.desk.seat.ledger.id
        former = await here.door.put("/v1/cursors/booking", params={"after": 1, "ledger": "0" * 16})
        opened = {"after": "0", "ledger": "0" * 16, "open": "true", "actor": "S-1"}
        page = await here.door.get("/v1/inbox", params=opened)
        none = await here.door.get("/v1/cursors/booking")
        kept = await here.door.put("/v1/cursors/booking", params={"after": 1, "ledger": ledger})

        assert (former.status_code, former.json()["code"]) == (409, "inbox_restarted")
        assert (page.status_code, page.json()["code"]) == (409, "inbox_restarted")
        assert none.status_code == 404
        assert kept.json()["after"] == 1
        assert {each["ledger"] for each in await _shown(here.door)} == {kept.json()["ledger"]} == {ledger}
        assert (await here.door.get("/v1/inbox", params={"after": 0, "ledger": ledger})).status_code == 200


async def _shown(door: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the cursor as each route shows it; the last one removes it."""
    listed = (await door.get("/v1/cursors")).json()["cursors"]
    return [*listed, *[(await door.request(each, "/v1/cursors/booking")).json() for each in ("GET", "DELETE")]]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", "/v1/cursors/booking?after=7", 409, "inbox_restarted"),
        ("PUT", "/v1/cursors/booking?after=-1", 422, "unknown_field"),
        ("PUT", "/v1/cursors/booking?ledger=CANARY", 422, "unknown_field"),
        ("PUT", f"/v1/cursors/{CANARY}", 422, "unknown_field"),
        ("GET", "/v1/cursors/none", 404, "not_found"),
    ],
)
async def test_a_cursor_that_cannot_be_is_refused(
    method: str, path: str, status: int, code: str, tmp_path: Path
) -> None:
    """A row that this ledger never had, and a name that is none."""
    async with desk_of("vac", tmp_path) as here:
        answer = await here.door.request(method, path)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "CANARY" not in answer.text
        assert (await here.door.get("/v1/cursors")).json() == {"cursors": [], "next": None}
