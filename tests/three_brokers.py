"""A Kafka cluster of three brokers, each its controller too, in plain text: any one of them may be away."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nrmbus.bus.embedded import jars, ports
from nrmbus.bus.embedded.embedded import ENVIRONMENT, EmbeddedKafka, java_on
from nrmbus.bus.folder import BusFolder, write_json
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.cluster import BROKER_SETTINGS, cluster_id
from nrmbus.bus.reach import piped
from patience import until

COUNT: Final = 3
START_SECONDS: Final = 60.0
_REPLICATED: Final = {
    "default.replication.factor": COUNT,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": COUNT,
    "transaction.state.log.replication.factor": COUNT,
    "transaction.state.log.min.isr": 2,
}


class Node(EmbeddedKafka):
    """One broker of the cluster, with a folder of its own."""

    def __init__(self, home: Path, number: int, own_ports: list[int], voters: str) -> None:
        folder = BusFolder(home / f"kafka-{number}")
        write_json(
            folder.path / "bus.json", {"bus": "play-0123456789abcdef", "created": "", "play": True, "tls": False}
        )
        super().__init__(folder)
        self._number, self._ports, self._voters = number, own_ports, voters

    def begin(self) -> None:
        """Start the broker; two of three have to run before one answers."""
        self._held.enter_context(self.folder.held())
        java = java_on(jars.class_path(self._cache))
        self._format(java)
        self._launch(java)

    def _format(self, java: list[str]) -> None:
        command = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id"]
        command += [cluster_id(self.folder.settings.bus), "--config"]
        with self._log() as log, piped(self._properties("kafka", self._ports)) as properties:
            subprocess.run(
                [*java, *command, f"/dev/fd/{properties}"],
                cwd=self.folder.path,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[properties],
                check=True,
            )

    def _properties(self, data: str, own_ports: list[int]) -> bytes:
        broker, controller = own_ports
        settings = {
            **BROKER_SETTINGS,
            **_REPLICATED,
            "node.id": self._number,
            "listeners": f"PLAINTEXT://{ports.HOST}:{broker},CONTROLLER://{ports.HOST}:{controller}",
            "controller.quorum.voters": self._voters,
            "log.dirs": data,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items()).encode()


@contextmanager
def three_brokers(home: Path) -> Iterator[tuple[Node, ...]]:
    """The cluster, all of it running, until the block ends."""
    free = ports.free_ports(2 * COUNT)
    own = [free[2 * at : 2 * at + 2] for at in range(COUNT)]
    voters = ",".join(f"{at + 1}@{ports.HOST}:{each[1]}" for at, each in enumerate(own))
    nodes = tuple(Node(home, at + 1, each, voters) for at, each in enumerate(own))
    try:
        nodes[0].fetch()
        for node in nodes:
            node.begin()
        where = ",".join(node.bootstrap for node in nodes)
        until("all are there", lambda: _count(where) == COUNT, START_SECONDS)
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def _count(where: str) -> int:
    from confluent_kafka import KafkaException  # noqa: PLC0415 - as the bus itself does

    try:
        return len(clients.admin(where).list_topics(timeout=2).brokers)
    except KafkaException:
        return 0
