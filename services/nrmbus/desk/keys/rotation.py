"""Rotation of the agency's keys: requested before the 90 days of the sealing key are over, and confirmed.

Two admitters must approve, and the present key signs: the desk only saves people from carrying files.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from nrmbus import telemetry
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.periodic import every
from nrmbus.desk.state.context import Seat
from nrmbus.directory import commands, rotation
from nrmbus.directory.fold import WARNED
from nrmbus.directory.joining import OVERLAP
from nrmbus.directory.requests import Request
from nrmbus.wire.names import requests_of

BEFORE: Final = WARNED
"""Time between the request for new keys and the end of the sealing key's 90 days: two people must come to sign."""

LOOK_SECONDS: Final = 60.0
"""Seconds between two looks at the keys."""

AGAIN_SECONDS: Final = 24 * 3600.0
"""Seconds until the next request, if admitters or operator have not acted."""

CONFIRMED_SECONDS: Final = 600.0
"""Seconds until the next confirmation."""


class Rotating:
    """Watch over one agency's keys."""

    def __init__(self, folder: BusFolder, seat: Seat) -> None:
        self._folder, self._seat = folder, seat
        self._home = folder.agency(seat.me).path
        self._began_with = seat.identity.witness.kid
        self._sent: dict[str, float] = {}
        """Kind of message -> monotonic time when it was last sent."""

    async def look(self) -> bool:
        """Do all due steps; return whether the desk must restart, since a witness keeps the key from its start.

        Raises:
            KafkaError: the broker does not answer.
            DirectoryError: the directory cannot be believed, or the challenge does not open.
        """
        seat = self._seat
        seat.renew()
        if seat.identity.witness.kid != self._began_with:
            return True
        standing = seat.directory.roll.agencies.get(seat.me)
        if standing is None or seat.held_up is not None or seat.directory.state(seat.me, seat.now()) != "admitted":
            return False
        newest = standing.periods[-1]
        if newest.confirmed is None:
            if self._may("confirmed", CONFIRMED_SECONDS):
                await self._send(await asyncio.to_thread(self._confirmation), "confirmed")
        elif self._ends(seat) and self._may("rotated", AGAIN_SECONDS):
            await self._send(await asyncio.to_thread(self._request), "rotated")
        return False

    def _ends(self, seat: Seat) -> bool:
        """Return whether the sealing key is in its last days and has no successor."""
        ends = seat.directory.sealing_ends(seat.me, seat.now())
        return ends is not None and seat.now() >= ends - BEFORE

    def _may(self, what: str, seconds: float) -> bool:
        return time.monotonic() - self._sent.get(what, -seconds) >= seconds

    def _request(self) -> Request | None:
        """Return a request for new keys, made on first use and then kept; the old keys stay valid until their time is over."""
        seat, now = self._seat, self._seat.now()
        ends = seat.directory.sealing_ends(seat.me, now)
        overlap = max(ends - now, OVERLAP) if ends else OVERLAP
        asked = commands.ask_for_new_keys(self._folder, seat.me, "rotated", overlap, certified=False)
        return asyncio.run(asked)

    def _confirmation(self) -> Request | None:
        return asyncio.run(commands.check(self._folder, self._seat.me, None))[1]

    async def _send(self, request: Request | None, what: str) -> None:
        if request is not None:
            await rotation.send(self._folder, self._home, request)
            telemetry.handled("asked", topic=requests_of(self._seat.me), type=what)
        self._sent[what] = time.monotonic()


async def run(rotating: Rotating, begin_anew: Callable[[], None]) -> None:
    """Watch the keys until cancelled; call *begin_anew* when there are new ones. Errors are retried."""

    async def look() -> None:
        if await rotating.look():
            begin_anew()

    def failed(error: Exception) -> None:  # the present keys hold meanwhile
        telemetry.handled("not_available", error=type(error).__name__)

    await every(LOOK_SECONDS, look, first=LOOK_SECONDS, failed=failed)
