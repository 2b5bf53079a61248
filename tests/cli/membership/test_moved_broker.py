"""A desk on its own machine outlives restarts, absences and a move of the broker, and loses nothing meanwhile."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cli.own_machine import Apart, apart
from desk.live import signal_of
from nrmbus.auditor.history.whole import audited
from nrmbus.bus.embedded import ports
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.cli import health
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory.admission import read_directory
from nrmbus.host.supervisor import Supervisor
from patience import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

NRMBUS = [sys.executable, "-c", "from nrmbus.cli import main; main()"]


@contextmanager
def bus(folder: BusFolder, *numbers: int) -> Iterator[Supervisor]:
    """Run the operator's bus, which other machines reach at these ports."""
    folder.listen(Listening(tuple(f"localhost:{each}" for each in numbers)))
    with Supervisor(folder) as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path) -> BusFolder:
    """The operator's folder, with a bus that does not run yet."""
    folder = BusFolder(tmp_path / "operator")
    folder.create(play=False)
    return folder


def ready(one: Apart) -> None:
    """Wait until its desk handles its inbox."""
    until("its desk is ready", lambda: asyncio.run(one.health()).get("ready"))


async def left(one: Apart) -> str:
    """Publish a signal while the broker is away; return its event id."""
    async with Door.of(one.folder.agency(one.name).path) as door:
        return str((await door.publish(signal_of(secrets.token_hex(16))))["id"])


async def says_registered(one: Apart) -> bool:
    """Publish a signal, since the broker's answer tells the broker's time; return whether the signal was registered."""
    return str((await one.says(signal_of(secrets.token_hex(16))))["verdict"]) == "registered"


def said(folder: BusFolder, *command: str) -> dict[str, Any]:
    """Return what ``nrmbus check --json`` says in *folder*."""
    argv = [
        *NRMBUS,
        "check",
        *command,
        "--json",
        "--keys-unprotected",
        "--data",
        str(folder.path),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=90)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def checked(folder: BusFolder, port: int) -> list[tuple[str, bool]]:
    """Return the steps of an agency's check of this port, each with its result."""
    steps = said(folder, f"localhost:{port}")["addresses"][f"localhost:{port}"]
    return [(each["step"], each["well"]) for each in steps]


def connected(folder: BusFolder, agency: str) -> list[str]:
    """Return from where the desk of *agency* is connected, as the operator's check says."""
    return [host for each in said(folder)["agencies"] if each["agency"] == agency for host in each["connected"]]


async def verdict(one: Apart, event: str) -> str:
    """Return the verdict on *event* that its desk knows, or nothing while the desk does not answer."""
    with suppress(DoorError):
        async with Door.of(one.folder.agency(one.name).path) as door:
            return str((await door.event(event)).get("verdict"))
    return ""


def test_a_desk_waits_for_the_bus_and_follows_it(operator: BusFolder, tmp_path: Path) -> None:
    """Given a machine that starts while the bus is away, when the bus is back, then the desk works and follows the bus.

    The desk knows the new address from the list signed by the operator. Events published while the bus was away are
    registered once.
    """
    here, there = ports.free_ports(2)
    with ExitStack() as stack:
        with bus(operator, here):
            one = stack.enter_context(apart(operator, tmp_path, "ngo-far", "ngo_outreach"))
            assert one.folder.bootstrap == f"localhost:{here}"
        one.start()
        until("it says what it waits for", lambda: "tries again until" in one.log)
        waits = asyncio.run(health.ask(one.folder, one.name)) or {}
        assert "tries again until" in health.why_not_ready(waits), (
            "nrmbus status there says so too, since its door is closed"
        )
        with bus(operator, here, there):
            head = asyncio.run(read_directory(operator)).head
            assert head is not None
            assert head.addresses == operator.addresses
            until("the desk keeps the signed list", lambda: f"localhost:{there}" in one.folder.bootstrap)
            ready(one)
            assert one.folder.unanswered_marker(one.name).read() is None
            assert asyncio.run(says_registered(one))
            steps = checked(one.folder, here)
            assert [name for name, _ in steps] == [
                "name", "port", "tls", "certificate", "rights", "topic", "clock", "round trip",
            ]  # fmt: skip
            assert all(well for _, well in steps)
            assert connected(operator, one.name)
        event = asyncio.run(left(one))
        with bus(operator, there):
            until("the event is registered", lambda: asyncio.run(verdict(one, event)) == "registered")
            entries = asyncio.run(audited(operator)).history.entries
            assert [each.registration.id for each in entries].count(event) == 1
        assert one.process is not None
        assert one.process.poll() is None, "it was never started again"
