"""Route for the export of a case as HTCDS, above the door's routes for cases, readings and the inbox."""

from datetime import datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus.edge.door import OwnDoor
from nrmbus.edge.htcds import mapping
from nrmbus.edge.misfit import Misfit
from nrmbus.edge.problems import handlers
from nrmbus.events.errors import Problem

CSV: Final = "text/csv; charset=utf-8"
_SPEAKS: Final = (("speaks", "referral.submitted:2"), ("speaks", "identification.status_decided:3"))
_TAKEN: Final = frozenset({"format", "actor", "purpose"})
_PAGE: Final = 50
"""Letters that the door opens in one request."""


class Htcds:
    """Request handler of the export."""

    def __init__(self, door: OwnDoor) -> None:
        """Read at *door*."""
        self._door = door

    def application(self) -> Starlette:
        """Return the routes of this adapter."""
        routes = [Route("/cases/{ref}", self.export)]
        return Starlette(routes=routes, exception_handlers=handlers(routes))

    async def export(self, request: Request) -> Response:
        """Return a case as JSON or CSV, for ``actor`` and ``purpose``.

        The registrar records the export, and then the reading of each letter, before anything is answered. Needs the scopes
        ``read`` and ``open``.
        """
        if request.query_params.keys() - _TAKEN:
            raise Misfit(Problem("?", "unknown_parameter", sorted(_TAKEN)))
        form = request.query_params.get("format", "json")
        if form not in ("json", "csv"):
            raise Misfit(Problem("?format", "literal_error", ("json", "csv")))
        case = str(request.path_params["ref"])
        reader = [each for each in request.query_params.multi_items() if each[0] in {"actor", "purpose"}]
        await self._door.ask(request, "POST", f"/v1/cases/{case}/reads", params=[*reader, ("what", "export")])
        letters = await self._letters(request, case, reader)
        events = [each async for each in self._door.timeline(request, case, _SPEAKS)]
        made = mapping.record(events, letters, self._door.agency, datetime.now(self._door.zone()))
        if form == "csv":
            return Response(mapping.to_csv(made), media_type=CSV)
        return JSONResponse(made)

    async def _letters(self, request: Request, case: str, reader: list[tuple[str, str]]) -> dict[str, dict[str, Any]]:
        """Return the opened letters of the received events of *case*, by event id."""
        found: dict[str, dict[str, Any]] = {}
        after: int | None = 0
        while after is not None:
            params = [*reader, *_SPEAKS, ("case", case), ("open", "true"), ("after", str(after)), ("limit", str(_PAGE))]
            page = (await self._door.ask(request, "GET", "/v1/inbox", params=params)).body
            for each in page["events"]:
                parts = each.get("letter", {}).values()
                found[each["id"]] = {name: value for part in parts for name, value in part.items()}
            after = page["next"]
        return found
