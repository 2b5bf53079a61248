"""Reading of outboxes: what comes during a commit waits for one transaction, and what somebody alters at the broker stops nobody and has no submission passed over."""

import asyncio
import signal
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from brokers import Broker
from desk.live import live, log_of, signal_of
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.rate_limit import Pace, Rate
from nrmbus.directory import SERVICES
from nrmbus.registrar.owner import FAIR_SHARE, FEW, Owned, Owner
from nrmbus.telemetry import log
from patience import LONGEST_WAIT, eventually

A, B = "nrm.outbox.ngo-a", "nrm.outbox.ngo-b"
OUTBOX = TopicPartition(A, 0)


class Member:
    """Consumer of outboxes with so many partitions each, which fetches the *answers* one after the other."""

    def __init__(self, outboxes: dict[str, int], answers: Iterable[list[int]] = ()) -> None:
        self.outboxes, self._answers = outboxes, iter(answers)
        self.paused = set[TopicPartition]()
        self._coordinator = SimpleNamespace(generation=1)

    def subscription(self) -> set[str]:
        """Return the outboxes."""
        return set(self.outboxes)

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the numbers of an outbox's partitions."""
        return set(range(self.outboxes[topic]))

    def pause(self, *which: TopicPartition) -> None:
        """Read nothing of *which*."""
        self.paused |= set(which)

    async def getmany(
        self, *_: TopicPartition, timeout_ms: int = 0, max_records: int = 0
    ) -> dict[TopicPartition, list[Any]]:
        """Return records with the next offsets."""
        return {OUTBOX: [SimpleNamespace(offset=each) for each in next(self._answers)]}


class Submitting(Member):
    """Consumer of one outbox to which somebody submits while it is read; a look that may wait ends with the first record."""

    def __init__(self) -> None:
        super().__init__({A: 1})
        self._submitted, self._read = 0, 0
        self._came = asyncio.Event()

    def submit(self, count: int) -> None:
        """Append *count* records to the outbox."""
        self._submitted += count
        self._came.set()

    def resume(self, *which: TopicPartition) -> None:
        """Read *which* again."""
        self.paused -= set(which)

    def seek(self, _: TopicPartition, offset: int) -> None:
        """Read on from *offset*."""
        self._read = offset

    async def getmany(
        self, *which: TopicPartition, timeout_ms: int = 0, max_records: int = 0
    ) -> dict[TopicPartition, list[Any]]:
        """Return what is there, and if *timeout_ms* is more than 0 at least one record."""
        while timeout_ms and self._read == self._submitted:
            self._came.clear()
            await self._came.wait()
        first, self._read = self._read, min(self._submitted, self._read + max_records)
        records = [SimpleNamespace(topic=A, partition=0, offset=each) for each in range(first, self._read)]
        return {which[0]: records} if records else {}


@pytest.fixture(name="lines")
def _lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    lines = list[tuple[str, dict[str, Any]]]()
    monkeypatch.setattr(log, "report", lambda what, **of: lines.append((what, of)))
    return lines


def owner_of(member: Member, monkeypatch: pytest.MonkeyPatch) -> Owner:
    """Return a registrar of a bus with one partition."""
    nothing = cast("Any", None)
    monkeypatch.setattr(clients, "group_consumer", lambda *_, **__: member)
    rest = cast("Any", SimpleNamespace(left=0.0, end=lambda: None))
    return Owner(
        where="127.0.0.1:1", place="a", partitions=1, clock=nothing, batcher=nothing, askings=nothing, make_shard=nothing,
        check_head=nothing, catch_up=nothing, high_water=nothing, snapshots=nothing, rest=rest, pace=Pace(Rate(at_once=100, a_second=1)),
    )  # fmt: skip


async def test_a_partition_that_an_outbox_has_beyond_the_bus_is_neither_served_nor_followed(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[str, dict[str, Any]]]
) -> None:
    """Given an outbox whose partitions somebody raised to two, when another registrar shares both out, then one is served, and the log says so once."""
    member, served = Member({A: 1, B: 2}), list[tuple[int, list[TopicPartition]]]()
    owner = owner_of(member, monkeypatch)
    given = [OUTBOX, TopicPartition(B, 0), TopicPartition(B, 1)]

    async def serve(number: int, own: list[TopicPartition], _warm: Owned | None) -> None:
        served.append((number, own))

    monkeypatch.setattr(owner, "_guarded", serve)
    for _ in range(2):
        await owner.on_partitions_assigned(given)
        await asyncio.gather(*owner._tasks.values())

    assert served == [(0, [OUTBOX, TopicPartition(B, 0)])] * 2
    assert owner._following == {}
    assert member.paused == set(given), "what is not served stays paused"
    assert lines == [("partitions_many", {"topic": B, "count": 2})]
    assert owner.enlarged == {B}


async def test_a_registrar_that_has_only_partitions_beyond_the_bus_stands_by(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[str, dict[str, Any]]]
) -> None:
    """Given the second registrar of an earlier release's group, when it gets the added partition alone, then it fences nobody."""
    owner = owner_of(Member({B: 2}), monkeypatch)
    owner._joined_before = True
    owner._make_shard = owner._snapshots = owner._high_water = cast("Any", lambda _: SimpleNamespace(partition=0))
    monkeypatch.setattr(owner, "_guarded", lambda *_: asyncio.sleep(0))
    await owner.on_partitions_assigned([TopicPartition(B, 1)])
    followed = owner._following
    for each in followed.values():
        await each.end()

    assert owner.stands_by
    assert owner._tasks == {}
    assert followed.keys() == {0}
    assert [what for what, _ in lines] == ["partitions_many"]


async def test_an_outbox_whose_offsets_begin_again_is_read_from_there(
    monkeypatch: pytest.MonkeyPatch, lines: list[tuple[str, dict[str, Any]]]
) -> None:
    """Given an outbox read up to offset 6, when it is made again, then each of its new records is taken once, and the log says so once."""
    owner = owner_of(Member({A: 1}, [[4, 5], [0], [1, 2, 3], [4, 5, 6, 7]]), monkeypatch)
    owned = Owned(0, *[cast("Any", None)] * 4)
    owned.taken = {OUTBOX: 4}
    taken = [[each.offset for each in await owner._collect(owned, [OUTBOX])] for _ in range(4)]

    assert taken == [[4, 5], [0], [1, 2, 3], [4, 5, 6, 7]]
    assert owned.taken == {OUTBOX: 8}
    assert lines == [("offsets_again", {"topic": A, "partition": 0, "offset": 6})]


@pytest.mark.parametrize(
    ("read", "later", "expected"),
    [
        (1, 2, [[0], [1, 2, 3]]),
        (FEW - 1, FAIR_SHARE, [[0], [*range(1, FAIR_SHARE)], [*range(FAIR_SHARE, FAIR_SHARE + FEW)]]),
        (FEW, 2, [[0], [*range(1, FEW + 1)], [FEW + 1, FEW + 2]]),
    ],
    ids=["a few", "never more than the fair share", "a batch that is worth a transaction"],
)
async def test_what_comes_during_a_commit_is_in_the_next_transaction(
    monkeypatch: pytest.MonkeyPatch, read: int, later: int, expected: list[list[int]]
) -> None:
    """Given a transaction under way and a small batch read behind it, when more is submitted before the commit, then the next transaction has that too, in order."""
    member, transactions = Submitting(), list[list[int]]()
    owner, seen = owner_of(member, monkeypatch), 0

    async def check(records: list[Any], _now: object) -> list[Any]:
        nonlocal seen
        seen += len(records)
        return [SimpleNamespace(incoming=SimpleNamespace(raw=each.offset.to_bytes(8))) for each in records]

    async def transact(owned: Owned, checked: list[Any], _size: int) -> None:
        transactions.append([int.from_bytes(each.incoming.raw) for each in checked])
        if len(transactions) == 1:
            member.submit(read)
            await eventually("the batch behind it is read and checked", lambda: seen == 1 + read)
            member.submit(later)
        owned.stopping = sum(map(len, transactions)) == 1 + read + later

    monkeypatch.setattr(owner, "_batcher", SimpleNamespace(check=check))
    monkeypatch.setattr(owner, "_transact", transact)
    monkeypatch.setattr(owner, "_clock", SimpleNamespace(now=lambda: None))
    monkeypatch.setattr(owner, "_catch_up", lambda _: asyncio.sleep(0))
    monkeypatch.setattr(owner, "_pace", Pace(Rate(at_once=1000, a_second=1)))
    monkeypatch.setattr(private, "wait_for_silent", lambda *_: None)
    member.submit(1)
    owned = Owned(0, cast("Any", SimpleNamespace(memory=SimpleNamespace(number=0))), *[cast("Any", None)] * 3)
    owned.ready, owned.positions = True, {OUTBOX: 0}
    owned.size = cast("Any", SimpleNamespace(parts=lambda checked, _: [(checked, 0)] if checked else []))
    await owner._serve(0, [OUTBOX], owned)

    assert transactions == expected


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.parametrize("runs", [True, False], ids=["while the registrar runs", "before it starts"])
async def test_no_event_is_lost_or_doubled_where_an_outbox_is_made_again(broker: Broker, *, runs: bool) -> None:
    """Given an agency with registered events, when its outbox is deleted and made again, then its next events are registered, once each."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus, bus.door("ngo-a") as door:
        before = [await door.publish(signal_of(f"{number:032x}"), wait=LONGEST_WAIT) for number in range(3)]
        if not runs:
            bus.kill("registrar", signal.SIGTERM)
        admin = clients.admin(bus.folder.bootstrap)
        admin.delete_topics([A])[A].result(10)
        await eventually("the outbox is gone", lambda: A not in admin.list_topics(timeout=10).topics)
        topics.apply(bus.folder.bootstrap, ["ngo-a", *SERVICES], 1, play=True)
        if not runs:
            bus.start("registrar")
            await bus.served()
        after = [await door.publish(signal_of(f"{number:032x}"), wait=LONGEST_WAIT) for number in range(3, 6)]
        bus.kill("registrar", signal.SIGTERM)
        bus.start("registrar")
        await bus.served()
        after.append(await door.publish(signal_of("ab" * 16), wait=LONGEST_WAIT))

        assert [each["verdict"] for each in [*before, *after]] == ["registered"] * 7
        assert [each["number"] for each in [*before, *after]] == [1, 2, 3, 4, 5, 6, 7]
        assert "offsets_again" in log_of(bus.folder, "registrar")


@pytest.mark.slow
@pytest.mark.broker
async def test_the_bus_goes_on_with_an_outbox_of_more_partitions(broker: Broker) -> None:
    """Given an outbox whose partitions somebody raises while the bus runs, when the agency submits, then each event is registered, also after a start."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus, bus.door("ngo-a") as door:
        admin = clients.admin(bus.folder.bootstrap)
        admin.create_partitions([NewPartitions(A, 3)])[A].result(10)
        await bus.until("registrar", lambda health: health["partitions_many"] == ["ngo-a"] and health["ready"])
        said = [await door.publish(signal_of(f"{number:032x}"), wait=LONGEST_WAIT) for number in range(4)]
        bus.kill("registrar")
        bus.start("registrar")
        await bus.served()
        said += [await door.publish(signal_of(f"{number:032x}"), wait=LONGEST_WAIT) for number in range(4, 8)]

        assert [each["verdict"] for each in said] == ["registered"] * 8
