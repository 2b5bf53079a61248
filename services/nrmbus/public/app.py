"""Process of the public page: it listens, keeps the file tidy, and holds no key.

It asks the broker nothing, so it serves while the bus is down.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nrmbus import telemetry
from nrmbus.bus.embedded.ports import who_listens
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import Listening, Server
from nrmbus.bus.periodic import every
from nrmbus.bus.tls_listener import TlsListener
from nrmbus.bus.vitals import RELEASE
from nrmbus.bus.wall_clock import wall_now
from nrmbus.intake.messages import Hotline
from nrmbus.intake.store import FOLDER, IntakeStore, StoreFull
from nrmbus.public.settings import PublicSettings
from nrmbus.public.site import PublicSite
from nrmbus.telemetry import log

TIDY_SECONDS: Final = 3600.0
"""Seconds between two looks for messages that are too old."""


def served(
    settings: PublicSettings, store: IntakeStore, hotline: Hotline, site: PublicSite | None = None,
    is_local: Callable[[str | None], bool] = lambda _: False,
) -> ASGIApp:  # fmt: skip
    """Return the application of the public page, with the task that deletes what is too old.

    `nrmbus status` asks it for its health with the token that *is_local* recognises; for everybody else there is no such page.
    """
    site = site or PublicSite(settings, store, hotline)
    app = site.application()

    async def health(request: Request) -> Response:
        if not is_local(request.headers.get("authorization")):
            raise HTTPException(404)
        service = f"{FOLDER}.{hotline.agency}"
        state = {"service": service, "live": True, "ready": True, "release": RELEASE}
        return JSONResponse(state | {"names_number": site.names_number()})

    app.router.routes.append(Route("/health", health))

    @asynccontextmanager
    async def running(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_tidy(store))
        try:
            yield
        finally:
            task.cancel()

    app.router.lifespan_context = running
    if settings.proxies:
        trusted = [peer for each in settings.proxies for peer in _as_peers(each)]
        app.add_middleware(cast("Any", ProxyHeadersMiddleware), trusted_hosts=trusted)
    return app


def _as_peers(network: str) -> tuple[str, ...]:
    """Return the forms in which an address of *network* comes: one of IPv4 comes within IPv6 if the page listens on ``::``."""
    found = ip_network(network)
    within = (f"::ffff:{found.network_address}/{96 + found.prefixlen}",) if found.version == 4 else ()
    return (network, *within)


async def _tidy(store: IntakeStore) -> None:
    async def look() -> None:
        with suppress(sqlite3.Error, StoreFull):  # a held file, a full disk: the next look
            if gone := await asyncio.to_thread(store.expire, wall_now()):
                log.report("intake_expired", count=gone)

    await every(TIDY_SECONDS, look)


def main(folder: BusFolder, agency: str, notify: Callable[[str], None] = lambda _: None) -> None:
    """Serve the public page of *agency* until SIGTERM; call *notify* with its address.

    Raises:
        BusError: ``public`` of the agency's ``agency.json`` is missing or wrong, or another program has its port: a web
            server in front would pass people's messages on to that program, so the page does not move.
    """
    own = folder.agency(agency)
    settings = PublicSettings.parse(own.settings.public, own.agency_json)
    telemetry.set_up(f"public-{agency}", own.path / FOLDER)
    store = IntakeStore(own.path)
    store.keep(settings.keep_days)
    beyond = TlsListener(settings.listen, own.path, agency) if settings.listen else None
    listening = Listening(own.path / FOLDER, settings.port, beyond)
    try:
        if settings.port and listening.moved:
            raise BusError(
                f"The public page was not started: another program has port {settings.port} ({who_listens()} shows it). End that "
                f"program, or change `port` of `public` in {own.agency_json}."
            )
        url = beyond.url if beyond else f"http://127.0.0.1:{listening.port}"
        notify(f"The public page of {agency} is at {url}/")
        hotline = Hotline(folder.settings.bus, agency)
        site = PublicSite(settings, store, hotline)
        if not site.names_number():
            notify(
                f"The public page names no telephone number: set `phone` or `lines` of `public` in {own.agency_json}."
            )
        app = served(settings, store, hotline, site, is_local=listening.allows)
        server = Server(app, listening, anybody=True)
        asyncio.run(server.run_until_told())
    finally:
        listening.close()
        store.close()
