"""Records come back to an empty broker at their old offsets, whatever stood between them."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from backup.given import MADE, backup, placed, spoken
from brokers import Broker
from nrmbus.backup import topics
from nrmbus.backup.errors import BackupError
from nrmbus.backup.rebuild import rebuild
from nrmbus.backup.records import Kept, Writer
from nrmbus.backup.store import Committed, Manifest, Partition, Store
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, groups
from nrmbus.cli.app import app
from patience import PATIENCE, eventually

pytestmark = pytest.mark.broker

LAID: dict[str, tuple[int, list[int], int]] = {
    "nrm.cases": (0, [0, 1, 3, 5, 6], 8),
    "nrm.inbox.ngo-a": (4, [2, 5, 6, 10, 12], 14),
    "nrm.inbox.ngo-l": (3, [4, 9], 13),
    "nrm.outbox.ngo-a": (6, [], 6),
    "nrm.witness.ngo-a": (2, [2, 3, 4], 5),
    "nrm.requests.ngo-a": (7, [3, 7, 8], 9),
    "nrm.quarantine": (0, [], 0),
}
"""By topic: where it begins, the offsets of its records, and where it ends. Markers, and aborted records, stand between."""
NOW_MS = int(time.time() * 1000)
"""Records that are older than a topic keeps would go at once, as they should."""


def kept(offset: int) -> Kept:
    """A record that says where it stood; key, value and one header may be null."""
    value = b"value" if offset % 2 else None
    return Kept(offset, NOW_MS + offset, b"%d" % offset, value, (("known", b"\x00\xff"), ("null", None)))


def backed_up(path: Path) -> tuple[Store, Manifest]:
    """A backup of the topics in `LAID`."""
    store, partitions = Store.at(path), dict[str, dict[str, Partition]]()
    with store.held():
        for topic, (begin, offsets, end) in LAID.items():
            writer = Writer(store, f"{topic}/0", 0, 0, None)
            for each in offsets:
                writer.add(kept(each))
            writer.begin, writer.end = begin, end
            partitions[topic] = {"0": writer.done()}
    groups = {"ngo-a.desk": {"nrm.inbox.ngo-a": {"0": Committed(offset=11, note="7")}}}
    manifest = Manifest(
        bus="play-0123456789abcdef", generation=1, made=MADE, by="nrmbus", private_keys="sealed", files={},
        records=partitions, groups=groups,
    )  # fmt: skip
    return store, manifest


async def is_empty(folder: BusFolder) -> bool:
    """Whether the group of the desk has no member."""
    async with groups.asking(folder.as_operator) as ask:
        return not (await ask("ngo-a.desk", [TopicPartition("nrm.inbox.ngo-a", 0)])).has_members


async def found(folder: BusFolder, topic: str) -> list[Kept]:
    """Every committed record of *topic*."""
    place, read = TopicPartition(topic, 0), list[Kept]()
    async with clients.reading(folder.as_operator, place) as (consumer, end), asyncio.timeout(PATIENCE):
        begin = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, begin)
        while await consumer.position(place) < end:
            for each in (await consumer.getmany(place, timeout_ms=100)).get(place, []):
                read.append(Kept(each.offset, each.timestamp, each.key, each.value, tuple(each.headers)))
    return read


@pytest.mark.slow
async def test_every_record_has_its_offset_bytes_and_time_again(broker: Broker, tmp_path: Path) -> None:
    """Where something was aborted, expired or is a marker, nobody sees a record; a group goes on where it was, with its note."""
    store, manifest = backed_up(tmp_path)
    folder = await asyncio.to_thread(broker.fresh_bus, agencies=["ngo-a", "ngo-l"])

    # A desk of an earlier bus on this broker was a stable member, which stays in its group until its session ends.
    await eventually("nobody is in the group", lambda: is_empty(folder))

    await rebuild(folder, store, manifest, lambda *_: None)

    for topic, (begin, offsets, end) in LAID.items():
        assert await found(folder, topic) == [kept(each) for each in offsets if each >= begin], topic
        place = TopicPartition(topic, 0)
        first = min((each for each in offsets if each >= begin), default=end)
        assert topics.offsets(folder, [topic], latest=False)[place] == first, topic
        assert topics.offsets(folder, [topic], latest=True)[place] >= end, topic
    async with groups.asking(folder.as_operator) as ask:
        (committed,) = (await ask("ngo-a.desk", [TopicPartition("nrm.inbox.ngo-a", 0)])).committed.values()
    assert (committed.offset, committed.metadata) == (11, "7")


def test_a_bus_is_restored_to_another_cluster(broker: Broker, tmp_path: Path) -> None:
    """Its settings name the new cluster, which has the history at its offsets; a second restore to it is refused."""
    store, elsewhere = backup(tmp_path / "backup"), tmp_path / "elsewhere"
    broker.fresh_bus()
    command = ["restore", str(store.path), "--bootstrap", broker.bootstrap, "--data"]

    assert CliRunner().invoke(app, [*command, str(elsewhere)]).exit_code == 0
    folder = BusFolder(elsewhere)
    assert folder.bootstrap == broker.bootstrap
    assert asyncio.run(found(folder, "nrm.cases")) == placed(spoken()[1]["nrm.cases"])
    again = CliRunner().invoke(app, [*command, str(tmp_path / "again"), "--json"])
    assert json.loads(again.stdout)["code"] == "cluster_not_empty"
    assert not BusFolder(tmp_path / "again").exists


async def test_a_cluster_that_has_records_is_left_alone(broker: Broker, tmp_path: Path) -> None:
    """A record in a topic means another bus, or a restore that was cut off: nothing is written."""
    store, manifest = backed_up(tmp_path)
    folder = await asyncio.to_thread(broker.fresh_bus, agencies=["ngo-a", "ngo-l"])
    async with clients.producer(folder.as_operator) as producer:
        await producer.send_and_wait("nrm.witness.ngo-a", b"of another bus", partition=0)

    with pytest.raises(BackupError) as caught:
        await rebuild(folder, store, manifest, lambda *_: None)
    assert caught.value.code == "cluster_not_empty"
    assert await found(folder, "nrm.cases") == []
