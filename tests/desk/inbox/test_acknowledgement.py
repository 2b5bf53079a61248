"""Acknowledgement of the inbox: what was committed, never more, and seldom enough to hold up nothing."""

import asyncio
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from agencies import town
from desk.given import BED, FakeRegistrar, desk_of
from nrmbus.desk.inbox import acknowledgement
from nrmbus.desk.inbox.acknowledgement import Acknowledgements
from patience import eventually

PARTITION = TopicPartition("nrm.inbox.shelter", 0)


class Broker:
    """Consumer that notes what it is asked to acknowledge, and fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[dict[TopicPartition, int]] = []
        self.metadata: set[str] = set()
        self.failures = failures

    async def commit(self, offsets: Any) -> None:
        """Note *offsets*."""
        self.told.append({each: at.offset for each, at in offsets.items()})
        self.metadata = {at.metadata for at in offsets.values()}
        if len(self.told) <= self.failures:
            raise KafkaConnectionError

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Do nothing."""

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        """Return nothing: no record waits."""
        return {}


def record(offset: int) -> Any:
    """Return as much of a consumed record as is acknowledged."""
    return SimpleNamespace(topic=PARTITION.topic, partition=PARTITION.partition, offset=offset)


async def test_many_records_in_a_second_are_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first record is acknowledged at once, and the others together soon after; each request names the desk's lease."""
    monkeypatch.setattr(acknowledgement, "EVERY", 0.05)
    broker, desk = Broker(), Acknowledgements(lambda: "lease")
    for offset in range(20):
        await desk.of(record(offset), broker).commit()
    await eventually("the last record is acknowledged", lambda: broker.told[-1] == {PARTITION: 20})

    assert broker.told[0] == {PARTITION: 1}
    assert len(broker.told) < 20
    assert broker.metadata == {"lease"}


async def test_a_broker_that_is_away_is_told_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails in the background ends nothing: the next record acknowledges this one too."""
    monkeypatch.setattr(acknowledgement, "EVERY", 0.01)
    broker, desk = Broker(failures=2), Acknowledgements()
    with pytest.raises(KafkaConnectionError):  # which FastStream logs, and goes on
        await desk.of(record(0), broker).commit()
    await desk.of(record(1), broker).commit()
    await eventually("the second request has failed", lambda: len(broker.told) == 2)
    await asyncio.sleep(0)
    await desk.of(record(2), broker).commit()
    await eventually("the third record is acknowledged", lambda: broker.told[-1] == {PARTITION: 3})


async def test_a_last_record_is_acknowledged_though_the_broker_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker that fails three times, when no other record comes, then it is told all the same: else the desk would look as if it stood still."""
    monkeypatch.setattr(acknowledgement, "EVERY", 0.01)
    broker, desk = Broker(failures=3), Acknowledgements()
    with pytest.raises(KafkaConnectionError):
        await desk.of(record(0), broker).commit()
    await eventually("the broker was told a fourth time", lambda: len(broker.told) == 4)

    assert broker.told[-1] == {PARTITION: 1}


async def test_a_consumer_that_went_is_not_kept() -> None:
    """A desk that reads its inbox anew, with another consumer, keeps nothing of the one before."""
    broker, desk = Broker(), Acknowledgements()
    went = weakref.ref(broker)
    await desk.of(record(0), broker).commit()
    del broker
    gc.collect()

    assert went() is None


async def test_a_record_in_work_is_never_acknowledged(tmp_path: Path) -> None:
    """The offsets are those of committed records: how far the consumer has read beyond them does not count."""
    registrar = FakeRegistrar(town())
    async with desk_of("shelter", tmp_path) as given:
        broker = Broker()
        for number in range(2):
            bed = registrar.event("special-unit", "shelter.bed_requested", BED, case=f"{number:02x}" * 16)
            sent = registrar.register(bed, to="shelter")
            sent.consumer = broker  # type: ignore[assignment]  # as much of a consumer as is needed
            await given.hear(sent)
            due = {PARTITION: sent.offset + 1}

            def is_told(due: dict[TopicPartition, int] = due) -> bool:
                return broker.told[-1] == due

            await eventually("it is acknowledged", is_told)
