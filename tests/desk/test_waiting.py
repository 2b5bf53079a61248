"""The door of a desk that waits for its ledger says what it waits for, and takes nothing."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from nrmbus.bus.http_server import Listening
from nrmbus.cli.health import why_not_ready
from nrmbus.desk.errors import MEANINGS, DeskCode, DeskError
from nrmbus.desk.waiting import _Waiting


async def answers(error: DeskError, home: Path) -> Mapping[str, httpx.Response]:
    """Return what the door answers while the desk waits because of *error*, by path; one without a token too."""
    listening = Listening(home)
    with closing(listening.socket):
        app = _Waiting("vac", error).application(listening)
        token = {"authorization": f"Bearer {listening.token}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk", headers=token) as door:
            found = {path: await door.get(path) for path in ("/health", "/metrics", "/v1/cases")}
            return found | {
                "post": await door.post("/v1/events", json={}),
                "token": await door.get("/health", headers={"authorization": "Bearer nrm_of-the-ledger"}),
                "nobody": await door.get("/health", headers={"authorization": ""}),
            }


@pytest.mark.parametrize(("code", "away", "shows_ready"), [("ledger_away", "1.0", True), ("ledger_held", "0.0", False)])
async def test_a_desk_that_waits_says_for_what(code: DeskCode, away: str, *, shows_ready: bool, tmp_path: Path) -> None:
    """Health and `nrmbus status` name the reason; no alert looks at a standby, which is as it should be."""
    found = await answers(DeskError(code, safe={"error": "ConnectionRefusedError"}), tmp_path)

    health: dict[str, Any] = found["/health"].json()
    assert (health["service"], health["live"], health["ready"], health["held_up"]) == ("vac", True, False, code)
    assert why_not_ready(health) == MEANINGS[code].sentence
    assert f"nrmbus_ledger_away {away}" in found["/metrics"].text
    assert ("nrmbus_ready 0.0" in found["/metrics"].text) is shows_ready


async def test_a_desk_that_waits_takes_nothing(tmp_path: Path) -> None:
    """Every other path is refused with the same code, and nobody without the token is told anything."""
    found = await answers(DeskError("ledger_away"), tmp_path)

    for path in ("/v1/cases", "post", "token"):  # a token that cannot be looked up is not refused for good
        assert (found[path].status_code, found[path].json()["code"]) == (503, "ledger_away")
        assert found[path].headers["content-type"] == "application/problem+json"
    assert found["nobody"].status_code == 401
