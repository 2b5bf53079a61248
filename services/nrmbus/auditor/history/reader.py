"""Reader of ``nrm.cases`` from Kafka into a verified history."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Self

from aiokafka import TopicPartition

from nrmbus.auditor.history.history import History
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.errors import BusError
from nrmbus.bus.reach import Where
from nrmbus.wire.names import CASES

PATIENCE_SECONDS: Final = 30.0
"""How long reading may go on without progress while records are missing."""
_LOOK: Final = "look whether the bus runs and its broker answers: nrmbus topics check"


class Piece(NamedTuple):
    """Offsets of one partition: from *start* on, up to *end* and without it."""

    partition: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many offsets it has."""
        return self.end - self.start


def cases(partition: int) -> TopicPartition:
    """Return *partition* of ``nrm.cases``."""
    return TopicPartition(CASES, partition)


class HistoryReader:
    """Reader of ``nrm.cases`` into a `History`, from the start or some *pieces*; use as an async context manager."""

    def __init__(self, where: Where, partitions: int, history: History, pieces: Iterable[Piece] | None = None) -> None:
        self.history = history
        self._reader = TopicReader(where, "nrm-history")
        self._starts = {cases(number): 0 for number in range(partitions)}
        self._pieces: dict[TopicPartition, int] | None = None
        """Where the pieces end, if there are any."""
        if pieces is not None:
            chosen = list(pieces)
            self._starts = {cases(each.partition): each.start for each in chosen}
            self._pieces = {cases(each.partition): each.end for each in chosen}

    async def start(self) -> None:
        """Begin to read."""
        await self._reader.start()
        self._reader.join(self._starts)

    async def stop(self) -> None:
        """Read no more."""
        await self._reader.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def catch_up(
        self,
        numbers: Mapping[str, int] | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read all that is in the topic now, or the pieces, or up to *numbers* of each partition, if the caller knows them.

        *progress* is called after each batch with the number of records taken and their total, in offsets if no numbers are
        known.

        Raises:
            HistoryError: a record does not verify.
            BusError: nothing came for *patience* seconds, though more is there.
        """
        loop = asyncio.get_running_loop()
        ends: Mapping[TopicPartition, int] = self._pieces or {}
        if numbers is None and self._pieces is None:
            ends = await self._reader.ends(self._starts)
        left = before = total = await self._left(numbers, ends)
        until = loop.time() + patience
        while left:
            if left < before:
                before, until = left, loop.time() + patience
            elif loop.time() > until:
                raise BusError(f"What is left of the history did not come within {patience:.0f} s: {_LOOK}")
            await self._read()
            left = await self._left(numbers, ends)
            if progress:
                progress(total - left, total)
        if self._pieces is None:
            self.history.verifier.check_last()

    async def _left(self, numbers: Mapping[str, int] | None, ends: Mapping[TopicPartition, int]) -> int:
        if numbers is None:
            return await self._reader.left(ends)
        return sum(max(0, end - self.history.verifier.number(int(each))) for each, end in numbers.items())

    async def _read(self) -> None:
        for partition, records in (await self._reader.take(200, self._pieces)).items():
            for each in records:
                self.history.take(each, partition.partition)
