"""A whole bus as its operator starts it: the seconds of a start, its memory, and a person's reading at a desk."""

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from throughput import AGENCIES, PATIENCE_SECONDS

from nrmbus.bus.folder import BusFolder
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory.admission import Newcomer
from nrmbus.host.services import SERVICES
from nrmbus.host.supervisor import Supervisor
from nrmbus.wire import ids

DESKS: Final = {**AGENCIES, "shelter": "shelter_state"}
READINGS: Final = 100
FROM: Final = "ngo-a"
TO: Final = "special-unit"
STORY: Final = "A" * 2_000
SIGNAL: Final = {
    "type": "case.signal_recorded",
    "data": {
        "detector": "ngo_outreach",
        "child": False,
        "urgency": "normal",
        "detected_abroad": False,
        "basis": ["indicators"],
    },
}
_CONSENT: Final = {
    "type": "consent.given",
    "data": {
        "purposes": ["information_sharing"],
        "receivers": [TO],
        "given_by": "individual",
        "form": "written",
    },
}
_REFERRAL: Final = {
    "type": "referral.submitted",
    "legal_basis": "CoM 21/2008 art. 7",
    "data": {"mode": "referral", "reason": "FormalIdentification", "urgency": "emergency", "services": []},
    "to": [TO],
    "sealed": {"name": "Example", "facts": STORY},
}


@dataclass(frozen=True, slots=True)
class Whole:
    """Seconds until a fresh bus with a desk an agency is ready, and again; until a killed service runs again; MiB of all services (PSS), and of the broker.

    *desk*: seconds until a desk that was killed is ready again. *registrar*: seconds from killing the registrar until it has
    registered an event that was published at once. *readings*: milliseconds from a person's asking for a letter until it is there, open, on record first.
    """

    first: float
    again: float
    restart: float
    desk: float
    registrar: float
    memory: float
    broker: float
    readings: list[float]


def whole_bus(home: Path, readings: int = READINGS) -> Whole:
    """Start a bus twice on the same data, closed as by default; then have letters published, and read one by one."""
    took: list[float] = []
    memory, broker, restart, of_desk, of_registrar = 0.0, 0.0, 0.0, 0.0, 0.0
    read: list[float] = []
    folder = BusFolder(home)
    folder.create(partitions=1)
    for number in range(2):
        started = time.monotonic()
        with Supervisor(folder, agencies={name: Newcomer(role) for name, role in DESKS.items()}):
            asyncio.run(until_ready(folder, ["registrar", "timekeeper", *DESKS]))
            took.append(time.monotonic() - started)
            running = json.loads((folder.run / "services.json").read_bytes())
            memory = sum(_pss(each["pid"]) for name, each in running.items() if name != "broker")
            broker = _pss(running["broker"]["pid"])
            if number:
                read = asyncio.run(_readings(folder, readings))
                restart = _killed(folder, "timekeeper")
                of_desk = _ready_again(folder, TO)
                of_registrar = asyncio.run(_registers_again(folder))
    return Whole(took[0], took[1], restart, of_desk, of_registrar, memory, broker, read)


def _ready_again(folder: BusFolder, name: str) -> float:
    """Kill the desk of *name*, and return the seconds until it is ready."""
    started = time.monotonic()
    _killed(folder, name)
    asyncio.run(until_ready(folder, [name]))
    return time.monotonic() - started


async def _registers_again(folder: BusFolder) -> float:
    """Kill the registrar, publish a signal at once, and return the seconds from the kill to its registration."""
    async with Door.of(folder.agency(FROM).path) as sender:
        started = time.monotonic()
        _killed(folder, "registrar")
        answer = await sender.publish({**SIGNAL, "case": ids.new_ref(), "actor": "S-1"}, wait=25)
        assert answer["verdict"] == "registered", answer
        return time.monotonic() - started


def _killed(folder: BusFolder, name: str) -> float:
    """Kill a service, and return the seconds until another process has its place."""

    def pid() -> int:
        return int(json.loads((folder.run / "services.json").read_bytes())[name]["pid"])

    before, started = pid(), time.monotonic()
    os.kill(before, signal.SIGKILL)
    while pid() == before:
        assert time.monotonic() < started + PATIENCE_SECONDS, f"{name} was not started again"
        time.sleep(0.005)
    return time.monotonic() - started


async def until_ready(folder: BusFolder, services: list[str]) -> None:
    """Return once each of *services* answers that it is ready."""
    until = time.monotonic() + PATIENCE_SECONDS
    for name in services:
        home = folder.service(name) if name in SERVICES else folder.agency(name).path
        while True:
            with contextlib.suppress(DoorError):
                async with Door.of(home) as door:
                    if (await door.health())["ready"]:
                        break
            assert time.monotonic() < until, f"{name} did not start"
            await asyncio.sleep(0.02)


def _pss(pid: int) -> float:
    """Return the MiB that a process has alone, and its part of shared memory."""
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


async def _readings(folder: BusFolder, count: int) -> list[float]:
    async with Door.of(folder.agency(FROM).path) as sender, Door.of(folder.agency(TO).path) as reader:
        cases = [ids.new_ref() for _ in range(count)]
        for said in (SIGNAL, _CONSENT, _REFERRAL):
            ref = {"ref": ids.new_ref()} if said is _REFERRAL else {}
            for case in cases:
                answer = await sender.publish({**said, **ref, "case": case, "actor": "S-1"})
                assert answer["verdict"] in ("pending", "registered"), answer
        rows = await _heard(reader, set(cases))
        found = []
        for row in rows:
            started = time.perf_counter()
            (event,) = (await reader.inbox(after=row - 1, limit=1, opened=True, actor="S-1"))["events"]
            found.append((time.perf_counter() - started) * 1000)
            assert event["row"] == row
            assert event["letter"]["story"] == {"facts": STORY}, "a letter did not open"
        reads = await reader.get(f"/v1/cases/{cases[0]}/reads")
        assert "S-1" in json.dumps(reads), "a reading is not on record"
        return found


async def _heard(reader: Door, cases: set[str]) -> list[int]:
    """Return the rows of the referrals of *cases*, once all have come."""
    until = time.monotonic() + PATIENCE_SECONDS
    rows: dict[str, int] = {}
    after = 0
    while rows.keys() != cases:
        page: list[dict[str, Any]] = (await reader.inbox(after=after))["events"]
        after = page[-1]["row"] if page else after
        rows |= {each["case"]: each["row"] for each in page if each["type"] == "referral.submitted"}
        assert time.monotonic() < until, f"{len(rows)} of {len(cases)} referrals came"
        if not page:
            await asyncio.sleep(0.05)
    return sorted(rows.values())
