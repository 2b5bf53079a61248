"""Desks on a real broker with their ledgers on a PostgreSQL server, while either is killed."""

import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from brokers import Broker
from desk.kept import KINDS
from desk.live import LiveBus, live, log_of, signal_of
from forked import Forked
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli import health as healths
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.host.services import run_service
from patience import eventually
from postgres import EACH_SERVER, SERVERS, Server, schema_at, serving

pytestmark = pytest.mark.broker

TWO = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
UNIT = "special-unit"


@pytest.fixture(params=EACH_SERVER)
def own_server() -> Iterator[Server]:
    """Yield a PostgreSQL server to be killed."""
    with serving() as server:
        yield server


@asynccontextmanager
async def on_postgresql(broker: Broker, server: Server) -> AsyncIterator[LiveBus]:
    """Yield a bus whose two desks have their ledgers on *server*."""
    async with live(broker, TWO) as bus:
        for agency in TWO:
            home = bus.folder.agency(agency)
            address = await server.at(home.ledger)
            write_json(home.agency_json, {**json.loads(home.agency_json.read_bytes()), "ledger": address.url})
        bus.start(*TWO)
        await bus.ready(*TWO)
        yield bus


async def taken(bus: LiveBus, number: int) -> None:
    """Publish event *number* at the NGO's door until it is taken; the id makes all tries one event."""
    body = signal_of(f"{number:02x}" * 16) | {"id": f"01890000-0000-7000-8000-{number:012x}"}

    async def is_taken() -> bool:
        with suppress(DoorError, httpx.HTTPError, KeyError):
            async with bus.door("ngo-a") as door:
                return bool(await door.publish(body))
        return False

    await eventually(f"event {number} is taken", is_taken)


async def rows(server: Server, bus: LiveBus, agency: str, query: str) -> list[tuple[Any, ...]]:
    """Return rows of a desk's ledger, as another program reads them."""
    connection = await server.connect()
    try:
        await connection.execute(f"SET search_path = {schema_at(bus.folder.agency(agency).ledger)}")
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.mark.slow
async def test_server_and_desks_killed_again_and_again_lose_and_double_nothing(
    broker: Broker, own_server: Server
) -> None:
    """SIGKILL of the server or of a desk while events flow: each event arrives once, is answered, and closed.

    A desk survives its server: it says what it waits for, and goes on without being started again.
    """
    async with on_postgresql(broker, own_server) as bus:
        for number in range(12):
            await taken(bus, number)
            if number % 4 == 1:
                own_server.kill()
                waiting = await bus.until(UNIT, lambda health: health["held_up"] == "ledger_away")
                assert not waiting["ready"]
                own_server.start()
            elif number % 4 == 3:
                name = ("ngo-a", UNIT)[number // 4 % 2]
                bus.kill(name)
                bus.start(name)
        for agency in TWO:
            await bus.until(agency, lambda health: health["ready"] and not health["outbox_open"] and not health["lag"])
        await bus.until(
            "ngo-a", lambda health: sum(health["inbox"].values()) >= 24
        )  # 12 receipts, 12 of opened letters

        async with bus.door(UNIT) as unit:
            heard = (await unit.inbox(limit=1000))["events"]
        assert sorted(event["case"] for event in heard) == [f"{number:02x}" * 16 for number in range(12)]
        own, state = ("ngo-a", "SELECT DISTINCT state, verdict FROM outbox")
        assert await rows(own_server, bus, own, state) == [("closed", "registered")]
        assert await rows(own_server, bus, own, "SELECT count(*) FROM events WHERE type = 'letter.opened'") == [(12,)]
        left = "SELECT (SELECT count(*) FROM parked), (SELECT count(*) FROM set_aside)"
        assert await rows(own_server, bus, UNIT, left) == [(0, 0)]
        assert not any(agency.exists() for agency in (bus.folder.agency(each).ledger for each in TWO))
        assert '"ledger_lost"' not in log_of(bus.folder, "ngo-a")


def _stand_by(path: Path) -> None:
    run_service(UNIT, BusFolder(path), how="standby")


def _take_over(path: Path) -> None:
    run_service(UNIT, BusFolder(path), how="take_over")


async def health_at(home: Path) -> dict[str, Any]:
    """Return the health that the door at *home* tells; empty while it is shut."""
    with suppress(DoorError, httpx.HTTPError, KeyError, OSError):
        async with Door.of(home) as door:
            return dict(await door.health())
    return {}


@pytest.mark.slow
async def test_a_standby_takes_over(broker: Broker, own_server: Server, tmp_path: Path) -> None:
    """A second machine waits with the same desk, and takes over in seconds once the first is gone; each event comes once.

    A person who puts the second out by a command on the first makes a standby of it again.
    """
    async with on_postgresql(broker, own_server) as bus:
        other = BusFolder(shutil.copytree(bus.folder.path, tmp_path / "other"))
        other.agency(UNIT).door.unlink()
        standby = Forked(other.logs / "standby.log", _stand_by, other.path)
        try:

            async def waits() -> bool:
                return (await health_at(other.agency(UNIT).path)).get("held_up") == "ledger_held"

            await eventually("the standby waits", waits)
            assert "takes over" in ((await healths.ask(other, UNIT)) or {})["standby"], (
                "nrmbus status takes it for well"
            )
            await taken(bus, 1)
            bus.kill(UNIT, signal.SIGKILL)
            since = time.monotonic()
            await taken(bus, 2)

            async def has_taken_over() -> bool:
                return bool((await health_at(other.agency(UNIT).path)).get("ready"))

            await eventually("the standby has taken over", has_taken_over)
            print(f"taken over after {time.monotonic() - since:.1f} s")  # noqa: T201 - for the page that says how long

            async def has_heard() -> bool:
                async with Door.of(other.agency(UNIT).path) as door:
                    return [each["case"][:2] for each in (await door.inbox())["events"]] == ["01", "02"]

            await eventually("the standby has both events, in order, once", has_heard)

            first = Forked(bus.folder.logs / f"{UNIT}.log", _take_over, bus.folder.path)
            await eventually("the one that was put out stands by again", waits)
            await bus.ready(UNIT)
            first.kill()
            await eventually("the standby has taken over once more", has_taken_over)
        finally:
            standby.kill()


def test_both_kinds_of_ledger_are_tested_where_a_server_is_installed() -> None:
    """A machine without PostgreSQL's programs tests files alone, and the header of the run says so."""
    assert (("sqlite", "postgresql") if SERVERS else ("sqlite",)) == KINDS
