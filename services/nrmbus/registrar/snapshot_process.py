"""Process that writes a snapshot beside a running registrar: it folds what is committed, and never sees the registrar's state.

A fold of its own keeps the work out of the data path, and a fault of the live state out of the snapshot. The process has no
signing key. The registrar tells it where to end, compares the digest of that registration with its own, and signs.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.registrar.history_state import Memory
from nrmbus.registrar.snapshot import Head, Reader, SnapshotRefused, Snapshots
from nrmbus.registrar.spill_file import Scratch
from nrmbus.rules import Rules, add_profiles, installed_digest, load_profile
from nrmbus.telemetry import log
from nrmbus.telemetry.log import set_up_log
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.names import CASES, REGISTRAR
from nrmbus.wire.record import Record

LEAST: Final = 10_000
"""Registrations after the last snapshot, at least, before another is written: as many are folded in half a second."""
SHARE: Final = 8
"""Part of all registrations that a start may have to fold; every snapshot is written whole, so it is not written for less."""
_RUN: Final = "from nrmbus.registrar.snapshot_process import main; main()"
_GIVE_WAY: Final = "import contextlib, os\nwith contextlib.suppress(OSError): {}\n".format(
    "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))" if sys.platform == "linux" else "os.nice(19)"
)
"""Before the imports, which take longer than the folding: run only while a processor has nothing else to do.

Where the system refuses that, as under deploy/systemd, the process takes its share of the machine.
"""


class Cut(Exception):
    """Raised when the history ends before the registration that a snapshot was to end with."""


def snapshots_of(folder: BusFolder, partition: int) -> Snapshots:
    """Return the snapshots of a partition of this machine's registrar."""
    settings = folder.settings
    rules = installed_digest(settings.policy)
    return Snapshots(folder.service(REGISTRAR) / "snapshots", settings.bus, partition, rules)


async def fold_and_save(folder: BusFolder, partition: int, number: int, base: Head | None) -> Head:
    """Fold the history up to the registration *number*, from the snapshot *base* on if there is one; write the state.

    Raises:
        Cut: the history does not go so far.
        HistoryError: it is damaged.
    """
    snapshots, home = snapshots_of(folder, partition), folder.service(REGISTRAR)
    memory = Memory(
        bus=folder.settings.bus,
        partition=partition,
        rules=Rules(load_profile(folder.settings.policy), {}),
        scratch=Scratch(home / f"scratch-{partition}-snapshot"),
    )
    offset = -1
    if base is not None:
        with suppress(SnapshotRefused):
            snapshots.load(memory, base)
            offset = base.offset
    cases = TopicPartition(CASES, partition)
    async with clients.reading(folder.reach(home), cases, offset=offset + 1) as (reader, end):
        while memory.number < number and await reader.position(cases) < end:
            for record in (await reader.getmany(cases, timeout_ms=200, max_records=2000)).get(cases, []):
                if memory.number < number:
                    memory.fold(Record(record.key, record.value, tuple(record.headers)))
                    offset = record.offset
    if memory.number < number:
        raise Cut
    return snapshots.save(memory, offset)


@dataclass(slots=True)
class SnapshotService:
    """Use of the last snapshot of one partition, and writing of the next one, by a process of its own, one at a time."""

    folder: BusFolder
    snapshots: Snapshots
    key: SigningKey
    key_of: Callable[[str], VerifyKey]
    """Finds a key that registrars of this bus have signed with, by its kid."""
    least: int = LEAST
    gives_way: bool = True
    """False has the process take its share of a busy machine."""
    last: Head | None = None
    """The snapshot in use."""
    _tried: int = 0
    _task: asyncio.Task[None] | None = None

    async def restore(self, memory: Memory, reader: Reader, end: int, *, owns: bool = True) -> int:
        """Have the empty *memory* take the last snapshot if it fits; return the offset from which the history is to be folded.

        *owns* as for `Snapshots.restore`.
        """
        self.last = await self.snapshots.restore(memory, reader, end, self.key_of, owns=owns)
        if self.last is None:
            return 0
        log.report("snapshot_used", partition=self.snapshots.partition, number=self.last.number)
        return self.last.offset + 1

    def consider(self, memory: Memory) -> None:
        """Begin a snapshot if enough was registered since the last one. Call this when nothing is to be done, between transactions."""
        since = memory.number - max(self._tried, self.last.number if self.last else 0)
        if self._task is None and since >= max(self.least, memory.number // SHARE):
            self._tried = memory.number
            self._task = asyncio.create_task(self._write(memory.number, memory.previous))

    async def stop(self) -> None:
        """End the process, if one runs, and leave the snapshot before."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _write(self, number: int, digest: str) -> None:
        started, partition = time.monotonic(), self.snapshots.partition
        try:
            head = await self.made(number)
            if head is None or (head.number, head.digest) != (number, digest):
                log.report("snapshot_failed", partition=partition, number=number)
                return
            self.snapshots.keep(head, self.key)
            self.last = head
            took = round(time.monotonic() - started, 1)
            size = self.snapshots.state_path(head).stat().st_size
            log.report("snapshot_written", partition=partition, number=number, size=size, seconds=took)
        except (OSError, ValueError) as error:  # a full disk, a file that somebody removed: the snapshot before stays
            log.report("snapshot_failed", partition=partition, number=number, error=type(error).__name__)
        finally:
            with suppress(OSError):
                self.snapshots.tidy(self.key_of)
            self._task = None

    async def made(self, number: int) -> Head | None:
        """Have a process write the state up to the registration *number*, and return the head that it names; None if it failed."""
        passphrase = keyfile.held()
        job = {
            "folder": str(self.folder.path),
            "partition": self.snapshots.partition,
            "number": number,
            "base": asdict(self.last) if self.last else None,
            "passphrase": passphrase.hand_on().hex() if passphrase else "",
        }
        code = _GIVE_WAY + _RUN if self.gives_way else _RUN
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            # The pipe stays open as long as this process lives, and the other one ends with it.
            process.stdin.write(json.dumps(job).encode() + b"\n")
            said = await process.stdout.read()
            return Head.of(json.loads(said)) if await process.wait() == 0 else None
        except SnapshotRefused:
            return None
        finally:
            process.stdin.close()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _end_with_parent() -> None:
    """End this process when nobody holds the other end of standard input; what it wrote by then has no head."""
    while os.read(sys.stdin.fileno(), 64):
        pass
    os._exit(1)


def main() -> None:
    """Read a job from standard input, do it, and write the head to standard output."""
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if job["passphrase"]:
        keyfile.hold(keyfile.Passphrase(bytes.fromhex(job["passphrase"])))
    set_up_log(REGISTRAR)
    base, status = Head.of(job["base"]) if job["base"] else None, 1
    try:
        folder = BusFolder(Path(job["folder"]))
        add_profiles(folder.own_profiles().values())
        head = asyncio.run(fold_and_save(folder, job["partition"], job["number"], base))
        sys.stdout.write(json.dumps(asdict(head)))
        sys.stdout.flush()
        status = 0
    except Exception as error:  # noqa: BLE001 - whatever it was, the snapshot before stays, and the registrar goes on
        log.report("snapshot_failed", partition=job["partition"], number=job["number"], error=type(error).__name__)
    os._exit(status)  # the other thread still waits for the parent
