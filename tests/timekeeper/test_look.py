"""The look at a desk: its connection, its acknowledged position in the inbox, and the end of the inbox."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from brokers import Broker
from desk.given import Given, desk_of
from nrmbus.bus.kafka import clients, groups
from nrmbus.desk.inbox import settle
from nrmbus.desk.inbox.broker import make_broker, make_inbox
from nrmbus.desk.store.ledger import Ledger
from nrmbus.timekeeper.silence import Reading, Stillness
from patience import eventually

SHELTER, VAC = (TopicPartition(f"nrm.inbox.{agency}", 0) for agency in ("shelter", "vac"))


@pytest.mark.broker
async def test_the_watch_tells_a_desk_that_reads_from_one_that_stands_still(broker: Broker) -> None:
    """Given two records by transactions, when a group has acknowledged one of them or both, then one is left to read, or none."""
    where = broker.fresh_bus(agencies=("shelter", "vac")).bootstrap

    async def look() -> dict[str, tuple[bool, Reading]]:
        found = await groups.standings(where, {"shelter.desk": [SHELTER], "vac.desk": [VAC]})
        return {
            name: (at.has_members, Reading(at.reached[each], at.ends[each]))
            for name, at in found.items()
            for each in at.ends
        }

    assert await groups.standings(where, {}) == {}, "on a bus without agencies"
    assert await look() == {"shelter.desk": (False, Reading(0, 0)), "vac.desk": (False, Reading(0, 0))}
    async with clients.transactional_producer(where, "nrm-registrar-p0") as producer:
        for number in b"12":
            async with producer.transaction():
                await producer.send_and_wait(SHELTER.topic, value=bytes([number]), partition=0)
    async with clients.group_consumer(where, group="shelter.desk", instance="shelter", kind="desk") as consumer:
        consumer.subscribe([SHELTER.topic])
        for is_over in (False, True):
            record = await consumer.getone()
            await consumer.commit({SHELTER: OffsetAndMetadata(record.offset + 1, "")})
            has_members, reading = (await look())["shelter.desk"]

            assert (has_members, reading.is_over) == (True, is_over)
    assert (await look())["vac.desk"] == (False, Reading(0, 0))


async def standing_still(where: str) -> bool:
    """Return whether two looks of the timekeeper, one after the other, find the shelter's desk connected and standing still."""
    stillness = Stillness()
    looks = []
    for _ in range(2):
        found = (await groups.standings(where, {"shelter.desk": [SHELTER]}))["shelter.desk"]
        readings = {each.partition: Reading(found.reached[each], found.ends[each]) for each in found.ends}
        looks.append(found.has_members and "shelter" in stillness.look({"shelter": readings}))
        await asyncio.sleep(0.2)  # a desk that reads has read meanwhile
    return all(looks)


async def poisoned(where: str) -> None:
    """Write a record into the inbox that no registrar of this bus has made."""
    async with (
        clients.transactional_producer(where, "nrm-registrar-p0") as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(SHELTER.topic, key=b"x", value=b"poison", partition=0)


async def is_read(where: str) -> bool:
    """Return whether the desk has acknowledged everything in its inbox."""
    found = (await groups.standings(where, {"shelter.desk": [SHELTER]}))["shelter.desk"]
    return found.ends[SHELTER] > 0 and Reading(found.reached[SHELTER], found.ends[SHELTER]).is_over


async def answers(given: Given) -> bool:
    """Return whether the door says that the desk is well."""
    return (await given.door.get("/health")).status_code == 200


@pytest.mark.broker
async def test_a_desk_that_says_that_it_is_well_and_reads_nothing_is_seen(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poison record in a real inbox stops no desk. A desk that can store nothing stands still until it reads again.

    The desk's own health does not count.
    """
    where = broker.fresh_bus(agencies=("shelter",)).bootstrap

    def full(*_: Any) -> Any:
        raise OSError

    monkeypatch.setattr(settle, "FIRST_WAIT", 0.01)
    async with desk_of("shelter", tmp_path) as given:
        real = make_broker(where, "shelter", given.desk)
        make_inbox(real, given.desk)
        await real.start()
        try:
            await poisoned(where)
            await eventually("the poison record is put aside", lambda: is_read(where))
            assert not await standing_still(where)
            with monkeypatch.context() as patch:
                patch.setattr(Ledger, "write", full)
                await poisoned(where)
                await eventually("the desk is seen standing still", lambda: standing_still(where))
                assert await answers(given)
            await eventually("the desk reads again", lambda: is_read(where))
            assert not await standing_still(where)
        finally:
            await real.stop()
