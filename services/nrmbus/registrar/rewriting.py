"""``nrm.cases`` written anew without the envelopes of cases that are over: behind its end, in order; then its head is cut.

Registrations, numbers, audiences and the chain are the same bytes; offsets go on. Nobody else may write or follow the
topic meanwhile: registrar, timekeeper and auditor are stopped, and the registrar's own transactional id is taken.

A partition is one transaction, so no reader sees half of it. A marker in the registrar's folder says from which offset on
it is written. Whatever was killed, `finish` looks whether that transaction came to be: then the head is cut, else nothing
happened. Decision 0022 says why each step stands where it stands.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from nrmbus.bus import clients, cutting
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder, write_json
from nrmbus.bus.reach import Where
from nrmbus.directory import Directory
from nrmbus.directory.admission import read_directory
from nrmbus.registrar.memory import HistoryError, Memory
from nrmbus.registrar.records import CASES
from nrmbus.registrar.scratch import Scratch
from nrmbus.rules import Agency, Rules, load_profile
from nrmbus.wire import statement
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import REGISTRATION, STATEMENTS, Record

Told = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""

BATCH: Final = 500
"""Records that are on their way at a time."""
TIMEKEEPER: Final = "timekeeper"
GONE_SECONDS: Final = 75.0
"""How long our own broker may take to have deleted segments off the disk: it looks every ten seconds, from half a minute on."""


class NotRewritten(BusError):
    """Raised when the history was left as it is; the message says why."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """What became of one partition: of how many ``cases`` so many ``envelopes`` went, and which ``end`` the old bytes had."""

    partition: int
    cases: int
    envelopes: int
    end: int


class Looked:
    """One partition's history, folded and verified, and which of its envelopes are to go."""

    def __init__(self, memory: Memory, directory: Directory) -> None:
        """Begin with a fresh *memory*."""
        self.memory, self._directory = memory, directory
        self._kept: list[tuple[int, str]] = []

    def take(self, record: Record) -> None:
        """Take the next record. Raises as `Memory.fold`, and HistoryError where who says that a case is over may not."""
        before = len(self.memory.over)
        self.memory.fold(record)
        if any(name not in STATEMENTS for name, _ in record.headers):
            body = json.loads(statement.body_of("registration", dict(record.headers)[REGISTRATION]))
            self._kept.append((body["number"], body["subject"]))
        if len(self.memory.over) > before and not self._is_the_timekeepers(record):
            raise HistoryError(self.memory.partition, self.memory.number, "was not signed by the timekeeper")

    def _is_the_timekeepers(self, record: Record) -> bool:
        said = decode(record.split()[0])
        entry = self._directory.entries.get(said.source)
        try:
            said.verify(self._directory.any_verify_key(said.source, said.kid))
        except WireError:
            return False
        return entry is not None and entry.role == TIMEKEEPER

    def due(self) -> Mapping[int, str]:
        """The numbers whose envelopes are to go, each with its case: what was said before its time was over."""
        over = self.memory.over
        return {number: case for number, case in self._kept if number < over.get(case, 0)}


def without_envelope(record: Record) -> Record:
    """Key and statements alone: what the registrar added stays, what the sender signed goes."""
    return Record(record.key, b"", tuple(each for each in record.headers if each[0] in STATEMENTS))


class Rewriting:
    """The history of one bus being written anew. Use `due` to look, `strip` to do it, `finish` after a crash."""

    def __init__(self, folder: BusFolder, directory: Directory, *, told: Told | None = None) -> None:
        """Prepare for the bus in *folder*; *told* hears how far it is, and may raise to have it left as it was."""
        self._folder, self._directory = folder, directory
        self._where: Where = folder.as_operator
        self._marker = folder.rewriting
        self._told: Told = told or (lambda *_: None)
        settings = folder.settings
        agencies = {name: Agency(name, each.role, each.supervisor) for name, each in directory.entries.items()}
        self._rules = Rules(load_profile(settings.policy), agencies)
        self._data: Path | None = None if settings.bootstrap else folder.kafka

    @classmethod
    async def of(cls, folder: BusFolder, *, told: Told | None = None) -> "Rewriting":
        """The same, with the directory as it stands now."""
        return cls(folder, await read_directory(folder), told=told)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def due(self) -> dict[int, Mapping[int, str]]:
        """By partition, the numbers whose envelopes are to go, with their cases; the history is verified on the way.

        Raises:
            HistoryError: it is not the history it claims to be.
        """
        return {number: (await self._look(number)).due() for number in range(self._folder.settings.partitions)}

    async def _look(self, partition: int) -> Looked:
        looked = Looked(self._memory(partition), self._directory)
        async for offset, record, of in self._records(partition):
            looked.take(record)
            if looked.memory.number % BATCH == 0:
                self._told("reading", offset, of)
        self._verified(looked.memory)
        return looked

    def _memory(self, partition: int) -> Memory:
        scratch = Scratch(self._folder.service("registrar") / f"scratch-{partition}-rewriting")
        return Memory(bus=self._folder.settings.bus, partition=partition, rules=self._rules, scratch=scratch)

    def _verified(self, memory: Memory) -> None:
        memory.check_head(lambda kid: self._directory.any_verify_key("registrar", kid))

    async def _records(self, partition: int, offset: int = 0) -> AsyncGenerator[tuple[int, Record, int], None]:
        topic = TopicPartition(CASES, partition)
        async with clients.reading(self._where, topic, offset=offset) as (reader, end):
            while await reader.position(topic) < end:
                for records in (await reader.getmany(topic, timeout_ms=200, max_records=2000)).values():
                    for each in records:
                        if each.offset < end:
                            yield each.offset, Record(each.key, each.value, tuple(each.headers)), end

    # -- doing it ----------------------------------------------------------------------------------------------------

    async def strip(self) -> tuple[Stripped, ...]:
        """Write anew every partition of which envelopes are due, without them; what became of each.

        Raises:
            HistoryError: it is not the history it claims to be; nothing was changed then.
            NotRewritten: somebody else writes it, or the broker did not do what it must; likewise.
        """
        await self.finish()
        found = [await self._strip(number) for number in range(self._folder.settings.partitions)]
        return tuple(each for each in found if each is not None)

    async def _strip(self, partition: int) -> Stripped | None:
        producer = clients.rewriting_producer(self._where, f"nrm-registrar-p{partition}")
        await producer.start()  # from here on a registrar that still runs commits nothing more
        try:
            looked = await self._look(partition)
            due = looked.due()
            if not due:
                return None
            begin = await self._end(partition)
            write_json(self._marker, {"partition": partition, "begin": begin})
            self._told("marked", 0, 1)
            await self._write(producer, looked.memory, due, begin)
        finally:
            await producer.stop()
        await self._cut(partition, begin)
        return Stripped(partition, len(set(due.values())), len(due), begin)

    async def _end(self, partition: int) -> int:
        async with clients.reading(self._where, TopicPartition(CASES, partition)) as (_, end):
            return end

    async def _write(self, producer: AIOKafkaProducer, old: Memory, due: Mapping[int, str], begin: int) -> None:
        """Everything up to *begin* once more, as one transaction; what is written is folded, and must come to the same."""
        new, sent = self._memory(old.partition), list[Any]()
        await producer.begin_transaction()
        try:
            async for _, record, _ in self._records(old.partition):
                if new.number == 0:
                    await asyncio.to_thread(cutting.roll_with_next, self._where, CASES)
                    self._told("rolling", 0, 1)
                written = without_envelope(record) if new.number + 1 in due else record
                new.fold(written)
                sent.append(await producer.send(
                    CASES, value=written.value, key=written.key, headers=list(written.headers), partition=old.partition,
                ))  # fmt: skip
                if new.number == 1:
                    await sent.pop()
                    await self._rolled(old.partition, begin)
                if len(sent) >= BATCH:
                    await asyncio.gather(*sent)
                    sent.clear()
                    self._told("writing", new.number, old.number)
            await asyncio.gather(*sent)
            self._verified(new)
            if (new.number, new.previous, new.inbox_numbers) != (old.number, old.previous, old.inbox_numbers):
                raise NotRewritten("What was written is not what was read, so it was taken back: see the broker's log.")
            self._told("written", new.number, old.number)
            await producer.commit_transaction()
        except BaseException:
            with suppress(KafkaError):  # whoever took our place has ended it
                await producer.abort_transaction()
            await self._put_back()
            raise
        self._told("committed", 1, 1)

    async def _rolled(self, partition: int, begin: int) -> None:
        await asyncio.to_thread(cutting.roll_as_before, self._where, CASES)
        if self._data is not None and begin not in cutting.on_disk(self._data, CASES, partition):
            raise NotRewritten("The broker began no new segment, so nothing was written: do it again.")
        self._told("rolled", 1, 1)

    async def _put_back(self) -> None:
        await asyncio.to_thread(cutting.roll_as_before, self._where, CASES)
        self._marker.unlink(missing_ok=True)

    async def _cut(self, partition: int, begin: int) -> None:
        await asyncio.to_thread(cutting.cut, self._where, CASES, partition, begin)
        self._told("cut", 1, 1)
        self._marker.unlink(missing_ok=True)
        self._told("done", 1, 1)

    # -- after a crash -----------------------------------------------------------------------------------------------

    @property
    def unfinished(self) -> bool:
        """Whether somebody began, and was cut off."""
        return self._marker.exists()

    async def finish(self) -> bool:
        """Bring to its end what was cut off: as if it had not begun, or as if it had not been cut; whether there was anything.

        Raises:
            KafkaFailed, KafkaError: the broker does not answer; it is tried again at the next start.
        """
        if not self.unfinished:
            return False
        told = json.loads(self._marker.read_bytes())
        partition, begin = int(told["partition"]), int(told["begin"])
        producer = clients.rewriting_producer(self._where, f"nrm-registrar-p{partition}")
        await producer.start()  # whatever transaction was open is taken back
        await producer.stop()
        await asyncio.to_thread(cutting.roll_as_before, self._where, CASES)
        async with aclosing(self._records(partition, begin)) as records:
            first = await anext(records, None)
        if first is not None and _number(first[1]) == 1:
            await self._cut(partition, begin)
        self._marker.unlink(missing_ok=True)
        return True

    async def off_the_disk(self, stripped: tuple[Stripped, ...]) -> bool:
        """Wait until our own broker has none of the old bytes any more; whether it has none. Of another's nobody knows."""
        if self._data is None:
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + GONE_SECONDS
        while any(
            first < each.end for each in stripped for first in cutting.on_disk(self._data, CASES, each.partition)
        ):
            if loop.time() > until:
                return False
            await asyncio.sleep(0.2)
        return True


def _number(record: Record) -> int:
    said = dict(record.headers).get(REGISTRATION, b"")
    try:
        return int(json.loads(statement.body_of("registration", said))["number"])
    except (WireError, ValueError, KeyError, TypeError):
        return 0
