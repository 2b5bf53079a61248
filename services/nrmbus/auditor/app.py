"""Auditor process, ``nrmbus run auditor``: reads ``nrm.cases`` into the logs, publishes checkpoints, collects co-signatures.

A history that does not verify stops the auditor for good: it reports the record in log and health, answers from what it
has, signs and appends nothing more, and ends with exit status 70. Any other failure ends the process at once, and its
supervisor starts it again.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, RequestTimedOutError

from nrmbus import telemetry
from nrmbus.auditor.elsewhere import beside as beside_her
from nrmbus.auditor.errors import LogError
from nrmbus.auditor.history.live import LiveHistory
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.auditor.log.cosignatures import NoteFullError
from nrmbus.auditor.log.ingest import LogIngest
from nrmbus.auditor.log.logs import Logs
from nrmbus.auditor.log.shown import Shown
from nrmbus.auditor.log.starts import Place, StartRefused
from nrmbus.auditor.reports.traces import spans_of
from nrmbus.auditor.web.access_log import AccessLog
from nrmbus.auditor.web.api import door
from nrmbus.auditor.web.apps import Apps
from nrmbus.auditor.web.offline_log import OffTheRecord
from nrmbus.auditor.web.pages.answers import Opened
from nrmbus.auditor.web.pages.site import Site
from nrmbus.auditor.web.questions import Questions
from nrmbus.auditor.web.users import Users
from nrmbus.bus.aiokafka_patches.late_requests import TransactionalProducer
from nrmbus.bus.clock import Clock, SteppedClock, clock_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import Listening, Server, pages
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.failures import is_passing, sentence_of
from nrmbus.bus.periodic import every, pause_after
from nrmbus.bus.reach import Reach
from nrmbus.bus.vitals import RELEASE, vitals
from nrmbus.directory import Directory, DirectoryReader, Entry, Identity, Published, epochs, operator_key
from nrmbus.rules import load_profile
from nrmbus.telemetry import log
from nrmbus.telemetry.metrics import page
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import place_of
from nrmbus.wire.names import AUDITOR, CASES, CHECKPOINTS, WITNESS, outbox_of
from nrmbus.wire.record import Record

LOOK_MS: Final = 250
"""Milliseconds to wait for a record before the next look at the clock."""
COMMIT_SECONDS: Final = 1.0
"""How long a registration may wait to be durable; after a crash it is read again from the topic."""
PAUSE_SECONDS: Final = 10.0
"""Real time between two checkpoints, however fast a stepped clock goes: each checkpoint is work for every desk."""
DESTROY_SECONDS: Final = 86_400.0
"""Seconds between two searches for expired keys of an auditor on her own machine."""
PUBLISHER: Final = "nrm-auditor-p0"
"""Transactional id of whoever publishes checkpoints."""
CLOSING_SECONDS: Final = 2.0
"""How long the last checkpoint may take; a signed one that is not published yet is published at the next start."""


class Auditor:
    """Auditor process of a bus, with all its logs."""

    def __init__(self, folder: BusFolder) -> None:
        self._folder, self._settings = folder, folder.settings
        self.home = folder.service(AUDITOR)
        self._directory = Directory(self._settings.bus, operator_key(folder.path))
        where = folder.reach(self.home)
        self._directory_reader = DirectoryReader(where, self._directory, self._admitted, home=self.home)
        self._clock: Clock | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._unread: set[str] = set()
        self._ending = asyncio.Event()
        self._committed = self._signed = 0.0
        self._caught_up = self._closing = False
        self._silent = 0.0
        """Seconds for which the broker had not answered at the last look."""
        self._behind: asyncio.Task[None] | None = None
        """Comparison of the records before the places at which this start began to read."""
        self._trouble: LogError | None = None
        self.logs: Logs | None = None
        self.turn = asyncio.Lock()
        """Lock for work on the logs."""
        self.refused: dict[str, str] = {}
        """The code of the refused last co-signature, by agency."""
        bus, partitions, profile = self._settings.bus, self._settings.partitions, load_profile(self._settings.policy)
        self.site = Site(self.home, bus=bus, partitions=partitions, profile=profile)
        self.questions = Questions(self, Users(self.home), OffTheRecord(self.home))
        self.failed = False
        self.anew = False
        """True if the process ends only to connect with another certificate, or at another address."""
        self.stop: Callable[[], None] = self._ending.set

    def _admitted(self, entry: Entry) -> None:
        if entry.witness is not None:
            self._unread.add(WITNESS + entry.agency)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Audit until the block ends, then sign the new registrations."""
        where = self._folder.reach(self._folder.service(AUDITOR))
        async with AsyncExitStack() as stack:
            self._clock = await stack.enter_async_context(clock_of(where, play=self._settings.play, client_id=AUDITOR))
            await stack.enter_async_context(self._directory_reader)
            reader = await stack.enter_async_context(TopicReader(where, AUDITOR))
            producer = clients.producer(where, client_id=AUDITOR)
            await producer.start()
            stack.push_async_callback(producer.stop)
            # It fences the auditor before, so that what is published now is all that will ever be published by another.
            publisher = clients.transactional_producer(where, PUBLISHER)
            await publisher.start()
            stack.push_async_callback(publisher.stop)
            self._folder.unanswered_marker(AUDITOR).remove()
            stack.push_async_callback(self._open_site(where, producer, self._clock).close)
            auditing = asyncio.create_task(self._audit(reader, publisher))
            beside: list[asyncio.Future[Any]] = list(
                map(asyncio.create_task, (self._directory_reader.follow(), self.questions.settle()))
            )
            if self._folder.is_joined:  # where the operator runs her, his supervisor does all of it
                elsewhere = beside_her(self._folder, where, self._directory, self._begin_anew)
                beside += [asyncio.ensure_future(work()) for work in await stack.enter_async_context(elsewhere)]
                beside.append(asyncio.create_task(every(DESTROY_SECONDS, self._destroy_replaced, failed=_not_now)))
            if isinstance(self._clock, SteppedClock):
                beside.append(asyncio.create_task(self._clock.run()))
            for task in (auditing, *beside):
                task.add_done_callback(self._ended)
            try:
                yield
            finally:
                self._ending.set()  # not cancelled: a thread at work on the logs would go on
                await asyncio.gather(auditing, return_exceptions=True)
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                if self.logs:
                    self.logs.close()

    def _open_site(self, where: Reach, producer: AIOKafkaProducer, clock: Clock) -> LiveHistory:
        """Open the page, which reads the history at the first question."""
        policy, partitions = self._settings.policy, self._settings.partitions

        async def send(record: Record, partition: int) -> object:
            topic, headers = outbox_of(AUDITOR), list(record.headers)
            return await producer.send_and_wait(topic, record.value, record.key, partition, headers=headers)

        catch_up = self._directory_reader.catch_up
        seen = LiveHistory(where, self._directory, catch_up, policy=policy, partitions=partitions)
        key = Identity.at(self.home, AUDITOR).signing
        Apps(self.home).hand_over()
        access_log = AccessLog(seen=seen, key=key, policy=policy, partitions=partitions, clock=clock, send=send)
        spans = partial(spans_of, self._folder)
        opened = Opened(self, access_log, seen, clock, self._directory, spans)
        self.site.open(opened)
        self.questions.open(opened)
        return seen

    async def _destroy_replaced(self) -> None:
        """Destroy her replaced sealing keys whose time is over: no supervisor does it on this machine.

        The second factors of her users are handed over first: the keys may have been replaced since the start.

        Raises:
            OSError, BusError: a key cannot be destroyed; all others are.
        """
        assert self._clock is not None  # noqa: S101 - made before this begins
        await self._directory_reader.catch_up()
        now = self._clock.now()
        await asyncio.to_thread(Apps(self.home).hand_over)
        gone, failed = await asyncio.to_thread(epochs.destroy_left, self.home, self._directory, AUDITOR, now)
        if gone:
            telemetry.handled("epoch_ended", count=len(gone))
        if failed is not None:
            raise failed

    def _begin_anew(self) -> None:
        self.anew = True
        self.stop()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        """End the process when a *task* has failed, or was cancelled by anything but the end: else it would look ready for ever."""
        error = None if task.cancelled() else task.exception()
        if error is not None or (task.cancelled() and not self._ending.is_set()):
            log.report("stopped", error=error.code if isinstance(error, LogError) else type(error).__name__)
            self.failed = True
            self.stop()

    # -- the work ----------------------------------------------------------------------------------------------------

    async def _audit(self, reader: TopicReader, producer: TransactionalProducer) -> None:
        try:
            await self._begin(reader)
            while not self._ending.is_set():
                await self._step(reader, producer, LOOK_MS)
                self._look_behind()
            await self._close(reader, producer)
        except LogError as error:
            if error.code == "folder_busy":  # another auditor has the logs, and may release them later
                raise
            log.report("history_refused", code=error.code, partition=place_of(error.origin)[1], number=error.number)
            if self.logs:
                with suppress(LogError):  # the records before it are sound
                    await asyncio.to_thread(self.logs.commit)
            self._trouble = error  # after that: who reads of the trouble reads how far the log goes, too
        finally:
            self._closing = True
            if self._behind:  # not cancelled: a thread at work on the logs would go on
                await asyncio.gather(self._behind, return_exceptions=True)

    def _look_behind(self) -> None:
        """Raise the LogError that the comparison of the records before this start has found."""
        if self._behind and self._behind.done():
            self._behind.result()

    async def _begin(self, reader: TopicReader) -> None:
        shown = await self._shown()
        partitions = self._settings.partitions
        self.logs = await asyncio.to_thread(Logs, self.home, self._directory, partitions, shown)
        for partition, where in self.logs.set_aside.items():
            log.report("log_set_aside", partition=partition, error=where)
        cases = [TopicPartition(CASES, number) for number in range(partitions)]
        starts = {each: await self._start(self.logs, each) for each in cases}
        reader.join({each: place.offset - 1 if place else 0 for each, place in starts.items()})
        self._ends = await reader.ends(cases)
        before = {each: place for each, place in starts.items() if place}
        ingests = {each: self.logs.begin_at(each.partition, place) for each, place in before.items()}
        if before:
            self._behind = asyncio.create_task(self._compare(before, ingests))

    async def _start(self, logs: Logs, cases: TopicPartition) -> Place | None:
        """Return the newest place from which *cases* may be read, or None for its beginning."""
        places, partition = [], cases.partition
        try:
            places = await asyncio.to_thread(logs.places_of, partition)
        except StartRefused as refused:
            log.report("start_refused", partition=partition, code=refused.code)
        for place in places:
            try:
                records = await self._before(cases, place.offset)
                await asyncio.to_thread(logs.check_start, partition, place, records)
            except StartRefused as refused:
                log.report("start_refused", partition=partition, number=place.number, code=refused.code)
            else:
                log.report("start_used", partition=partition, number=place.number)
                return place
        return None

    async def _before(self, topic: TopicPartition, offset: int) -> list[Record]:
        """Return the records from the one before *offset* on that come at once; none if the topic ends before."""
        async with TopicReader(self._folder.reach(self._folder.service(AUDITOR)), AUDITOR) as reader:
            ends = await reader.ends([topic])
            reader.join({topic: offset - 1})
            while ends[topic] >= offset and not await reader.passed(ends):
                if records := (await reader.take(LOOK_MS)).get(topic):
                    return records
        return []

    async def _compare(self, before: dict[TopicPartition, Place], ingests: dict[TopicPartition, LogIngest]) -> None:
        """Compare the records before the places with the logs, leaf by leaf, while the auditor has its other work.

        Raises:
            LogError: as `LogIngest.take`; the history was altered.
        """
        ends = {each: place.offset - 1 for each, place in before.items()}
        async with TopicReader(self._folder.reach(self._folder.service(AUDITOR)), AUDITOR) as reader:
            reader.join(dict.fromkeys(ends, 0))
            while not self._closing and not await reader.passed(ends):
                for each, records in (await reader.take(LOOK_MS, ends)).items():
                    async with self.turn:
                        await asyncio.to_thread(_taken, ingests[each], records)
        for each, place in before.items():
            if self._closing:
                return
            ingests[each].compared(place.number - 1)
            log.report("start_compared", partition=each.partition, number=place.number)

    async def _shown(self) -> list[Published]:
        """Read in ``nrm.checkpoints`` what no start has read, and return the newest checkpoint of each log there."""
        topic, shown = TopicPartition(CHECKPOINTS, 0), Shown(self.home, self._directory)
        # A checkpoint under a key that the directory did not have yet would be passed over for good.
        await self._directory_reader.catch_up()
        before = await self._before(topic, shown.offset) if shown.offset else []
        offset = await asyncio.to_thread(shown.begin, before)
        async with TopicReader(self._folder.reach(self._folder.service(AUDITOR)), AUDITOR) as reader:
            reader.join({topic: offset})
            ends = await reader.ends([topic])
            while not await reader.passed(ends):
                if records := (await reader.take(LOOK_MS)).get(topic):
                    await asyncio.to_thread(shown.take, records, reader.offset(topic))
        return await asyncio.to_thread(shown.newest)

    async def _step(self, reader: TopicReader, producer: TransactionalProducer, wait_ms: int) -> bool:
        """Take new records, and do what is due; return whether a record of the history came."""
        assert self.logs is not None  # noqa: S101 - made before the first step
        assert self._clock is not None  # noqa: S101 - likewise
        if self._unread:
            await self._join(reader, self.logs)
        found = await reader.take(wait_ms)
        self._silent = reader.silence
        records = deque((each.partition, one) for each, some in found.items() if each.topic == CASES for one in some)
        came = bool(records)
        async with self.turn:
            if records:
                await self._take(self.logs, records)
            if not self._caught_up and await reader.passed(self._ends):
                await asyncio.to_thread(self.logs.end)
                self._caught_up = True
                reader.rest()
            now = asyncio.get_running_loop().time()
            if now - self._committed >= COMMIT_SECONDS:
                self._committed = now
                await asyncio.to_thread(self.logs.commit)
            if self._caught_up and now - self._signed >= PAUSE_SECONDS:
                due = await asyncio.to_thread(self._sign, self.logs, reader, self._clock)
                if await self._publish(self.logs, producer, due):
                    self._signed = now
        for each, some in found.items():
            if each.topic != CASES:
                await self._collect(self.logs, reader, each, some)
        return came

    def _sign(
        self, logs: Logs, reader: TopicReader, clock: Clock, *, closing: bool = False
    ) -> list[tuple[bytes, Published]]:
        """Sign what is due, keep the places that are signed, and return what is not published yet; in a thread."""
        logs.sign(clock.now(), closing=closing)
        for partition in logs.ingests:
            logs.keep_place(partition, reader.offset(TopicPartition(CASES, partition)))
        return logs.unpublished()

    async def _take(self, logs: Logs, records: deque[tuple[int, Record]]) -> None:
        # Records that are read again at a start were traced before.
        with telemetry.joined("audit", [each.traceparent for _, each in records] if self._caught_up else ()):
            await self._append(logs, records)

    async def _append(self, logs: Logs, records: deque[tuple[int, Record]]) -> None:
        try:
            await asyncio.to_thread(logs.take, records)
        except LogError as error:
            if error.code != "signature_invalid":
                raise
        if records:  # signed with a key that is newer than the known directory, or with a wrong key
            await self._directory_reader.catch_up()
            await asyncio.to_thread(logs.take, records)

    async def _publish(
        self, logs: Logs, producer: TransactionalProducer, due: Sequence[tuple[bytes, Published]]
    ) -> bool:
        """Publish the signed checkpoints *due*; return whether there were any."""
        for value, said in due:
            async with producer.transaction():
                sent = await producer.send_and_wait(CHECKPOINTS, value, partition=0)
            if producer.unanswered:  # a start fences what may come late
                raise RequestTimedOutError
            await asyncio.to_thread(logs.published, said, sent.offset + 1)
        return bool(due)

    async def _join(self, reader: TopicReader, logs: Logs) -> None:
        topics, self._unread = self._unread, set()
        reader.join({TopicPartition(topic, 0): logs.cosigned.offset(topic) for topic in topics})

    async def _collect(self, logs: Logs, reader: TopicReader, topic: TopicPartition, records: list[Record]) -> None:
        agency = topic.topic.removeprefix(WITNESS)
        for each in records:
            try:
                await asyncio.to_thread(logs.cosigned.add, each.value, self._directory.witnesses(agency))
                self.refused.pop(agency, None)
            except NoteFullError:
                self.refused.pop(agency, None)
                log.report("cosignature_left_out", agency=agency)
            except ProofError as error:
                self.refused[agency] = error.code
                log.report("cosignature_refused", agency=agency, code=error.code)
        await asyncio.to_thread(logs.cosigned.read_to, topic.topic, reader.offset(topic))

    async def _close(self, reader: TopicReader, producer: TransactionalProducer) -> None:
        """Publish a last checkpoint over all registrations, also those that arrive meanwhile."""
        if self.logs is None or self._clock is None or not self._caught_up:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                while await self._step(reader, producer, 50):
                    pass
                async with self.turn:
                    due = self._sign(self.logs, reader, self._clock, closing=True)
                    await self._publish(self.logs, producer, due)

    @property
    def status(self) -> int:
        """The exit status: 70 if the process failed, or the history stopped it."""
        return 70 if self.failed or self._trouble else 0

    @property
    def caught_up(self) -> bool:
        """True if the history was read to its end at the start."""
        return self._caught_up

    @property
    def stopped_at(self) -> str | None:
        """The code and the record at which the history stopped the auditor, or None."""
        trouble = self._trouble
        if trouble is None:
            return None
        return f"{trouble.code} at number {trouble.number} of partition {place_of(trouble.origin)[1]}"

    # -- health ------------------------------------------------------------------------------------------------------

    async def health(self, ref: str = "") -> dict[str, Any]:
        """Return how far the auditor is, by partition; ``trouble`` names the record at which it stopped."""
        del ref
        unheard = self._silent > clients.UNHEARD_SECONDS
        return {
            "service": AUDITOR,
            "release": RELEASE,
            "live": True,
            "ready": self._caught_up and self._trouble is None and not unheard,
            "unheard": unheard,
            "silent": round(self._silent, 1),
            "trouble": self.stopped_at,
            "tick": self._clock.tick if isinstance(self._clock, SteppedClock) else 0,
            **(self.logs.state() if self.logs else {"numbers": {}, "size": {}, "signed": {}, "cosigned": {}}),
        }

    async def metrics(self) -> bytes:
        """Return the auditor's metrics in Prometheus' text format."""
        newest = self.logs.newest_checkpoint if self.logs else None
        age = (self._clock.now() - newest).total_seconds() if self._clock and newest else None
        own = vitals(self._folder, self.home, AUDITOR)
        return page(AUDITOR, {**await self.health(), **own, "checkpoint_age": age})


def _not_now(error: Exception) -> None:
    """Log that the work of a day could not be done; it is tried again the next day."""
    telemetry.handled("not_available", error=type(error).__name__)


def _taken(ingest: LogIngest, records: Iterable[Record]) -> None:
    for each in records:
        ingest.take(each)


async def _run(folder: BusFolder) -> None:
    auditor = Auditor(folder)
    listening = Listening(auditor.home)
    shown = door(auditor, listening, [*auditor.questions.routes(listening), *auditor.site.routes()])
    app = pages({"/health": auditor.health}, listening, auditor.running, {"": shown}, auditor.metrics)
    server = Server(app, listening)
    auditor.stop = server.stop

    def ended(_signal: int, _frame: object) -> None:
        raise SystemExit(auditor.status)

    # After serving, uvicorn raises the signal again, and would end with the signal's exit status.
    signal.signal(signal.SIGTERM, ended)
    await server.run_until_told()
    if auditor.status or not auditor.anew:
        raise SystemExit(auditor.status)


def main(folder: BusFolder) -> None:
    """Run until SIGTERM. Raises SystemExit: 0, or 70 if the process failed or the history stopped it.

    On a machine of her own the auditor waits for the broker, and begins again in this process with a new certificate or at
    a new address, since a connection keeps those from its start.
    """
    telemetry.set_up(AUDITOR, folder.service(AUDITOR))
    waited = 0
    while True:
        try:
            asyncio.run(_run(folder))
            telemetry.handled("connections_anew")
            waited = 0
        except KafkaError as error:
            if not (folder.is_joined and is_passing(error)):
                raise
            waited += 1
            telemetry.handled("not_available", attempt=waited, error=type(error).__name__)
            if waited == 1:
                folder.unanswered_marker(AUDITOR).write(
                    f"{sentence_of(error)} The auditor tries again until it can work."
                )
            time.sleep(pause_after(waited))
