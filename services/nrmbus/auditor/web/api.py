"""HTTP of the auditor for programs with its token: checkpoints, proofs, tiles and entry bundles.

Paths of tiles are those of C2SP tlog-tiles below ``/tile/<partition>/`` and, for entry bundles, ``/entries/<partition>/``.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.log.logs import Logs
from nrmbus.bus.http_server import CHALLENGE, Listening
from nrmbus.wire import base64
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.note import Note

_PLACE: Final = r"(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?"
_TILE: Final = re.compile(r"(?:0|[1-9][0-9]?)/" + _PLACE)
_BUNDLE: Final = re.compile(_PLACE)
_LONGEST_PLACE: Final = 64
"""Characters; C2SP tlog-tiles writes 2^64 leaves in fewer."""


class _Number(Convertor[int]):
    """Number in a path, of up to 19 digits; Starlette's own converter takes more digits than Python converts."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        """Return the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return the digits."""
        return str(value)


register_url_convertor("number", _Number())


class Keeper(Protocol):
    """Owner of the open logs, of the lock for work on them, and of the auditor's folder."""

    logs: Logs | None
    turn: asyncio.Lock
    home: Path


class _Pages:
    """Request handlers; they return None for 404."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def checkpoint(self, request: Request) -> Response | None:
        """Return the largest published checkpoint with at least ``witnesses`` co-signatures (of the query; 0 without)."""
        found = self._newest(request)
        return None if found is None else Response(found[1], media_type="text/plain; charset=utf-8")

    async def proof(self, request: Request) -> Response | None:
        """Return the proof that a registration is in the tree of that checkpoint."""
        found, number = self._newest(request), request.path_params["number"]
        if found is None or self._keeper.logs is None:
            return None
        ingest = self._keeper.logs.ingests.get(request.path_params["partition"])
        size, note, _ = found
        # A log that is being read again does not have the tree of its co-signed checkpoint yet, so it proves nothing in it.
        if ingest is None or ingest.log.head.size < size or not 1 <= number <= size:
            return None
        async with self._keeper.turn:
            leaf = await asyncio.to_thread(ingest.log.registration, number)
            proof = await asyncio.to_thread(ingest.log.inclusion_proof, number, size)
        return JSONResponse(
            {
                "origin": Checkpoint.parse(Note.parse(note).text).origin,
                "number": number,
                "index": number - 1,
                "size": size,
                "registration": base64.encode(leaf),
                "proof": [base64.encode(each) for each in proof],
                "checkpoint": note.decode(),
            }
        )

    async def tile(self, request: Request) -> Response | None:
        """Return a hash tile."""
        return self._file(request, _TILE, "tile")

    async def entries(self, request: Request) -> Response | None:
        """Return an entry bundle."""
        return self._file(request, _BUNDLE, "tile/entries")

    def _newest(self, request: Request) -> tuple[int, bytes, int] | None:
        logs, asked = self._keeper.logs, request.query_params.get("witnesses", "0")
        ingest = logs.ingests.get(request.path_params["partition"]) if logs else None
        if logs is None or ingest is None or not asked.isdecimal():
            return None
        return logs.cosigned.newest(ingest.log.origin, int(asked[:6]))

    def _file(self, request: Request, form: re.Pattern[str], below: str) -> Response | None:
        path = request.path_params["path"]
        if len(path) > _LONGEST_PLACE or not form.fullmatch(path):
            return None
        file = self._keeper.home / "logs" / f"p{request.path_params['partition']}" / below / path
        if not file.is_file():
            return None
        # As C2SP tlog-tiles asks: the file at a path never changes.
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(file.read_bytes(), media_type="application/octet-stream", headers=headers)


def door(keeper: Keeper, listening: Listening, page: Iterable[Route] = ()) -> ASGIApp:
    """Return the application: the logs of *keeper* behind the token of *listening*, and *page*, which people sign in to."""
    shown = _Pages(keeper)

    def route(path: str, show: Callable[[Request], Awaitable[Response | None]]) -> Route:
        async def answer(request: Request) -> Response:
            if not listening.allows(request.headers.get("authorization")):
                return Response(status_code=401, headers=CHALLENGE)
            try:
                found = await show(request)
            except LogError as error:
                return JSONResponse({"code": error.code}, 500)
            return JSONResponse({"code": "not_found"}, 404) if found is None else found

        return Route(path, answer)

    return Starlette(
        routes=[
            route("/checkpoint/{partition:number}", shown.checkpoint),
            route("/proof/{partition:number}/{number:number}", shown.proof),
            route("/tile/{partition:number}/{path:path}", shown.tile),
            route("/entries/{partition:number}/{path:path}", shown.entries),
            *page,
        ]
    )
