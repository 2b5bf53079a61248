"""A bus under fire: a real broker, registrars that are killed and frozen, senders that never stop."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition

from forked import Forked
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where, reach
from nrmbus.directory import Identity
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.play.load import Agency, Submission
from nrmbus.play.trail import Anomalies, check
from nrmbus.wire import ids
from nrmbus.wire.names import CASES
from patience import PATIENCE, eventually
from registrar.launch import freezes, launch, launch_unfenced

AHEAD = 1000
"""How many events senders are ahead of the registrars: on a busy machine they would otherwise heap up work without end."""
RATE = 300
"""Events a second that are sent, if registrars keep up."""
FIRST = {"ngo-a": "ngo_outreach", "ngo-l": "ngo_legal", "vac": "vac", "special-unit": "special_unit"}


class Place:
    """One registrar's place: a process that is restarted at once whenever it ends."""

    def __init__(self, name: str, folder: BusFolder, run: Callable[[Path], None]) -> None:
        self.name, self._folder, self._run = name, folder, run
        self.starts = 0
        self._process: Forked | None = None
        self._wanted = True

    def poll(self) -> None:
        """Start it, if it is not running."""
        if self._wanted and (self._process is None or self._process.poll() is not None):
            self.starts += 1
            log, place = self._folder.path / f"registrar-{self.name}.log", {"NRMBUS_PLACE": self.name}
            self._process = Forked(log, self._run, self._folder.path, environment=place)

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        """Kill it for good."""
        self._wanted = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """All that it wrote."""
        return (self._folder.path / f"registrar-{self.name}.log").read_text()


def patient_producer(where: Where, transactional_id: str | None = None) -> AIOKafkaProducer:
    """Return a desk's producer, or a shard's, that waits for the broker as long as a test does.

    It is this process that may be late, and not the broker.
    """
    patient = {
        **clients.settings("shard" if transactional_id else "producer"),
        "request_timeout_ms": round(PATIENCE * 1000),
        "transactional_id": transactional_id,
    }
    return AIOKafkaProducer(**reach(where).settings(), **patient)


class Fire(AbstractAsyncContextManager["Fire"]):
    """The bus, its places and its senders; leaving the block ends everything."""

    def __init__(self, home: Path, *, partitions: int, places: int, sabotage: bool = False) -> None:
        self.folder = BusFolder(home)
        # A broker with rights refuses the wrong transactional id before the check could see its effect.
        self.folder.create(partitions=partitions, tls=not sabotage)
        self.kafka = EmbeddedKafka(self.folder)
        run = launch_unfenced if sabotage else launch
        self.places = [Place("abc"[number], self.folder, run) for number in range(places)]
        self.partitions = partitions
        self.acknowledged: list[tuple[str, str, str]] = []
        self.agencies: list[Agency] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._sending = True
        self._registered = 0

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.kafka.fetch)
        await asyncio.to_thread(self.kafka.start)
        await self.admit(FIRST)
        self._tasks += [asyncio.create_task(self._supervise()), asyncio.create_task(self._count())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sending = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in self.places:
            place.end()
        await asyncio.to_thread(self.kafka.stop)

    async def admit(self, agencies: dict[str, str]) -> None:
        """Admit *agencies*, and have each of them send from now on."""
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        await admit(self.folder, {agency: Newcomer(role) for agency, role in agencies.items()}, since)
        for agency in agencies:
            identity = Identity.at(self.folder.agency(agency).path, agency)
            receiver = "vac" if agency != "vac" else "ngo-l"  # one of FIRST: a consent names who is in the directory
            self.agencies.append(Agency(identity, receiver, [ids.new_ref() for _ in range(100)]))

    async def _supervise(self) -> None:
        while True:
            for place in self.places:
                place.poll()
            await asyncio.sleep(0.05)

    async def _count(self) -> None:
        partitions = [TopicPartition(CASES, each) for each in range(self.partitions)]
        async with clients.reader(self.folder.as_operator) as reader:
            reader.assign(partitions)
            for each in partitions:
                reader.seek(each, 0)
            while True:
                self._registered += sum(map(len, (await reader.getmany(timeout_ms=200)).values()))

    def send(self) -> None:
        """Every agency sends from now on, together :data:`RATE` events a second."""
        for agency in self.agencies:
            self._tasks.append(asyncio.create_task(self._sender(agency)))

    def send_for(self, name: str) -> None:
        """One more agency sends."""
        agency = next(each for each in self.agencies if each.identity.agency == name)
        self._tasks.append(asyncio.create_task(self._sender(agency)))

    def owner(self) -> Place:
        """Return the place that owns partition 0 now, by its own last report."""
        return self._owners()[0]

    def _owners(self) -> dict[int, Place]:
        """Return for each partition the place that took it over last, by the places' own reports."""
        owns = [
            (json.loads(line), place)
            for place in self.places
            for line in place.log.splitlines()
            if '"event": "owns"' in line
        ]
        return {line["partition"]: place for line, place in sorted(owns, key=lambda each: each[0]["timestamp"])}

    def history_refused(self) -> bool:
        """Return whether a fold refused to run on a wrong history."""
        return any('"history_refused"' in log for log in self.logs())

    async def _sender(self, agency: Agency) -> None:
        async with patient_producer(self.folder.reach(self.folder.agency(agency.identity.agency).path)) as producer:
            turn = 0
            while self._sending:
                started = time.monotonic()
                batch = [self._next(agency, turn + each) for each in range(10)]
                turn += len(batch)
                futures = [await self._send(producer, each) for each in batch]
                for each, future in zip(batch, futures, strict=True):
                    await future
                    self.acknowledged.append((each.agency, each.subject, each.id))
                await eventually("registrars keep up", lambda: not self._sending or not self._is_ahead())
                pause = len(batch) * len(self.agencies) / RATE - (time.monotonic() - started)
                await asyncio.sleep(max(0, pause))

    def _is_ahead(self) -> bool:
        return len(self.acknowledged) > self._registered + AHEAD

    def _next(self, agency: Agency, turn: int) -> Submission:
        now = datetime.now(UTC).replace(microsecond=0)
        return agency.submit(agency.cases[turn % len(agency.cases)], now, self.partitions)

    @staticmethod
    async def _send(producer: object, each: Submission) -> asyncio.Future[object]:
        record = each.record
        return await producer.send(  # type: ignore[attr-defined, no-any-return]
            each.topic, value=record.value, key=record.key, headers=list(record.headers), partition=each.partition
        )

    async def settle(self, seconds: float = PATIENCE) -> Anomalies:
        """Stop sending, wait until all that was acknowledged has an answer, and check what the broker holds.

        The wait ends when nothing new was registered for *seconds*: on a busy machine registrars take long, and pass the
        partitions to each other.
        """
        self._sending = False
        found, answered, since = Anomalies(), 0, time.monotonic()
        while time.monotonic() < since + seconds:
            await asyncio.sleep(1)
            found = await asyncio.to_thread(self.check)
            if not found.lost and found.registered + found.refused >= len(set(self.acknowledged)):
                break
            if found.registered + found.refused > answered:
                answered, since = found.registered + found.refused, time.monotonic()
        return found

    def check(self) -> Anomalies:
        """Compare the broker's records with the acknowledged ones so far."""
        return check(self.folder.as_operator, list(self.acknowledged))

    def registered(self) -> int:
        """How many registrations were read so far."""
        return self._registered

    async def until_registered(self, count: int, seconds: float = PATIENCE) -> None:
        """Wait until at least *count* registrations stand."""
        until = time.monotonic() + seconds
        while self._registered < count:
            assert time.monotonic() < until, [place.log[-2000:] for place in self.places]
            await asyncio.sleep(0.2)

    async def freeze(self, place: Place, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after *seconds*: longer than a session, and another place may own its shards by then."""
        place.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        place.signal(signal.SIGCONT)

    async def freeze_inside(self, place: Place) -> None:
        """SIGSTOP inside a transaction that is written, and SIGCONT when another place has taken over a shard of this one."""
        told = freezes(self.folder.path, place.pid)
        told.touch()
        await eventually("it is inside a transaction", lambda: not told.exists())
        shards = {number for number, owner in self._owners().items() if owner is place}
        await eventually(
            "another place owns a shard of it", lambda: any(self._owners()[each] is not place for each in shards)
        )
        place.signal(signal.SIGCONT)

    def logs(self) -> Iterable[str]:
        """Return the log of every place."""
        return [place.log for place in self.places]
