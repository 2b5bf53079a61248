"""Two processes of each service of a bus: one works, the other stands by and takes over by Kafka alone."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.cli import health
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer
from nrmbus.host.supervisor import Supervisor
from patience import lives, until

pytestmark = pytest.mark.broker

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())
SERVICES = ("registrar", "timekeeper", "auditor")
NAMES = {*SERVICES, *(f"{each}.2" for each in SERVICES), "ngo-a"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Yield a running bus with two processes of each service and one agency."""
    folder = BusFolder(tmp_path_factory.mktemp("up"))
    folder.create()
    with Supervisor(folder, agencies={"ngo-a": Newcomer("ngo_outreach")}, replicas=2) as supervisor:
        until("everybody is ready", lambda: healths(folder).keys() >= NAMES and not health.not_ready(folder))
        yield supervisor


def healths(folder: BusFolder) -> dict[str, Any]:
    """Return the health of each process by name."""
    return asyncio.run(health.ask_all(folder))


def working(folder: BusFolder, service: str) -> str | None:
    """Return the working process of *service*: it has a partition, or does not stand by."""
    for name in (service, f"{service}.2"):
        found = asyncio.run(health.ask(folder, name))
        if found and found["ready"] and not found.get("standby"):
            return name
    return None


def pid_of(folder: BusFolder, name: str) -> int:
    """Return the pid of the process *name*."""
    return int(json.loads((folder.run / "services.json").read_bytes())[name]["pid"])


def registered(folder: BusFolder) -> float:
    """Publish an event at the desk's door and wait for the verdict; return the seconds of the wait."""

    async def publish() -> dict[str, Any]:
        async with Door.of(folder.agency("ngo-a").path) as door:
            return dict(await door.publish(SIGNAL, wait=20))

    began = time.monotonic()
    until("it is registered", lambda: asyncio.run(publish()).get("verdict") == "registered")
    return time.monotonic() - began


@pytest.mark.slow
def test_one_of_each_works_and_the_other_stands_by(up: Supervisor) -> None:
    """Given two processes of each service, then exactly one works, and `status` counts the other as ready."""
    found = healths(up.folder)
    assert sum(bool(each.get("standby")) for each in found.values()) == len(SERVICES)
    assert {working(up.folder, each) for each in SERVICES} <= {*SERVICES, *(f"{each}.2" for each in SERVICES)}


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
def test_a_registrar_is_back_at_once(
    up: Supervisor, how: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    """Given a working registrar, when it is killed or frozen, then its successor or the other registers events."""
    name = working(up.folder, "registrar")
    assert name
    pid = pid_of(up.folder, name)
    os.kill(pid, how)
    try:
        record_property("measured", f"registrar of two, {how.name}: registered after {registered(up.folder):.2f} s")
    finally:
        if lives(pid):
            os.kill(pid, signal.SIGCONT)
    until("both are well", lambda: not health.not_ready(up.folder))


@pytest.mark.slow
@pytest.mark.parametrize("service", ["timekeeper", "auditor"])
def test_a_frozen_one_loses_its_turn_and_is_ended(
    up: Supervisor, service: str, record_property: Callable[[str, object], None]
) -> None:
    """Given a frozen process, then the other process kills it and works on from the same folder."""
    name = working(up.folder, service)
    assert name
    pid, began = pid_of(up.folder, name), time.monotonic()
    other = f"{service}.2" if name == service else service
    os.kill(pid, signal.SIGSTOP)

    until("the other works", lambda: working(up.folder, service) == other)
    record_property("measured", f"{service} of two, SIGSTOP: the other is ready after {time.monotonic() - began:.2f} s")
    assert not lives(pid)
    until("the first stands by", lambda: (healths(up.folder).get(name) or {}).get("standby"))
