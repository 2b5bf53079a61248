"""Following several topics without a group: where to begin is the follower's own business, and nothing is passed over."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, Self

from aiokafka import TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.wire.record import Record

BATCH: Final = 1000
"""The most records that are taken at once."""


class Following:
    """A reader of topic partitions that can be joined by more of them; use as an async context manager."""

    def __init__(self, where: Where, client_id: str) -> None:
        """Prepare to read from *where*."""
        self._consumer = clients.reader(where, client_id=client_id)
        self._positions: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    def join(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these too, each from its offset."""
        self._positions = {**offsets, **self._positions}
        self._consumer.assign(list(self._positions))
        for partition, offset in self._positions.items():
            self._consumer.seek(partition, offset)

    async def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where *partitions* end now, after what is committed."""
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return found

    async def passed(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything before *ends* was taken; what a transaction took back counts as passed."""
        return all([await self._consumer.position(each) >= end for each, end in ends.items()])

    def offset(self, partition: TopicPartition) -> int:
        """Where *partition* is read next."""
        return self._positions[partition]

    async def take(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        """What comes within *timeout_ms*, in the order of each partition."""
        found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=BATCH)
        for partition, records in found.items():
            if records:
                self._positions[partition] = records[-1].offset + 1
        return {
            partition: [Record(each.key, each.value, tuple(each.headers)) for each in records]
            for partition, records in found.items()
        }
