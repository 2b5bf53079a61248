"""Work list of a desk with a thousand cases: fifty browsers, beside a bare page of FastAPI and Jinja in the same run.

Desk and bare page are processes of their own, served by uvicorn alike; the browsers are one process, which shares the two
cores with them. *Paced*: each of fifty people opens a page every two seconds. *At once*: all fifty ask in the same moment.
The desk's page needs a session, a look into its ledger, and the frame of all pages; the bare page is a table of the same size.

Afterwards a registrar with its broker runs on the same machine, and its way from publish to inbox is timed in alternating
rounds: with nobody at the pages, and while the fifty, in a process of their own, open the work list of the desk.
"""

import asyncio
import multiprocessing
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from growth import SINGLES, single_ways
from jinja2 import Environment
from ledgers import Standing
from sqlalchemy import insert
from structlog.testing import capture_logs
from throughput import AGENCIES, admitted, agencies_of, bus, registrar, spread
from town import Town

from nrmbus.desk.desk import Desk
from nrmbus.desk.http.served import Door
from nrmbus.desk.procedure.interface import Settings
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.state.cases import pack
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, open_task
from nrmbus.desk.web.beside import Beside
from nrmbus.desk.web.staff.cookies import name_at
from nrmbus.events.model import Event
from nrmbus.events.registry import data_type
from nrmbus.play.load import stream
from nrmbus.rules import Agency
from nrmbus.wire import ids, times
from nrmbus.wire.envelope import encode

DESK: Final = "special-unit"
SENDER: Final = "ngo-a"
CASES: Final = 1_000
PEOPLE: Final = 50
ROUNDS: Final = 5
"""Pages of each person, and times that all ask at once."""
EVERY_SECONDS: Final = 2.0
TURNS: Final = 2
"""Alternating rounds of single events at the registrar, without and with people at the pages."""
COLUMNS: Final = 8
_SIGNAL: Final = {
    "detector": "ngo_outreach", "child": False, "urgency": "normal", "detected_abroad": False, "basis": ["indicators"],
}  # fmt: skip
_REFERRAL: Final = {
    "to": [DESK], "mode": "referral", "reason": "FormalIdentification", "urgency": "emergency", "services": [], "child": False,
}  # fmt: skip
_BARE: Final = """<!DOCTYPE html><html lang="en"><title>Rows</title><table>{% for row in rows %}<tr>
{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table></html>"""


@dataclass(frozen=True, slots=True)
class Side:
    """Milliseconds of each page, sorted."""

    paced: list[float]
    at_once: list[float]


@dataclass(frozen=True, slots=True)
class Measured:
    """Both sides; seconds of the desk's first page; MiB of the desk (PSS); milliseconds of the page after a change."""

    desk: Side
    bare: Side
    first: float
    before: float
    after: float
    end: float
    changed: list[float]
    quiet: dict[str, float]
    """Milliseconds from publish to inbox with nobody at the pages: median and p99."""
    meanwhile: dict[str, float]
    """The same while fifty people open the work list."""


def pages(home: Path, now: datetime) -> Measured:
    """Measure both sides, one after the other."""
    asyncio.run(_filled(home, now))
    bare, _, _ = _beside(_serve_bare, home, now, lambda port, _: _asked(port, "/", [{}] * PEOPLE))
    desk, process_before, rest = _beside(_serve_desk, home, now, partial(_desk_asked, home=home, now=now))
    assert rest is not None
    return Measured(desk, bare, before=process_before, **rest)


# -- the desk's ledger -----------------------------------------------------------------------------------------------------


async def _filled(home: Path, now: datetime) -> None:
    """Store `CASES` cases as the inbox would leave them: a signal and a referral each, every second one acknowledged."""
    town = Town.at(home / "town", now)
    ledger = await Ledger.open(home / "ledger.sqlite", bus=town.bus, agency=DESK)
    inbox, events = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(CASES):
        at, case, ref = now - timedelta(minutes=7 * number), ids.new_ref(), ids.new_ref()
        said: list[tuple[str, str, dict[str, Any], str | None]] = [
            (SENDER, "case.signal_recorded", _SIGNAL, None),
            (SENDER, "referral.submitted", _REFERRAL, ref),
        ]
        if number % 2:
            said.append(
                (DESK, "referral.acknowledged", {"receipt_no": f"N-{number}", "duty_role": "duty_officer"}, ref)
            )
        for sequence, (source, type, data, about) in enumerate(said, 1):
            place = len(events) + 1
            event = Event(
                id=ids.new_event_id(int(at.timestamp() * 1000)), source=source, type=type, version=1, subject=case, time=at,
                recordedtime=at, sequence=sequence, actor="S-1", policy=town.rules.profile.name, referral=about,
                legalbasis="CoM 21/2008 art. 7", data=data_type(type, 1).from_mapping(data),
            )  # fmt: skip
            record = encode(event, town.identities[source].signing)
            one = {
                "partition": 0, "inbox_number": place, "number": place, "subject": case, "source": source, "id": event.id,
            }  # fmt: skip
            stamp = times.write(at.replace(microsecond=0))
            inbox.append(
                {**one, "verdict": "registered", "digest": "", "delivery": b"", "registration": b"", "received": stamp}
            )
            events.append(
                {**one, "type": type, "technical": 0, "time": stamp, "registered": stamp, "referral": about,
                 "recipients": f'["{DESK if source == SENDER else SENDER}"]', "headers": pack(record.headers),
                 "value": record.value, "letter": None, "parts": "[]"}
            )  # fmt: skip
    async with ledger.write() as tx:
        tx.execute(insert(tables.inbox), inbox)
        tx.execute(insert(tables.events), events)
        for number, each in enumerate(events[:CASES]):
            kind = "read" if number % 2 else "duty_officer"
            open_task(
                tx, opened=each["registered"], subject=each["subject"], event_id=each["id"], kind=kind, about="{}"
            )
    await ledger.close()


# -- the two servers -------------------------------------------------------------------------------------------------------


def _serve_desk(tell: Connection, port: int, home: Path, now: datetime) -> None:
    asyncio.run(_desk(tell, port, home, now))


async def _desk(tell: Connection, port: int, home: Path, now: datetime) -> None:
    town = Town.at(home / "town", now)
    ledger = await Ledger.open(home / "ledger.sqlite", bus=town.bus, agency=DESK)
    agencies = {id: Agency(id, role) for id, role in AGENCIES.items()}
    seat = Seat(
        bus=town.bus, identity=town.identities[DESK], ledger=ledger, directory=town.directory, rules=town.rules,
        agencies=agencies, clock=Standing(now),
    )  # fmt: skip
    desk = Desk(seat)
    await desk.load(Settings())

    async def health() -> dict[str, Any]:
        return {"ready": True}

    async def release(_: str) -> int:
        return 0

    door = Door(desk, health=health, release=release)
    cookies = []
    for number in range(PEOPLE):
        new = NewMember(name=f"Worker {number}", roles=("worker",), language="en")
        member = await door.staff.members.add(new, "bench", None)
        cookies.append(await door.staff.sessions.begin(member.number, "code"))
    server = uvicorn.Server(config(Beside(_nothing, door), port))
    asyncio.get_running_loop().call_later(0.2, tell.send, {name_at(door): cookies})

    async def commits() -> None:
        """Commit a row whenever the measuring process asks for one."""
        while not server.should_exit:
            if tell.poll():
                tell.recv()
                async with ledger.write() as tx:
                    open_task(tx, opened=seat.stamp(), subject=ids.new_ref(), event_id="", kind="bench", about="{}")
                tell.send("done")
            await asyncio.sleep(0.005)

    with capture_logs():
        await asyncio.gather(server.serve(), commits())


def _serve_bare(tell: Connection, port: int, _home: Path, _now: datetime) -> None:
    app, template = FastAPI(docs_url=None, redoc_url=None), Environment(autoescape=True).from_string(_BARE)

    @app.get("/")
    async def rows() -> HTMLResponse:
        found = [[f"cell {row} of {column}" for column in range(COLUMNS)] for row in range(50)]
        return HTMLResponse(template.render(rows=found))

    tell.send({})
    uvicorn.Server(config(app, port)).run()


async def _nothing(*_: object) -> None:
    """Stand for the door, which nobody asks here."""


def config(app: Any, port: int, lifespan: Literal["on", "off"] = "off") -> uvicorn.Config:
    """Return how a server of *app* is run on *port* of this machine, silently."""
    return uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan=lifespan)


# -- the browsers ------------------------------------------------------------------------------------------------------------

Asked = Callable[..., Any]


def _beside(serve: Asked, home: Path, now: datetime, ask: Asked) -> tuple[Side, float, dict[str, Any] | None]:
    """Run *serve* in a process of its own while *ask* measures it; return its figures, and the memory before them."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    port = free_port()
    process = spawn.Process(target=serve, args=(there, port, home, now), daemon=True)
    process.start()
    try:
        cookies = here.recv()
        await_port(port)
        before = pss(process.pid)
        found = ask(port, cookies) if serve is _serve_bare else ask(port, cookies, here, process.pid)
        return found if isinstance(found, tuple) else (found, before, None)
    finally:
        process.kill()
        process.join()


def _desk_asked(
    port: int, cookies: dict[str, list[str]], tell: Any, pid: int, *, home: Path, now: datetime
) -> tuple[Side, float, dict[str, Any]]:
    ((name, values),) = cookies.items()
    before = pss(pid)
    each = [{name: value} for value in values]
    first = asyncio.run(_first(port, each[0]))
    after = pss(pid)
    side = _asked(port, "/app/work", each)
    changed = []
    for _ in range(20):
        tell.send("commit")
        tell.recv()
        changed.append(asyncio.run(_first(port, each[0])) * 1000)
    said = {"first": first, "after": after, "end": pss(pid), "changed": sorted(changed)}
    quiet, meanwhile = _registrar_beside(home / "bus", now, partial(_open, port, each))
    return side, before, {**said, "quiet": spread(quiet), "meanwhile": spread(meanwhile)}


def _registrar_beside(home: Path, now: datetime, people: Callable[[], None]) -> tuple[list[float], list[float]]:
    """Time single events at a registrar in alternating rounds: alone, and while *people* runs in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with bus(home) as (folder, _):
        admitted(folder)
        load = stream(agencies_of(folder, SINGLES), now, 1, count=(2 * TURNS + 1) * SINGLES)

        def timed() -> list[float]:
            return asyncio.run(single_ways(folder, list(islice(load, SINGLES))))

        with registrar(folder):
            timed()  # the broker and the registrar compile and connect
            quiet, meanwhile = list[float](), list[float]()
            for _ in range(TURNS):
                quiet += timed()
                opening = spawn.Process(target=people, daemon=True)
                opening.start()
                time.sleep(EVERY_SECONDS * 2)  # it has begun, and everybody has opened the page once
                meanwhile += timed()
                assert opening.is_alive(), "nobody opened a page meanwhile"
                opening.kill()
                opening.join()
    return quiet, meanwhile


def _open(port: int, cookies: Sequence[dict[str, str]]) -> None:
    """Open the work list as fifty people, until the process ends."""
    while True:
        _asked(port, "/app/work", cookies)


async def _first(port: int, cookies: dict[str, str]) -> float:
    async with _browser(port, cookies) as browser:
        await browser.get("/app/static/page.css")
        started = time.perf_counter()
        answer = await browser.get("/app/work", timeout=60)
        took = time.perf_counter() - started
    assert answer.status_code == 200
    assert answer.text.count("<tr id=") == 50
    return took


def _browser(port: int, cookies: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", cookies=cookies, timeout=60)


def _asked(port: int, path: str, cookies: Sequence[dict[str, str]]) -> Side:
    return asyncio.run(_measured(port, path, cookies))


async def _measured(port: int, path: str, cookies: Sequence[dict[str, str]]) -> Side:
    browsers = [_browser(port, each) for each in cookies]

    async def ask(browser: httpx.AsyncClient) -> float:
        started = time.perf_counter()
        answer = await browser.get(path)
        assert answer.status_code == 200
        return (time.perf_counter() - started) * 1000

    async def person(number: int, browser: httpx.AsyncClient) -> list[float]:
        await asyncio.sleep(EVERY_SECONDS * number / len(browsers))
        took = []
        for _ in range(ROUNDS):
            until = time.perf_counter() + EVERY_SECONDS
            took.append(await ask(browser))
            await asyncio.sleep(max(0.0, until - time.perf_counter()))
        return took

    await asyncio.gather(*map(ask, browsers))  # connections are open
    paced = await asyncio.gather(*(person(number, each) for number, each in enumerate(browsers)))
    at_once = [each for _ in range(ROUNDS) for each in await asyncio.gather(*map(ask, browsers))]
    for each in browsers:
        await each.aclose()
    return Side(sorted(value for each in paced for value in each), sorted(at_once))


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


def await_port(port: int) -> None:
    """Return when somebody listens on *port*; raise TimeoutError after half a minute."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError


def pss(pid: int | None) -> float:
    """Return the memory of a process in MiB: its own pages, and its share of common ones."""
    found = re.search(r"^Pss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def lines(found: Measured) -> list[str]:
    """Return the table of *found*."""

    def at(values: Sequence[float], share: int) -> float:
        return values[min(len(values) - 1, len(values) * share // 100)]

    def row(name: str, which: str, share: int, aim: str) -> str:
        own, bare = at(getattr(found.desk, which), share), at(getattr(found.bare, which), share)
        return f"| {name} | {own:.0f} | {bare:.0f} | {aim} |"

    return [
        f"| work list of a desk with {CASES:,} cases, ms | the desk | bare FastAPI and Jinja | aim |",
        "| --- | --- | --- | --- |",
        row(f"{PEOPLE} people, each a page every {EVERY_SECONDS:.0f} s: p50", "paced", 50, ""),
        row("… p95", "paced", 95, "< 300"),
        row(f"{PEOPLE} pages at once, until each has come: p50", "at_once", 50, ""),
        row("… p95", "at_once", 95, ""),
        f"| publish to inbox at a registrar, nobody at the pages, ms: p50, p99 | {_both(found.quiet)} | | |",
        f"| … while {PEOPLE} people open the work list | {_both(found.meanwhile)} | | unchanged |",
        f"| the page after a commit, p50 | {at(found.changed, 50):.0f} | | |",
        f"| the first page after a start, s: reads all cases | {found.first:.2f} | | |",
        f"| memory of the desk before the first page, MiB | {found.before:.0f} | | |",
        f"| … after it | {found.after:.0f} | | |",
        f"| … after all pages | {found.end:.0f} | | |",
    ]


def _both(way: dict[str, float]) -> str:
    return f"{way['p50']:.1f}, {way['p99']:.1f}"
