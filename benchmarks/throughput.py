"""Events a second and time on the way: the registrar with all checks, then the bare loop, over the same prepared load."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import NewTopic

from nrmbus.bus import clients
from nrmbus.bus.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Identity
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.play.load import Agency, Submission, stream
from nrmbus.registrar.owner import GROUP
from nrmbus.wire import ids
from nrmbus.wire.record import STATEMENTS

SENDERS: Final = {"ngo-a": "ngo_outreach", "ngo-l": "ngo_legal", "vac": "vac", "special-unit": "special_unit"}
CASES: Final = "nrm.cases"
COPY: Final = "bench.inbox"
HISTORY: Final = "bench.cases"
OUTBOXES: Final = r"^nrm\.outbox\..*"
WARM_UP: Final = 0.1
"""The share of a run that is not counted: imports, first batches, connections."""
PATIENCE_SECONDS: Final = 120.0
BARE: Final = Path(__file__).with_name("bare.py")


@dataclass(frozen=True, slots=True)
class Run:
    """One side of one round: events a second, its own CPU in microseconds an event, events in a transaction."""

    rate: float
    cpu: float
    batch: float


@dataclass(frozen=True, slots=True)
class Round:
    """Both sides over the same load, with the latencies (milliseconds, sorted) of single events afterwards."""

    registrar: Run
    bare: Run
    ways: list[float]
    bare_ways: list[float]
    records: float
    bytes: float


@contextmanager
def bus(home: Path) -> Iterator[tuple[BusFolder, EmbeddedKafka]]:
    """A broker of this round's own."""
    folder = BusFolder(home)
    folder.create(partitions=1, tls=False)  # either side in plain text, as the aims were set
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        yield folder, kafka
    finally:
        kafka.stop()


def senders(folder: BusFolder, cases: int) -> list[Agency]:
    """Admit those who send, and give each of them *cases* cases."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    asyncio.run(admit(folder, {agency: Newcomer(role) for agency, role in SENDERS.items()}, since))
    return [
        Agency(Identity.at(folder.agency(name).path, name), "fund", [ids.new_ref() for _ in range(cases)])
        for name in SENDERS
    ]


async def send(bootstrap: str, load: Sequence[Submission]) -> None:
    """Put *load* into the outboxes."""
    async with clients.producer(bootstrap) as producer:
        for start in range(0, len(load), 1000):
            sent = [
                await producer.send(
                    each.topic,
                    value=each.record.value,
                    key=each.record.key,
                    headers=list(each.record.headers),
                    partition=0,
                )
                for each in load[start : start + 1000]
            ]
            await asyncio.gather(*sent)


async def committed(bootstrap: str, topic: str, partition: int = 0) -> list[Any]:
    """Every committed record of a partition."""
    found: list[Any] = []
    where = TopicPartition(topic, partition)
    async with clients.reading(bootstrap, where) as (reader, end):
        while await reader.position(where) < end:
            for records in (await reader.getmany(where, timeout_ms=500)).values():
                found += records
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[int]:
    """A process until the end of the block."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as started:
        try:
            yield started.pid
        finally:
            started.kill()


def _cpu_of(bootstrap: str, group: str, events: int, pid: int) -> float:
    """Wait until *group* has committed that it read *events*; CPU seconds an event that the process used, start-up left out."""
    admin, started, read = clients.admin(bootstrap), (0.0, 0), 0
    until = time.monotonic() + PATIENCE_SECONDS
    while read < events:
        # Asked seldom, and only how far the group is: whoever read along would take CPU from those who are measured.
        time.sleep(0.1)
        (answer,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        with contextlib.suppress(KafkaException):
            read = sum(each.offset for each in answer.result(10).topic_partitions if each.offset > 0)
        if not started[1] and read:
            started = (cpu_seconds(pid), read)
        assert time.monotonic() < until, f"{group} has read {read} of {events} after {PATIENCE_SECONDS:.0f} s"
    return (cpu_seconds(pid) - started[0]) / max(1, read - started[1])


def measured(bootstrap: str, group: str, topic: str, events: int, pid: int) -> Run:
    """Wait until *group* has dealt with *events*, then judge by the times at which it wrote them to *topic*."""
    cpu = _cpu_of(bootstrap, group, events, pid)
    records = asyncio.run(committed(bootstrap, topic))
    assert len(records) == events, f"{topic} has {len(records)} records, not {events}"
    first = int(WARM_UP * events)
    seconds = (records[-1].timestamp - records[first].timestamp) / 1000
    markers = records[-1].offset - records[0].offset + 1 - events
    return Run((events - first) / seconds, cpu * 1e6, events / (markers + 1))


def _size(record: Any) -> int:
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def plan(bootstrap: str, count: int) -> tuple[list[dict[str, Any]], float, float]:
    """What the registrar wrote for *count* events, so that the bare loop writes as much; records and bytes an event."""
    written = {HISTORY: asyncio.run(committed(bootstrap, CASES)), COPY: []}
    for agency in SENDERS:
        written[COPY] += asyncio.run(committed(bootstrap, f"nrm.inbox.{agency}"))
    found, records, total = [], 0.0, 0.0
    for topic, all_of_it in written.items():
        added = [
            sum(len(name) + len(value) for name, value in each.headers if name in STATEMENTS) for each in all_of_it
        ]
        found.append(
            {"topic": topic, "share": len(all_of_it) / count, "added": round(sum(added) / len(added) - len("filler"))}
        )
        records += len(all_of_it) / count
        total += sum(map(_size, all_of_it)) / count
    return found, records, total


@asynccontextmanager
async def _listening(bootstrap: str, topics: Sequence[str]) -> AsyncIterator[dict[str, float]]:
    """Notes when each event's record can be read, read_committed, by event id."""
    seen: dict[str, float] = {}
    reader: AIOKafkaConsumer = clients.reader(bootstrap)
    await reader.start()
    where = [TopicPartition(topic, 0) for topic in topics]
    reader.assign(where)
    await reader.seek_to_end(*where)
    for each in where:
        await reader.position(each)

    async def follow() -> None:
        async for record in reader:
            identity = dict(record.headers).get("ce_id")
            if identity:
                seen.setdefault(identity.decode(), time.monotonic())

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reader.stop()


async def ways(bootstrap: str, load: Sequence[Submission], topics: Sequence[str], every: float) -> list[float]:
    """Send *load* one by one; milliseconds from each sending to when its record stands in one of *topics*, sorted."""
    left: dict[str, float] = {}
    async with clients.producer(bootstrap) as producer, _listening(bootstrap, topics) as seen:
        for each in load:
            left[each.id] = time.monotonic()
            await producer.send(
                each.topic, value=each.record.value, key=each.record.key, headers=list(each.record.headers), partition=0
            )
            await asyncio.sleep(every)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not left.keys() <= seen.keys():  # noqa: ASYNC110 - two clients' business, no event to wait for
                    await asyncio.sleep(0.05)
    assert left.keys() <= seen.keys(), "events did not arrive"
    return sorted((seen[each] - at) * 1000 for each, at in left.items())


def both(home: Path, events: int, singles: int, every: float) -> Round:
    """One round: a fresh broker, *events* at once, then *singles* one by one, through either side."""
    with bus(home) as (folder, kafka):
        where, agencies = kafka.bootstrap, senders(folder, 100)
        now = datetime.now(UTC).replace(microsecond=0)
        asyncio.run(send(where, list(stream(agencies, now, 1, count=events))))
        inboxes = [f"nrm.inbox.{agency}" for agency in SENDERS]
        run = ["run", "registrar", "--keys-unprotected", "--data", str(home)]
        command = [sys.executable, "-c", "from nrmbus.cli import main; main()", *run]
        with process(command, home / "registrar.log") as pid:
            registrar = measured(where, GROUP, CASES, events, pid)
            copies, records, size = plan(where, events)
            registrar_ways = asyncio.run(ways(where, list(stream(agencies, now, 1, count=singles)), inboxes, every))
        admin = clients.admin(where)
        for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in (HISTORY, COPY)]).values():
            made.result(10)
        command = [sys.executable, str(BARE), where, "bench", OUTBOXES, json.dumps(copies)]
        with process(command, home / "bare.log") as pid:
            # It reads the single events too, which are a small part and the same for every event.
            bare = measured(where, "bench", HISTORY, events + singles, pid)
            bare_ways = asyncio.run(ways(where, list(stream(agencies, now, 1, count=singles)), [COPY], every))
    return Round(registrar, bare, registrar_ways, bare_ways, records, size)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, p99 of sorted *values*."""
    return {"p50": values[len(values) // 2], "p99": values[min(len(values) - 1, int(len(values) * 0.99))]}


def grouped(rounds: Sequence[Round]) -> dict[str, list[float]]:
    """All latencies of all rounds, sorted, by side."""
    found: dict[str, list[float]] = defaultdict(list)
    for each in rounds:
        found["registrar"] += each.ways
        found["bare"] += each.bare_ways
    return {side: sorted(values) for side, values in found.items()}
