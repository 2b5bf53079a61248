"""Requests of an adapter to the desk's own door, in the name of the adapter's caller.

The request goes through the whole application in this process: the same check of the token, scopes, limits, records and
refusals as for a request from outside.
"""

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.types import ASGIApp, Message

from nrmbus.wire.errors import WireError

_KEPT: Final = frozenset({b"authorization", b"traceparent", b"tracestate"})
"""Headers that a request to the door takes over from the adapter's caller."""

BODY_LIMIT: Final = 512 * 1024
"""Largest size of a request in bytes, as at the door itself."""
WAIT: Final = 20.0
"""Seconds for the registrar's verdict if the address does not say ``wait``: the standards' senders know the status alone."""
LONGEST_WAIT: Final = 60.0

INNER: Final = "nrmbus.inner"
"""Key in the scope of a request that an adapter sends: it counts with the one that the adapter serves. No header sets it."""

_OF_CONNECTION: Final = ("type", "asgi", "http_version", "scheme", "client", "server", "extensions", "state")
"""What a request to the door has from the connection of the adapter's caller."""

Parameters = Mapping[str, Any] | Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """Answer of the door."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_error(self) -> bool:
        """Return whether the door answered with a problem (RFC 9457)."""
        return self.status >= 400


class DoorProblem(Exception):
    """The door did not do what the adapter asked; ``answer`` has the problem object and the headers."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class OwnDoor:
    """The door of the desk that an adapter stands above."""

    def __init__(self, app: ASGIApp, agency: str, zone: Callable[[], ZoneInfo]) -> None:
        """Ask *app*, the whole application of the desk of *agency*; *zone* returns the time zone of the profile in force."""
        self._app, self.agency, self.zone = app, agency, zone

    async def ask(
        self, caller: Request, method: str, path: str, *, params: Parameters = (), body: Any = None
    ) -> Answer:
        """Return the door's answer to a request in the name of *caller*.

        Raises:
            DoorProblem: the door answered with a problem.
        """
        sent = b"" if body is None else json.dumps(body).encode()
        headers = [each for each in caller.scope["headers"] if each[0] in _KEPT]
        if body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(sent)).encode())]
        scope = {
            **{name: caller.scope[name] for name in _OF_CONNECTION if name in caller.scope},
            INNER: True,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(params).encode(),
            "headers": headers,
        }
        started: Message = {}
        parts: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        found = {name.decode(): value.decode("latin-1") for name, value in started["headers"]}
        answer = Answer(started["status"], found, json.loads(b"".join(parts) or b"{}"))
        if answer.is_error:
            raise DoorProblem(answer)
        return answer

    async def timeline(
        self, caller: Request, case: str, speaks: Sequence[tuple[str, str]]
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the events of *case* in the order of registration, in the versions of *speaks*, without letters.

        An event that the desk's release does not know has no data, and is left out.
        """
        after: int | None = 0
        while after is not None:
            params = [("after", str(after)), ("limit", "1000"), *speaks]
            page = (await self.ask(caller, "GET", f"/v1/cases/{case}/timeline", params=params)).body
            for each in page["events"]:
                if "data" in each:
                    yield each
            after = page["next"]


async def body_of(request: Request) -> bytes:
    """Return the body of *request*; raise WireError ``too_large`` for more than `BODY_LIMIT` bytes."""
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > BODY_LIMIT:
            raise WireError("too_large", limit=BODY_LIMIT)
    return bytes(read)


def seconds_of(request: Request) -> float:
    """Return for how long the caller waits for a verdict: ``wait`` of the address, else `WAIT`."""
    try:
        wait = float(request.query_params.get("wait", WAIT))
    except ValueError:
        return WAIT
    return min(LONGEST_WAIT, wait) if math.isfinite(wait) and wait >= 0 else WAIT
