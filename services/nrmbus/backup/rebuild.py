"""Topics of a backup on an empty broker: every record with its bytes, its timestamp and its old offset.

Ledgers and registrations name offsets, on machines that no operator reaches. So offsets are kept, not translated. Behind
each transaction Kafka writes a marker, which takes an offset; here the same commits take the same offsets. Offsets of
aborted or deleted records are filled with records that are aborted or deleted too.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import OffsetAndMetadata

from nrmbus.backup import topics as archive
from nrmbus.backup.errors import BackupError
from nrmbus.backup.records import Kept, records
from nrmbus.backup.store import Manifest, Partition, Store
from nrmbus.backup.topics import Progress
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, groups, topics
from nrmbus.wire.names import INBOX

TOGETHER: Final = 1000
"""Records that are sent together, at most; they may take several batches."""
AT_ONCE: Final = 4
"""Partitions that are written at the same time."""
REBUILDING: Final = "Writing the topics"
_TIMESTAMPS: Final = "message.timestamp.type"


async def rebuild(
    folder: BusFolder, store: Store, manifest: Manifest, progress: Progress, only: Iterable[str] | None = None
) -> None:
    """Write the topics of *manifest*, or *only* those named, to the broker of the bus in *folder*, which has none of their records.

    Raises:
        BackupError: ``cluster_not_empty``, ``offset_differs``; or a file of the backup cannot be read.
        KafkaFailed, KafkaError: the broker does not answer, or fails.
    """
    due = {name: manifest.records[name] for name in (manifest.records if only is None else only)}
    await asyncio.to_thread(_make, folder, manifest, due)
    total = sum(segment.count for each in due.values() for one in each.values() for segment in one.segments)
    done = 0

    def wrote(count: int) -> None:
        nonlocal done
        done += count
        progress(REBUILDING, done, total)

    places = [(TopicPartition(name, int(number)), one) for name, each in due.items() for number, one in each.items()]
    turns, begins = asyncio.Semaphore(AT_ONCE), dict[TopicPartition, int]()

    async def written(place: TopicPartition, partition: Partition) -> None:
        async with turns:
            found = records(store, f"{place.topic}/{place.partition}", partition.segments)
            kept = (each for each in found if each.offset >= partition.begin)
            begins[place] = await _Rebuilt(folder, place).write(kept, partition, wrote)

    try:
        async with asyncio.TaskGroup() as tasks:
            for each in places:
                tasks.create_task(written(*each))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    await asyncio.to_thread(_finish, folder, manifest, begins)
    for group, of_topics in manifest.groups.items():
        committed = {
            TopicPartition(name, int(number)): OffsetAndMetadata(min(each.offset, due[name][number].end), each.note)
            for name, partitions in of_topics.items()
            if name in due
            for number, each in partitions.items()
        }
        if committed:
            await groups.commit(folder.as_operator, group, committed)


def _make(folder: BusFolder, manifest: Manifest, due: dict[str, dict[str, Partition]]) -> None:
    """Make the topics, which must be empty, and have them take a record's own timestamp."""
    where, settings = folder.as_operator, folder.settings
    topics.apply(where, _agencies(manifest), settings.partitions, play=settings.play)
    ends = archive.offsets(folder, due, latest=True)
    if any(ends.values()):
        raise BackupError("cluster_not_empty", next(each.topic for each, end in ends.items() if end))
    topics.override(where, due, _TIMESTAMPS, "CreateTime")


def _agencies(manifest: Manifest) -> list[str]:
    return sorted(name.removeprefix(INBOX) for name in manifest.records if name.startswith(INBOX))


def _finish(folder: BusFolder, manifest: Manifest, begins: Mapping[TopicPartition, int]) -> None:
    """Delete everything before the first record of each partition, and set the topics as they are declared."""
    from confluent_kafka import TopicPartition as Place  # noqa: PLC0415 - see `clients.admin`

    brokers, settings = clients.Administration(folder.as_operator), folder.settings
    before = [Place(each.topic, each.partition, begin) for each, begin in begins.items() if begin]
    if before:
        brokers.answers(lambda client: client.delete_records(before).values())
    topics.apply(folder.as_operator, _agencies(manifest), settings.partitions, play=settings.play)


def _is_gapless(partition: Partition) -> bool:
    """Return whether one record follows the other up to the end, as where nobody writes in transactions."""
    offset = partition.segments[0].first if partition.segments else partition.end
    for each in partition.segments:
        if (each.first, each.count) != (offset, each.last - each.first + 1):
            return False
        offset = each.last + 1
    return offset == partition.end


class _Rebuilt:
    """One partition that is written."""

    def __init__(self, folder: BusFolder, place: TopicPartition) -> None:
        self._folder, self._place = folder, place
        self._next = 0
        """The offset that the broker gives next."""
        self._is_open = False

    async def write(self, found: Iterator[Kept], partition: Partition, wrote: Callable[[int], None]) -> int:
        """Write the records, each at its offset, and what fills the offsets between them; return the offset of the first.

        Everything before it is to be deleted. *wrote* is told how many records were written.
        """
        where, name = self._folder.as_operator, f"nrm-restore-{self._place.topic}-{self._place.partition}"
        runs = batched(found)
        first = next(runs, [])
        begin = first[0].offset if first else partition.end
        runs = chain([first] if first else [], runs)
        async with clients.producer(where) as plain:
            await self._fill(plain, begin)
            if _is_gapless(partition):
                for run in runs:
                    await self._send(plain, run)
                    wrote(len(run))
                return begin
        async with (
            clients.transactional_producer(where, name) as producer,
            clients.transactional_producer(where, f"{name}-gaps") as gaps,
        ):
            for run in runs:
                if (gap := run[0].offset - self._next) > 0:
                    await self._gap(producer, gaps, gap)
                if not self._is_open:
                    await producer.begin_transaction()
                    self._is_open = True
                await self._send(producer, run)
                wrote(len(run))
            # A marker is the last that such a partition has.
            if (gap := partition.end - self._next) > 1:
                await self._gap(producer, gaps, max(gap - 1, 2))
            if self._is_open:
                await self._gap(producer, gaps, 1)
                await self._reached()
        return begin

    async def _gap(self, producer: AIOKafkaProducer, gaps: AIOKafkaProducer, gap: int) -> None:
        """Pass over *gap* offsets: one by a commit, more by records of another producer, which are aborted."""
        if gap == 1:
            await producer.commit_transaction()
            self._is_open = False
        else:
            await gaps.begin_transaction()
            await self._fill(gaps, self._next + gap - 1)
            await gaps.abort_transaction()
        self._next += 1
        if gap > 1:
            await self._reached()

    async def _reached(self) -> None:
        """Wait until the broker has written the marker of a transaction that has ended."""
        end = -1
        while end < self._next:
            end = (await asyncio.to_thread(archive.offsets, self._folder, [self._place.topic], latest=True))[
                self._place
            ]
        self._check(end)

    def _check(self, offset: int) -> None:
        if offset != self._next:
            raise BackupError("offset_differs", f"{self._place.topic}/{self._place.partition}, {self._next}")

    async def _fill(self, producer: AIOKafkaProducer, end: int) -> None:
        """Write empty records up to the offset *end*: they are aborted, or deleted, before anybody reads."""
        while self._next < end:
            await self._send(producer, [_FILLER] * min(TOGETHER, end - self._next))

    async def _send(self, producer: AIOKafkaProducer, some: Sequence[Kept]) -> None:
        at = 0
        while at < len(some):
            batch, first = producer.create_batch(), at
            while at < len(some) and _added(batch, some[at]):
                at += 1
            sent = await (await producer.send_batch(batch, self._place.topic, partition=self._place.partition))
            self._check(sent.offset)
            self._next += at - first


_FILLER: Final = Kept(0, 0, None, None, ())


def _added(batch: BatchBuilder, each: Kept) -> bool:
    """Put a record into *batch*; return False if that is full. An empty batch takes any record."""
    time = each.timestamp or None  # a filler has the time at which it is written
    return batch.append(timestamp=time, key=each.key, value=each.value, headers=list(each.headers)) is not None


def batched(found: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Yield the records in lists of at most `TOGETHER` whose offsets follow one another."""
    some: list[Kept] = []
    for each in found:
        if some and (each.offset != some[-1].offset + 1 or len(some) == TOGETHER):
            yield some
            some = []
        some.append(each)
    if some:
        yield some
