"""The embedded broker: quick, ours, private, gone with its parent; and its data stay."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from brokers import Broker
from nrmbus.bus.embedded import jars, ports
from nrmbus.bus.embedded.archive import Archive
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import FolderHeld, JarAltered, KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.cluster import cluster_id
from nrmbus.bus.reach import Reach
from patience import PATIENCE, busy, lives, until

pytestmark = pytest.mark.broker

READY_SECONDS = 8.0

PARENT = """
import sys, time
from pathlib import Path
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
kafka = EmbeddedKafka(BusFolder(Path(sys.argv[1])))
kafka.fetch()
kafka.start()
print(kafka.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedKafka:
    """A broker that was not started yet; its jars are in the cache."""
    folder = BusFolder(tmp_path / "bus, with a comma and an ö")
    folder.create()
    made = EmbeddedKafka(folder)
    made.fetch()
    return made


def make(where: Reach, topic: str) -> None:
    """A topic of one partition."""
    admin = clients.admin(where)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)


def write(where: Reach, topic: str, value: bytes) -> None:
    """One record, acknowledged."""
    errors: list[object] = []
    producer = Producer({**where.confluent(), "acks": "all"})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(10) == 0
    assert errors == [None]


def read(where: Reach, topic: str) -> list[bytes | None]:
    """All records of the topic's one partition."""
    consumer = Consumer({**where.confluent(), "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes | None] = []
    while record := consumer.poll(10 if not found else 0.5):
        found.append(record.value())
    consumer.close()
    return found


def test_it_is_ready_in_time_and_its_data_survive_a_restart(embedded: EmbeddedKafka) -> None:
    """Under a folder name that no properties file could hold; the port may be another, the records are the same.

    In time is by the processor's: other tests run beside this one.
    """
    try:
        embedded.start()
        assert busy(embedded.pid or 0) < READY_SECONDS
        make(embedded.folder.as_operator, "kept")
        write(embedded.folder.as_operator, "kept", b"record")
    finally:
        embedded.stop()
    assert not ports.accepts(int(embedded.bootstrap.rpartition(":")[2]))

    again = EmbeddedKafka(embedded.folder)
    try:
        again.start()
        assert read(again.folder.as_operator, "kept") == [b"record"]
    finally:
        again.stop()


@pytest.mark.slow
def test_a_broker_that_was_killed_comes_back_where_it_was(embedded: EmbeddedKafka) -> None:
    """Clients find it again at the same address, with all that was acknowledged."""
    try:
        where = embedded.start()
        make(embedded.folder.as_operator, "kept")
        write(embedded.folder.as_operator, "kept", b"record")
        embedded.kill()
        until("it is gone", lambda: not ports.accepts(int(where.rpartition(":")[2])))

        assert embedded.restart() == where
        assert read(embedded.folder.as_operator, "kept") == [b"record"]
    finally:
        embedded.stop()


def test_kill_9_of_the_parent_leaves_no_broker(embedded: EmbeddedKafka) -> None:
    """And the folder is free for the next."""
    command = [sys.executable, "-c", PARENT, str(embedded.folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert lives(pid)
        parent.send_signal(signal.SIGKILL)

    until("the broker is gone", lambda: not lives(pid))
    assert not embedded.folder.is_held


def test_a_second_instance_is_refused_with_the_holder(embedded: EmbeddedKafka) -> None:
    """Two brokers on the same data would destroy them."""
    with embedded.folder.held(), pytest.raises(FolderHeld, match=r"is held by process \d+ since"):
        EmbeddedKafka(BusFolder(embedded.folder.path)).start()


@pytest.mark.slow
def test_it_answers_as_this_buss_own(embedded: EmbeddedKafka) -> None:
    """The cluster id is derived from the bus's: a client can tell whose broker it talks to."""
    try:
        embedded.start()
        found = str(clients.admin(embedded.folder.as_operator).list_topics(timeout=PATIENCE).cluster_id)
    finally:
        embedded.stop()

    assert found == cluster_id(embedded.folder.settings.bus)
    assert len(found) == 22
    assert cluster_id("a") != cluster_id("b")


def test_no_cluster_id_looks_like_an_option() -> None:
    """Kafka's command line would stumble over a leading dash."""
    assert not any(cluster_id(str(number)).startswith("-") for number in range(1000))


@pytest.mark.slow
def test_a_port_that_somebody_else_has_is_left_to_him(embedded: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where he was faster than the broker, after we had found the port free."""
    with socket.socket() as somebody:
        somebody.bind((ports.HOST, 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        offers = iter([[taken, *ports.free_ports(1)], ports.free_ports(2)])
        monkeypatch.setattr(ports, "free_ports", lambda *_, **__: next(offers))
        try:
            assert embedded.start() != f"{ports.HOST}:{taken}"
        finally:
            embedded.stop()


@pytest.mark.slow
def test_another_broker_is_not_taken_for_ours(
    embedded: EmbeddedKafka, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's Kafka answers on the port: ready means an answer with our cluster id, not any answer."""
    taken = int(broker.bootstrap.rpartition(":")[2])
    offers = iter([[taken, *ports.free_ports(1)], ports.free_ports(2)])
    monkeypatch.setattr(ports, "free_ports", lambda *_, **__: next(offers))
    try:
        assert embedded.start() != broker.bootstrap
    finally:
        embedded.stop()


@pytest.mark.slow
def test_its_files_are_for_its_owner_only(embedded: EmbeddedKafka) -> None:
    """Data, settings and the log, which has what Kafka warns of."""
    try:
        embedded.start()
    finally:
        embedded.stop()

    for path in embedded.folder.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    # Kafka's warnings reach its log: a first start always warns of empty metadata.
    assert " WARN " in (embedded.folder.logs / "broker.log").read_text(encoding="utf-8")


@pytest.fixture
def own_cache(tmp_path: Path) -> Path:
    """A cache of the test's own: links to the jars that were fetched."""
    cache = tmp_path / "cache"
    shutil.copytree(jars.jar_home(), cache, copy_function=lambda source, target: Path(target).symlink_to(source))
    return cache


def test_an_altered_jar_is_refused(embedded: EmbeddedKafka, own_cache: Path) -> None:
    """Before anything of it runs; size and time as they were."""
    jar = own_cache / next(each.name for each in jars.pinned() if "kafka-clients" in each.name)
    raw = bytearray(jar.read_bytes())
    raw[len(raw) // 2] ^= 1
    jar.unlink()
    jar.write_bytes(raw)

    for cut in (
        EmbeddedKafka(embedded.folder, cache=own_cache).start,
        EmbeddedKafka(embedded.folder, cache=own_cache).fetch,
    ):
        with pytest.raises(JarAltered, match=rf"{jar.name} is not, byte for byte, the pinned one: rm '{jar}'"):
            cut()
    assert not embedded.folder.kafka.exists()
    assert not embedded.folder.is_held


def test_an_archive_that_was_altered_is_not_used(tmp_path: Path) -> None:
    """The archive holds classes and is trusted like the jars, so an altered archive is removed and written again."""
    archive = Archive(tmp_path, ["java"])
    archive.path.write_bytes(b"classes")
    archive.keep()
    assert archive.options() == [f"-XX:AOTCache={archive.path}"]

    archive.path.write_bytes(b"Classes")

    assert archive.options() == []
    assert not archive.rehearsed
    assert not archive.path.exists()


def test_a_rehearsal_without_an_archive_is_not_repeated(tmp_path: Path) -> None:
    """Where Java writes none, each start would take as long as the first."""
    archive = Archive(tmp_path, ["java"])
    archive.keep()

    assert archive.rehearsed
    assert archive.options() == []
    assert not Archive(tmp_path, ["java", "-Xmx1g"]).rehearsed


def test_every_installation_of_a_runtime_uses_one_archive(tmp_path: Path) -> None:
    """Given the same Java in another folder, the archive is there already; another build of Java or another option has its own."""

    def java(folder: str, build: str, *options: str) -> list[str]:
        program = tmp_path / folder / "bin" / "java"
        program.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "release").write_text(f'JAVA_RUNTIME_VERSION="{build}"')
        return [str(program), f"-Dlog={folder}", *options]

    Archive(tmp_path, java("a", "25.0.2")).keep()

    assert Archive(tmp_path, java("b", "25.0.2")).rehearsed
    assert not Archive(tmp_path, java("b", "25.0.2", "-Xmx1g")).rehearsed
    assert not Archive(tmp_path, java("c", "25.0.3")).rehearsed


def test_a_start_that_fails_says_where_to_read(embedded: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the log's path; nothing is left running, the folder is free."""
    monkeypatch.setattr("nrmbus.bus.embedded.embedded.BROKER_SETTINGS", {"process.roles": "nobody"})
    embedded.folder.kafka.mkdir()

    with pytest.raises(KafkaFailed, match=r"Kafka did not start: read .*broker\.log"):
        embedded.start()
    assert not embedded.folder.is_held
