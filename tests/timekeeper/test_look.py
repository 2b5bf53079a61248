"""The look at a desk: whether it is connected, what it has acknowledged of its inbox, and where the inbox ends."""

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from brokers import Broker
from nrmbus.bus.kafka import clients, groups
from nrmbus.timekeeper.silence import Reading

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
