"""The desk behind the door: handlers share it, and each request carries it in its state."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from fastapi import Request
from sqlalchemy import Connection

from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http import views
from nrmbus.desk.http.arrivals import Arrivals
from nrmbus.desk.http.limits import A_MINUTE
from nrmbus.desk.http.measured import Measured
from nrmbus.desk.http.scopes import Caller, caller_of
from nrmbus.desk.http.streams import Streams
from nrmbus.desk.http.tokens import Tokens
from nrmbus.desk.outbox import refusals
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.staff.staff import Staff
from nrmbus.desk.webhooks.dispatcher import Webhooks
from nrmbus.desk.webhooks.egress import Egress
from nrmbus.events.model import Draft


class Door:
    """One desk, as the routes use it."""

    def __init__(
        self,
        desk: Desk,
        *,
        health: Callable[[], Awaitable[dict[str, Any]]],
        release: Callable[[str], Awaitable[int]],
        vitals: Callable[[], Mapping[str, float]] = dict,
        is_local: Callable[[str | None], bool] = lambda _: False,
        a_minute: int = A_MINUTE,
        webhooks: Webhooks | None = None,
        staff: StaffSettings | None = None,
        home: Path | None = None,
    ) -> None:
        """Open on *desk*; *health* and *vitals* add the process's own values, *release* lets a case's parked records through.

        *is_local* recognises the token of ``door.json`` in an Authorization header; the other tokens may send *a_minute*
        requests, unless they have limits of their own. Without *webhooks* or *staff* they are those of a desk whose
        administrator has set nothing. *home* is the agency's folder, in which an anonymous intake has its file.
        """
        self.home = home
        self.desk, self.seat, self.ledger = desk, desk.seat, desk.seat.ledger
        self.release, self.vitals = release, vitals
        self.tokens = Tokens(desk.seat.ledger, is_local, a_minute)
        self.measured = Measured(desk.seat)
        self.webhooks = webhooks or Webhooks(desk.seat, Egress())
        self.arrivals, self.streams = Arrivals(self.ledger, desk.seat.me), Streams()
        self._staff_settings = staff
        self._staff: Staff | None = None
        self.beside: dict[type[Any], Any] = {}
        """Objects that the agency's own room put beside the door, by their type, for its pages."""
        self.has_mail = False
        """True if the agency has a mail server for notices; set by the process."""
        self._health, self._shown = health, views.Shown(self.ledger, desk.seat.me)

    @property
    def staff(self) -> Staff:
        """The agency's people; read from the ledger when they are needed first."""
        if self._staff is None:
            made = Staff(self.seat, self._staff_settings or StaffSettings())
            # The first one stays, since it follows each change.
            self._staff = self._staff or made  # type: ignore[redundant-expr]  # another task may have made one meanwhile
        return self._staff

    async def health(self) -> dict[str, Any]:
        """Return the state of the desk, in one snapshot."""
        process = await self._health()
        standing = {"service": self.seat.me, "live": True, "token_ends": self.tokens.ending(self.seat.me)}
        return {**standing, **process, **self.desk.health(), **self._shown.position()}

    def require_token(self, caller: Caller) -> None:
        """Raise DeskError ``token_required`` if the token of *caller* has ended since its request began to wait."""
        if not self.tokens.holds(caller):
            raise DeskError("token_required")

    async def until(
        self, look: Callable[[], Awaitable[dict[str, Any]]], enough: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any]:
        """Return what *look* finds: as soon as it is *enough*, or after *seconds*; it looks again after each commit."""
        until = time.monotonic() + seconds
        while True:
            seen = self.ledger.count
            found = await look()
            left = until - time.monotonic()
            if enough(found) or left <= 0:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left), self.ledger.commits:
                    await self.ledger.commits.wait_for(partial(self.ledger.passed, seen))

    async def said(self, ids: list[tuple[str, str]]) -> dict[str, Any]:
        """Return the state of the events *ids*, each as case and id, together."""
        with self.ledger.read() as tx:
            return self.said_within(tx, ids)

    def said_within(self, tx: Connection, ids: list[tuple[str, str]]) -> dict[str, Any]:
        """Return the same as `said`, as *tx* sees it."""
        found = [views.said(tx, self.seat.me, subject, id) for subject, id in ids]
        return views.together([refusals.told(self.seat, part) for part in found if part is not None])

    async def put_on_record(self, drafts: Collection[Draft]) -> dict[str, Any]:
        """Have the registrar record the readings of *drafts*. Nothing was read if this raises."""
        if not drafts:
            return {}
        ids = await opening.put(self.desk, drafts)
        found = await self.until(
            lambda: self.said(ids), lambda found: found["verdict"] != "pending", opening.WITHIN_SECONDS
        )
        if found["verdict"] == "refused":
            ground: dict[str, object] = {name: found[name] for name in ("rule", "article") if name in found}
            raise DeskError("read_refused", detail=found["sentence"], safe={"refusal": found["code"], **ground})
        if found["verdict"] != "registered":
            raise DeskError("read_not_registered")
        return found


def door_of(request: Request) -> Door:
    """Return the door that *request* came through."""
    return cast("Door", request.state.door)


def still_admitted(request: Request) -> Callable[[Connection], None]:
    """Return the first step of a transaction for *request*, which may have waited for the ledger while its token was revoked.

    The step raises DeskError ``token_required``.
    """
    return lambda _: door_of(request).require_token(caller_of(request))


async def body_of(request: Request) -> bytes:
    """Return the body, unless it is too long.

    Raises:
        DeskError: ``too_large``, by the actual or the announced length.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:12]) > event_request.BODY_LIMIT:
        raise DeskError("too_large")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > event_request.BODY_LIMIT:
            raise DeskError("too_large")
        parts.append(part)
    return b"".join(parts)
