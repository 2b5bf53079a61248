"""Peer of the comparison: Kafka Streams, exactly once, with the registrar's cryptography and none of its rules.

``streams/Peer.java`` is compiled with the machine's JDK. Its jars are fetched for this measurement alone, as Kafka's own are;
the project does not depend on them. Without ``javac`` there is no peer, and the table says so.
"""

import asyncio
import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import NewTopic
from jgo.maven import MavenContext
from throughput import SENDERS, Round, Side, measured, process, spread, ways

from nrmbus.bus.embedded import jars
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder, cache_home
from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import make_private
from nrmbus.directory import Identity
from nrmbus.play.load import Submission
from nrmbus.wire.names import outbox_of

SOURCE: Final = Path(__file__).with_name("streams") / "Peer.java"
GROUP: Final = "streams"
HISTORY: Final = "streams.cases"
INBOX: Final = "streams.inbox"
JARS: Final = (
    ("org.apache.kafka", "kafka-streams", "4.3.1", "", "bd73f3805e116f711e8456ee89a8a5b43ff5dcf5a5bb865afae29deae89e7c4b"),
    ("org.bouncycastle", "bcprov-jdk18on", "1.84", "", "64d6c5a6121fcd927152dd182cbed39afe0fda641a970d9bcc0c9cb1858b2731"),
    ("org.rocksdb", "rocksdbjni", "10.1.3", "linux64", "918b8e76da36d48cc795d15221c56a2f1e1a135e31d815374801329e1fea5136"),
)  # fmt: skip
"""Jars beside Kafka's own: group, artifact, version, classifier, SHA-256. RocksDB's version is the one that Streams names."""


_JDK: Final = ("javac", "java")


def can_run() -> bool:
    """Return whether this machine has a JDK."""
    return all(map(shutil.which, _JDK))


def peer(
    home: Path,
    bus: tuple[BusFolder, EmbeddedKafka],
    copies: Sequence[Mapping[str, Any]],
    count: int,
    singles: Sequence[Submission],
    every: float,
) -> Side:
    """Run the peer over the *count* events that wait, then over *singles*.

    *copies*: what the registrar wrote for an event, to the history and to inboxes.
    """
    folder, kafka = bus
    compiler, java = (shutil.which(each) for each in _JDK)
    assert compiler, "asked before"
    assert java, "asked before"
    home.mkdir(parents=True)
    path = _class_path()
    subprocess.run([compiler, "-proc:none", "-d", str(home), "-cp", path, str(SOURCE)], check=True, capture_output=True)
    where = kafka.bootstrap
    admin = clients.admin(where)
    for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in (HISTORY, INBOX)]).values():
        made.result(10)
    history, inbox = copies
    command = [
        java, "-Xmx512m", "-cp", os.pathsep.join((str(home), path)), "Peer", where, GROUP, str(home / "state"),
        str(_keys(folder, home / "keys")), HISTORY, INBOX, str(inbox["share"]), str(history["added"]), str(inbox["added"]),
        *map(outbox_of, SENDERS),
    ]  # fmt: skip
    with process(command, home / "peer.log") as pid:
        run = measured(where, GROUP, HISTORY, count, (pid, kafka.pid or 0))
        return Side(run, asyncio.run(ways(singles, lambda _: where, {INBOX: where}, every)))


def _keys(folder: BusFolder, file: Path) -> Path:
    """Write the public signing key of each sender to *file*."""
    signing = [Identity.at(folder.agency(name).path, name).signing for name in SENDERS]
    file.write_text("".join(f"{each.kid} {base64.b64encode(each.verify_key.public).decode()}\n" for each in signing))
    return file


def _class_path() -> str:
    home = make_private(cache_home() / "streams")
    found = [_jar(home, *each) for each in JARS]
    return os.pathsep.join((*map(str, found), jars.class_path(jars.jar_home())))


def _jar(home: Path, group: str, artifact: str, version: str, classifier: str, sha256: str) -> Path:
    component = MavenContext(repo_cache=home).project(group, artifact).at_version(version)
    path = component.artifact(classifier=classifier).resolve()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, f"{path.name} is not the pinned one"
    return Path(path)


def lines(measured_round: Round | None) -> list[str]:
    """Return the table of *measured_round*; of None, that there was no JDK."""
    head = [
        "| in one round, over the same outboxes | registrar, all checks | Kafka Streams, exactly once | registrar / Streams |",
        "| --- | --- | --- | --- |",
    ]
    other = measured_round and measured_round.peer
    if not measured_round or not other:
        return [*head, "| not measured: this machine has no `javac` | – | – | – |"]
    own = measured_round.registrar
    return [
        *head,
        _row("events a second", own.run.rate, other.run.rate, ",.0f"),
        _row("own CPU an event, µs", own.run.cpu, other.run.cpu, ",.0f"),
        _row("the broker's CPU an event, µs", own.run.broker, other.run.broker, ",.0f"),
        _row("events in a transaction", own.run.batch, other.run.batch, ",.0f"),
        *(_row(f"publish to inbox, {each}, ms", spread(own.ways)[each], spread(other.ways)[each], ",.1f") for each in ("p50", "p99")),
    ]  # fmt: skip


def _row(name: str, own: float, other: float, form: str) -> str:
    return f"| {name} | {own:{form}} | {other:{form}} | {own / other:.2f} |"
