"""An adapter above the door of a desk, and the published examples."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from contract.tree import ROOT
from desk.given import TOKEN, FakeRegistrar, Given, desk_of
from nrmbus.edge.mounts import mount
from nrmbus.events.registry import TYPES


class Unguarded:
    """Adapters before the door of a test, which checks the token of each request that it gets from them."""

    def __init__(self, door: ASGIApp) -> None:
        self.app = Starlette()
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of an adapter."""
        await self._door(scope, receive, send)


@asynccontextmanager
async def edge_of(
    agency: str, home: Path, name: str, *, registrar: FakeRegistrar | None = None
) -> AsyncIterator[tuple[Given, httpx.AsyncClient]]:
    """Yield the desk of *agency* and a client of its adapter *name*."""
    async with desk_of(agency, home, registrar=registrar) as here:
        door = here.door._transport.app  # type: ignore[attr-defined]  # httpx has no public name for it
        app = Unguarded(door)
        mount([name], app, agency)
        headers = {"authorization": f"Bearer {TOKEN}"}
        base = f"http://desk/{name}"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url=base, headers=headers) as client:
            yield here, client


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Return the published examples of every type that a person may publish, by type, version and size."""
    found = {}
    for (name, version), model in TYPES.items():
        for size in () if model.technical else ("minimal", "full"):
            path = ROOT / "schemas" / f"nrm.{name}" / f"v{version}" / f"{size}.json"
            found[f"{name} v{version} {size}"] = json.loads(path.read_bytes())
    return found
