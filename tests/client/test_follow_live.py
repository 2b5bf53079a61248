"""A program that follows an agency's inbox on a real bus while its desk is killed and started again."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from brokers import Broker
from desk.live import live, signal_of
from nrmbus.bus.embedded.ports import free_ports
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.client import AsyncDesk
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.slow]

CASES = [f"{turn:02d}" * 16 for turn in range(1, 5)]


def address(folder: BusFolder, agency: str) -> tuple[str, str]:
    """Address and token of a desk."""
    body = json.loads((folder.agency(agency).path / "door.json").read_bytes())
    return body["url"], body["token"]


async def test_a_program_that_follows_survives_its_desk(kafka: Broker) -> None:
    """The desk is killed three times: with the old address, a new port and a new token; each event comes once."""
    async with live(
        kafka, {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}, run=("ngo-a", "special-unit")
    ) as bus:
        heard = asyncio.Queue[str]()

        async def follow() -> None:
            async with AsyncDesk.of(bus.folder.agency("special-unit").path) as desk:
                async for event in desk.inbox():
                    heard.put_nowait(event.case)

        async def told(case: str) -> None:
            async with bus.door("ngo-a") as door:
                assert (await door.publish(signal_of(case), wait=LONGEST_WAIT))["verdict"] == "registered"

        home = bus.folder.agency("special-unit")
        following = asyncio.create_task(follow())
        await told(CASES[0])
        found = [await heard.get()]
        first = address(bus.folder, "special-unit")
        (port,) = free_ports(1)

        def set_port() -> None:
            body: dict[str, Any] = json.loads(home.agency_json.read_bytes())
            write_json(home.agency_json, body | {"port": port})

        changes: list[Callable[[], object]] = [list, set_port, (home.path / "door.json").unlink]
        seen = []
        for case, change in zip(CASES[1:], changes, strict=True):
            bus.kill("special-unit")
            await told(case)
            change()
            bus.start("special-unit")
            found.append(await heard.get())
            seen.append(address(bus.folder, "special-unit"))
        following.cancel()

    assert found == CASES
    assert seen[0] == first
    assert seen[1] == (f"http://127.0.0.1:{port}", first[1])
    assert seen[2][0] == seen[1][0]
    assert seen[2][1] != first[1]
