"""A whole small bus on a real broker: the registrar and desks as processes of their own, and their doors."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from brokers import Broker
from forked import Forked, service
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.lease import How
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory.admission import Newcomer, admit
from patience import PATIENCE, ended, eventually

STARTS = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
SESSION = 6.5
"""A little longer than the session of a registrar's membership."""
_RUN = "import sys\nfrom pathlib import Path\nfrom nrmbus.bus.folder import BusFolder\nfrom nrmbus.host.services import run_service\nrun_service(sys.argv[1], BusFolder(Path(sys.argv[2])))"

_RUN_EARLIER = f"import sys\nsys.path.append(sys.argv[3])\nfrom generations import before_version\nwith before_version(2):\n    exec({_RUN!r})"


class LiveBus:
    """Services by name, each a process that can be killed and started again."""

    def __init__(self, folder: BusFolder) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self._copies: list[LiveBus] = []

    def start(self, *names: str, how: How = "wait") -> None:
        """Start services; `ready` waits for them. *how* says what a desk does that another process runs."""
        for name in names:
            self._processes[name] = service(name, self.folder, how)

    def start_earlier(self, name: str) -> None:
        """Start a service as a release that knows only the first version of each type."""
        with (self.folder.logs / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-c", _RUN_EARLIER, name, str(self.folder.path), str(Path(__file__).parents[1])]
            self._processes[name] = subprocess.Popen(command, stderr=log, stdout=log)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> float:
        """End a service and wait for it; return the seconds taken, without the time that the service had no processor."""
        took, _ = ended(self._processes[name], how)
        return took

    def signal(self, name: str, which: signal.Signals) -> None:
        """Send a service a signal."""
        self._processes[name].send_signal(which)

    def pid(self, name: str) -> int:
        """Return the number of a service's process."""
        return self._processes[name].pid

    def status(self, name: str) -> int | None:
        """Return the exit status of a service, or None while it runs."""
        return self._processes[name].returncode

    def door(self, name: str) -> Door:
        """Return the door of a desk or of a service."""
        home = self.folder.agency(name).path
        return Door.of(home if home.exists() else self.folder.service(name))

    async def ready(self, *names: str) -> None:
        """Wait until the desks *names* handle their inbox; no longer than `PATIENCE`."""
        for name in names:
            await self.until(name, lambda health: bool(health["ready"]))

    async def served(self) -> None:
        """Wait until the registrar serves all outboxes.

        A registrar killed on another bus of this broker may leave an assignment of deleted topics, which its
        successor inherits until that session ends; only a test's broker deletes topics.
        """
        until, registrar = time.monotonic() + PATIENCE, self._processes["registrar"]
        while time.monotonic() < until:
            if registrar.poll() is not None:
                await asyncio.sleep(SESSION)
                self.start("registrar")
                registrar = self._processes["registrar"]
            with suppress(DoorError, httpx.HTTPError, KeyError):
                async with Door.of(self.folder.service("registrar")) as door:
                    if (await door.health())["ready"]:
                        return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the registrar does not serve: {log_of(self.folder, 'registrar')[-2000:]}")

    async def until(self, name: str, enough: Any) -> dict[str, Any]:
        """Wait until the health of a desk is *enough*."""
        health: dict[str, Any] = {}

        async def there() -> object:
            nonlocal health
            if self._processes["registrar"].poll() is not None:
                self.start("registrar")  # as its supervisor does: it leaves whenever a transaction was cut
            with suppress(DoorError, httpx.HTTPError, KeyError):
                async with self.door(name) as door:
                    health = await door.health()
                return enough(health)
            return False

        try:
            await eventually(f"{name} gets there", there)
        except AssertionError as error:
            logs = "\n".join(log_of(self.folder, each)[-2000:] for each in (name, "registrar"))
            raise AssertionError(f"{error}: {health}\n{logs}") from None
        return health

    def copied(self, to: Path) -> "LiveBus":
        """Return this bus on another host: a copy of the whole folder *to* another place, whose desks do not run yet."""
        shutil.copytree(self.folder.path, to)
        other = LiveBus(BusFolder(to))
        other._processes["registrar"] = self._processes["registrar"]
        self._copies.append(other)
        return other

    def stop(self) -> None:
        """Kill all running services, on every host."""
        for other in self._copies:
            other.stop()
        for process in self._processes.values():
            process.kill()
            process.wait(PATIENCE)


@asynccontextmanager
async def live(
    broker: Broker, agencies: Mapping[str, str], *, run: Sequence[str] = (), partitions: int = 1
) -> AsyncIterator[LiveBus]:
    """Yield a play bus with *agencies* (id to role), its registrar, and the desks *run* ready."""
    folder = await asyncio.to_thread(broker.fresh_bus, partitions=partitions)
    capacity = {"women": 2, "men": 1}
    await admit(folder, {agency: Newcomer(role, None, capacity) for agency, role in agencies.items()}, STARTS)
    async with clients.producer(folder.bootstrap) as producer:
        await tick_clock(producer, 1, STARTS)
    bus = LiveBus(folder)
    try:
        bus.start("registrar", *run)
        await bus.served()
        await bus.ready(*run)
        yield bus
    finally:
        bus.stop()


def signal_of(case: str) -> dict[str, Any]:
    """Return an NGO's first event about a person."""
    return {
        "type": "case.signal_recorded", "case": case, "actor": "S-1",
        "data": {"detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"]},
        "sealed": {"age_band": "25-34", "sex": "F", "notes": "CANARY-desk-story she may not leave"},
    }  # fmt: skip


def log_of(folder: BusFolder, name: str) -> str:
    """Return the text that a service wrote to its log."""
    return Path(folder.logs / f"{name}.log").read_text()
