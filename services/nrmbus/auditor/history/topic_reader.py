"""Reader of several topics without a consumer group: the caller says from which offset, and no record is passed over."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final, Self

from aiokafka import TopicPartition

from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.wire.record import Record

BATCH: Final = 1000
"""The most records that are taken at once."""


class TopicReader:
    """A reader of topic partitions, to which more partitions can be added; use as an async context manager."""

    def __init__(self, where: Where, client_id: str) -> None:
        """Prepare to read from *where*."""
        self._consumer = clients.reader(where, client_id=client_id)
        self._positions: dict[TopicPartition, int] = {}
        self._joined_at = time.time()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect; `join` says what is read."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Read no more."""
        await asyncio.sleep(0)  # a consumer that is stopped before its tasks have begun raises CancelledError
        await self._consumer.stop()

    def join(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions too, each from its offset."""
        self._positions = {**offsets, **self._positions}
        self._joined_at = time.time()
        self._consumer.assign(list(self._positions))
        for partition, offset in self._positions.items():
            self._consumer.seek(partition, offset)

    def rest(self) -> None:
        """Ask less often from now on, since what was there is read: a record still comes at once."""
        private.wait_for_silent(self._consumer, clients.AT_REST_MS)

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets at which *partitions* end now, after the last committed record."""
        return await clients.ends(self._consumer, partitions)

    async def left(self, ends: Mapping[TopicPartition, int]) -> int:
        """Return how many offsets before *ends* were not taken yet; records of an aborted transaction count as taken."""
        return sum([max(0, end - await self._consumer.position(each)) for each, end in ends.items()])

    async def passed(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Return whether everything before *ends* was taken."""
        return await self.left(ends) == 0

    def offset(self, partition: TopicPartition) -> int:
        """Return the offset from which *partition* is read next."""
        return self._positions[partition]

    @property
    def silence(self) -> float:
        """Seconds for which the broker has not answered; 0 while nothing is read."""
        found = [clients.silence(self._consumer, each, since=self._joined_at) for each in self._consumer.assignment()]
        return max((each for each in found if each is not None), default=0.0)

    async def take(
        self, timeout_ms: int, ends: Mapping[TopicPartition, int] | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Return the records that come within *timeout_ms*, in the order of each partition; those before *ends* alone."""
        found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=BATCH)
        for partition, records in found.items():
            if records:
                self._positions[partition] = records[-1].offset + 1
        return {
            partition: [
                Record(each.key, each.value, tuple(each.headers))
                for each in records
                if ends is None or each.offset < ends[partition]
            ]
            for partition, records in found.items()
        }
