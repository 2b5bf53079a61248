"""History in the auditor's memory, for its page: read and verified completely at the first question, then kept up to date.

Before the first question it costs nothing. It holds every envelope, some 4 KB each, and no letter, since the topic has none.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiokafka import TopicPartition

from nrmbus.auditor.history.history import Audited, History, HistoryError, activate, rules_of
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.reach import Where
from nrmbus.directory import Directory
from nrmbus.rules import Rules
from nrmbus.wire.names import CASES
from nrmbus.wire.record import Record

NAME: Final = "auditor-page"
LOOK_MS: Final = 100
SLICE_SECONDS: Final = 0.05
"""How long, in seconds, verifying may hold up other tasks."""


class LiveHistory:
    """All of ``nrm.cases`` with every signature verified; `reading` gives the history up to its end now."""

    def __init__(
        self,
        where: Where,
        directory: Directory,
        catch_up: Callable[[], Awaitable[None]],
        *,
        policy: str,
        partitions: int,
    ) -> None:
        """Prepare to read; *catch_up* reads the directory to its end, for a key that is newer than the known directory."""
        self._where, self._directory, self._catch_up = where, directory, catch_up
        self._policy, self._partitions = policy, partitions
        self._cases = [TopicPartition(CASES, number) for number in range(partitions)]
        self._history = History(directory)
        self._rules: tuple[int, Rules] | None = None
        self._reader: TopicReader | None = None
        self._asking: TopicReader | None = None
        self._stack = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._taken: deque[tuple[Record, int]] = deque()
        """Records that were read and are not in the history yet, each with its partition: an error leaves them for the next reading."""
        self.trouble: HistoryError | None = None
        """The record at which verifying stopped for good; `reading` gives the records before it."""

    @property
    def rules(self) -> Rules | None:
        """Return the Rules of the last reading, which know the activations until then; None before the first."""
        return self._rules[1] if self._rules else None

    async def close(self) -> None:
        """Read no more."""
        await self._stack.aclose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Audited]:
        """Give the history up to the end of the topic now, unchanged as long as the block does not await.

        Raises:
            KafkaError: the broker does not answer.
        """
        async with self._turn:
            reader = await self._begun()
            ends = await self._ends()
            while self.trouble is None and (self._taken or not await reader.passed(ends)):
                await self._read(reader)
            self._look_for_missing()
            yield self._audited()

    def _look_for_missing(self) -> None:
        try:
            self._history.verifier.check_last()
        except HistoryError as error:
            self.trouble = self.trouble or error

    async def until(self, found: Callable[[History], bool], deadline: float) -> bool:
        """Read on until *found* holds; return False if it does not by *deadline* (the loop's time), or never will."""
        loop = asyncio.get_running_loop()
        while not found(self._history):
            if self.trouble is not None or loop.time() >= deadline:
                return False
            async with self._turn:
                await self._read(await self._begun())
        return True

    async def _begun(self) -> TopicReader:
        if self._reader is None:
            reader = await self._stack.enter_async_context(TopicReader(self._where, NAME))
            reader.join(dict.fromkeys(self._cases, 0))
            self._reader = reader
        return self._reader

    async def _ends(self) -> dict[TopicPartition, int]:
        """Return where the topic ends now, by a connection that no fetch occupies: a broker answers a connection in order."""
        if self._asking is None:
            self._asking = await self._stack.enter_async_context(TopicReader(self._where, f"{NAME}-ends"))
        return await self._asking.ends(self._cases)

    async def _read(self, reader: TopicReader) -> None:
        since = time.monotonic()
        if not self._taken:
            for partition, records in (await reader.take(LOOK_MS)).items():
                self._taken.extend((each, partition.partition) for each in records)
        while self._taken and self.trouble is None:
            await self._take(*self._taken[0])
            self._taken.popleft()
            if time.monotonic() - since > SLICE_SECONDS:
                await asyncio.sleep(0)
                since = time.monotonic()

    async def _take(self, record: Record, partition: int) -> None:
        try:
            self._history.take(record, partition)
        except HistoryError as error:
            if error.code != "signature_invalid":
                self.trouble = error
                return
        else:
            return
        await self._catch_up()  # an agency's first event may overtake its entry
        try:
            self._history.take(record, partition)
        except HistoryError as error:
            self.trouble = error

    def _audited(self) -> Audited:
        if self._rules is None or self._rules[0] != self._directory.number:
            self._rules = self._directory.number, rules_of(self._directory, self._policy)
        activate(self._rules[1], self._history, self._directory)
        return Audited(self._history, self._directory, self._rules[1], self._partitions)
