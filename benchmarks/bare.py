"""Bare side of the comparison: it reads, writes as many records and bytes, and commits, without a check, signature or number.

It runs as a process of its own, as the registrar does: ``python benchmarks/bare.py BOOTSTRAP GROUP OUTBOXES PLAN [floor]``. *PLAN*
is JSON: for each topic to write to, the average number of records for an event and the bytes that the registrar adds to each.
With ``floor`` it also does for each event what no registrar can leave out: it reads the JSON, verifies a signature and signs.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.kafka import clients
from nrmbus.registrar.owner import BUSY_MS, FAIR_SHARE, QUIET_MS
from nrmbus.wire.keys.keys import SigningKey


@dataclass(slots=True)
class Written:
    """Topic to write to: *share* records for an event, each with *added* bytes in one more header."""

    topic: str
    share: float
    added: int
    owed: float = 0.0

    def due(self) -> int:
        """Return the number of records that the next event makes here."""
        self.owed += self.share
        now = int(self.owed)
        self.owed -= now
        return now


def floor() -> Callable[[Any], None]:
    """Return the work of the floor on one record: ``json.loads``, one signature verified, one made, each of 300 bytes."""
    key, message = SigningKey.generate(), bytes(300)
    public, signature = key.verify_key, key.sign(message)

    def work(record: Any) -> None:
        json.loads(record.value)
        public.verify(signature, message)
        key.sign(message)

    return work


async def run(
    bootstrap: str, group: str, outboxes: str, plan: list[Written], work: Callable[[Any], None] | None = None
) -> None:
    """Copy until killed, with the registrar's client settings, batch size and order of a transaction."""
    consumer = clients.group_consumer(bootstrap, group=group, instance=group, kind="registrar")
    producer = clients.transactional_producer(bootstrap, group)
    await producer.start()
    await consumer.start()
    consumer.subscribe(pattern=outboxes)
    filler = {each.topic: [("filler", bytes(each.added))] if each.added else [] for each in plan}
    while True:
        batch: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=100, max_records=FAIR_SHARE)
        for each in consumer.assignment() if batch else ():
            if each not in batch:
                batch.update(await consumer.getmany(each, timeout_ms=0, max_records=FAIR_SHARE))
        private.wait_for_silent(consumer, BUSY_MS if batch else QUIET_MS)
        if not batch:
            continue
        if work is not None:
            for each in [record for records in batch.values() for record in records]:
                work(each)
        await producer.begin_transaction()
        sent = [
            await producer.send(
                to.topic, value=record.value, key=record.key, headers=[*record.headers, *filler[to.topic]], partition=0
            )
            for records in batch.values()
            for record in records
            for to in plan
            for _ in range(to.due())
        ]
        await asyncio.gather(*sent)
        ends = {each: OffsetAndMetadata(records[-1].offset + 1, "") for each, records in batch.items() if records}
        await producer.send_offsets_to_transaction(ends, group)
        await producer.commit_transaction()


if __name__ == "__main__":
    written = [Written(**each) for each in json.loads(sys.argv[4])]
    asyncio.run(run(sys.argv[1], sys.argv[2], sys.argv[3], written, floor() if sys.argv[5:] == ["floor"] else None))
