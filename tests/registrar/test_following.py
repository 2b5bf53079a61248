"""A registrar that stands by folds ahead, on a real broker, and goes on from that only if the history does."""

import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from brokers import Broker
from desk.live import LiveBus, live, signal_of
from nrmbus.bus.high_water import HighWater
from nrmbus.bus.kafka import clients
from nrmbus.registrar.following import Following
from nrmbus.registrar.history_state import Memory
from nrmbus.rules import Rules, load_profile
from nrmbus.wire import ids
from nrmbus.wire.names import CASES, REGISTRAR
from patience import LONGEST_WAIT, eventually
from registrar.test_snapshot_process import reached, service_of

pytestmark = pytest.mark.broker


async def publish(bus: LiveBus) -> None:
    """Have one more event registered."""
    async with bus.door("ngo-a") as door:
        answer = await door.publish(signal_of(ids.new_ref()), wait=LONGEST_WAIT)
    assert answer["verdict"] == "registered"


def following_of(bus: LiveBus) -> Following:
    """Return the fold of a registrar on another machine that stands by."""
    rules = Rules(load_profile(bus.folder.settings.policy), {})
    shard = SimpleNamespace(partition=0, memory=Memory(bus=bus.folder.settings.bus, partition=0, rules=rules))
    mark = HighWater(bus.folder.path / "other" / "history" / "0")
    return Following(bus.folder.reach(bus.folder.service(REGISTRAR)), cast("Any", shard), service_of(bus), mark)


async def stands(bus: LiveBus, following: Following) -> bool:
    """Return whether a takeover now would go on from *following*."""
    async with clients.reading(bus.folder.reach(bus.folder.service(REGISTRAR)), TopicPartition(CASES, 0)) as (
        reader,
        end,
    ):
        return await following.stands(reader, end)


async def test_it_follows_what_another_registers(broker: Broker) -> None:
    """Given a registrar that works, then another one has each registration soon after, and may go on from there."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        following = following_of(bus)
        assert not await stands(bus, following), "nothing was folded yet"
        following.begin()
        try:
            for count in (1, 2, 3):
                await publish(bus)
                await eventually("it follows", lambda: following.shard.memory.number >= count)  # noqa: B023 - awaited here
        finally:
            await following.end()

        assert await stands(bus, following)
        bus.kill(REGISTRAR, signal.SIGTERM)
        assert following.shard.memory.previous == reached(bus).previous


@pytest.mark.slow
async def test_a_fold_that_failed_half_way_is_not_gone_on_from(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that is full while a record is folded, then it is reported, and a takeover reads the history again."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        await publish(bus)
        following = following_of(bus)
        memory = following.shard.memory
        following.begin()
        await eventually("it follows", lambda: following.offset >= 0)

        def full(_record: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr(memory, "fold", full)
        with capture_logs() as lines:
            await publish(bus)
            await eventually("it says so", lambda: [each for each in lines if each["event"] == "following_refused"])
        await following.end()

        assert [each["error"] for each in lines if each["event"] == "following_refused"] == ["OSError"]
        assert not await stands(bus, following)


@pytest.mark.slow
async def test_another_history_is_not_gone_on_from(broker: Broker) -> None:
    """Given a fold whose last registration does not stand in the topic, then a takeover reads the history again."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        await publish(bus)
        await publish(bus)
        following = following_of(bus)
        following.begin()
        await eventually("it has read all", lambda: following.shard.memory.number >= 2)
        await following.end()
        digest, offset = following.shard.memory.previous, following.offset

        following.shard.memory.previous = "0" * 64
        assert not await stands(bus, following)
        following.shard.memory.previous, following.offset = digest, offset + 100
        assert not await stands(bus, following)
        following.offset = offset
        assert await stands(bus, following)
