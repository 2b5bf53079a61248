"""Wait of a desk for its ledger: its server is away, or another desk of the agency has it open.

Meanwhile the door answers for its health and its metrics, and refuses everything else with the reason. Nothing is lost:
events wait in the inbox's topic, and clients ask again.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus import telemetry
from nrmbus.bus.http_server import Listening, Server
from nrmbus.bus.kafka.lease import How
from nrmbus.bus.vitals import RELEASE
from nrmbus.desk.errors import DeskCode, DeskError, problem
from nrmbus.desk.http.door import Token
from nrmbus.desk.http.scopes import LOCAL, Caller, caller_of
from nrmbus.desk.http.tokens import BEARER
from nrmbus.desk.store.ledger import HELD_SECONDS, Ledger
from nrmbus.desk.store.place import Place
from nrmbus.telemetry.metrics import CONTENT_TYPE, page

LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to open the ledger, at most: a desk is back that long after its server."""

_UNREAD: Final = Caller("unread", frozenset())
"""A caller with what may be a token of the ledger: it is told to wait, as the desk would tell a valid one, and nothing else."""


async def opened(
    place: Place, listening: Listening, notify: Callable[[str], None], *, bus: str, agency: str, how: How
) -> Ledger | None:
    """Return the ledger at *place* once it can be opened; None if the process was told to end before.

    *how* says what to do while another desk has the ledger open; ``wait`` takes that for an error.

    Raises:
        DeskError: as `Ledger.open`, except ``ledger_away``.
    """
    until_free: frozenset[DeskCode] = frozenset({"ledger_away", *(("ledger_held",) if how == "standby" else ())})

    async def tried(patience: float = HELD_SECONDS) -> Ledger | DeskError:
        try:
            return await Ledger.open(place, bus=bus, agency=agency, patience=patience, puts_out=how == "take_over")
        except DeskError as error:
            if error.code not in until_free:
                raise
            return error

    found = await tried(0.0 if how == "standby" else HELD_SECONDS)
    if isinstance(found, Ledger):
        return found
    notify(f"{found.sentence} The desk of {agency} waits.")
    waiting = _Waiting(agency, found)
    server = Server(waiting.application(listening), listening, keep=True)

    async def try_on() -> Ledger:
        try:
            while isinstance(found := await tried(), DeskError):
                waiting.note(found)
                await asyncio.sleep(LONGEST_PAUSE * random.uniform(0.3, 1.0))  # noqa: S311 - spreads the desks
            return found
        finally:
            server.stop()

    trying = asyncio.create_task(try_on())
    try:
        await server.run_until_told()
    finally:
        if not trying.done():
            trying.cancel()
    try:
        return await trying
    except asyncio.CancelledError:
        return None


class _Waiting:
    """The door of the desk of *agency* while it waits because of *error*."""

    def __init__(self, agency: str, error: DeskError) -> None:
        self._agency, self._since = agency, time.monotonic()
        self._error = error
        telemetry.handled("waiting", code=error.code, **_kind(error))

    def note(self, error: DeskError) -> None:
        """Remember the newest reason, and log it if it is another."""
        if (error.code, error.safe) != (self._error.code, self._error.safe):
            telemetry.handled("waiting", code=error.code, **_kind(error))
        self._error = error

    def health(self) -> dict[str, Any]:
        """Return the health of a desk that waits."""
        standing = {"service": self._agency, "live": True, "ready": False, "release": RELEASE, "state": None}
        return {**standing, "held_up": self._error.code, "waits": round(time.monotonic() - self._since, 1)}

    def application(self, listening: Listening) -> Any:
        """Return the door's application."""

        async def health(request: Request) -> Response:
            if caller_of(request) is not LOCAL:
                return await refused(request)
            return JSONResponse(self.health())

        async def metrics(request: Request) -> Response:
            if caller_of(request) is not LOCAL:
                return await refused(request)
            facts = self.health()
            if self._error.code == "ledger_held":
                del facts["ready"]  # a standby is well: no alert looks at it
            return Response(page("desk", facts), headers={"content-type": CONTENT_TYPE})

        async def refused(_: Request) -> Response:
            body = problem(self._error)
            return JSONResponse(body, self._error.status, media_type="application/problem+json")

        routes = [Route("/health", health), Route("/metrics", metrics)]
        every = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
        app = Starlette(routes=[*routes, Route("/{path:path}", refused, methods=every)], lifespan=lambda _: _nothing())

        def known(given: str | None) -> Caller | None:
            if listening.allows(given):
                return LOCAL
            return _UNREAD if given is not None and given.startswith(BEARER) else None

        return Token(app, known)


def _kind(error: DeskError) -> dict[str, Any]:
    return {"error": error.safe["error"]} if "error" in error.safe else {}


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield
