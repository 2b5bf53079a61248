"""The timekeeper's health never claims more progress than its published events show."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from agencies import SIGNAL
from desk.given import Given, desk_of
from nrmbus.bus.clock import Tick
from nrmbus.bus.folder import BusFolder
from nrmbus.timekeeper.app import Timekeeper

REACHED = {0: 5}


class Moving:
    """A desk process on which one tick passes during the question; the outbox has the events of the tick."""

    def __init__(self, given: Given, moment: str) -> None:
        self._given, self._moment, self.desk = given, moment, given.desk
        self.passing: asyncio.Future[None] | None = None
        self.seat = SimpleNamespace(ledger=self, me=given.desk.seat.me, now=given.desk.seat.now)
        self.timekeeper = Timekeeper(BusFolder(Path()), self)  # type: ignore[arg-type]  # a stand-in for it
        self.timekeeper._watch = SimpleNamespace(
            numbers=REACHED, due=lambda _: (), next_due=lambda: None, unknown=(), over=()
        )  # type: ignore[assignment]

    async def _passes(self, moment: str) -> None:
        if moment == self._moment:
            self._moment = ""
            await self._given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34"})
            await self.timekeeper._at(Tick(1, self.seat.now()))

    async def health(self) -> dict[str, Any]:
        """As of the desk's process: the clock itself has moved already."""
        await self._passes("before the outbox is read")
        return {"ready": True, "tick": 1, "lag": 0}

    @property
    def count(self) -> int:
        """The ledger's count of commits."""
        return self._given.desk.seat.ledger.count

    @property
    def holds_deleted(self) -> bool:
        """Return whether destroyed content is still in the ledger's files."""
        return self._given.desk.seat.ledger.holds_deleted

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """The ledger, for reading; a reading suspends nothing, so the tick passes as soon as the question lets it."""
        with self._given.desk.seat.ledger.read() as tx:
            yield tx
        self.passing = asyncio.ensure_future(self._passes("after the outbox is read"))


@pytest.mark.parametrize("moment", ["before the outbox is read", "after the outbox is read"])
async def test_a_tick_that_passes_while_it_is_asked_does_not_look_answered(tmp_path: Path, moment: str) -> None:
    """A reader of the new tick or number also sees the open events, or a story would go on before the breach is registered."""
    async with desk_of("ngo-a", tmp_path) as given:
        process = Moving(given, moment)
        during = await process.timekeeper.health()
        assert process.passing is not None
        await process.passing
        after = await process.timekeeper.health()

    assert (during["tick"], during["numbers"]) == (0, {}) or during["outbox_open"] == 1
    assert (after["tick"], after["numbers"], after["outbox_open"]) == (1, {"0": 5}, 1)
