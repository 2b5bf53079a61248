"""Streams of a desk's inbox (SSE): two hundred programs follow it, beside a bare FastAPI stream in the same run.

Desk and bare stream are processes of their own, served by uvicorn alike; the programs are connections of one process, which
shares the two cores with them. A delay is the time from the commit of an event until a program has its line; all processes
read one monotonic clock. The bare route commits a row of the same ledger file's kind, `synchronous=FULL`, and sends as many bytes.
"""

import asyncio
import json
import multiprocessing
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from ledgers import Standing, rows_of
from pages import await_port, config, free_port, pss
from sqlalchemy import insert
from structlog.testing import capture_logs
from throughput import AGENCIES, RECEIVER, SENDERS
from town import Town

from nrmbus.desk.desk import Desk
from nrmbus.desk.http.door import application
from nrmbus.desk.http.scopes import LOCAL
from nrmbus.desk.http.served import Door
from nrmbus.desk.http.streams import MOST
from nrmbus.desk.procedure.interface import Settings
from nrmbus.desk.state.cases import pack
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.rules import Agency
from nrmbus.wire import ids
from nrmbus.wire.envelope import encode

FOLLOWERS: Final = MOST
EVENTS: Final = 40
"""Each comes at every follower, so a percentile rests on 8,000 delays."""
A_SECOND: Final = 2
_ASKS: Final = b"GET /v1/inbox/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\n\r\n"
_REFERRAL: Final = {
    "to": [RECEIVER], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency", "services": [], "child": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """Milliseconds of each event at each follower, sorted; CPU of the server for each event sent, µs; MiB without and with them."""

    delays: list[float]
    cpu: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Both sides, and the answer to one follower more than a desk takes."""

    desk: Side
    bare: Side
    refused: int


def streams(home: Path, now: datetime) -> Measured:
    """Measure both sides, one after the other."""
    bare, _ = _beside(_serve_bare, home, now)
    desk, refused = _beside(_serve_desk, home, now)
    return Measured(desk, bare, refused)


# -- the two servers: each commits an event when the measuring process asks, and says when it was committed -----------------


def _serve_desk(tell: Connection, port: int, home: Path, now: datetime) -> None:
    asyncio.run(_desk(tell, port, home, now))


async def _desk(tell: Connection, port: int, home: Path, now: datetime) -> None:
    town = Town.at(home / "town", now)
    ledger = await Ledger.open(home / "streams.sqlite", bus=town.bus, agency=RECEIVER)
    agencies = {id: Agency(id, role) for id, role in AGENCIES.items()}
    seat = Seat(
        bus=town.bus, identity=town.identities[RECEIVER], ledger=ledger, directory=town.directory, rules=town.rules,
        agencies=agencies, clock=Standing(now),
    )  # fmt: skip
    desk = Desk(seat)
    await desk.load(Settings())

    async def health() -> dict[str, Any]:
        return {"ready": True}

    async def release(_: str) -> int:
        return 0

    door = Door(desk, health=health, release=release, is_local=lambda _: True)
    sender = next(iter(SENDERS))

    async def commit(number: int) -> None:
        event = Event(
            id=ids.new_event_id(int(now.timestamp() * 1000)), source=sender, type="referral.submitted", version=1,
            subject=ids.new_ref(), time=now, recordedtime=now, sequence=1, actor="S-1", policy=town.rules.profile.name,
            referral=ids.new_ref(), legalbasis="CoM 21/2008 art. 7",
            data=data_type("referral.submitted", 1).from_mapping(_REFERRAL),
        )  # fmt: skip
        record = encode(event, town.identities[sender].signing)
        said = {"type": event.type, "headers": pack(record.headers), "value": record.value, "referral": event.referral}
        inbox, heard = rows_of(now, event.id, number, {"subject": event.subject, "source": sender}, said)
        async with ledger.write() as tx:
            tx.execute(insert(tables.inbox), inbox)
            tx.execute(insert(tables.events), heard)

    await _serve(tell, application(door, lambda _: LOCAL), port, commit, lifespan="on")


def _serve_bare(tell: Connection, port: int, home: Path, _now: datetime) -> None:
    asyncio.run(_bare(tell, port, home))


async def _bare(tell: Connection, port: int, home: Path) -> None:
    connection = sqlite3.connect(home / "bare-streams.sqlite", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE inbox (row INTEGER PRIMARY KEY, said TEXT NOT NULL)")
    rows, came = list[str](), asyncio.Condition()
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.get("/v1/inbox/stream", response_class=EventSourceResponse)
    async def follow() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(comment="open")
        after = 0
        while True:
            async with came:
                while len(rows) == after:
                    await came.wait()
            for each in rows[after:]:
                after += 1
                yield ServerSentEvent(raw_data=each, id=f"{after}-0")

    async def commit(number: int) -> None:
        said = json.dumps({"row": number, "event": "x" * 1_400})  # as long as the desk's line of a referral
        connection.execute("INSERT INTO inbox (said) VALUES (?)", (said,))
        async with came:
            rows.append(said)
            came.notify_all()

    await _serve(tell, app, port, commit, lifespan="off")


async def _serve(tell: Connection, app: Any, port: int, commit: Callable[[int], Any], *, lifespan: Any) -> None:
    server = uvicorn.Server(config(app, port, lifespan))

    async def commits() -> None:
        while not server.should_exit:
            if tell.poll():
                await commit(tell.recv())
                tell.send((time.monotonic(), time.process_time()))
            await asyncio.sleep(0.002)

    with capture_logs():
        await asyncio.gather(server.serve(), commits())


# -- the programs ------------------------------------------------------------------------------------------------------------


def _beside(serve: Callable[..., None], home: Path, now: datetime) -> tuple[Side, int]:
    """Run *serve* in a process of its own, and measure it; return the figures, and the status for one follower more."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    port = free_port()
    process = spawn.Process(target=serve, args=(there, port, home, now), daemon=True)
    process.start()
    try:
        await_port(port)
        return asyncio.run(_followed(port, here, process.pid))
    finally:
        process.kill()
        process.join()


async def _followed(port: int, server: Any, pid: int | None) -> tuple[Side, int]:
    before, came = pss(pid), [dict[int, float]() for _ in range(FOLLOWERS)]
    opened = [await _opened(port) for _ in range(FOLLOWERS)]
    assert {status for status, _, _ in opened} == {200}
    refused, _, extra = await _opened(port)
    extra.close()
    reading = [asyncio.create_task(_read(each[1], rows)) for each, rows in zip(opened, came, strict=True)]
    committed, spent = dict[int, float](), list[float]()
    for number in range(1, EVENTS + 1):
        until = time.monotonic() + 1 / A_SECOND
        server.send(number)
        committed[number], cpu = await asyncio.to_thread(server.recv)
        spent.append(cpu)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
    await asyncio.gather(*reading)
    after = pss(pid)
    for _, _, writer in opened:
        writer.close()
    delays = sorted((at - committed[row]) * 1000 for rows in came for row, at in rows.items())
    return Side(delays, (spent[-1] - spent[0]) / (EVENTS - 1) / FOLLOWERS * 1e6, before, after), refused


async def _opened(port: int) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_ASKS)
    status = int((await reader.readline()).split()[1])
    while (await reader.readline()).strip():
        pass
    return status, reader, writer


async def _read(reader: asyncio.StreamReader, rows: dict[int, float]) -> None:
    while len(rows) < EVENTS:
        line = await reader.readline()
        if line.startswith(b"id: "):
            rows.setdefault(int(line[4:].split(b"-")[0]), time.monotonic())
        assert line, "the server has closed a stream"


def lines(found: Measured) -> Sequence[str]:
    """Return the table."""

    def row(name: str, value: Callable[[Side], float], form: str = ".1f") -> str:
        return f"| {name} | {value(found.desk):{form}} | {value(found.bare):{form}} |"

    def at(share: int) -> Callable[[Side], float]:
        return lambda side: side.delays[len(side.delays) * share // 100]

    return [
        f"| {FOLLOWERS} programs follow a desk's inbox by SSE, {A_SECOND} events a second | the desk | a bare FastAPI stream |",
        "| --- | --- | --- |",
        row("from the event's commit until a program has it, p50, ms", at(50)),
        row("… p99, ms", at(99)),
        row("CPU of the server for each event at each program, µs", lambda side: side.cpu, ".0f"),
        row("memory (PSS) of the server before the first program, MiB", lambda side: side.before, ".0f"),
        row("… with all of them", lambda side: side.after, ".0f"),
        f"| status for one program more | {found.refused} | |",
    ]
