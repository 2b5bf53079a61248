"""Events a second and time on the way: the registrar with all checks, then the bare loop, over the same prepared load."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from confluent_kafka.admin import NewTopic

from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, quotas
from nrmbus.bus.reach import Where, reach
from nrmbus.directory import Identity
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.play.load import Agency, Submission, stream
from nrmbus.registrar.owner import GROUP
from nrmbus.registrar.snapshot_process import LEAST, SHARE
from nrmbus.wire import ids
from nrmbus.wire.record import STATEMENTS

SENDERS: Final = {"ngo-a": "ngo_outreach", "ngo-l": "ngo_legal", "vac": "vac", "special-unit": "special_unit"}
RECEIVER: Final = "fund"
"""The agency that the people of the load let receive them; it sends nothing."""
AGENCIES: Final = {**SENDERS, RECEIVER: "fund"}
CASES: Final = "nrm.cases"
COPY: Final = "bench.inbox"
HISTORY: Final = "bench.cases"
FLOOR: Final = "bench.floor"
OUTBOXES: Final = r"^nrm\.outbox\..*"
WARM_UP: Final = 0.1
"""The share of a run that is not counted: imports, first batches, connections."""
PATIENCE_SECONDS: Final = 120.0
BARE: Final = Path(__file__).with_name("bare.py")


@dataclass(frozen=True, slots=True)
class Run:
    """One side of one round: events a second; CPU in microseconds an event, its own and the broker's; events in a transaction."""

    rate: float
    cpu: float
    broker: float
    batch: float


@dataclass(frozen=True, slots=True)
class Load:
    """Events to send: *before* is not measured; *counted* waits for the registrar; *singles* come one by one afterwards."""

    before: Sequence[Submission]
    counted: Sequence[Submission]
    singles: Sequence[Submission]

    @property
    def waiting(self) -> list[Submission]:
        """Return the events in the outboxes when the registrar starts."""
        return [*self.before, *self.counted]


@dataclass(frozen=True, slots=True)
class Side:
    """One run, with the latencies (milliseconds, sorted) of single events afterwards."""

    run: Run
    ways: list[float]


@dataclass(frozen=True, slots=True)
class Round:
    """The registrar and the bare loop over the same load, each on a bus in plain text; records and bytes out for an event.

    The *floor* is the bare loop that also reads the JSON, verifies and signs once for each event. A *peer* may come last.
    """

    registrar: Side
    bare: Side
    floor: Run
    records: float
    bytes: float
    peer: Side | None = None


@contextmanager
def bus(home: Path, *, closed: bool = False) -> Iterator[tuple[BusFolder, EmbeddedKafka]]:
    """Run a broker of this round's own: in plain text, as the aims were set, or *closed*, as every bus is by default."""
    folder = BusFolder(home)
    folder.create(partitions=1, tls=closed)
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        yield folder, kafka
    finally:
        kafka.stop()


def admitted(folder: BusFolder) -> None:
    """Admit all agencies. A closed bus takes their quotas away: a sender that a quota delays would measure the quota."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    asyncio.run(admit(folder, {agency: Newcomer(role) for agency, role in AGENCIES.items()}, since))
    if folder.settings.tls:
        asyncio.run(_without_quotas(folder.as_operator))


async def _without_quotas(where: Where) -> None:
    kept = await quotas.found(where)
    assert len(kept) == len(AGENCIES), "each agency has a quota of its own"
    await quotas.put(where, {principal: {} for principal in kept})


def agencies_of(
    folder: BusFolder, cases: int, names: Sequence[str] = tuple(SENDERS), to: str = RECEIVER
) -> list[Agency]:
    """Return the agencies *names*, each with *cases* new cases, whose people let the agency *to* receive them."""
    return [
        Agency(Identity.at(folder.agency(name).path, name), to, [ids.new_ref() for _ in range(cases)]) for name in names
    ]


def events_without_letter(folder: BusFolder, events: int, singles: int) -> Load:
    """Return the load of the spine: *events*, then *singles*, of a hundred cases of each sender."""
    now = datetime.now(UTC).replace(microsecond=0)
    said = list(stream(agencies_of(folder, 100), now, 1, count=events + singles))
    return Load([], said[:events], said[events:])


async def send(where: Where, load: Sequence[Submission]) -> None:
    """Put *load* into the outboxes."""
    async with clients.producer(where) as producer:
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


async def committed(where: Where, topic: str, number: int = 0) -> list[Any]:
    """Yield every committed record of a partition."""
    found: list[Any] = []
    partition = TopicPartition(topic, number)
    async with clients.reading(where, partition) as (reader, end):
        while await reader.position(partition) < end:
            for records in (await reader.getmany(partition, timeout_ms=500)).values():
                found += records
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, over all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[int]:
    """Run a process until the end of the block."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as started:
        try:
            yield started.pid
        finally:
            started.kill()


async def _cpu_of(where: Where, group: str, begin: int, end: int, pids: Sequence[int]) -> list[float]:
    """Wait until *group* has committed the reading of *end* events; return the CPU seconds for an event of each of *pids*, from *begin* on."""
    # With aiokafka: librdkafka sometimes ends the process when it is asked for a group that is only being formed.
    admin, read = AIOKafkaAdminClient(**reach(where).settings(), **clients.settings()), 0
    started: tuple[list[float], int] = ([], 0)
    until = time.monotonic() + PATIENCE_SECONDS
    await admin.start()
    try:
        while read < end:
            # Asked seldom, and only for the group's offsets: a reader would take CPU from the measured processes.
            await asyncio.sleep(0.1)
            with contextlib.suppress(KafkaError):
                read = sum(each.offset for each in (await admin.list_consumer_group_offsets(group)).values())
            if not started[1] and read > begin:
                started = (list(map(cpu_seconds, pids)), read)
            assert time.monotonic() < until, f"{group} has read {read} of {end} after {PATIENCE_SECONDS:.0f} s"
    finally:
        await admin.close()
    assert read > started[1], f"{group} read all of {end - begin} events at once: too few to measure"
    return [(now - then) / (read - started[1]) for now, then in zip(map(cpu_seconds, pids), started[0], strict=True)]


def measured(where: Where, group: str, topic: str, count: int, pids: tuple[int, int], *, before: int = 0) -> Run:
    """Wait until *group* has handled *before* and *count* more, then judge by the times at which it wrote them to *topic*.

    *pids*: its own process, and the broker's.
    """
    own, broker = asyncio.run(_cpu_of(where, group, before, before + count, pids))
    records = asyncio.run(committed(where, topic))
    assert len(records) == before + count, f"{topic} has {len(records)} records, not {before + count}"
    assert all("ce_id" in dict(each.headers) for each in records), "an event was refused: a refusal has no envelope"
    counted = records[before:]
    first = int(WARM_UP * count)
    seconds = (counted[-1].timestamp - counted[first].timestamp) / 1000
    markers = counted[-1].offset - counted[0].offset + 1 - count
    return Run((count - first) / seconds, own * 1e6, broker * 1e6, count / (markers + 1))


def size_of(record: Any) -> int:
    """Return the bytes of key, value and headers."""
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def plan(where: Where, count: int) -> tuple[list[dict[str, Any]], float, float]:
    """Return the records that the registrar wrote for *count* events, which the bare loop writes too; records and bytes for an event."""
    written = {HISTORY: asyncio.run(committed(where, CASES)), COPY: []}
    for agency in AGENCIES:
        written[COPY] += asyncio.run(committed(where, f"nrm.inbox.{agency}"))
    found, records, total = [], 0.0, 0.0
    for topic, all_of_it in written.items():
        added = [
            sum(len(name) + len(value) for name, value in each.headers if name in STATEMENTS) for each in all_of_it
        ]
        found.append(
            {"topic": topic, "share": len(all_of_it) / count, "added": round(sum(added) / len(added) - len("filler"))}
        )
        records += len(all_of_it) / count
        total += sum(map(size_of, all_of_it)) / count
    return found, records, total


@asynccontextmanager
async def _listening(topics: Mapping[str, Where]) -> AsyncIterator[dict[str, float]]:
    """Note when each event can be read (read_committed), by event id; the owner of each of *topics* reads it."""
    seen: dict[str, float] = {}
    tasks: list[asyncio.Task[None]] = []

    async def follow(reader: AIOKafkaConsumer) -> None:
        async for record in reader:
            identity = dict(record.headers).get("ce_id")
            if identity:
                seen.setdefault(identity.decode(), time.monotonic())

    async with AsyncExitStack() as stack:
        for topic, where in topics.items():
            reader = await stack.enter_async_context(clients.reader(where))
            partition = TopicPartition(topic, 0)
            reader.assign([partition])
            await reader.seek_to_end(partition)
            await reader.position(partition)
            tasks.append(asyncio.create_task(follow(reader)))
        try:
            yield seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def ways(
    load: Sequence[Submission], sender: Callable[[str], Where], topics: Mapping[str, Where], every: float
) -> list[float]:
    """Send *load* one by one, each as its sender; return the milliseconds until its record is in one of *topics*, sorted.

    The first ones connect, and are not counted (`WARM_UP`).
    """
    left: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        producers = {
            name: await stack.enter_async_context(clients.producer(sender(name)))
            for name in sorted({each.agency for each in load})
        }
        seen = await stack.enter_async_context(_listening(topics))
        for each in load:
            left[each.id] = time.monotonic()
            await producers[each.agency].send(
                each.topic, value=each.record.value, key=each.record.key, headers=list(each.record.headers), partition=0
            )
            await asyncio.sleep(every)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not left.keys() <= seen.keys():  # noqa: ASYNC110 - two clients' business, no event to wait for
                    await asyncio.sleep(0.05)
    assert left.keys() <= seen.keys(), "events did not arrive"
    counted = list(left.items())[int(WARM_UP * len(left)) :]
    return sorted((seen[each] - at) * 1000 for each, at in counted)


@contextmanager
def registrar(folder: BusFolder) -> Iterator[int]:
    """Run the registrar until the end of the block; its log is ``registrar.log``."""
    run = ["run", "registrar", "--keys-unprotected", "--data", str(folder.path)]
    with process(
        [sys.executable, "-c", "from nrmbus.cli import main; main()", *run], folder.path / "registrar.log"
    ) as pid:
        yield pid


def line_of(log: Path, event: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    """Wait until a service's *log* has *event* of which *holds* is true; return the line."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if f'"event": "{event}"' in line and holds(json.loads(line)):
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.005)
    raise AssertionError(f"{log.name} does not say {event}")


def _until_snapshot(folder: BusFolder, count: int) -> None:
    """Wait until the registrar has written the snapshot that *count* registrations bring about, if they do."""
    since = max(LEAST, count // SHARE)
    if count >= since:
        line_of(folder.path / "registrar.log", "snapshot_written", lambda said: said["number"] > count - since)


def registered(
    folder: BusFolder, kafka: EmbeddedKafka, load: Load, every: float, readers: Sequence[str] = tuple(SENDERS)
) -> Side:
    """Run the registrar over *load*: the waiting events at once, then the singles until they are in an inbox of *readers*.

    The singles come when the snapshot of the waiting events is written: `growth.py` times those that come meanwhile.
    """
    where = folder.as_operator
    asyncio.run(send(where, load.waiting))
    with registrar(folder) as pid:
        pids = (pid, kafka.pid or 0)
        side = measured(where, GROUP, CASES, len(load.counted), pids, before=len(load.before))

        def comes(agency: str) -> Where:
            return folder.reach(folder.agency(agency).path)

        inboxes = {f"nrm.inbox.{agency}": comes(agency) for agency in readers}
        _until_snapshot(folder, len(load.before) + len(load.counted))
        return Side(side, asyncio.run(ways(load.singles, comes, inboxes, every)))


Peer = Callable[
    [Path, tuple[BusFolder, EmbeddedKafka], Sequence[Mapping[str, Any]], int, Sequence[Submission], float], Side
]
"""Runs another side over the same outboxes: how many events wait there, and the single ones that come afterwards."""


def both(home: Path, events: int, singles: int, every: float, peer: Peer | None = None) -> Round:
    """Run one round on a fresh broker: *events* at once, then *singles* one by one, through either side, and a *peer* last."""
    with bus(home) as (folder, kafka):
        admitted(folder)
        where, load = kafka.bootstrap, events_without_letter(folder, events, 3 * singles)
        alone = [load.singles[start : start + singles] for start in range(0, 3 * singles, singles)]
        registrar = registered(folder, kafka, Load([], load.counted, alone[0]), every)
        copies, records, size = plan(where, events + singles)
        admin = clients.admin(where)
        for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in (HISTORY, COPY, FLOOR)]).values():
            made.result(10)
        command = [sys.executable, str(BARE), where, "floor", OUTBOXES, json.dumps(_elsewhere(copies)), "floor"]
        with process(command, home / "floor.log") as pid:
            floor = measured(where, "floor", FLOOR, events + singles, (pid, kafka.pid or 0))
        command = [sys.executable, str(BARE), where, "bench", OUTBOXES, json.dumps(copies)]
        with process(command, home / "bare.log") as pid:
            # It reads the single events too, which are a small part and the same for every event.
            bare = measured(where, "bench", HISTORY, events + singles, (pid, kafka.pid or 0))
            bare_ways = asyncio.run(ways(alone[1], lambda _: where, {COPY: where}, every))
        other = peer and peer(home / "peer", (folder, kafka), copies, events + 2 * singles, alone[2], every)
    return Round(registrar, Side(bare, bare_ways), floor, records, size, other)


def _elsewhere(plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *plan* with the history in a topic of the floor's own, by which it is measured."""
    return [{**each, "topic": FLOOR} if each["topic"] == HISTORY else each for each in plan]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median and p99 of *values*."""
    found = sorted(values)
    return {"p50": found[len(found) // 2], "p99": found[min(len(found) - 1, int(len(found) * 0.99))]}
