"""Clock of the legal time: the wall clock, or on a bus for playing the clock that the player moves.

A stepped clock follows the topic ``nrm.clock``. Its records say ``{"tick": n, "time": "YYYY-MM-DDTHH:MM:SSZ"}``; Kafka's
own timestamps and time-outs stay wall clock (Kafka refuses records stamped more than an hour ahead).
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, Self

from aiokafka import AIOKafkaProducer, TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.bus.wall_clock import wall_now
from nrmbus.wire.names import CLOCK

BEFORE_ANY_TICK: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of a stepped clock before its first tick; earlier than the start of any scenario."""


class Clock(Protocol):
    """Source of the legal time."""

    def now(self) -> datetime:
        """Return the time in UTC, to the second."""


class WallClock:
    """The wall clock, the only clock in production."""

    def now(self) -> datetime:
        """Return the time in UTC, to the second."""
        return wall_now()


class Tick(NamedTuple):
    """One move of the clock: its number, counted from 1, and the time from then on."""

    number: int
    time: datetime


def _tick(raw: bytes | None) -> Tick | None:
    """Return the tick in a record, or None for any other record, which moves nothing."""
    try:
        body = json.loads(raw or b"")
        time = datetime.strptime(body["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return Tick(int(body["tick"]), time)
    except (ValueError, KeyError, TypeError):
        return None


async def tick_clock(producer: AIOKafkaProducer, number: int, time: datetime) -> None:
    """Move the clock of a bus for playing: write tick *number* at *time* and wait until the broker has it.

    Args:
        producer: a started producer.
        number: the tick's number, one more than the last.
        time: aware, to the second, not before the last tick's.
    """
    body = {"tick": number, "time": time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    await producer.send_and_wait(CLOCK, json.dumps(body, separators=(",", ":")).encode(), partition=0)


class SteppedClock:
    """A clock that moves only by ticks, never backwards; use as an async context manager.

    On entering, the clock shows the last tick of the topic. Then the owner must await `run` or iterate `ticks`: the clock
    starts no task of its own, so the owner decides where and in which order a tick is handled.
    """

    def __init__(self, where: Where, *, client_id: str = "nrm-clock") -> None:
        self._consumer = clients.reader(where, client_id=client_id, watcher=True)
        self._partition = TopicPartition(CLOCK, 0)
        self._last = Tick(0, BEFORE_ANY_TICK)
        self._coming: deque[Tick] = deque()
        self._callbacks: list[Callable[[Tick], Awaitable[None]]] = []

    @property
    def tick(self) -> int:
        """The number of the last tick seen; 0 before any."""
        return self._last.number

    def now(self) -> datetime:
        """Return the time of the last tick seen, in UTC, to the second."""
        return self._last.time

    def on_tick(self, callback: Callable[[Tick], Awaitable[None]]) -> None:
        """Register *callback*, which `run` awaits at each tick, in the order of registration."""
        self._callbacks.append(callback)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        end = (await clients.ends(self._consumer, [self._partition]))[self._partition]
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, 0)
        while await self._consumer.position(self._partition) < end:
            await self._fetch()
        while self._coming:
            self._last = self._coming.popleft()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ticks(self) -> AsyncIterator[Tick]:
        """Yield each new tick in order, none left out, for ever. While the owner handles one, the clock shows that one."""
        while True:
            await self._fetch()
            while self._coming:
                self._last = self._coming.popleft()
                yield self._last

    async def run(self) -> None:
        """Await the callbacks at each tick, until cancelled. A tick is behind us only when all of them have returned."""
        async for tick in self.ticks():
            for callback in self._callbacks:
                await callback(tick)

    async def _fetch(self) -> None:
        newest = self._coming[-1] if self._coming else self._last
        for records in (await self._consumer.getmany(self._partition, timeout_ms=1_000)).values():
            for record in records:
                tick = _tick(record.value)
                # A step forward in both, or none at all: a repeated record must not move the clock.
                if tick and tick.number > newest.number and tick.time >= newest.time:
                    self._coming.append(tick)
                    newest = tick


@asynccontextmanager
async def clock_of(
    where: Where, *, play: bool, client_id: str = "nrm-clock"
) -> AsyncIterator[WallClock | SteppedClock]:
    """Yield the clock of a bus: the stepped clock of a bus for playing, else the wall clock."""
    if not play:
        yield WallClock()
        return
    async with SteppedClock(where, client_id=client_id) as clock:
        yield clock
