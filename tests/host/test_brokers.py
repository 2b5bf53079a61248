"""A bus whose Kafka is three brokers on one machine: any of them may go, and events go on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.reach import Tls
from nrmbus.cli import health
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer
from nrmbus.host.supervisor import Supervisor
from patience import LONGEST_WAIT, interruptible, until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

SIGNAL = json.loads((Path(__file__).parents[2] / "deploy" / "examples" / "signal.json").read_text())
NAMES = ("broker.1", "broker.2", "broker.3")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Yield a running bus with three brokers and one agency."""
    folder = BusFolder(tmp_path_factory.mktemp("up"))
    folder.create(play=True, brokers=3)
    with Supervisor(folder, agencies={"ngo-a": Newcomer("ngo_outreach")}) as supervisor:
        until("the bus is ready", lambda: not health.not_ready(folder))
        yield supervisor


def publish(folder: BusFolder) -> float:
    """Publish an event at the desk's door until its registration; return the seconds until then."""

    async def said() -> object:
        async with Door.of(folder.agency("ngo-a").path) as door:
            return (await door.publish(SIGNAL, wait=LONGEST_WAIT)).get("verdict")

    began = time.monotonic()
    until("an event is registered", lambda: asyncio.run(said()) == "registered")
    return time.monotonic() - began


def pids(folder: BusFolder) -> dict[str, int]:
    """Return the brokers' pids by name."""
    found = json.loads((folder.run / "services.json").read_bytes())
    return {name: found[name]["pid"] for name in NAMES if name in found}


def whole(folder: BusFolder) -> bool:
    """Return whether three brokers hold each partition, all of them in sync."""
    topics = clients.admin(folder.as_operator).list_topics(timeout=10).topics.values()
    return all(len(each.isrs) == len(each.replicas) == 3 for topic in topics for each in topic.partitions.values())


def busiest(folder: BusFolder) -> str:
    """Return the broker that leads the most partitions."""
    topics = clients.admin(folder.as_operator).list_topics(timeout=10).topics.values()
    leads = [each.leader for topic in topics for each in topic.partitions.values()]
    return f"broker.{max(set(leads), key=leads.count)}"


def test_one_of_three_may_be_killed(up: Supervisor, record_property: Callable[[str, object], None]) -> None:
    """Given three brokers in sync, when the busiest is killed, then events go on, and it comes back with every record."""
    until("all hold everything", lambda: whole(up.folder))
    before, name = pids(up.folder), busiest(up.folder)
    up.kill(name)

    record_property("measured", f"broker of three, kill -9: an event is registered after {publish(up.folder):.1f} s")
    until("it is back", lambda: pids(up.folder).get(name) not in (None, before[name]))
    until("all hold everything again", lambda: whole(up.folder))
    assert {each for each, pid in pids(up.folder).items() if pid != before[each]} == {name}


@pytest.mark.slow
def test_a_frozen_one_does_not_stop_the_others(up: Supervisor, record_property: Callable[[str, object], None]) -> None:
    """Given three brokers, when the busiest is frozen, then events go on without it."""
    until("all hold everything", lambda: whole(up.folder))
    pid = pids(up.folder)[busiest(up.folder)]
    os.kill(pid, signal.SIGSTOP)
    try:
        record_property(
            "measured", f"broker of three, SIGSTOP: an event is registered after {publish(up.folder):.1f} s"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    until("all hold everything again", lambda: whole(up.folder))


@pytest.mark.slow
def test_a_new_certificate_reaches_them_one_after_the_other(up: Supervisor) -> None:
    """Given a certificate that is due, then each broker restarts with the new one while the others serve, and events go on."""
    until("all hold everything", lambda: whole(up.folder))
    before, tls = pids(up.folder), Tls(up.folder.service("broker"))
    tls.certificate.unlink()
    fewest = len(NAMES)

    def renewed() -> bool:
        nonlocal fewest
        up.look_at_certificates()
        now = pids(up.folder)
        fewest = min(fewest, len(now))
        return len(now) == len(NAMES) and not set(now.values()) & set(before.values())

    until("each has another pid", renewed)
    assert fewest >= len(NAMES) - 1
    assert not certificate.is_due(tls, certificate.now())
    publish(up.folder)
    assert Gate(up.folder).check() == ()


def test_a_broker_that_runs_alone_and_ends_ends_its_command(tmp_path: Path) -> None:
    """Given ``nrmbus run broker``, when Kafka is killed, then the command ends with status 1 and names the log, so that a service manager restarts it."""
    folder = BusFolder(tmp_path)
    folder.create(play=True)
    argv = [sys.executable, "-c", "from nrmbus.cli import main; main()", "run", "broker", "--data", str(tmp_path)]
    with (
        interruptible(),
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert "is up" in process.stdout.readline()
            os.kill(json.loads((folder.run / "broker.json").read_bytes())["pid"], signal.SIGKILL)
            until("the command ends", lambda: process.poll() is not None)
        finally:
            process.kill()
        _, wrong = process.communicate()

    assert process.returncode == 1
    assert f"has ended: read {folder.logs}/broker.log" in " ".join(wrong.split())
