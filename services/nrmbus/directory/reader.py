"""Keeps a `Directory` up to date from its topic, at its start to the end, then a quarter of a second behind.

Before a name or a key is called unknown, it is read to the end (`DirectoryReader.catch_up`).
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

from aiokafka import ConsumerRecord, TopicPartition

from nrmbus.bus.high_water import HighWater, Mark
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import every
from nrmbus.bus.reach import Where
from nrmbus.bus.wall_clock import wall_now
from nrmbus.directory.directory import Directory
from nrmbus.directory.entry import Entry
from nrmbus.directory.heads import is_stale
from nrmbus.wire.names import DIRECTORY

MARK: Final = "directory"
"""File of the high-water mark, in the folder of each process that reads the directory."""


def check_mark(directory: Directory, mark: Mark | None, high_water: HighWater) -> Mark:
    """Check that *directory* continues from *mark*; then raise *high_water* to its last entry, and return that.

    The operator's head only covers the present topic. If the topic was restored to an earlier state, so is the next head:
    a lost key, or a suspended agency, would be good again for every process that starts later.

    Raises:
        DirectoryError: ``went_back``.
    """
    if mark is not None:
        directory.see_that_it_has(*mark)
    now = Mark(directory.number, directory.digest)
    if now != mark:
        high_water.raise_to(now)
    return now


class DirectoryReader:
    """Reader of ``nrm.directory``; calls *on_entry* once for each entry, in order.

    Use as an async context manager: on entering, the directory has been read to its end. A process with a *home* stores a
    high-water mark there, and raises DirectoryError for a directory that went back.
    """

    def __init__(
        self, where: Where, directory: Directory, on_entry: Callable[[Entry], None], *, home: Path | None = None
    ) -> None:
        self.directory = directory
        self._where = where
        self._on_entry = on_entry
        self._partition = TopicPartition(DIRECTORY, 0)
        self._consumer = clients.reader(where, watcher=True)
        self._lock = asyncio.Lock()
        self._high_water = HighWater(home / MARK) if home else None
        self._mark: Mark | None = None
        self._failed: Exception | None = None
        """Error of an entry that was not taken: the consumer is past it, and past the entries that came with it."""

    async def __aenter__(self) -> Self:
        if self._high_water:
            # Before the topic is read, since another process may read further meanwhile.
            self._mark = self._high_water.read()
        try:
            await self._consumer.start()
            end = (await clients.ends(self._consumer, [self._partition]))[self._partition]
            self._consumer.assign([self._partition])
            self._consumer.seek(self._partition, 0)  # the topic is kept whole
            await self._read_to(end)
            self._check_mark()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def catch_up(self) -> None:
        """Read what stands in the topic now.

        Raises:
            DirectoryError: an entry cannot be trusted, now or in an earlier reading: what came with it is not known here.
        """
        # Ask with a separate client: ours waits in a long fetch, and a broker answers a connection's requests in order.
        # Once: a registrar or a desk that asks for an unknown name holds up its other records meanwhile, and asks again.
        async with clients.reading(self._where, self._partition, patience=0) as (_, end):
            pass
        await self._read_to(end)

    async def _read_to(self, end: int) -> None:
        async with self._lock:
            while self._failed is not None or await self._consumer.position(self._partition) < end:
                await self._take(200)

    @property
    def stale(self) -> bool:
        """Return whether the newest head is older than three hours by the wall clock: new entries may be withheld."""
        return is_stale(self.directory, wall_now())

    async def follow(self) -> None:
        """Take new entries as they come, until cancelled."""
        await every(0.25, self._look)

    async def _look(self) -> None:
        async with self._lock:
            await self._take(0)
        self._check_mark()

    def _check_mark(self) -> None:
        if self._high_water:
            self._mark = check_mark(self.directory, self._mark, self._high_water)

    async def _take(self, timeout_ms: int) -> None:
        if self._failed is not None:
            raise self._failed.with_traceback(None)  # else each reader would add its own to those before
        for records in (await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)).values():
            try:
                self._add(records)
            except Exception as error:
                self._failed = error
                raise

    def _add(self, records: Iterable[ConsumerRecord]) -> None:
        for record in records:
            known = self.directory.number
            entry = self.directory.add(record.value)
            if entry is not None and self.directory.number > known:
                self._on_entry(entry)
