"""Reader of the topics of a running bus into a backup: what is new since the last one, up to one moment of the history.

Committed offsets are read first, then ``nrm.cases``, then everything else, so that nothing names a record that the backup
does not have. Checkpoints and co-signatures end with the last tree over the registrations in ``nrm.cases``. An inbox ends
with the last delivery of the transactions there. The registrar signs a transaction
once, so a delivery has the signature of its registration.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from nrmbus.backup.errors import BackupError
from nrmbus.backup.records import Kept, Writer
from nrmbus.backup.store import Committed, Manifest, Partition, Store
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, groups
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.directory import Directory, Published
from nrmbus.directory.admission import read_directory
from nrmbus.wire import history
from nrmbus.wire.errors import ProofError, WireError
from nrmbus.wire.log.checkpoint import Checkpoint, place_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CASES, CHECKPOINTS, INBOX, OUTBOX, TEST_AGENCIES, WITNESS, inbox_of, outbox_of
from nrmbus.wire.record import DELIVERY
from nrmbus.wire.registration import NOTHING_BEFORE, Delivery
from nrmbus.wire.statement import proved

Progress = Callable[[str, int, int], None]
WAIT_MS: Final = 200
OURS: Final = "nrm."
_OF_TESTS: Final = frozenset(topic for each in TEST_AGENCIES for topic in (inbox_of(each), outbox_of(each)))
_KNOWN: Final = 16
"""Bytes of a signature by which a transaction is known again."""


class Topics(NamedTuple):
    """Begin of each partition on the broker, and how far each group has read."""

    begins: dict[TopicPartition, int]
    groups: dict[str, dict[str, dict[str, Committed]]]


async def look(folder: BusFolder) -> Topics:
    """Return the topics of the bus, and what its groups have committed."""
    begins = await asyncio.to_thread(offsets, folder, latest=False)
    found: dict[str, dict[str, dict[str, Committed]]] = {}
    async with groups.asking(folder.as_operator) as ask:
        for group, topics in _groups({each.topic for each in begins}).items():
            committed = (await ask(group, [each for each in begins if each.topic in topics])).committed
            for place, each in committed.items():
                if each.offset >= 0:
                    known = Committed(offset=each.offset, note=each.metadata or "")
                    found.setdefault(group, {}).setdefault(place.topic, {})[str(place.partition)] = known
    return Topics(begins, found)


def offsets(folder: BusFolder, names: Collection[str] | None = None, *, latest: bool) -> dict[TopicPartition, int]:
    """Return where each partition of the topics *names* (default: of all) ends, open transactions included, or else begins."""
    from confluent_kafka import TopicPartition as Place  # noqa: PLC0415 - see `clients.admin`
    from confluent_kafka.admin import OffsetSpec  # noqa: PLC0415 - see `clients.admin`

    brokers = clients.Administration(folder.as_operator)
    found = brokers.client.list_topics(timeout=clients.ANSWER_SECONDS).topics.items()
    due = [(name, topic) for name, topic in found if (name.startswith(OURS) if names is None else name in names)]
    places = [Place(name, each) for name, topic in due for each in topic.partitions]
    asked: OffsetSpec = OffsetSpec.latest() if latest else OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    ends = brokers.answers(lambda client: client.list_offsets(dict.fromkeys(places, asked)).values())
    return {
        TopicPartition(each.topic, each.partition): answer.offset for each, answer in zip(places, ends, strict=True)
    }


def _groups(names: Collection[str]) -> dict[str, set[str]]:
    """Return the topics that each group reads."""
    agencies = [name.removeprefix(INBOX) for name in names if name.startswith(INBOX)]
    found: dict[str, set[str]] = {}
    for each in load_declarations():
        # By the group of a service's turn nobody reads, so nothing is committed there (decision 0050).
        for agency in agencies if each.group and "{reader}" not in each.group else ():
            found.setdefault(each.group.format(agency=agency), set()).update({*each.names([agency])} & set(names))
    return found


class Moment:
    """One moment of the history of a bus: the registrations that a backup adds, and the deliveries that go with them."""

    def __init__(self, bus: str, directory: Directory, read_again: Callable[[], Directory]) -> None:
        """Find the registrar's keys in *directory*, or in the one that *read_again* returns, for a newer key."""
        self._bus, self._directory, self._read_again = bus, directory, read_again
        self._has_read_again = False
        self._signatures: dict[int, set[bytes]] = {}
        """Of each partition, the transactions of these registrations."""
        self.numbers: dict[int, int] = {}
        """Of each partition, the number of the last registration."""

    def register(self, partition: int, kept: Kept, writer: Writer) -> None:
        """Verify that *kept* is the next registration of its partition; *writer* counts it.

        Raises:
            BackupError: ``history_refused``.
        """
        code = self._take(partition, kept, writer)
        if code == "signature_invalid":  # the registrar's key may be newer than the directory that was read
            self._directory = self._read_again()
            code = self._take(partition, kept, writer)
        if code is not None:
            raise BackupError("history_refused", f"partition {partition}, number {writer.number + 1}: {code}")

    def _take(self, partition: int, kept: Kept, writer: Writer) -> history.FaultCode | None:
        """Take *kept* if it is the next registration, and return None; else return why it is not."""
        try:
            found = history.read(kept.record, history.plain, self._directory.registrar_key)
            found.check_place(self._bus, partition, writer.number, writer.digest or NOTHING_BEFORE)
            found.check_commitments()
            if found.registration.verdict != "refused":
                found.check_envelope_digest()
        except history.HistoryFault as fault:
            return fault.code
        writer.number, writer.digest = found.registration.number, found.digest
        self._signatures.setdefault(partition, set()).add(found.proved.signature[:_KNOWN])
        self.numbers[partition] = writer.number
        return None

    def has(self, partition: int, kept: Kept, writer: Writer) -> bool:
        """Return whether *kept* came into its inbox up to this moment; *writer* counts deliveries. Answers have no number and count as such."""
        delivery = dict(kept.headers).get(DELIVERY)
        if delivery is None:
            return True
        try:
            found = proved("delivery", delivery)
            number = Delivery.parse(found.body).inbox_number
        except WireError:
            return True  # the desk says what it is
        if number <= writer.number:
            return True  # a known answer once more
        if found.signature[:_KNOWN] not in self._signatures.get(partition, ()):
            return False
        writer.number = number
        return True

    def covers(self, note: bytes) -> bool:
        """Return whether the tree in the checkpoint *note* has registrations up to this moment alone; anybody's words count as such.

        A later tree counts if a log or a witness signed it: else one note without a signature would keep everything behind the
        note out of all backups.
        """
        with suppress(ProofError):
            tree = Checkpoint.parse(Note.parse(note).text)
            bus, partition = place_of(tree.origin)
            if bus == self._bus and tree.size > self.numbers.get(partition, 0):
                return not self._is_signed(note)
        return True

    def _is_signed(self, note: bytes) -> bool:
        """Return whether a log or a witness of the bus signed *note*; a newer key than the directory has is looked for once.

        One look is enough: the notes of a backup are older than the first look at one of them.
        """
        if not self._has_read_again and not self._is_signed_by(self._directory, note):
            self._directory, self._has_read_again = self._read_again(), True
        return self._is_signed_by(self._directory, note)

    def _is_signed_by(self, directory: Directory, note: bytes) -> bool:
        with suppress(ProofError):
            Published.read(note, self._bus, directory.log_keys())
            return True
        with suppress(ProofError):
            Note.parse(note).verified(directory.witnesses())
            return True
        return False


class Archive:
    """Reader of all topics of the bus in *folder* into *store*, from where the backup *before* ends."""

    def __init__(
        self, folder: BusFolder, store: Store, before: Manifest | None, directory: Directory, progress: Progress
    ) -> None:
        self._folder, self._store, self._before, self._progress = folder, store, before, progress
        # Registrations are taken in a thread without an event loop.
        self._moment = Moment(folder.settings.bus, directory, lambda: asyncio.run(read_directory(folder)))
        self._cut: set[TopicPartition] = set()

    async def read(self) -> tuple[dict[str, dict[str, Partition]], dict[str, dict[str, dict[str, Committed]]]]:
        """Read what is new; return what the backup then has of each partition, and of each group.

        Raises:
            BackupError: ``bus_older`` or ``history_refused``; or as `Store.put`.
        """
        topics = await look(self._folder)
        where = self._folder.as_operator
        records: dict[str, dict[str, Partition]] = {}
        known = self._before.records.get(CASES, {}) if self._before else {}
        self._moment.numbers = {int(number): each.number for number, each in known.items()}
        for is_cases in (True, False):
            some = [each for each in sorted(topics.begins) if (each.topic == CASES) is is_cases]
            ends = await asyncio.to_thread(offsets, self._folder, {each.topic for each in some}, latest=True)
            starts = {each: self._start(each, ends[each], topics) for each in some}
            consumer = clients.reader(where, client_id="nrm-backup")
            await consumer.start()
            try:
                consumer.assign(some)
                for each, start in starts.items():
                    consumer.seek(each, start)
                found = await self._copy(consumer, starts, topics.begins, ends)
            finally:
                await consumer.stop()
            for each, partition in found.items():
                records.setdefault(each.topic, {})[str(each.partition)] = partition
        return records, topics.groups

    def _partition(self, where: TopicPartition) -> Partition | None:
        known = self._before.records.get(where.topic, {}) if self._before else {}
        return known.get(str(where.partition))

    def _start(self, where: TopicPartition, end: int, topics: Topics) -> int:
        """Return the offset from which a partition is read, up to *end*.

        Submissions that the registrar has taken from an outbox stand in the history, and nobody needs a test hand-over.
        """
        begin = topics.begins[where]
        if where.topic in _OF_TESTS:
            return end
        if where.topic.startswith(OUTBOX):
            groups = (each.get(where.topic, {}).get(str(where.partition)) for each in topics.groups.values())
            return max((begin, *(each.offset for each in groups if each)))
        known = self._partition(where)
        return max(begin, known.end) if known else begin

    async def _copy(
        self,
        consumer: AIOKafkaConsumer,
        starts: Mapping[TopicPartition, int],
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, Partition]:
        writers: dict[TopicPartition, Writer] = {}
        for each, start in starts.items():
            if ends[each] < start:
                raise BackupError("bus_older", f"{each.topic}/{each.partition}")
            is_new = each.topic.startswith(OUTBOX) or each.topic in _OF_TESTS
            before, begin = (None, start) if is_new else (self._partition(each), begins[each])
            writers[each] = Writer(self._store, f"{each.topic}/{each.partition}", begin, start, before)
        total = sum(ends[each] - start for each, start in starts.items())
        left = {each for each, start in starts.items() if start < ends[each]}
        while left:
            batches = await consumer.getmany(timeout_ms=WAIT_MS, max_records=1000)
            await asyncio.to_thread(self._take, batches, writers, ends)
            left = {each for each in left if await consumer.position(each) < ends[each]}
            undone = sum([ends[each] - await consumer.position(each) for each in left])
            self._progress("Reading the topics", total - max(undone, 0), total)
        found = {}
        for each, writer in writers.items():
            if each not in self._cut:
                writer.end = max(writer.end, ends[each])
            found[each] = await asyncio.to_thread(writer.done)
        return found

    def _take(
        self,
        batches: Mapping[TopicPartition, list[Any]],
        writers: Mapping[TopicPartition, Writer],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        for where, batch in batches.items():
            for each in batch:
                kept = Kept(each.offset, each.timestamp, each.key, each.value, tuple(each.headers))
                if kept.offset < ends[where] and self._is_due(where, kept, writers[where]):
                    writers[where].add(kept)

    def _is_due(self, where: TopicPartition, kept: Kept, writer: Writer) -> bool:
        if where in self._cut:
            return False
        is_due = True
        if where.topic == CASES:
            self._moment.register(where.partition, kept, writer)
        elif where.topic.startswith(INBOX):
            is_due = self._moment.has(where.partition, kept, writer)
        elif where.topic == CHECKPOINTS:
            is_due = self._moment.covers((kept.value or b"").partition(b"\n\n")[2])
        elif where.topic.startswith(WITNESS):
            is_due = self._moment.covers(kept.value or b"")
        if not is_due:
            self._cut.add(where)
        return is_due
