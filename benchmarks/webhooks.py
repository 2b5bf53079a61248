"""Webhooks: from the commit of an event in a desk's ledger until its receiver has the request, signed with Ed25519.

Desk and receiver are processes of their own on this machine; both read one monotonic clock. The connection is plain HTTP
to loopback, so the figure is the desk's part and has neither a network nor TLS in it.
"""

import asyncio
import http.server
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from ledgers import Standing, rows_of
from sealing import ranged
from sqlalchemy import insert
from town import Town

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.webhooks.dispatcher import Webhooks
from nrmbus.desk.webhooks.egress import Egress

COUNT: Final = 1_000
A_SECOND: Final = 50
AGENCY: Final = "vac"


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each webhook at `A_SECOND`, sorted; seconds for `COUNT` that were committed at once, and the slowest's delay."""

    delays: list[float]
    at_once: float


def receive(tell: Connection) -> None:
    """Answer every request with 204, and note when each message came for the first time; tell all when asked."""
    came: dict[str, float] = {}

    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.setdefault(json.loads(body)["data"]["id"], time.monotonic())
            self.send_response(204)
            self.end_headers()

        def do_OPTIONS(self) -> None:
            self.send_response(200)
            self.send_header("webhook-allowed-origin", "*")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    tell.send(server.server_port)
    server.timeout = 0.05
    while True:
        server.handle_request()
        if tell.poll():
            tell.recv()
            tell.send(dict(came))


async def webhooks(town: Town, home: Path, now: datetime) -> Measured:
    """Measure the webhooks of a desk with a new ledger at *home*."""
    ledger = await Ledger.open(home / "ledger.sqlite", bus=town.bus, agency=AGENCY)
    seat = Seat(
        bus=town.bus, identity=town.identities[AGENCY], ledger=ledger, directory=town.directory, rules=town.rules,
        agencies={}, clock=Standing(now),
    )  # fmt: skip
    here, there = multiprocessing.get_context("spawn").Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(there,), daemon=True)
    receiver.start()
    hooks = Webhooks(seat, Egress((ip_network("127.0.0.0/8"),), plain_on_loopback=True))
    try:
        port = await asyncio.to_thread(here.recv)
        await hooks.add(f"http://127.0.0.1:{port}/", (), in_order=False, algorithm="v1a")
        running = asyncio.create_task(hooks.run())
        paced = await _put(ledger, now, "paced", pause=1 / A_SECOND)
        delays = [came - paced[id] for id, came in (await _all_of(here, paced)).items()]
        at_once = await _put(ledger, now, "at-once", pause=0)
        last = max((await _all_of(here, at_once)).values())
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return Measured(sorted(each * 1000 for each in delays), last - min(at_once.values()))
    finally:
        receiver.kill()
        await ledger.close()


async def _put(ledger: Ledger, now: datetime, name: str, pause: float) -> dict[str, float]:
    """Store `COUNT` events, one each *pause* seconds, or all at once without a pause; return when each was committed."""
    done = dict[str, float]()
    events = [(f"{name}-{number}", number) for number in range(COUNT)]
    started = time.monotonic()
    pages = [[each] for each in events] if pause else [events]
    for turn, page in enumerate(pages):
        await asyncio.sleep(max(0.0, started + turn * pause - time.monotonic()))
        async with ledger.write() as tx:
            rows = [rows_of(now, id, _number(name, number)) for id, number in page]
            tx.execute(insert(tables.inbox), [inbox for inbox, _ in rows])
            tx.execute(insert(tables.events), [event for _, event in rows])
        done |= dict.fromkeys((id for id, _ in page), time.monotonic())
    return done


def _number(name: str, number: int) -> int:
    return number + 1 + (0 if name == "paced" else COUNT)


async def _all_of(receiver: Any, wanted: dict[str, float]) -> dict[str, float]:
    """Return when the receiver got each of *wanted*, once it has all of them."""
    while True:
        receiver.send("all")
        came: dict[str, float] = await asyncio.to_thread(receiver.recv)
        if wanted.keys() <= came.keys():
            return {id: came[id] for id in wanted}
        await asyncio.sleep(0.1)


def lines(found: Measured) -> Sequence[str]:
    """Return the table."""
    return tuple(_lines(found))


def _lines(found: Measured) -> Iterator[str]:
    yield "| | measured |"
    yield "| --- | --- |"
    yield f"| webhook, {A_SECOND} a second: from the event's commit until the receiver has it, p50, ms | {ranged(found.delays)['p50']:.1f} |"
    yield f"| … p99, ms | {found.delays[COUNT * 99 // 100]:.1f} |"
    yield f"| {COUNT:,} events committed at once, until the receiver has the last one, s | {found.at_once:.2f} |"
