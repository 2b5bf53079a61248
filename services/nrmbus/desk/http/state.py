"""Routes of the desk's own state: health, metrics, co-signatures."""

from typing import Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from nrmbus.desk.http.answers import AT, Health, Witness
from nrmbus.desk.http.documented import answers, guarded, subject
from nrmbus.desk.http.served import door_of
from nrmbus.desk.witness import cosignatures
from nrmbus.telemetry.metrics import CONTENT_TYPE, page

routes: Final = subject("state")

_LOG: Final = {
    "origin": "play-0/cases/0", "size": 31, "root": "q83vEjRWeJA=", "at": AT, "checked": 31, "alarms": [],
}  # fmt: skip
_HEALTH: Final = {
    "service": "ngo-a", "live": True, "ready": True, "release": "0.1.0", "lag": 0,
    "outbox_open": 0, "tasks": 0, "parked": 0,
}  # fmt: skip


@routes.get(
    "/v1/witness",
    summary="Look at the co-signatures",
    **answers(
        Witness, {"logs": [_LOG]}, needs=["read"], said="For each log of the history: what was checked and co-signed."
    ),
)
async def get_witness(request: Request) -> JSONResponse:
    """Return this desk's co-signatures of the history's logs, and the alarms. Records nothing."""
    with door_of(request).ledger.read() as tx:
        return JSONResponse({"logs": cosignatures.view(tx)})


@routes.get("/health", summary="Look at the desk", **answers(Health, _HEALTH, said="One snapshot of the desk."))
async def get_health(request: Request) -> JSONResponse:
    """Return the state of the desk, in one snapshot. Records nothing.

    A desk that waits for its ledger answers with `held_up` and `waits`, and refuses all other requests.
    """
    return JSONResponse(await door_of(request).health())


@routes.get(
    "/metrics",
    summary="Read the metrics",
    response_model=None,
    response_class=Response,
    **guarded(
        {
            200: {
                "description": "Prometheus' text format.",
                "content": {"text/plain": {"schema": {"type": "string"}, "example": "nrmbus_outbox_open_events 0\n"}},
            }
        }
    ),
)
async def get_metrics(request: Request) -> Response:
    """Return the numbers of `/health` and of this machine for Prometheus. Records nothing."""
    door = door_of(request)
    facts = {**await door.health(), **door.measured.facts(), **door.vitals()}
    return Response(page("desk", facts), headers={"content-type": CONTENT_TYPE})
