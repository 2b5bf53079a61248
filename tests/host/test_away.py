"""Services whose broker is away: told to end, each has ended within five seconds, and has lost nothing."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from brokers import Broker
from forked import Forked, service
from nrmbus.bus import http_server
from nrmbus.bus.clock import WallClock
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.cli.health import ask, why_not_ready
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer, admit, home_of
from nrmbus.host.services import run_service
from patience import LONGEST_WAIT, ended, interruptible, until

pytestmark = pytest.mark.broker

DESK = "ngo-a"
SERVICES = ("registrar", "timekeeper", "auditor", DESK)
STANDBYS = ("registrar.2", "timekeeper.2")
"""Standby processes: the first serves a page while it stands by, the second has only a mark."""
UNHEARD_SECONDS = 4.0
"""Silence of the broker after which these services are not ready, instead of a minute."""
SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())


def published(folder: BusFolder, wait: float = 0) -> dict[str, Any]:
    """Return the desk's answer to an event; a repetition gets the same answer."""

    async def asked() -> dict[str, Any]:
        async with Door.of(home_of(folder, DESK)) as door:
            return await door.publish(SIGNAL, wait=wait)

    return asyncio.run(asked())


def begun(folder: BusFolder, *names: str) -> dict[str, Forked]:
    """Return services that are ready, and soon not where the broker is silent."""
    processes = {name: Forked(folder.logs / f"{name}.log", run_impatient, name, folder.path) for name in names}
    for name in names:
        until(f"{name} is ready", lambda name=name: shown(folder, name).get("ready"))  # type: ignore[misc]
    return processes


def run_impatient(name: str, path: Path) -> None:
    """Run the service or desk *name*, which misses the broker after a few seconds."""
    with patch.object(clients, "UNHEARD_SECONDS", UNHEARD_SECONDS):
        run_service(name, BusFolder(path), print, "wait")


def shown(folder: BusFolder, name: str) -> Mapping[str, Any]:
    """Return the health of a service as `nrmbus status` has it: a service that stands by may have only a mark."""
    with patch.object(clients, "UNHEARD_SECONDS", UNHEARD_SECONDS):
        return asyncio.run(ask(folder, name)) or {}


def says_silent(folder: BusFolder, name: str) -> bool:
    """Return whether the service is not ready, and says that Kafka is silent."""
    found = shown(folder, name)
    if name in ("auditor", DESK) and found.get("silent", 0) < UNHEARD_SECONDS:  # these may be on a machine of their own
        return False
    return found.get("ready") is False and "Kafka" in why_not_ready(found) and "answer" in why_not_ready(found)


@contextmanager
def silent(port: int) -> Iterator[socket.socket]:
    """Listen at *port*, accept connections, and never answer."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def bound() -> bool:
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return True
            return False

        until("the port is free", bound)
        listener.listen(100)
        yield listener


@contextmanager
def away(kafka: Broker, how: str) -> Iterator[socket.socket | None]:
    """Have the broker away in the block: *frozen*, *gone* (connections are refused), or *silent* (a listener never answers)."""
    port = int(kafka.bootstrap.rpartition(":")[2])
    if how == "frozen":
        os.kill(kafka.kafka.pid or 0, signal.SIGSTOP)
        try:
            yield None
        finally:
            os.kill(kafka.kafka.pid or 0, signal.SIGCONT)
        return
    kafka.kafka.kill()
    try:
        if how == "gone":
            yield None
        else:
            with silent(port) as listener:
                yield listener
    finally:
        where = kafka.kafka.restart()
        until("the broker serves every partition", lambda: serves(where))


def serves(bootstrap: str) -> bool:
    """Return whether the broker serves each partition: just after its start it leads none."""
    admin = clients.admin(bootstrap)
    with suppress(KafkaException):
        topics = admin.list_topics(timeout=10).topics.items()
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, each): newest for topic, found in topics for each in found.partitions}
        return all(future.exception(10) is None for future in admin.list_offsets(asked).values())
    return False


@contextmanager
def never_answered(folder: BusFolder) -> Iterator[socket.socket]:
    """Have the broker of *folder* at a listener that never answers, and whose address nobody but the services of the folder reads.

    At the address of a broker that has gone, clients of this test may come before the service does.
    """
    settings = folder.path / "bus.json"
    before = settings.read_bytes()
    with silent(0) as listener:
        here = f"127.0.0.1:{listener.getsockname()[1]}"
        settings.write_text(json.dumps(json.loads(before) | {"bootstrap": here}))
        try:
            yield listener
        finally:
            settings.write_bytes(before)


def connected(listener: socket.socket | None) -> None:
    """Wait until a service has connected to the silent *listener*, if there is one."""
    if listener is not None:
        until("somebody has come", lambda: select.select([listener], [], [], 0)[0])
        taken.append(listener.accept()[0])


taken: list[socket.socket] = []
"""Connections that stay open without an answer."""


@pytest.fixture(scope="module", params=["frozen", "gone", pytest.param("silent", marks=pytest.mark.slow)])
def while_running(kafka: Broker, request: pytest.FixtureRequest) -> Mapping[str, tuple[float, int]]:
    """Return seconds and exit status with which each service ended, after its broker had gone away.

    Before, each of them, the standbys too, had said that it is not ready because Kafka does not answer. The desk had taken an event meanwhile, and could not send it; once the broker is back, the event is registered.
    """
    folder = kafka.fresh_bus(play=False)
    asyncio.run(admit(folder, {DESK: Newcomer("ngo_outreach")}, WallClock().now()))
    processes = begun(folder, *SERVICES)
    processes |= begun(folder, *STANDBYS)
    # A process that the broker leaves in the midst of joining ends, and a supervisor starts it again.
    turn = folder.logs / f"{STANDBYS[1]}.log"
    until("it has joined its group", lambda: any(each in turn.read_bytes() for each in (b"stands_by", b"works")))
    until("the others are ready again", lambda: all(shown(folder, each).get("ready") for each in processes))
    try:
        with away(kafka, request.param):
            published(folder)
            for name in processes:
                until(f"{name} says that Kafka is silent", lambda name=name: says_silent(folder, name))  # type: ignore[misc]
            took = {name: ended(process, signal.SIGTERM) for name, process in processes.items()}
        processes = begun(folder, "registrar", DESK)
        assert published(folder, wait=LONGEST_WAIT)["verdict"] == "registered"
    finally:
        for process in processes.values():
            process.kill()
            process.wait(20)
    return took


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SERVICES, *STANDBYS])
def test_a_service_ends_when_its_broker_has_gone_away(
    while_running: Mapping[str, tuple[float, int]], name: str
) -> None:
    """The service ends within five seconds of the first signal; accepted events are registered when the broker is back."""
    took, _ = while_running[name]

    assert took < http_server.ENDS_SECONDS


@pytest.fixture(scope="module", params=["gone", pytest.param("silent", marks=pytest.mark.slow)])
def while_starting(kafka: Broker, request: pytest.FixtureRequest) -> Mapping[str, tuple[float, int]]:
    """Return seconds and exit status of services that were started while their broker was away."""
    folder = kafka.fresh_bus(play=False)
    asyncio.run(admit(folder, {DESK: Newcomer("ngo_outreach")}, WallClock().now()))
    took = {}
    with away(kafka, "gone") if request.param == "gone" else nullcontext():
        for name in SERVICES:
            with never_answered(folder) if request.param == "silent" else nullcontext() as listener:
                process = service(name, folder)
                try:
                    connected(listener)
                    took[name] = ended(process, signal.SIGTERM)
                finally:
                    process.kill()
    return took


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_ends_that_never_met_its_broker(while_starting: Mapping[str, tuple[float, int]], name: str) -> None:
    """The service ends within five seconds of the signal; without a listener it may have ended before."""
    took, _ = while_starting[name]

    assert took < http_server.ENDS_SECONDS


def test_ctrl_c_ends_a_desk_that_a_person_runs(kafka: Broker) -> None:
    """`nrmbus run AGENCY` ends within five seconds, though its broker never answers; a second Ctrl-C does no harm."""
    folder = kafka.fresh_bus(play=True)
    asyncio.run(admit(folder, {DESK: Newcomer("ngo_outreach")}, datetime(2026, 3, 2, tzinfo=UTC)))
    command = [sys.executable, "-c", "from nrmbus.cli import main; main()", "run", DESK, "--data", str(folder.path)]
    with (
        never_answered(folder) as listener,
        interruptible(),
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            connected(listener)
            process.send_signal(signal.SIGINT)
            took, status = ended(process, signal.SIGINT)
        finally:
            process.kill()

    assert took < http_server.ENDS_SECONDS
    # The process ends in order, or the event loop cuts it off, or on a busy machine the alarm, which needs no loop.
    assert status in {130, -signal.SIGINT, -signal.SIGALRM}
