"""Acknowledgement of the inbox to Kafka: only what is committed, and at most one request a second.

The ledger's position says where reading continues, so Kafka's offset only shows others how far the desk is. A request for
each record would have every record wait for the broker.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

EVERY: Final = 1.0
"""Seconds between two acknowledgements."""


class Consumer(Protocol):
    """Part of a consumer that acknowledges, or reads again."""

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Have the broker keep *offsets*."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from *offset*."""

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        """Return at most *max_records* that follow, of those that arrive within *timeout_ms*."""


class Acknowledgements:
    """Acknowledgements of one desk, for each consumer that reads its inbox."""

    def __init__(self, metadata: Callable[[], str] = str) -> None:
        """Acknowledge with *metadata*, which the broker keeps beside each offset."""
        self._metadata = metadata
        self._known: WeakKeyDictionary[Consumer, _Handled] = WeakKeyDictionary()

    def of(self, record: Any, consumer: Consumer) -> "OfRecords":
        """Return *consumer* as FastStream sees it for *record*."""
        handled = self._known.get(consumer)
        if handled is None:
            handled = self._known[consumer] = _Handled(self._metadata)
        return OfRecords(record, consumer, handled)


class _Handled:
    """Handled offsets of one consumer that the broker does not have yet; it keeps the consumer only while it waits."""

    def __init__(self, metadata: Callable[[], str]) -> None:
        self._metadata = metadata
        self._due: dict[TopicPartition, int] = {}
        self._last = -EVERY
        self._later: asyncio.Task[None] | None = None

    async def add(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything before *offsets* is committed in the ledger; tell the broker now or within a second."""
        self._due.update(offsets)
        wait = self._last + EVERY - time.monotonic()
        try:
            if wait <= 0:
                await self._send(consumer)
        finally:
            if self._due and (self._later is None or self._later.done()):
                self._later = asyncio.create_task(self._send_later(consumer, wait if wait > 0 else EVERY))

    async def _send_later(self, consumer: Consumer, seconds: float) -> None:
        # Until the broker has it: the last record of an evening would else look unread until the next one comes.
        while self._due:
            await asyncio.sleep(seconds)
            with suppress(KafkaError, ConnectionError):
                await self._send(consumer)

    async def _send(self, consumer: Consumer) -> None:
        due, self._due, self._last = self._due, {}, time.monotonic()
        try:
            await consumer.commit({each: OffsetAndMetadata(at, self._metadata()) for each, at in due.items()})
        except BaseException:
            self._due = due | self._due
            raise


class OfRecords:
    """Consumer for FastStream that acknowledges one record with the records of the same batch, and no later record."""

    def __init__(self, record: Any, consumer: Consumer, handled: _Handled) -> None:
        self.taken = [record]
        """Records that are handled together, in their order."""
        self._again = {_partition_of(record): record.offset}
        """Offset from which each partition is read again if the records fail."""
        self._consumer, self._handled = consumer, handled

    async def take_more(self, most: int) -> bool:
        """Take at most *most* records that have arrived already; return whether there were any."""
        found = await self._consumer.getmany(timeout_ms=0, max_records=most)
        for partition, records in found.items():
            self.taken += records
            self._again.setdefault(partition, records[0].offset)
        return len(self.taken) > 1

    def handled(self, records: Iterable[Any]) -> None:
        """Note that *records* are committed in the ledger, whatever happens to the others."""
        for each in records:
            self._again[_partition_of(each)] = each.offset + 1

    async def commit(self) -> None:
        """Acknowledge all records."""
        self.handled(self.taken)
        await self._handled.add(self._consumer, self._again)

    def seek(self, partition: TopicPartition, offset: int) -> None:  # noqa: ARG002 - FastStream's signature
        """Read again all records that are not committed."""
        for each, again in self._again.items():
            self._consumer.seek(each, again)


def _partition_of(record: Any) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
