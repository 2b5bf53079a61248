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

from agencies import SIGNAL
from contract.tree import ROOT
from desk.given import CANARY, REF, TOKEN, FakeRegistrar, Given, desk_of
from nrmbus.edge.mounts import mount
from nrmbus.events.registry import TYPES

_OTHER_CASE, _OTHER_REF = "cd" * 16, "12" * 16
SUBMITTED: dict[str, Any] = {
    "to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "urgent", "services": ["legal"],
}  # fmt: skip


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
        seat = here.desk.seat
        mount([name], app, agency, lambda: seat.rules.profile_at(seat.now()).zone)
        headers = {"authorization": f"Bearer {TOKEN}"}
        base = f"http://desk/{name}"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app.app), base_url=base, headers=headers) as client:
            yield here, client


async def hear_referral(here: Given, *, settled: bool = True) -> None:
    """Let the desk of vac hear of a case and of a referral with a letter that it may open."""
    registrar = here.registrar
    await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
    sent = registrar.event(
        "ngo-a", "referral.submitted", SUBMITTED, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
    )
    await here.hear(registrar.register(sent, to="vac"))
    if settled:
        await here.settle()


async def own_and_received(here: Given) -> int:
    """Let ngo-a send a referral, and then receive one about another person, with a letter; return the row of its own."""
    registrar = here.registrar
    data = {"mode": "referral", "reason": "LegalAid", "urgency": "urgent", "services": ["legal"]}
    consent = {"purposes": ["services", "information_sharing"], "given_by": "individual", "form": "written"}
    for type_, said in (("case.signal_recorded", SIGNAL), ("consent.given", consent | {"receivers": ["ngo-a"]})):
        await here.hear(registrar.register(registrar.event("police-x", type_, said, case=_OTHER_CASE), to="ngo-a"))
    await here.settle()
    await here.registered(type="case.signal_recorded", data=SIGNAL)
    await here.registered(type="consent.given", data=consent | {"receivers": ["vac"]})
    await here.registered(type="referral.submitted", ref=REF, data=data | {"to": ["vac"]}, sealed={"name": "Own"})
    received = registrar.event(
        "police-x", "referral.submitted", data | {"to": ["ngo-a"]}, case=_OTHER_CASE, referral=_OTHER_REF,
        parts={"identity": {"name": CANARY}}, opens=["ngo-a"],
    )  # fmt: skip
    await here.hear(registrar.register(received, to="ngo-a"))
    await here.settle()
    return next(int(row.position) for row in await here.rows("events") if row.referral == REF)


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Return the published examples of every type that a person may publish, by type, version and size."""
    found = {}
    for (name, version), model in TYPES.items():
        for size in () if model.technical else ("minimal", "full"):
            path = ROOT / "schemas" / f"nrm.{name}" / f"v{version}" / f"{size}.json"
            found[f"{name} v{version} {size}"] = json.loads(path.read_bytes())
    return found
