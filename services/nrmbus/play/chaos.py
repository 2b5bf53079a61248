"""A whole bus under faults: ``python -m nrmbus.play.chaos``. Nothing that anybody was told is accepted may be lost or doubled.

Two agencies write signed events into their outboxes, two speak through their desks' doors, and a special unit's desk is
told of every signal. Meanwhile services and the broker are killed, frozen and restarted, at random by a seed. Then the
brokers' topics are compared with what was acknowledged (`trail`), and the desks' ledgers with what their doors accepted.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import Progress

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.wall_clock import wall_now
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory import Identity, Operator
from nrmbus.directory.admission import Newcomer, home_of, read_directory
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.chaos_report import Fault, Found, show
from nrmbus.play.load import Agency, Submission
from nrmbus.play.quiet import Quiet
from nrmbus.play.stage import StageError
from nrmbus.play.trail import check
from nrmbus.wire import ids
from nrmbus.wire.names import CASES, DIRECTORY, REGISTRAR, TIMEKEEPER

DESKS: Final = {"ngo-a": "ngo_outreach", "ngo-b": "ngo_outreach", "special-unit": "special_unit"}
SPEAKERS: Final = ("ngo-a", "ngo-b")
OUTBOXES: Final = {"ngo-l": "ngo_legal", "vac": "vac"}
"""Agencies without a desk here: what they sign is written into their outboxes as their own system would write it."""
SIGNAL: Final = {
    "type": "case.signal_recorded",
    "actor": "S-0001",
    "data": {
        "detector": "ngo_outreach", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"],
    },
}  # fmt: skip

REGISTRAR_FROZEN: Final = 7.5
"""Longer than the registrar's session, and than a broker's: it wakes up as a zombie."""
DESK_FROZEN: Final = 47.0
"""Longer than a desk's session (45 s)."""
BACK_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 90.0

KINDS: Final[Mapping[str, int]] = {
    "kill registrar": 5, "kill desk": 5, "kill broker": 3, "kill timekeeper": 2, "freeze registrar": 2,
    "restart registrar": 2, "restart desk": 2, "kill registrar and desk": 2, "kill broker and registrar": 1,
}  # fmt: skip
"""Faults of a bus, with relative frequencies; a desk is frozen once in 25, since the freeze takes 47 s."""
FIRST: Final = (
    "kill registrar", "kill desk", "kill timekeeper", "kill broker", "freeze registrar", "restart registrar", "restart desk",
)  # fmt: skip
OF_THREE: Final = ("kill one broker", "freeze one broker")
"""Faults of a bus with three brokers, in place of those of a single one."""
Notify = Callable[[int, str], None]


class Chaos:
    """A bus with load and faults."""

    def __init__(self, folder: BusFolder, seed: int) -> None:
        self._folder, self._brokers = folder, folder.settings.brokers
        self._random = random.Random(seed)  # noqa: S311 - a seed that can be repeated is what is wanted
        self.found = Found(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", seed)
        self.accepted: list[tuple[str, str, str]] = []
        self.acknowledged: list[tuple[str, str, str]] = []
        self._speaking = True
        self._last = 0.0
        """When the newest registration was written, by the wall's clock."""

    # -- load --------------------------------------------------------------------------------------------------------

    async def outboxes(self) -> list[Agency]:
        """Admit those who write into their outboxes themselves."""
        operator, directory = Operator(self._folder.path), await read_directory(self._folder)
        everybody, partitions = sorted({*directory.entries, *OUTBOXES}), self._folder.settings.partitions
        await asyncio.to_thread(topics.apply, self._folder.as_operator, everybody, partitions, play=False)
        gate, agencies = Gate(self._folder), []
        await asyncio.to_thread(gate.equip, {name: self._folder.agency(name).path for name in OUTBOXES})
        await asyncio.to_thread(gate.apply)  # who has no certificate has no rights on its topics, nor has the registrar
        async with clients.producer(self._folder.as_operator) as producer:
            for name, role in OUTBOXES.items():
                identity = Identity.at(self._folder.agency(name).path, name)
                entry = operator.entry(directory, identity, role, wall_now() - timedelta(minutes=1))
                if entry is not None:
                    directory.add(entry)
                    await producer.send_and_wait(DIRECTORY, value=entry, key=name.encode(), partition=0)
                # Consents may name agencies of the directory only.
                receiver = next(each for each in OUTBOXES if each != name)
                agencies.append(Agency(identity, receiver, [ids.new_ref() for _ in range(50)]))
        return agencies

    async def write(self, agency: Agency) -> None:
        """Write into an outbox until told to stop, as a relay does: what was not acknowledged is sent again."""
        turn = 0
        while self._speaking:
            with contextlib.suppress(KafkaError, OSError):
                async with clients.producer(self._folder.as_operator) as producer:
                    while self._speaking:
                        submission = agency.submit(
                            agency.cases[turn % len(agency.cases)], wall_now(), self._folder.settings.partitions
                        )
                        turn += 1
                        await self._until_acknowledged(producer, submission)
                        await asyncio.sleep(0.02)

    async def _until_acknowledged(self, producer: AIOKafkaProducer, submission: Submission) -> None:
        while True:
            try:
                record, headers = submission.record, list(submission.record.headers)
                await producer.send_and_wait(
                    submission.topic, record.value, record.key, submission.partition, headers=headers
                )
            except (KafkaError, OSError):  # given up here, its sequence would be missing, and all after it refused
                await asyncio.sleep(0.2)
            else:
                self.acknowledged.append((submission.agency, submission.subject, submission.id))
                return

    async def speak(self, agency: str) -> None:
        """Record signals at a desk's door until told to stop; asked again, with the same id, until it is accepted."""
        while self._speaking:
            body = {**SIGNAL, "id": ids.new_event_id(), "case": ids.new_ref()}
            while True:
                with contextlib.suppress(DoorError):
                    async with self._door(agency) as door:
                        await door.publish(body)
                        break
                await asyncio.sleep(0.05)
            self.accepted.append((agency, str(body["case"]), str(body["id"])))
            await asyncio.sleep(0.1)

    async def follow(self) -> None:
        """Note when the newest registration was written, for ever."""
        where = [TopicPartition(CASES, each) for each in range(self._folder.settings.partitions)]
        while True:
            with contextlib.suppress(KafkaError, OSError):
                async with clients.reader(self._folder.as_operator) as reader:
                    reader.assign(where)
                    await reader.seek_to_end(*where)
                    async for record in reader:
                        self._last = max(self._last, record.timestamp / 1000)

    # -- faults ------------------------------------------------------------------------------------------------------

    def plan(self, count: int) -> list[str]:
        """Return *count* faults in random order: each kind once if there is room, a frozen desk in 25, the rest by weight."""
        more = OF_THREE if self._brokers > 1 else ()
        usual = [each for each in FIRST if not (more and "broker" in each)]
        fixed = [*more, *usual, *["freeze desk"] * (count // 25)][:count]
        kinds_of = {each: often for each, often in KINDS.items() if not (more and "broker" in each)}
        kinds_of |= dict.fromkeys(more, 5)
        rest = self._random.choices(list(kinds_of), list(kinds_of.values()), k=count - len(fixed))
        kinds = [*fixed, *rest]
        self._random.shuffle(kinds)
        return kinds

    async def harm(self, kind: str) -> Fault:
        """Do one fault and wait until it is past."""
        what, _, whom = kind.partition(" ")
        services = [self._named(each) for each in whom.split(" and ")]
        before = {each: self._pid(each) for each in services}
        read = {each: await self._read(each) for each in services if each in DESKS}
        if what == "freeze":
            await self._freeze(services[0])
        since = time.time()
        for each in services if what != "freeze" else ():
            pid = before[each]
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if what == "kill" else signal.SIGTERM)
        service, started = services[0], time.monotonic()
        if service in DESKS:
            started = await self._returned(service, before[service]) if what != "freeze" else started
            await self._until(lambda: self._has_read(service, read[service]), service)
        elif service == TIMEKEEPER:
            await self._returned(service, before[service])
            await self._until(lambda: self._ready(service), service)
        else:
            if what == "restart":  # until it is gone, it goes on registering
                await self._returned(service, before[service])
                since = time.time()
            await self._until(lambda: self._registers(since), service)
        return Fault(kind, "+".join(services), round(time.monotonic() - started, 2))

    def _named(self, whom: str) -> str:
        """Return the process that a word of a fault means, chosen among the desks or the brokers."""
        several = {"desk": list(DESKS), "one broker": [f"broker.{each + 1}" for each in range(self._brokers)]}
        return self._random.choice(several[whom]) if whom in several else whom

    async def _freeze(self, service: str) -> None:
        pid = self._pid(service)
        if pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(DESK_FROZEN if service in DESKS else REGISTRAR_FROZEN)
        os.kill(pid, signal.SIGCONT)

    async def _until(self, past: Callable[[], Awaitable[bool]], service: str) -> None:
        until = time.monotonic() + BACK_SECONDS
        while not await past():
            if time.monotonic() > until:
                self.found.restless = f"{service} did not come back"
                return
            await asyncio.sleep(0.02)

    async def _registers(self, since: float) -> bool:
        return self._last > since

    async def _returned(self, service: str, before: int | None) -> float:
        """When the service's new process was there."""

        async def anew() -> bool:
            return self._pid(service) not in (None, before)

        await self._until(anew, service)
        return time.monotonic()

    async def _read(self, desk: str) -> int:
        with contextlib.suppress(DoorError):
            async with self._door(desk) as door:
                return sum((await door.health())["inbox"].values())
        return 0

    async def _has_read(self, desk: str, before: int) -> bool:
        return await self._read(desk) > before

    async def _ready(self, service: str) -> bool:
        with contextlib.suppress(DoorError):
            async with self._door(service) as door:
                return bool((await door.health())["ready"])
        return False

    def _pid(self, service: str) -> int | None:
        with contextlib.suppress(FileNotFoundError, KeyError):
            pid: int = json.loads((self._folder.run / "services.json").read_bytes())[service]["pid"]
            return pid
        return None

    def _door(self, service: str) -> Door:
        return Door.of(home_of(self._folder, service))

    # -- a run -------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        """Load until the block ends."""
        for service in (REGISTRAR, TIMEKEEPER, *DESKS):
            await self._until(lambda name=service: self._ready(name), service)  # type: ignore[misc]
        said = [*(self.write(each) for each in await self.outboxes()), *(self.speak(each) for each in SPEAKERS)]
        speaking, following = [asyncio.create_task(each) for each in said], asyncio.create_task(self.follow())
        try:
            await self._until(lambda: self._registers(0), REGISTRAR)
            yield
        finally:
            self._speaking = False
            await asyncio.gather(*speaking)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until everything that was accepted has its answer everywhere, and look at topics."""
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            everything = [*self.acknowledged, *self.accepted]
            self.found.trail = await asyncio.to_thread(check, self._folder.as_operator, everything)
            if not self.found.trail.lost or time.monotonic() > until:
                break
            await asyncio.sleep(1)
        doors = {name: self._door(name) for name in (REGISTRAR, TIMEKEEPER, *DESKS)}
        try:
            await Quiet(doors, SETTLE_SECONDS).wait(DESKS)
            self.found.trail = await asyncio.to_thread(check, self._folder.as_operator, everything)
        except StageError as error:
            self.found.restless = str(error)
        finally:
            for door in doors.values():
                await door.__aexit__(None, None, None)
        self.found.acknowledged, self.found.accepted = len(self.acknowledged), len(self.accepted)

    async def run(self, faults: int, seconds: float, notify: Notify) -> None:
        """Load, *faults* (no new one after *seconds*), rest."""
        until = time.monotonic() + seconds
        async with self.loaded():
            for number, kind in enumerate(self.plan(faults)):
                if time.monotonic() > until:
                    break
                notify(number, kind)
                self.found.faults.append(await self.harm(kind))
                await asyncio.sleep(self._random.uniform(0.1, 1.0))
        notify(faults, "coming to rest")
        await self.settle()


def look_into_ledgers(folder: BusFolder, accepted: Sequence[tuple[str, str, str]], found: Found) -> None:
    """Compare the ledgers of a stopped bus with the events *accepted* by its doors: (agency, case, id)."""
    told = _rows(folder, "special-unit", "select subject, id, count(*) from events group by source, subject, id")
    for speaker in SPEAKERS:
        mine = {(case, event) for agency, case, event in accepted if agency == speaker}
        own = _rows(folder, speaker, "select subject, id, count(*) from events where source = ? group by 1, 2", speaker)
        query = (
            "select subject, id, count(*) from outbox where state = 'closed' and verdict = 'registered' group by 1, 2"
        )
        closed = _rows(folder, speaker, query)
        found.unclosed += len(mine - closed.keys()) + len(mine - own.keys())
        found.doubled += sum(rows[each] > 1 for rows in (closed, own, told) for each in mine & rows.keys())
        found.unheard += len(mine - told.keys())


def _rows(folder: BusFolder, agency: str, query: str, *values: str) -> dict[tuple[str, str], int]:
    with contextlib.closing(sqlite3.connect(f"file:{folder.agency(agency).ledger}?mode=ro", uri=True)) as ledger:
        return {(case, event): count for case, event, count in ledger.execute(query, values)}


def play(
    home: Path,
    *,
    faults: int,
    seconds: float = 3600.0,
    seed: int = 0,
    brokers: int = 1,
    notify: Notify = lambda _number, _what: None,
) -> Found:
    """Run a fresh bus with one or three *brokers* in *home* under *faults*, then check everything; *notify* is called with each fault."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would report each broker that we kill
    folder = BusFolder(home)
    folder.create(partitions=1, brokers=brokers)
    with Supervisor(folder, agencies={name: Newcomer(role) for name, role in DESKS.items()}):
        chaos = Chaos(folder, seed)
        asyncio.run(chaos.run(faults, seconds, notify))
    look_into_ledgers(folder, chaos.accepted, chaos.found)
    return chaos.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and answer 1 where anything was lost, doubled, out of order, unanswered or late."""
    parser = argparse.ArgumentParser(prog="python -m nrmbus.play.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="no new fault after so long")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats a run's faults"
    )
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="of the bus's Kafka (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    asked = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="nrmbus-chaos-") as home,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("starting the bus", total=asked.faults)
        found = play(
            Path(home) / "bus", faults=asked.faults, seconds=asked.seconds, seed=asked.seed, brokers=asked.brokers,
            notify=lambda number, what: progress.update(bar, completed=number, description=what),
        )  # fmt: skip
    if asked.json:
        told = asdict(found) | {"anomaly": found.anomaly, "late": len(found.late)}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        show(found)
    return int(found.anomaly or bool(found.late))


if __name__ == "__main__":
    sys.exit(main())
