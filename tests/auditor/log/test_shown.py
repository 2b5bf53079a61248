"""A start of the auditor reads the checkpoints that it does not know yet, and knows the newest of each log."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from aiokafka import TopicPartition

from auditor.given import BUS
from auditor.log.test_publisher import keys_of
from nrmbus.auditor import app
from nrmbus.auditor.app import Auditor
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.logs import Logs
from nrmbus.auditor.log.publisher import published
from nrmbus.directory import Directory, LogIdentity, LogKeys
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import Record

TIME = 1_772_427_600
TOPIC = TopicPartition("nrm.checkpoints", 0)


class Known(Directory):
    """A directory with the keys of the logs."""

    def __init__(self, keys: tuple[LogKeys, ...]) -> None:
        self.bus, self._shown = BUS, keys

    def log_keys(self) -> tuple[LogKeys, ...]:
        """Return them."""
        return self._shown


class Topic:
    """The records of a topic, where each is followed by the mark of its transaction."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.taken = 0

    @property
    def end(self) -> int:
        """The offset behind the last mark."""
        return 2 * len(self.records)

    def reader(self, *_: object) -> "Reading":
        """Return a reader."""
        return Reading(self)


class Reading:
    """A reader of the topic of checkpoints, as `TopicReader` is; the history is empty."""

    def __init__(self, topic: Topic) -> None:
        self._topic, self._next = topic, 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def join(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read from the offset of the topic."""
        self._next = offsets.get(TOPIC, 0)

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where each ends."""
        return {each: self._topic.end if each == TOPIC else 0 for each in partitions}

    async def passed(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Return whether nothing but a mark is left."""
        return self._next + 1 >= ends[TOPIC]

    async def take(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        """Return the next record, so that each comes alone."""
        del timeout_ms
        index = (self._next + 1) // 2
        found = self._topic.records[index : index + 1]
        self._topic.taken += len(found)
        self._next = 2 * index + 1
        return {TOPIC: found} if found else {}

    def offset(self, partition: TopicPartition) -> int:
        """Return the offset behind the last record."""
        del partition
        return self._next


class Bus:
    """A bus with two logs, whose auditor starts again and again on the same folder."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.topic = home, Topic()
        self._identity = LogIdentity.at(home)
        monkeypatch.setattr(app, "TopicReader", self.topic.reader)

    def signed(self, partition: int, size: int) -> Checkpoint:
        """Publish a checkpoint in the topic."""
        origin = origin_of(BUS, partition)
        checkpoint = Checkpoint(origin, size, bytes([size]) * 32)
        key, lasting = self._identity.signers(origin)
        note = Note(checkpoint.text, (key.sign(checkpoint.text), lasting.cosign(checkpoint.text, TIME + size)))
        self.topic.records.append(Record(None, AddCheckpoint(0, (), note.bytes()).bytes(), ()))
        return checkpoint

    async def starts(self) -> "Started":
        """Start the auditor; return what it read and knows."""
        auditor: Any = Auditor.__new__(Auditor)
        auditor.home = self.home
        auditor._folder = SimpleNamespace(reach=lambda _: "", service=lambda _: self.home)
        auditor._settings = SimpleNamespace(bus=BUS, partitions=2)
        auditor._directory = Known(keys_of(self._identity))
        auditor._directory_reader = SimpleNamespace(catch_up=_nothing)
        self.topic.taken = 0
        await auditor._begin(Reading(Topic()))
        return Started(auditor.logs, self.topic.taken)

    def rows(self) -> list[Any]:
        """Return the stored checkpoints."""
        with closing(sqlite3.connect(self.home / "cosigned.db")) as connection:
            return connection.execute("SELECT * FROM checkpoint ORDER BY origin, size").fetchall()


class Started:
    """What an auditor knows at its start: the newest size of each log in the topic."""

    def __init__(self, logs: Logs, taken: int) -> None:
        self.taken = taken
        self.newest = {number: each.last and each.last.checkpoint.size for number, each in logs._publishers.items()}
        logs.close()


async def _nothing() -> None:
    return None


@pytest.fixture(name="bus")
def _bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus(tmp_path, monkeypatch)
    bus.signed(1, 4)
    for size in range(1, 8):
        bus.signed(0, size)
    return bus


async def test_a_start_reads_the_checkpoints_that_no_start_has_read(bus: Bus) -> None:
    """Given a start that read eight checkpoints, when two more are published, then the next start reads those, and the one before them."""
    first = await bus.starts()
    bus.signed(0, 8)
    bus.signed(0, 9)
    second = await bus.starts()
    third = await bus.starts()

    assert (first.taken, first.newest) == (8, {0: 7, 1: 4})
    assert second.newest == third.newest == {0: 9, 1: 4}
    assert second.taken <= 2 + 2
    assert third.taken <= 2
    assert [row[1] for row in bus.rows()] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 4]


async def test_a_start_does_not_read_again_what_this_auditor_published(bus: Bus) -> None:
    """Given a checkpoint that the auditor published itself, then the next start begins there."""
    await bus.starts()
    bus.signed(0, 8)
    keys = keys_of(LogIdentity.at(bus.home))
    said = published(bus.topic.records[-1].value, BUS, keys)
    assert said is not None
    logs = Logs(bus.home, Known(keys), 2, [])
    logs.published(said, bus.topic.end - 1)
    logs.close()

    again = await bus.starts()

    assert (again.newest, again.taken <= 2) == ({0: 8, 1: 4}, True)


def lost(bus: Bus) -> None:
    """Lose the file."""
    (bus.home / "cosigned.db").unlink()


def earlier(bus: Bus) -> None:
    """Have the file as earlier releases made it."""
    with closing(sqlite3.connect(bus.home / "cosigned.db")) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS shown")
        connection.execute("DELETE FROM read WHERE topic = 'nrm.checkpoints'")


def altered(bus: Bus) -> None:
    """Have a checkpoint in the file that no log signed."""
    with closing(sqlite3.connect(bus.home / "cosigned.db")) as connection, connection:
        connection.execute("UPDATE shown SET note = CAST(replace(note, x'0a340a', x'0a350a') AS BLOB)")


@pytest.mark.parametrize("change", [lost, earlier, altered])
async def test_a_file_that_does_not_know_how_far_it_is_is_made_from_the_topic(
    bus: Bus, change: Callable[[Bus], None]
) -> None:
    """Given a file that was lost, or of an earlier release, or altered, then the start reads the topic from its beginning."""
    await bus.starts()
    before = bus.rows()
    change(bus)

    again = await bus.starts()

    assert again.newest == {0: 7, 1: 4}
    assert again.taken >= len(bus.topic.records)
    assert bus.rows() == before
    assert (await bus.starts()).taken <= 2


async def test_a_checkpoint_that_the_topic_has_lost_is_not_the_newest_there(bus: Bus) -> None:
    """Given a topic that lost its end, when another auditor goes on in it, then the newest is the topic's: a witness sees no gap."""
    await bus.starts()
    del bus.topic.records[-2:]
    cut = await bus.starts()
    unread = await bus.starts()

    assert cut.newest == unread.newest == {0: 5, 1: 4}
    assert unread.taken <= 2

    await bus.starts()
    bus.topic.records[-1] = bus.topic.records[-2]
    assert (await bus.starts()).newest == {0: 4, 1: 4}


async def test_co_signatures_of_a_stored_checkpoint_stay(bus: Bus) -> None:
    """Given a file with offsets of the witnesses' topics, when the topic of checkpoints is read again, then those offsets stay."""
    await bus.starts()
    Cosigned(bus.home / "cosigned.db").read_to("nrm.witness.vac", 7)
    bus.topic.records.pop()

    await bus.starts()

    assert Cosigned(bus.home / "cosigned.db").offset("nrm.witness.vac") == 7
