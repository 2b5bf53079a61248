"""A bus on a cluster of three brokers: it begins and works while the first of the three addresses is down."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.embedded.node import Node
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.cli import health
from nrmbus.directory.invitation import Invitation
from patience import until
from three_brokers import three_brokers

pytestmark = [pytest.mark.broker, pytest.mark.slow]

NRMBUS = [sys.executable, "-c", "from nrmbus.cli import main; main()"]
SIGNAL = Path(__file__).parents[2] / "deploy" / "examples" / "signal.json"
UP_SECONDS = 120.0
SERVICES = {"registrar", "timekeeper", "auditor", "ngo-a"}


@dataclass
class Up:
    """A bus, the output of its start, and the services not ready at the end of the start."""

    folder: BusFolder
    nodes: tuple[Node, ...]
    kafka: EmbeddedKafka
    process: "subprocess.Popen[str]"
    lines: list[str]
    unready: dict[str, str]

    def says(self, *command: str) -> tuple[int, str]:
        """Return exit status and output of a command about the bus."""
        done = subprocess.run(
            [*NRMBUS, *command, "--data", str(self.folder.path)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=90,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Yield a bus that was made and started while the first broker of its cluster was down."""
    home = tmp_path_factory.mktemp("three")
    (home / "agencies.yaml").write_text("ngo-a: {role: ngo_outreach}\n")
    with three_brokers(home) as kafka:
        kafka.kill()
        where = kafka.bootstrap
        begin = ["up", "--play", "--plaintext", "--bootstrap", where, "--agencies", str(home / "agencies.yaml")]
        with subprocess.Popen(
            [*NRMBUS, *begin, "--data", str(home / "bus")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            folder, lines = BusFolder(home / "bus"), []
            try:
                assert process.stdout
                for line in process.stdout:
                    lines.append(line)
                    if " is up: " in line:
                        break
                yield Up(folder, kafka.nodes, kafka, process, lines, health.not_ready(folder))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def test_it_is_up_when_every_service_is_ready(up: Up) -> None:
    """No service has restarted: a list of addresses is no name of one host."""
    assert " is up: " in up.lines[-1], up.lines
    assert up.unready == {}
    states = json.loads((up.folder.run / "services.json").read_bytes())
    assert {name: state["restarts"] for name, state in states.items()} == dict.fromkeys(SERVICES, 0)


def test_an_event_of_an_agency_is_registered(up: Up) -> None:
    """An event goes from a desk over the remaining brokers to the registrar and back."""
    status, output = up.says("publish", "ngo-a", "--event", str(SIGNAL))

    assert status == 0, output
    assert "registered as number" in output


def test_commands_and_invitations_know_all_addresses(up: Up, tmp_path: Path) -> None:
    """`topics check` and `doctor` reach the cluster, and an invitation names all three brokers."""
    status, output = up.says("topics", "check")
    assert status == 0, output
    assert "The broker at" not in up.says("doctor")[1]
    file = tmp_path / "bus.invitation.json"
    status, output = up.says("invite", str(file))
    assert status == 0, output
    assert Invitation.read(file).bootstrap == up.kafka.bootstrap


def test_it_goes_on_when_another_broker_is_down(up: Up) -> None:
    """The bus continues when the first broker is back and the second goes down."""
    before = up.nodes[0].pid
    up.kafka.restart(up.nodes[0])
    assert up.nodes[0].pid != before
    in_sync(up)
    up.nodes[1].kill()

    until(
        "another event is registered", lambda: up.says("publish", "ngo-a", "--event", str(SIGNAL))[0] == 0, UP_SECONDS
    )


def in_sync(up: Up) -> None:
    """Wait until each partition is on all three brokers again."""

    def whole() -> bool:
        topics = clients.admin(up.folder.bootstrap).list_topics(timeout=10).topics.values()
        return all(len(each.isrs) == len(up.nodes) for topic in topics for each in topic.partitions.values())

    until("every partition is on three brokers", whole, UP_SECONDS)
