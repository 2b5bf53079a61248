"""Acknowledgement of the inbox to Kafka: only what is committed, and at most one request a second.

The ledger's position says where reading continues, so Kafka's offset only shows others how far the desk is. A request for
each record would have every record wait for the broker.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

EVERY: Final = 1.0
"""Seconds between two acknowledgements."""


class Consumer(Protocol):
    """Part of a consumer that acknowledges, or reads again."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Have the broker keep *offsets*."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from *offset*."""


class Acknowledgements:
    """Acknowledgements of one desk, for each consumer that reads its inbox."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Consumer, _Handled] = WeakKeyDictionary()

    def of(self, record: Any, consumer: Consumer) -> "OfRecord":
        """Return *consumer* as FastStream sees it for *record*."""
        handled = self._known.get(consumer)
        if handled is None:
            handled = self._known[consumer] = _Handled()
        return OfRecord(record, consumer, handled)


class _Handled:
    """Handled offsets of one consumer that the broker does not have yet; it keeps the consumer only while it waits."""

    def __init__(self) -> None:
        self._due: dict[TopicPartition, int] = {}
        self._last = -EVERY
        self._later: asyncio.Task[None] | None = None

    async def add(self, consumer: Consumer, partition: TopicPartition, offset: int) -> None:
        """Note that everything before *offset* is committed in the ledger; tell the broker now or within a second."""
        self._due[partition] = offset
        wait = self._last + EVERY - time.monotonic()
        if wait <= 0:
            await self._send(consumer)
        elif self._later is None or self._later.done():
            self._later = asyncio.create_task(self._send_later(consumer, wait))

    async def _send_later(self, consumer: Consumer, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with suppress(KafkaError, ConnectionError):  # the next acknowledgement says more
            await self._send(consumer)

    async def _send(self, consumer: Consumer) -> None:
        due, self._due, self._last = self._due, {}, time.monotonic()
        await consumer.commit(due)


class OfRecord:
    """Consumer as FastStream sees it for one record: acknowledges this record, and no later one."""

    def __init__(self, record: Any, consumer: Consumer, handled: _Handled) -> None:
        self._partition, self._following = TopicPartition(record.topic, record.partition), record.offset + 1
        self._consumer, self._handled = consumer, handled

    async def commit(self) -> None:
        """Acknowledge the record."""
        await self._handled.add(self._consumer, self._partition, self._following)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read the record again."""
        self._consumer.seek(partition, offset)
