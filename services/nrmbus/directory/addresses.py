"""Where the broker is, for a desk on a machine of its own: the list that the operator signs, and what to do when nobody answers.

A Kafka client asks the addresses of its start once. Later the client knows only the brokers it has met, so it would look for
a broker at the old address for ever, though the broker has moved.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from nrmbus import telemetry
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import every
from nrmbus.bus.reach import Reach
from nrmbus.directory.directory import Directory
from nrmbus.wire.names import DIRECTORY

LOOK_SECONDS: Final = 15.0
"""Seconds between two looks; each desk's first look comes at another time, so that not all ask at the same moment."""
SILENT_LOOKS: Final = 2
"""Looks in a row without an answer, after which a broker is looked for at every known address."""
_PATIENCE: Final = 10.0


class Following:
    """Watch over the broker's addresses for one desk, from the start of its connections on."""

    def __init__(self, folder: BusFolder, where: Reach, directory: Directory, asked: AIOKafkaConsumer) -> None:
        """Prepare for connections that were made to *where*; *asked* is one of them, and is used for nothing else."""
        self._folder, self._directory, self._asked, self._where = folder, directory, asked, where
        self._silent = 0

    async def look(self) -> bool:
        """Keep the newest list of addresses; return whether the desk must connect again, since a broker answers elsewhere only.

        A desk whose connections are silent keeps them while no known address answers: until then it takes events at its
        door, and would else take none.
        """
        head = self._directory.head
        if head is not None and head.addresses:
            self._folder.keep_addresses(head.addresses)
        self._silent = 0 if await self._answers() else self._silent + 1
        return self._silent >= SILENT_LOOKS and await clients.anybody_answers(self._new())

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._asked.end_offsets([TopicPartition(DIRECTORY, 0)])
        except (KafkaError, TimeoutError):
            return False
        return True

    def _new(self) -> Reach:
        # With the list, and with an invitation that came meanwhile.
        return Reach(self._folder.bootstrap, self._where.tls)


@asynccontextmanager
async def following(folder: BusFolder, where: Reach, directory: Directory) -> AsyncIterator[Following]:
    """Yield a `Following` with a started connection of its own."""
    consumer = clients.reader(where, watcher=True)
    await consumer.start()
    try:
        yield Following(folder, where, directory, consumer)
    finally:
        await consumer.stop()


async def run(watched: Following, begin_anew: Callable[[], None]) -> None:
    """Watch the addresses until cancelled; call *begin_anew* when the desk must connect again. Errors are retried."""

    async def look() -> None:
        if await watched.look():
            telemetry.handled("not_available", topic=DIRECTORY)
            begin_anew()

    def failed(error: Exception) -> None:  # a full disk: the list that is kept serves on
        if not isinstance(error, BusError | OSError):
            raise error
        telemetry.handled("not_available", topic=DIRECTORY, error=type(error).__name__)

    await every(LOOK_SECONDS, look, first=LOOK_SECONDS * random.random(), failed=failed)  # noqa: S311 - spreads the looks
