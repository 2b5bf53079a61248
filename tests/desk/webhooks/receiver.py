"""Receivers of webhooks on 127.0.0.1, which answer as the test says; and a desk that sends to them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import trustme

from agencies import CASE
from desk.given import BED, CANARY, REF, Given
from nrmbus.desk.webhooks.dispatcher import Webhooks
from nrmbus.desk.webhooks.egress import Egress

LOOPBACK: Final = Egress(networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")), plain_on_loopback=True)
OTHER_CASE: Final = "0c" * 16
START: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its ``webhook-id``."""
        return self.headers["webhook-id"]


Answer = Callable[[Got, asyncio.StreamWriter], Awaitable[None]]


def says(status: int, *headers: str, body: bytes = b"") -> Answer:
    """Return the answer with this status, these header lines and this body."""

    async def answer(_got: Got, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


async def silence(_got: Got, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


@dataclass
class Receiver:
    """A receiver that takes part in CloudEvents' handshake, and notes every other request."""

    port: int = 0
    answer: Answer = field(default_factory=lambda: says(204))
    got: list[Got] = field(default_factory=list)
    asked: list[Got] = field(default_factory=list)
    """Handshakes and challenges."""
    allows: str | None = "*"
    scheme: str = "http"
    connections: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://localhost:{self.port}/hook?of=agency"

    @property
    def ids(self) -> list[str]:
        """The ``webhook-id`` of each request, in order."""
        return [each.id for each in self.got]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                    method, target, _ = head[0].split(" ")
                    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
                    body = await reader.readexactly(int(headers.get("content-length", "0")))
                    await self._answered(Got(method, target, headers, body), writer)
        finally:
            writer.close()

    async def _answered(self, got: Got, writer: asyncio.StreamWriter) -> None:
        if got.method == "OPTIONS":
            self.asked.append(got)
            allowed = (f"webhook-allowed-origin: {self.allows}",) if self.allows else ()
            await says(200 if self.allows else 405, *allowed)(got, writer)
        elif b"nrmbus.challenge" in got.body:
            self.asked.append(got)
            await self.answer(got, writer)
        else:
            self.got.append(got)
            await self.answer(got, writer)


@asynccontextmanager
async def receiving(answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver(scheme="https" if tls else "http")
    if answer is not None:
        receiver.answer = answer
    serving = set[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver._serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def certified(folder: Path, name: str, *, expired: bool = False) -> tuple[ssl.SSLContext, Path]:
    """Return the TLS settings of a receiver called *name*, and the file of the authority that certified it."""
    authority, file = trustme.CA(), folder / "authority.pem"
    authority.cert_pem.write_to_path(file)
    end = datetime.now(UTC) - timedelta(days=1) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=end).configure_cert(context)
    return context, file


class Wall:
    """A wall's clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def go_on(self, **span: float) -> None:
        """Move the clock."""
        self.time += timedelta(**span)


@dataclass
class Hooks:
    """The webhooks of a desk, with a clock of the test's."""

    webhooks: Webhooks
    wall: Wall

    async def add(self, url: str, *types: str, in_order: bool = False) -> str:
        """Add an endpoint; return its id."""
        webhook, _ = await self.webhooks.add(url, types, in_order=in_order, algorithm="v1a")
        return webhook

    async def settle(self) -> None:
        """Send what is due, and wait until nothing is under way and nothing more is due now."""
        while True:
            await self.webhooks.once()
            if not self.webhooks._tasks:
                return
            await asyncio.wait(set(self.webhooks._tasks))


@asynccontextmanager
async def hooks_of(given: Given, egress: Egress = LOOPBACK, wall: Wall | None = None) -> AsyncIterator[Hooks]:
    """Yield the webhooks of a desk; their connections end with the block."""
    wall = wall or Wall()
    webhooks = Webhooks(given.desk.seat, egress, now=wall, jitter=lambda _low, _high: 1.0)
    given.behind.webhooks = webhooks
    try:
        yield Hooks(webhooks, wall)
    finally:
        await webhooks.close()


async def hear(given: Given, case: str = CASE, ref: str = REF) -> str:
    """Have the shelter receive a request for a bed; return the event's id."""
    record = given.registrar.event(
        "special-unit", "shelter.bed_requested", BED, case=case, referral=ref,
        parts={"coded": {"category": "women"}, "story": {"notes": CANARY}}, opens=["shelter"],
    )  # fmt: skip
    await given.hear(given.registrar.register(record, to="shelter"))
    return next(value.decode() for name, value in record.headers if name == "ce_id")


async def states(given: Given) -> list[tuple[str, str, int]]:
    """Return type, state and attempts of each delivery."""
    return [(row.type, row.state, row.attempts) for row in await given.rows("deliveries")]
