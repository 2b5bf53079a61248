"""A desk mounts the adapters that its settings name, behind the same check of the token."""

import json
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from desk.given import CALLERS, TOKEN
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.door import Token
from nrmbus.desk.own_settings import edge_of
from nrmbus.edge.mounts import ADAPTERS, mount


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
    mount(ADAPTERS, served, "ngo-a")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://desk") as client:
        for name in ADAPTERS:
            assert (await client.options(f"/{name}/events")).status_code == 401
        answer = await client.options("/cloudevents/events", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
