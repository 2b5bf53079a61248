"""The canary as a process, ``nrmbus run canary``: every minute a hand-over from one test agency to the other, and back.

It goes the way of a referral: outbox, registrar's transaction, inbox of the other agency, acknowledgement. Nothing of it is
registered (decision 0044), so history, Rules, figures and the auditor's page know nothing of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from nrmbus import telemetry
from nrmbus.bus.folder import CANARY_SECONDS, BusFolder
from nrmbus.bus.http_server import Listening, Server, pages
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import every
from nrmbus.bus.vitals import RELEASE, vitals
from nrmbus.bus.wall_clock import wall_now
from nrmbus.canary.hand_overs import SENDER, HandOvers
from nrmbus.directory import Directory, DirectoryReader, Identity, operator_key
from nrmbus.telemetry import log
from nrmbus.telemetry.metrics import page
from nrmbus.wire import ids
from nrmbus.wire.errors import WireError
from nrmbus.wire.names import CANARY, TEST_AGENCIES, inbox_of, outbox_of
from nrmbus.wire.record import ANSWER, REGISTRATION, Record
from nrmbus.wire.registration import Answer, verify_answer

MISSED: Final = 5
"""Rounds that may be missing before the canary is not ready, and its alert fires."""
REFUSED_SECONDS: Final = 3600.0
"""Seconds until the next round after a registrar of an earlier release registered one as an event that it does not know."""
RESTART: Final = 70
"""Exit code of a canary that could not go on; the supervisor then starts it again."""


class Canary:
    """The canary of one bus; it speaks for both test agencies."""

    def __init__(self, folder: BusFolder) -> None:
        self._folder, self._settings = folder, folder.settings
        self._seconds = folder.canary_seconds or CANARY_SECONDS
        self._directory = Directory(self._settings.bus, operator_key(folder.path))
        home = folder.service(SENDER)
        self._reader = DirectoryReader(folder.reach(home), self._directory, lambda _: None, home=home)
        self._producers: dict[str, AIOKafkaProducer] = {}
        keys = {each: Identity.at(folder.service(each), each).signing for each in TEST_AGENCIES}
        self._hand_overs = HandOvers(self._settings.bus, self._settings.partitions, keys, time.monotonic())
        self._again_at = 0.0
        """No round begins before this monotonic time."""
        self.failed = False
        self.stop: Callable[[], None] = lambda: None
        """Ends the process; set by the server."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hand over and acknowledge until the block ends."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._reader)
            tasks = [asyncio.create_task(self._reader.follow())]
            for each in TEST_AGENCIES:
                where = self._folder.reach(self._folder.service(each))
                self._producers[each] = clients.producer(where, client_id=each)
                consumer = clients.reader(where, client_id=each, watcher=True)
                for client in (self._producers[each], consumer):
                    await client.start()
                    stack.push_async_callback(client.stop)
                await self._join(consumer, each)
                tasks.append(asyncio.create_task(self._follow(consumer, each)))
            tasks.append(asyncio.create_task(every(self._seconds, self._begin, failed=_not_sent)))
            for task in tasks:
                task.add_done_callback(self._ended)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self, consumer: AIOKafkaConsumer, agency: str) -> None:
        """Have *consumer* read the inbox of *agency* from its end on: hand-overs of an earlier process are due by nobody."""
        partitions = [TopicPartition(inbox_of(agency), each) for each in range(self._settings.partitions)]
        ends = await clients.ends(consumer, partitions)
        consumer.assign(partitions)
        for each in partitions:
            consumer.seek(each, ends[each])

    async def _begin(self) -> None:
        if time.monotonic() < self._again_at:
            return
        for record in self._hand_overs.begin(time.monotonic(), wall_now()):
            await self._send(SENDER, record)

    async def _send(self, agency: str, record: Record) -> None:
        partition = ids.partition_of((record.key or b"").decode(), self._settings.partitions)
        headers = list(record.headers)
        producer = self._producers[agency]
        await producer.send_and_wait(outbox_of(agency), record.value, record.key, partition, headers=headers)

    async def _follow(self, consumer: AIOKafkaConsumer, agency: str) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=60_000)).values():
                for each in records:
                    await self._take(agency, each)

    async def _take(self, agency: str, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        if REGISTRATION in headers:  # for ever in the history, so that a round a minute would fill it
            self._again_at = time.monotonic() + REFUSED_SECONDS
            log.report("registrar_too_old", seconds=REFUSED_SECONDS)
            return
        answer = await self._answer(headers.get(ANSWER))
        if answer is None:
            return
        now = wall_now()
        due = self._hand_overs.take(agency, answer, time.monotonic(), now)
        if due is not None:
            try:
                await self._send(agency, due)
            except KafkaError as error:
                _not_sent(error)

    async def _answer(self, raw: bytes | None) -> Answer | None:
        """Return the registrar's statement, or None if there is none with its signature."""
        for caught_up in (False, True):
            try:
                return verify_answer(raw or b"", self._directory.registrar_key)
            except WireError as error:
                if caught_up:
                    log.report("hand_over_refused", code=error.code)
                    return None
            try:
                await self._reader.catch_up()  # the registrar's key may be newer than the known directory
            except KafkaError as error:
                _not_sent(error)
                return None
        return None

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.report("stopped", error=type(error).__name__)
            self.failed = True
            self.stop()

    async def health(self, ref: str = "") -> dict[str, Any]:
        """Return the age of the newest test hand-over that came back; before the first, the age of this process."""
        del ref
        age, way = self._hand_overs.age(time.monotonic()), self._hand_overs.way
        return {
            "service": CANARY,
            "release": RELEASE,
            "live": True,
            "ready": way is not None and age <= MISSED * self._seconds,
            "canary_age": round(age, 3),
            "canary_way": way if way is None else round(way, 3),
            "canary_seconds": self._seconds,
        }

    async def metrics(self) -> bytes:
        """Return the canary's metrics for Prometheus."""
        own = vitals(self._folder, self._folder.service(SENDER), CANARY)
        return page(CANARY, {**await self.health(), **own})


def _not_sent(error: Exception) -> None:
    """Log a failed sending, whose age tells it; raise every other error."""
    if not isinstance(error, KafkaError):
        raise error
    log.report("not_sent", error=type(error).__name__)


async def _run(folder: BusFolder) -> bool:
    canary, listening = Canary(folder), Listening(folder.service(CANARY))
    server = Server(pages({"/health": canary.health}, listening, canary.running, metrics=canary.metrics), listening)
    canary.stop = server.stop
    await server.run_until_told()
    return not canary.failed


def main(folder: BusFolder) -> None:
    """Run until SIGTERM. Raises SystemExit 70 if the canary could not go on; the supervisor starts it again."""
    telemetry.set_up(CANARY)
    if not asyncio.run(_run(folder)):
        raise SystemExit(RESTART)
