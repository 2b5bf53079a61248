"""Folding ahead: a registrar that stands by folds what others register, so that it takes over without reading all of it again.

A fold is the same whoever makes it, and only committed records are read. At the takeover the record that was folded last has
to stand in the topic still, by number and digest; by the chain, so does everything before it. Otherwise the fold is thrown
away, and the history is read from the snapshot or from its beginning. No snapshot is written here: processes of one machine
share a folder for them.
"""

import asyncio
from contextlib import suppress
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from nrmbus.bus.high_water import HighWater
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import pause_after
from nrmbus.bus.reach import Where
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.snapshot import Reader, SnapshotRefused
from nrmbus.registrar.snapshot_process import SnapshotService
from nrmbus.telemetry import log
from nrmbus.wire.names import CASES
from nrmbus.wire.record import Record

WAIT_MS: Final = 1_000
AT_ONCE: Final = 500
"""Records between two turns of the event loop, which has the heartbeats too."""


class Following:
    """The state of one partition that another registrar owns, as far as it was folded here."""

    def __init__(self, where: Where, shard: Shard, snapshots: SnapshotService, high_water: HighWater) -> None:
        """Begin with the empty *shard*; nothing is read before `begin`."""
        self.shard, self.snapshots, self.high_water = shard, snapshots, high_water
        self.offset = -1
        """Place of the record that was folded last; -1 before the first."""
        self._where = where
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Fold in a task, until `end`."""
        self._task = asyncio.create_task(self._run(), name=f"following-{self.shard.partition}")

    async def end(self) -> None:
        """Stop between two records."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        tries, reached = 0, self.offset
        while True:
            try:
                await self._follow()
            except KafkaError:
                tries, reached = (1 if self.offset > reached else tries + 1), self.offset
                await asyncio.sleep(pause_after(tries))
            except Exception as error:  # noqa: BLE001 - a false history, a full disk: whoever takes over finds it again, and says so in health and log
                said = str(error) if isinstance(error, HistoryError) else type(error).__name__
                log.report("following_refused", error=said, partition=self.shard.partition)
                self.offset = -1  # the record may be folded in part
                return

    async def _follow(self) -> None:
        cases, memory = TopicPartition(CASES, self.shard.partition), self.shard.memory
        async with clients.reading(self._where, cases, watcher=True) as (reader, end):
            if self.offset < 0 and memory.number == 0:
                self.offset = await self.snapshots.restore(memory, reader, end, owns=False) - 1
            mark = self.high_water.read()
            memory.hold_against(mark)
            reader.seek(cases, self.offset + 1)
            while True:
                for record in (await reader.getmany(cases, timeout_ms=WAIT_MS, max_records=AT_ONCE)).get(cases, []):
                    memory.fold(Record(record.key, record.value, tuple(record.headers)))
                    memory.hold_against(mark)
                    self.offset = record.offset
                await asyncio.sleep(0)

    async def stands(self, reader: Reader, end: int) -> bool:
        """Return whether the history that *reader* reads up to *end* has all that was folded here, and goes on from it."""
        if self.offset < 0:
            return False
        memory = self.shard.memory
        with suppress(SnapshotRefused):
            await self.snapshots.snapshots.check_place(self.offset, memory.number, memory.previous, reader, end)
            return True
        log.report("following_refused", error="history_differs", partition=self.shard.partition)
        return False
