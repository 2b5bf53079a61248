"""Auditor process on a real broker, with a history that the test writes as the registrar does."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from aiokafka import TopicPartition

from auditor.given import FIRST, altered
from brokers import Broker
from forked import Forked
from nrmbus.auditor.log.publisher import published
from nrmbus.auditor.web import access_log
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Directory, Identity, Published
from nrmbus.directory.admission import Newcomer, admit, read_directory
from nrmbus.host.services import run_service
from nrmbus.wire import json as canonical
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import NOTHING_BEFORE, Audience, sign_registration
from patience import eventually

STARTS = datetime.fromisoformat("2026-03-02T05:00:00Z")
NOBODY = Audience(earlier={}, recipients=(), salt="0" * 32).json()


def _audits(path: Path, patience: float | None) -> None:
    if patience is not None:
        access_log.PATIENCE_SECONDS = patience  # type: ignore[misc]
    run_service("auditor", BusFolder(path))


class AuditedBus:
    """A bus whose history the test writes, with an auditor that can be killed and started again."""

    def __init__(self, folder: BusFolder) -> None:
        """Take the keys of the bus in *folder*, which was admitted to."""
        self.folder, self.home = folder, folder.service("auditor")
        self._registrar = Identity.at(folder.service("registrar"), "registrar").signing
        self._previous: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        self._ticks = 0
        self.running: list[Forked] = []

    @classmethod
    async def fresh(cls, broker: Broker, *, partitions: int = 1, agencies: tuple[str, ...] = ()) -> "AuditedBus":
        """A new bus for playing, at `STARTS`."""
        folder = await asyncio.to_thread(broker.fresh_bus, partitions=partitions)
        await admit(folder, {agency: Newcomer("ngo_outreach") for agency in agencies}, STARTS)
        bus = cls(folder)
        await bus.tick(STARTS)
        return bus

    async def tick(self, at: datetime) -> None:
        """Move the clock."""
        self._ticks += 1
        async with clients.producer(self.folder.bootstrap) as producer:
            await tick_clock(producer, self._ticks, at)

    def refusal(self, partition: int = 0) -> Record:
        """The next record of a partition: a refusal, which carries no envelope."""
        number = self._numbers[partition] = self._numbers.get(partition, 0) + 1
        said = altered(
            FIRST, bus=self.folder.settings.bus, partition=partition, number=number, verdict="refused", code="wrong_state",
            rule="P1", article="art. 1", audience=canonical.digest(NOBODY),
            previous=self._previous.get(partition, NOTHING_BEFORE),
        )  # fmt: skip
        self._previous[partition] = said.digest
        headers = ((AUDIENCE, NOBODY), (REGISTRATION, sign_registration(said, self._registrar)))
        return Record(said.subject.encode(), b"", headers)

    async def write(self, records: list[Record], partition: int = 0) -> None:
        """Write *records* to the history as they are."""
        async with clients.producer(self.folder.bootstrap) as producer:
            for each in records:
                await producer.send(
                    "nrm.cases", each.value, key=each.key, headers=list(each.headers), partition=partition
                )
            await producer.flush()

    async def register(self, count: int, partition: int = 0) -> None:
        """Write *count* more registrations to the history."""
        await self.write([self.refusal(partition) for _ in range(count)], partition)

    # -- the process -------------------------------------------------------------------------------------------------

    def start(self, patience: float | None = None) -> Forked:
        """Start an auditor; *patience*: the seconds that it gives the registrar to put a question on record."""
        process = Forked(self.folder.logs / "auditor.log", _audits, self.folder.path, patience)
        self.running.append(process)
        return process

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the auditor that was started last, and return its exit status."""
        process = self.running.pop()
        process.send_signal(how)
        return process.wait(20)

    def stop(self) -> None:
        """Kill every running process."""
        while self.running:
            self.end(signal.SIGKILL)

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines of the process."""
        lines = (self.folder.logs / "auditor.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def get(self, path: str, *, token: str | None = None) -> httpx.Response:
        """Ask the auditor's door."""
        door = json.loads((self.home / "door.json").read_bytes())
        headers = {"authorization": f"Bearer {door['token'] if token is None else token}"}
        async with httpx.AsyncClient(base_url=door["url"], headers=headers) as client:
            return await client.get(path)

    async def until(self, enough: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until its health is *enough*."""
        health: dict[str, Any] = {}

        async def there() -> object:
            nonlocal health
            with suppress(httpx.HTTPError, FileNotFoundError, KeyError):  # not up yet, or has not opened its logs
                health = (await self.get("/health")).json()
                return enough(health)
            return False

        try:
            await eventually("the auditor gets there", there)
        except AssertionError as error:
            log = (self.folder.logs / "auditor.log").read_text()[-2000:]
            raise AssertionError(f"{error}: {health}\n{log}") from None
        return health

    async def shows(self, size: int, *, partition: int = 0) -> None:
        """Wait until its door shows a checkpoint of *size* or more: a checkpoint is signed first, then published, then shown."""

        async def there() -> bool:
            with suppress(httpx.HTTPError, FileNotFoundError):  # not up yet
                answer = await self.get(f"/checkpoint/{partition}")
                return answer.is_success and Checkpoint.parse(Note.parse(answer.content).text).size >= size
            return False

        await eventually(f"the checkpoint of size {size} is published", there)

    async def directory(self) -> Directory:
        """Return the directory of the bus."""
        return await read_directory(self.folder)

    async def checkpoints(self) -> list[tuple[bytes, Published]]:
        """Return the records of the topic, with their checkpoints."""
        topic, keys = TopicPartition("nrm.checkpoints", 0), (await self.directory()).log_keys()
        found: list[tuple[bytes, Published]] = []
        async with clients.reading(self.folder.bootstrap, topic) as (reader, end):
            while await reader.position(topic) < end:
                for records in (await reader.getmany(timeout_ms=200)).values():
                    for each in records:
                        said = published(each.value, self.folder.settings.bus, keys)
                        assert said is not None
                        found.append((each.value, said))
        return found

    def files(self, partition: int = 0) -> dict[str, bytes]:
        """Return every file of a log but the lock, by its path."""
        folder: Path = self.home / "logs" / f"p{partition}"
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}
