"""A door on this machine: HTTP on 127.0.0.1, a port and a token that stay over restarts, in a file only its owner can read.

Other machines reach a door by TLS alone (`tls_listener`). A client that sends its request slowly is cut off.
"""

import asyncio
import errno
import hmac
import json
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nrmbus import telemetry
from nrmbus.bus.embedded.ports import HOST, free_ports
from nrmbus.bus.tls_listener import TlsListener
from nrmbus.telemetry import log
from nrmbus.telemetry.metrics import CONTENT_TYPE
from nrmbus.wire.keys import files

DOOR_FILE: Final = "door.json"

PORTS: Final = range(1024, 65_536)
"""Ports that a door may have: those below belong to the machine's administrator."""

MOST: Final = 250
"""Connections to a door at once. Each is an open file, and a process may have 1,024 (`host/open_files.py`); a process without free
file descriptors can neither write its ledger, nor erase, nor reach the broker."""

CHALLENGE: Final[Mapping[str, str]] = {"www-authenticate": "Bearer"}
"""Header of each answer 401 (RFC 9110, section 15.5.2)."""

_TOKEN: Final = re.compile("[A-Za-z0-9_-]{43}")


_PATIENCE: Final = 2.0
"""Seconds to wait for a port that the previous process still holds."""

_LARGEST: Final = 4096
"""Bytes of a door file that are read."""


class _Last(NamedTuple):
    """Port and token of the last start; None for both at the first start, or if other accounts could have read the file."""

    port: int | None = None
    token: str | None = None


class Listening:
    """A bound socket and its token; every reader of *home*/door.json may send requests."""

    def __init__(self, home: Path, port: int | None = None, beyond: TlsListener | None = None) -> None:
        """Bind *port* of 127.0.0.1, else that of the last start, else a free one, and write *home*/door.json (mode 0600).

        Other machines reach the door at *beyond*, with tokens of their own.

        The token of the last start is kept, so that connected programs survive a restart. If another program has taken
        the port meanwhile, port and token are new and ``moved`` is set: a client may have sent the token to that program.
        """
        self.beyond = beyond
        last = _last(home)
        wanted = port or last.port
        bound = _bound(wanted, time.monotonic() + _PATIENCE) if wanted else None
        self.moved = wanted is not None and bound is None
        """True if another program has the wanted port."""
        self.socket = bound or _bound_to_any()
        self.port: int = self.socket.getsockname()[1]
        self.token = last.token if last.token and not self.moved else secrets.token_urlsafe(32)
        if self.moved:
            log.report("door_moved", port=self.port)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = home / f"{DOOR_FILE}.partial"
        partial.unlink(missing_ok=True)  # one that is there could be open to others
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"url": f"http://{HOST}:{self.port}", "token": self.token, "pid": os.getpid()}, file)
        partial.rename(home / DOOR_FILE)  # at once: nobody reads half a file

    def close(self) -> None:
        """Close the sockets: nobody waits for this door any more."""
        self.socket.close()
        if self.beyond is not None:
            self.beyond.socket.close()

    def allows(self, authorization: str | None) -> bool:
        """Return whether the value of an Authorization header is right, in the same time for every wrong value."""
        given = bearer(authorization or "").encode("utf-8", "replace")
        return hmac.compare_digest(given, f"Bearer {self.token}".encode())


def bearer(header: str) -> str:
    """Return *header* with the scheme as tokens are known by; a client may write it in any case (RFC 9110, section 11.1)."""
    scheme, _, token = header.partition(" ")
    return f"Bearer {token.strip(' ')}" if scheme.casefold() == "bearer" else header


def _last(home: Path) -> _Last:
    """Return port and token of the last start, unless the file is damaged or open to others."""
    try:
        raw, mode = files.read(home / DOOR_FILE, _LARGEST)
        body = json.loads(raw)
        port, token = int(body["url"].rpartition(":")[2]), body["token"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _Last()
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or port not in PORTS:
        return _Last()
    return _Last(port, None if mode & 0o077 else token)


def _bound(port: int, until: float) -> socket.socket | None:
    """Return a socket that listens on *port*, or None if another program still has it at *until* (monotonic seconds).

    It listens at once, long before the service answers: a port that is only bound can be taken by any program that listens
    first, and such a program would be sent the token. A client that connects meanwhile waits until the service has started.
    """
    while True:
        # With the protocol named: else asyncio does not switch Nagle's algorithm off, and each answer waits 40 ms.
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((HOST, port))
            door.listen(MOST)
        except OSError:
            door.close()
        else:
            return door
        if time.monotonic() >= until:
            return None
        time.sleep(0.05)


def _bound_to_any() -> socket.socket:
    """Return a socket bound to a free port, one that the system hands to no outgoing connection between two starts."""
    for port in (*free_ports(10), 0):
        door = _bound(port, until=0)
        if door is not None:
            return door
    raise OSError(errno.EADDRINUSE, "no port of this machine is free")


SLOW_SECONDS: Final = 20.0
"""Patience with a client that has begun a request, or has connected and sent none; it grows with what has come."""
BYTES_A_SECOND: Final = 4096
"""Bytes that earn a second more: 512 KiB may take two and a half minutes."""
UNREAD_SECONDS: Final = 60.0
"""Seconds after which a client is cut off that reads nothing of its answer."""
REST_SECONDS: Final = 75
"""Seconds for which a connection may rest between two requests. HTTP libraries let a connection go after 5 to 30 seconds; if
this side went first, a request would meet a connection that has just ended, and its sender would not know whether it came."""


class _Bounded(H11Protocol):
    """One connection of a door.

    If there are too many, the connection is closed that has been idle for longest, so that a client with the token still gets
    in: who has just connected has time to ask. Connections of this machine and of others are counted apart, so that no flood
    from outside closes a local one.
    """

    _idle_since = 0.0
    """When the client connected, or was answered last (monotonic)."""

    _until = 0.0
    """When the patience with this client ends (monotonic)."""
    _slow: asyncio.TimerHandle | None = None
    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        there = [each for each in self.connections if isinstance(each, _Bounded) and not each.transport.is_closing()]
        alike = [each for each in there if each.scheme == self.scheme]
        self._idle_since = self.loop.time()
        if len(alike) > MOST:
            idle = [each for each in alike if each is not self and not each.is_asked]
            min(idle, key=lambda each: each._idle_since, default=self).transport.abort()  # noqa: SLF001 - of this class
        self._be_patient()

    def data_received(self, data: bytes) -> None:
        self._until += len(data) / BYTES_A_SECOND
        super().data_received(data)
        # uvicorn lets a connection rest after an answer, and forgets that when the rest of the request comes after it.
        is_resting = getattr(self.cycle, "response_complete", False) and not self.transport.is_closing()
        if is_resting and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Run out of patience only while the client owes the rest of a request."""
        state = self.conn.their_state
        owes = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if not owes:
            self._stop()
        elif self._slow is None:
            self._be_patient()

    def _be_patient(self) -> None:
        self._until = self.loop.time() + SLOW_SECONDS
        self._slow = self.loop.call_at(self._until, self._give_up)

    def _stop(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _give_up(self) -> None:
        if self.flow.read_paused:  # the service is slow, not the client
            self._be_patient()
        elif self._until > self.loop.time():
            self._slow = self.loop.call_at(self._until, self._give_up)
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Stop sending to a client that reads too slowly, and cut it off if it reads nothing for `UNREAD_SECONDS`."""
        super().pause_writing()
        self._cut_off_if_unread(self.transport.get_write_buffer_size())

    def _cut_off_if_unread(self, waits: int) -> None:
        """Look in `UNREAD_SECONDS` whether less waits for the client than *waits* bytes, and again after that."""
        self._cut = self.loop.call_later(UNREAD_SECONDS, self._look_whether_read, waits)

    def _look_whether_read(self, waited: int) -> None:
        waits = self.transport.get_write_buffer_size()
        if waits < waited:
            self._cut_off_if_unread(waits)
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        """Send on: the client has read."""
        super().resume_writing()
        if self._cut is not None:
            self._cut.cancel()

    @property
    def is_asked(self) -> bool:
        """Return whether a complete request of this connection is being answered; a half-sent request does not count."""
        # A connection has no cycle before its first request.
        return not getattr(self.cycle, "response_complete", True) and not getattr(self.cycle, "more_body", True)


ENDS_SECONDS: Final = 5.0
"""Limit from the first SIGTERM or SIGINT to the end of the process, whatever is away."""
IN_ORDER_SECONDS: Final = 3.5
"""Patience for an end in order, before the service is cut off; 0.3 s are usual while the broker answers."""
_HURRY_SECONDS: Final = 0.5
BLOCKED_SECONDS: Final = 4.0
"""Limit after which SIGALRM ends a service whose event loop is blocked, so that the service cannot cut itself off."""


class Server(uvicorn.Server):
    """uvicorn that ends within `ENDS_SECONDS` of the first SIGTERM or SIGINT: in order if it can, else cut off.

    Kafka's clients wait for a broker that is away, some of them for ever. Cutting a service off loses nothing, since every
    service survives a kill: a desk answers after its ledger has committed, the next registrar ends an open transaction,
    auditor and timekeeper read the history again.
    """

    def __init__(self, app: Any, listening: Listening, *, keep: bool = False, anybody: bool = False) -> None:
        """Serve the ASGI *app* on *listening*; nothing is logged, since paths and errors may hold content.

        With *keep*, the socket stays open when this server ends: clients wait for the next server at the same address.
        With *anybody*, requests may name any host: the pages are public, and a web server may stand between.
        """
        self._anybody = anybody
        config = uvicorn.Config(
            self._kept_in_mind(app),
            http=_Bounded,
            backlog=MOST,  # connections that are accepted at a time
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,  # nobody stands between
            timeout_keep_alive=REST_SECONDS,
            timeout_graceful_shutdown=1,
            lifespan="on",
        )
        super().__init__(config)
        self._listening, self._keep = listening, keep
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lifespan: asyncio.Task[Any] | None = None
        """The task that starts and ends the application."""
        self._told: int | None = None
        """The first signal that asked for the end."""
        self._asked = asyncio.Event()
        """Set when the server is to end."""

    def _kept_in_mind(self, app: Any) -> ASGIApp:
        """Return *app*, with the error of a failed start or end kept: uvicorn only logs the error, to a silent logger."""

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                self._lifespan = asyncio.current_task()
            elif scope.get("scheme") == "http" and not self._anybody and _host(scope) not in _HERE:
                await JSONResponse(_MISDIRECTED, 421, media_type="application/problem+json")(scope, receive, send)
                return
            try:
                await app(scope, receive, send)
            except Exception as error:
                if scope["type"] == "lifespan":
                    self._failure = error
                raise

        return served

    async def run_until_told(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what the application raised when it did not start."""
        door, self._loop = self._listening.socket, asyncio.get_running_loop()
        try:
            await self.serve(sockets=[door.dup() if self._keep else door])
        except SystemExit:
            if self.started:
                raise
        if not self.started:
            if self._told is not None:
                signal.raise_signal(self._told)  # as uvicorn does when it has served
                return
            raise self._failure or RuntimeError("the service did not start")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen on this machine, and for others if the door does."""
        await super().startup(sockets)
        beyond, config = self._listening.beyond, self.config
        if beyond is not None and self.started:
            make = partial(_Bounded, config, self.server_state, self.lifespan.state)
            self.servers.append(await beyond.serve(make, config.backlog))

    async def main_loop(self) -> None:
        """Wait until the server is to end: uvicorn itself looks ten times a second, and has nothing else to do meanwhile."""
        await self.on_tick(0)
        if not self.should_exit:
            await self._asked.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End connections and the application; whoever is in a handshake is cut off."""
        if self._listening.beyond is not None:
            self._listening.beyond.cut_off()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end at a signal; the time runs from the first one."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.set)
        if self._told is not None or self._loop is None:
            return
        self._told = sig
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, BLOCKED_SECONDS)
        self._loop.call_soon_threadsafe(self._begin_to_end, self._loop, sig)

    def _begin_to_end(self, loop: asyncio.AbstractEventLoop, sig: int) -> None:
        if not self.started and self._lifespan is not None:
            self._lifespan.cancel()  # uvicorn checks for the signal only after the start
        loop.call_later(IN_ORDER_SECONDS, self._cut_off, sig)

    def _cut_off(self, sig: int) -> None:
        log.report("cut_off", seconds=IN_ORDER_SECONDS)
        telemetry.shut_down()
        signal.signal(sig, signal.SIG_DFL)
        signal.raise_signal(sig)

    def stop(self) -> None:
        """End in order, and cut short what takes longer than `IN_ORDER_SECONDS`; the process goes on.

        Unlike a signal, which uvicorn raises again when it has served, this lets the caller's exit code count.
        """
        self.should_exit = True
        self._asked.set()
        if self._loop is not None:
            self._loop.call_later(IN_ORDER_SECONDS, self._hurry, self._loop)

    def _hurry(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the application's end, again and again: each of its clients may wait for a broker that is away."""
        if self._lifespan is not None and not self._lifespan.done():
            self._lifespan.cancel()
            loop.call_later(_HURRY_SECONDS, self._hurry, loop)


_HERE: Final = frozenset({HOST, "localhost", "[::1]"})
"""Names of this machine. A page on the web may give its own name this machine's address (DNS rebinding); then the browser
sends requests here under that name. By TLS no browser does so: the certificate has another name."""


_MISDIRECTED: Final = {
    "type": "urn:nrmbus:problem:other_host",
    "title": "The request names another host.",
    "detail": "Ask at 127.0.0.1 or localhost; other machines reach a door by TLS.",
    "sentence": "The request names another host: ask at 127.0.0.1 or localhost; other machines reach a door by TLS.",
    "status": 421,
    "code": "other_host",
}


def _host(scope: Scope) -> str:
    """Return the host that a request names, without the port."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    host = sent[0] if len(sent) == 1 else ""
    return re.sub(r":[0-9]{1,5}$", "", host).lower()


Page = Callable[[str], Awaitable[dict[str, Any] | None]]
"""A handler for the query ``ref=…`` (empty if absent); it returns a JSON object, or None for 404."""

Metrics = Callable[[], Awaitable[bytes]]
"""A handler that returns a page in Prometheus' text format."""


def pages(
    shown: Mapping[str, Page],
    listening: Listening,
    running: Callable[[], AbstractAsyncContextManager[None]],
    mounted: Mapping[str, ASGIApp] | None = None,
    metrics: Metrics | None = None,
) -> ASGIApp:
    """Return a service's own application: JSON pages and *metrics* behind the token, and the tasks that run while they are served.

    What is *mounted* checks the token itself.

    FastStream's ASGI application does not start for a service without a FastStream broker.
    """

    def route(path: str, page: Page) -> Route:
        async def answer(request: Request) -> Response:
            if not listening.allows(request.headers.get("authorization")):
                return Response(status_code=401, headers=CHALLENGE)
            found = await page(request.query_params.get("ref", ""))
            return JSONResponse(found) if found is not None else JSONResponse({"code": "not_found"}, 404)

        return Route(path, answer)

    routes: list[BaseRoute] = [route(path, page) for path, page in shown.items()]
    if metrics is not None:
        routes.append(Route("/metrics", _measured(metrics, listening)))
    routes += [Mount(path, app) for path, app in (mounted or {}).items()]
    return Starlette(routes=routes, lifespan=lambda _: running())


def _measured(metrics: Metrics, listening: Listening) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not listening.allows(request.headers.get("authorization")):
            return Response(status_code=401, headers=CHALLENGE)
        return Response(await metrics(), headers={"content-type": CONTENT_TYPE})

    return answer
