"""Keeps a `Directory` up to date from its topic. Whoever judges or seals reads it to the end first."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from aiokafka import TopicPartition

from nrmbus.bus import clients
from nrmbus.directory.directory import Directory, Entry

TOPIC: Final = "nrm.directory"


class DirectoryReader:
    """Follows ``nrm.directory``; *on_entry* is called once for each entry, in order.

    Use as an async context manager: on entering, the directory has been read to its end.
    """

    def __init__(self, bootstrap: str, directory: Directory, on_entry: Callable[[Entry], None]) -> None:
        self.directory = directory
        self._bootstrap = bootstrap
        self._on_entry = on_entry
        self._partition = TopicPartition(TOPIC, 0)
        self._consumer = clients.reader(bootstrap)
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_beginning(self._partition)
        await self.catch_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def catch_up(self) -> None:
        """Read what stands in the topic now.

        Raises:
            DirectoryError: an entry cannot be trusted.
        """
        # Asked by a client of its own: ours waits in a long fetch, and a broker answers a connection one by one.
        async with clients.reading(self._bootstrap, self._partition) as (_, end):
            pass
        async with self._lock:
            while await self._consumer.position(self._partition) < end:
                await self._take(200)

    async def follow(self) -> None:
        """Take new entries as they come, until cancelled."""
        while True:
            async with self._lock:
                await self._take(0)
            await asyncio.sleep(0.25)

    async def _take(self, timeout_ms: int) -> None:
        for records in (await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)).values():
            for record in records:
                known = self.directory.number
                entry = self.directory.add(record.value)
                if self.directory.number > known:
                    self._on_entry(entry)
