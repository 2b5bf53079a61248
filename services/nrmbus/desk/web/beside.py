"""The pages beside the door, in the same listener; nothing of them is loaded before the first request for one."""

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from nrmbus.desk.http.served import Door

if TYPE_CHECKING:
    from nrmbus.desk.web.application import AgencyPages

ROOT: Final = "/app"
"""Where the pages stand: their cookies have this path, so that no session opens the door's API."""


class Beside:
    """The application of a desk: its pages under `ROOT`, and the door for everything else."""

    def __init__(self, api: ASGIApp, door: Door) -> None:
        """Serve *api*, and the pages of the people of the desk behind *door*."""
        self._api, self._door = api, door
        self._pages: AgencyPages | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == ROOT or path.startswith(f"{ROOT}/")):
            if self._pages is None:
                from nrmbus.desk.web.application import AgencyPages  # noqa: PLC0415 - a desk without people needs none of it

                self._pages = AgencyPages(self._door)
            await self._pages(scope, receive, send)
        elif scope["type"] == "http" and path == "/" and b"text/html" in dict(scope["headers"]).get(b"accept", b""):
            await RedirectResponse(f"{ROOT}/", 303)(scope, receive, send)
        else:
            await self._api(scope, receive, send)
