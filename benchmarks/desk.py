"""A desk: publications at its door, events and referrals that wait in its inbox, memory; beside a bare FastAPI route.

A closed bus with a registrar and one desk at a time, on one machine. A publication counts when the door has answered,
which is after its commit; its CPU is the desk's until the registrar's receipt is stored. What waits in an inbox counts
when the desk has handled all of it, the letters opened.
"""

import asyncio
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from referrals import FROM, TO, Sealer, load
from throughput import CASES, PATIENCE_SECONDS, admitted, agencies_of, bus, committed, cpu_seconds, process, send

from nrmbus.auditor.history.history import rules_of
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.admission import read_directory
from nrmbus.play.load import POLICY, Submission
from nrmbus.wire import ids

SENDER: Final = "ngo-l"
"""Agency whose door is measured: nothing comes to it but its own receipts."""
AT_ONCE: Final = (1, 8, 50)
"""How many publications are under way at the same time."""
_SIGNAL: Final = {
    "type": "case.signal_recorded", "actor": "S-1",
    "data": {
        "detector": "ngo_legal", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"]
    },
}  # fmt: skip


class Rate(NamedTuple):
    """Publications or events a second, and CPU of the process in milliseconds each."""

    a_second: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Doors:
    """One round at both doors, each with so many publications at once as `AT_ONCE` says."""

    desk: tuple[Rate, ...]
    bare: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Rounds at the doors; the inbox without letter and with one; MiB of the desk (PSS), of the sender and the receiver."""

    doors: list[Doors]
    events: Rate
    referrals: Rate
    memory: tuple[float, float]


def desk(home: Path, count: int, rounds: int) -> Measured:
    """Measure on a fresh closed bus: *count* publications a round, and as many events in the inbox."""
    home.mkdir(parents=True)
    with bus(home / "bus", closed=True) as (folder, _):
        admitted(folder)
        with _service(folder, "registrar"):
            with _service(folder, TO):  # a ledger that has read nothing would count as lost when it starts again
                _heard(folder, _events(folder, 3, FROM[:1]))
            with _service(folder, SENDER) as pid:
                doors = [_doors(home / f"bare-{each}", folder, pid, count) for each in range(rounds)]
                sender = _memory(pid)
            events, _ = _inbox(folder, _events(folder, count))
            referrals, receiver = _inbox(folder, *_referrals(folder, count // 2))
    return Measured(doors, events, referrals, (sender, receiver))


# -- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def _service(folder: BusFolder, name: str) -> Iterator[int]:
    """Run the service *name*, ready, until the block ends."""
    home = folder.service(name) if name == "registrar" else folder.agency(name).path
    with _started(folder, name) as pid:
        _until(lambda: _health(home).get("ready"), f"{name} is ready")
        yield pid


@contextmanager
def _started(folder: BusFolder, name: str) -> Iterator[int]:
    """Start the service *name*; end it in order when the block ends."""
    run = ["run", name, "--keys-unprotected", "--data", str(folder.path)]
    command = [sys.executable, "-c", "from nrmbus.cli import main; main()", *run]
    with (folder.path / f"{name}.log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as started:
        try:
            yield started.pid
            started.terminate()
            started.wait(PATIENCE_SECONDS)
        finally:
            started.kill()


def _until(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.02)


def _health(home: Path) -> dict[str, Any]:
    """Return the health of a service; empty while the service does not answer."""
    try:
        there = json.loads((home / "door.json").read_bytes())
        return asyncio.run(_asked("GET", "/health", there))
    except (OSError, ValueError, EOFError):
        return {}


async def _asked(method: str, path: str, there: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
    connection = await Connection.to(there)
    try:
        return (await connection.ask(method, path, body))[1]
    finally:
        connection.close()


def _memory(pid: int) -> float:
    """MiB that a process alone has, and its share of what it shares."""
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


# -- at the door -----------------------------------------------------------------------------------------------------


class Connection:
    """One HTTP connection that is kept: a client that costs next to nothing, since both doors share the machine with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token

    @classmethod
    async def to(cls, there: dict[str, Any]) -> "Connection":
        """Connect to the door that a ``door.json`` names."""
        host, _, port = str(there["url"]).removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)), str(there.get("token", "")))

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Return status and JSON of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer.lower())
        raw = await self._reader.readexactly(int(length[1]) if length else 0)
        return int(answer.split(b" ", 2)[1]), json.loads(raw)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _doors(ledger: Path, folder: BusFolder, pid: int, count: int) -> Doors:
    there = json.loads((folder.agency(SENDER).path / "door.json").read_bytes())

    def settled() -> None:
        _until(lambda: _open(folder, SENDER) == 0, "every publication is answered")

    of_desk = tuple(_published(there, pid, count, width, settled) for width in AT_ONCE)
    with _bare(ledger) as (bare, url):
        of_bare = tuple(_published({"url": url}, bare, count, width, lambda: None) for width in AT_ONCE)
    return Doors(of_desk, of_bare)


@contextmanager
def _bare(ledger: Path) -> Iterator[tuple[int, str]]:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    program = Path(__file__).with_name("bare_door.py")
    with process([sys.executable, str(program), f"{ledger}.sqlite", str(port)], ledger.with_suffix(".log")) as pid:
        url = f"http://127.0.0.1:{port}"
        _until(lambda: _answers(url), "the bare door answers")
        yield pid, url


def _answers(url: str) -> bool:
    try:
        return bool(asyncio.run(_asked("POST", "/v1/events", {"url": url}, json.dumps(_SIGNAL).encode())))
    except OSError:
        return False


def _published(there: dict[str, Any], pid: int, count: int, width: int, settled: Callable[[], None]) -> Rate:
    """Publish *count* signals, a case each, *width* at once; return how many a second were accepted, and the CPU of each."""
    bodies = [json.dumps({**_SIGNAL, "case": ids.new_ref()}).encode() for _ in range(count)]
    before = cpu_seconds(pid)
    seconds = asyncio.run(_publish(there, bodies, width))
    settled()
    return Rate(count / seconds, (cpu_seconds(pid) - before) / count * 1000)


async def _publish(there: dict[str, Any], bodies: Sequence[bytes], width: int) -> float:
    left = iter(bodies)

    async def one(connection: Connection) -> None:
        for body in left:
            status, answer = await connection.ask("POST", "/v1/events", body)
            assert status in {200, 202}, answer

    connections = [await Connection.to(there) for _ in range(width)]
    try:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for connection in connections:
                tasks.create_task(one(connection))
        return time.perf_counter() - started
    finally:
        for connection in connections:
            connection.close()


# -- in the inbox ----------------------------------------------------------------------------------------------------

_OPEN: Final = "SELECT count(*) FROM outbox WHERE state <> 'closed'"
_HANDLED: Final = "SELECT count(*) FROM events WHERE source <> ? AND position NOT IN (SELECT position FROM parked)"


def _events(folder: BusFolder, count: int, names: Sequence[str] = FROM) -> list[Submission]:
    """Return *count* signals without a letter, a case each, which the agency `TO` hears of."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    agencies = agencies_of(folder, -(-count // len(names)), names, TO)
    return [agency.submit(subject, now, 1) for agency in agencies for subject in agency.cases][:count]


def _referrals(folder: BusFolder, count: int) -> tuple[list[Submission], list[Submission]]:
    """Return *count* referrals with a letter of five parts, and the events that come before them."""
    directory = asyncio.run(read_directory(folder))
    sealer = Sealer(folder.settings.bus, directory, rules_of(directory, POLICY), letters=True)
    agencies = agencies_of(folder, -(-count // len(FROM)), FROM, TO)
    made = load(sealer, agencies, datetime.now(UTC).replace(microsecond=0), count, 0)
    return list(made.counted), list(made.before)


def _registered(folder: BusFolder, sent: Sequence[Submission]) -> int:
    """Have *sent* registered; return how many of them the registrar delivered to `TO`."""
    where, ids_of = folder.as_operator, {each.id.encode() for each in sent}
    asyncio.run(send(where, sent))

    def found(topic: str) -> int:
        return sum(dict(each.headers).get("ce_id") in ids_of for each in asyncio.run(committed(where, topic)))

    _until(lambda: found(CASES) == len(sent), "all that was sent is registered")
    return found(f"nrm.inbox.{TO}")


def _handled(folder: BusFolder) -> int:
    """Return how many events of others the desk of `TO` has handled."""
    return _counted(folder, TO, _HANDLED, TO)


def _open(folder: BusFolder, name: str) -> int:
    """Return how many events of the desk of *name* have no answer yet."""
    return _counted(folder, name, _OPEN)


def _counted(folder: BusFolder, name: str, query: str, *values: str) -> int:
    # By its ledger, and not by its door: a desk that is asked for its health all the time does nothing else.
    with closing(sqlite3.connect(f"{folder.agency(name).ledger.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute(query, values).fetchone()[0])


def _heard(folder: BusFolder, sent: Sequence[Submission]) -> None:
    """Have *sent* registered, and handled by the desk of `TO`, which runs."""
    due = _handled(folder) + _registered(folder, sent)
    _until(lambda: _handled(folder) >= due and not _open(folder, TO), "the desk has handled what was sent")


def _inbox(folder: BusFolder, waiting: Sequence[Submission], before: Sequence[Submission] = ()) -> tuple[Rate, float]:
    """Have *waiting* registered while the desk is down; return how fast the desk then handles it, and its memory in MiB."""
    if before:
        with _service(folder, TO):
            _heard(folder, before)
    first = _handled(folder)
    due = first + _registered(folder, waiting)
    assert due == first + len(waiting), "the special unit hears of all of it"
    with _started(folder, TO) as pid:
        _until(lambda: _handled(folder) > first, "the desk reads its inbox")
        begun, started, cpu = _handled(folder), time.perf_counter(), cpu_seconds(pid)
        _until(lambda: _handled(folder) >= due, "the desk has handled what waited")
        seconds = time.perf_counter() - started
        _until(lambda: not _open(folder, TO), "what follows is answered")
        count = due - begun
        return Rate(count / seconds, (cpu_seconds(pid) - cpu) / count * 1000), _memory(pid)


# -- the table -------------------------------------------------------------------------------------------------------


def lines(found: Measured) -> list[str]:
    """Return the table *A desk*."""
    one, eight, fifty = (
        (median(each.desk[width].a_second for each in found.doors), median(each.bare[width].a_second for each in found.doors))
        for width in range(len(AT_ONCE))
    )  # fmt: skip
    cpu = [median(each.desk[width].cpu for each in found.doors) for width in (0, 1)]
    bare = [median(each.bare[width].cpu for each in found.doors) for width in (0, 1)]
    return [
        "| a desk, on a closed bus | a desk | bare FastAPI route, one row, FULL | desk / bare | aim |",
        "| --- | --- | --- | --- | --- |",
        f"| publications a second, one after another | {one[0]:,.0f} | {one[1]:,.0f} | {one[0] / one[1]:.2f} | ≥ 150, ≥ 0.4 |",
        f"| … {AT_ONCE[1]} at once | {eight[0]:,.0f} | {eight[1]:,.0f} | {eight[0] / eight[1]:.2f} | ≥ 400, ≥ 0.4 |",
        f"| … {AT_ONCE[2]} at once | {fifty[0]:,.0f} | {fifty[1]:,.0f} | {fifty[0] / fifty[1]:.2f} | |",
        f"| … CPU of each until its receipt is stored, ms, one after another | {cpu[0]:.1f} | {bare[0]:.1f} | | ≤ 3 |",
        f"| … {AT_ONCE[1]} at once | {cpu[1]:.1f} | {bare[1]:.1f} | | ≤ 3 |",
        f"| events without a letter that waited in the inbox, a second | {found.events.a_second:,.0f} | | | ≥ 400 |",
        f"| … CPU of each, all that follows included, ms | {found.events.cpu:.1f} | | | |",
        f"| referrals with a letter of five parts, a second | {found.referrals.a_second:,.0f} | | | ≥ 100 |",
        f"| … CPU of each, all that follows included, ms | {found.referrals.cpu:.1f} | | | |",
        f"| memory (PSS) of the desk that sent, MiB | {found.memory[0]:.0f} | | | ≤ 90 |",
        f"| … of the desk that received | {found.memory[1]:.0f} | | | ≤ 90 |",
    ]
