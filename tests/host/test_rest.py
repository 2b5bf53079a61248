"""A bus at rest: a service that has read what was there lets the broker answer when something comes, and asks seldom."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from nrmbus.auditor.app import Auditor
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.kafka import clients
from nrmbus.desk import process as desks
from nrmbus.desk.process import DeskProcess
from nrmbus.timekeeper.app import Timekeeper
from nrmbus.wire.names import CASES

PLACE = TopicPartition(CASES, 0)
UNREAD = 3
AT_START_MS = 100


class Stop(Exception):
    """Ends work that has no end of its own."""


class Consumer:
    """A consumer that reads one record at each look, and notes how long the broker may keep a request open at each position."""

    def __init__(self) -> None:
        self._fetcher = SimpleNamespace()
        private.wait_for_silent(self, AT_START_MS)
        self.at = 0
        self.waits: dict[int, int] = {}

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        """Read one record more."""
        await self.look()
        return {}

    async def look(self) -> None:
        """Go on by one record, and end the work two looks after the last one."""
        self.waits[self.at] = self._fetcher._fetch_max_wait_ms
        if self.at > UNREAD:
            raise Stop
        self.at += 1

    async def position(self, _: TopicPartition) -> int:
        """Return the offset that is read next."""
        return min(self.at, UNREAD)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the topic ends."""
        return dict.fromkeys(partitions, UNREAD)

    def assignment(self) -> set[TopicPartition]:
        """Return the one partition."""
        return {PLACE}

    def last_poll_timestamp(self, _: TopicPartition) -> None:
        """Return that nothing was answered yet."""


class ReadBeside(Consumer):
    """A consumer that FastStream reads on while the desk asks how far it is."""

    async def position(self, _: TopicPartition) -> int:
        """Return the offset that is read next, and go on."""
        at = min(self.at, UNREAD)
        await self.look()
        return at


async def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _timekeeper(consumer: Consumer, _: pytest.MonkeyPatch) -> None:
    """Read the history to its end, and twice more."""
    keeper: Any = object.__new__(Timekeeper)
    keeper._process, keeper._watch, keeper._turn = (
        SimpleNamespace(seat=SimpleNamespace(clock=None)),
        None,
        asyncio.Lock(),
    )
    keeper._publish = _nothing
    await keeper._follow(consumer, [PLACE])


async def _auditor(consumer: Consumer, _: pytest.MonkeyPatch) -> None:
    """Read the history to its end, and twice more."""
    reader: Any = object.__new__(TopicReader)
    reader._consumer, reader._positions, reader._joined_at = consumer, {}, 0.0
    auditor: Any = object.__new__(Auditor)
    auditor._unread, auditor._ends, auditor._caught_up, auditor._clock = set(), {PLACE: UNREAD}, False, object()
    auditor._committed = auditor._signed = float("inf")
    auditor.turn, auditor.logs = asyncio.Lock(), SimpleNamespace(end=lambda: None)
    while True:
        await auditor._step(reader, None, 0)


async def _desk(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the inbox to its end, and twice more."""

    async def released(*_: Any) -> None:
        while True:
            await consumer.look()

    monkeypatch.setattr(desks, "release_by_itself", released)
    desk: Any = object.__new__(DeskProcess)
    desk.holding = SimpleNamespace(claimed=_nothing, caught_up=_nothing, must_catch_up=False)
    desk._inbox, desk.desk = SimpleNamespace(consumer=consumer), SimpleNamespace(working=defaultdict(int))
    desk.seat = SimpleNamespace(ledger=SimpleNamespace(beginnings=(), changed=asyncio.Event()))
    await desk._catch_up(SimpleNamespace(caught_up=asyncio.Event()))


@pytest.mark.parametrize("service", [_timekeeper, _auditor, _desk], ids=["timekeeper", "auditor", "desk"])
async def test_it_rests_once_it_has_read_and_not_before(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given three records to read, then each request before their end is answered soon, and each one after it waits at the broker.

    The registrar, whose wait changes with what comes, is in `tests/registrar/test_rate_limit.py`.
    """
    consumer = ReadBeside() if service is _desk else Consumer()
    with pytest.raises(Stop):
        await service(consumer, monkeypatch)

    before = {at: wait for at, wait in consumer.waits.items() if at < UNREAD}
    assert before == dict.fromkeys(range(UNREAD), AT_START_MS)
    assert consumer.waits[UNREAD + 1] == clients.AT_REST_MS
    assert clients.AT_REST_MS >= 1_000, "a request a second is rest; ten are not"
