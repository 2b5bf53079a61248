"""Waiting for received events: one watch over the ledger for all who wait, since each commit would otherwise wake them all."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sqlalchemy import bindparam, select

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger

_EVENTS = tables.events.c
_NEWEST: Final = (
    select(_EVENTS.position)
    .where(_EVENTS.position > bindparam("after"), _EVENTS.source != bindparam("me"))
    .order_by(_EVENTS.position.desc())
    .limit(1)
)


class Arrivals:
    """Newest received row of one desk's *ledger*, and the tasks that wait for a newer one."""

    def __init__(self, ledger: Ledger, me: str) -> None:
        """Watch nothing until somebody waits; events of the agency *me* itself do not count."""
        self._ledger, self._me = ledger, me
        self._newest, self._moved = 0, asyncio.Event()
        self._waiting = 0
        self._watch: asyncio.Task[None] | None = None

    async def past(self, row: int, seconds: float | None = None) -> None:
        """Return when an event after *row* was received, or after *seconds*.

        Raises:
            DeskError: ``not_available``: the ledger cannot be read.
        """
        until = None if seconds is None else time.monotonic() + seconds
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
                    while self._newest <= row:
                        if self._watch is None or self._watch.done():
                            self._watch = asyncio.create_task(self._follow())
                            self._watch.add_done_callback(self._ended)
                        moved, watch = self._moved, self._watch
                        await moved.wait()
                        if watch.done():
                            raise DeskError("not_available")
        finally:
            self._waiting -= 1
            if not self._waiting and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _follow(self) -> None:
        while True:
            seen = self._ledger.count
            with self._ledger.read() as tx:
                newest = tx.scalar(_NEWEST, {"after": self._newest, "me": self._me})
            if newest is not None:
                self._newest = newest
                self._wake()
            async with self._ledger.commits:
                await self._ledger.commits.wait_for(partial(self._ledger.passed, seen))

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _ended(self, watch: "asyncio.Task[Any]") -> None:
        if not watch.cancelled() and watch.exception() is not None:
            self._wake()
