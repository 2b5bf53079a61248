"""The player's barrier: a step is over when everything that follows from it has happened.

Desks and timekeeper are asked first, the registrar last. Each desk answers in one snapshot: how far it has read its
inbox, and how many rows of its outbox are unanswered. If the registrar, asked afterwards, is inside no transaction and
has issued no delivery that a desk had not read at its answer, then nothing was on the way: every event of a desk had
been answered, and every answer had been read. After a move of the clock every service is asked; after an event, its
publisher and the recipients since.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.play.stage import StageError
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER

PATIENCE_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.01
Health = dict[str, Any]


class Quiet:
    """Knows every service of a bus and waits until none of them has anything left to do."""

    def __init__(self, doors: Mapping[str, Door], patience: float = PATIENCE_SECONDS) -> None:
        self._doors, self._patience = doors, patience
        self.tick = 0
        """The tick that everybody must have seen."""
        self._tick_seen = -1
        self._concerned: set[str] = set()
        self.seen: dict[str, Health] = {}
        """The last answer of each quiet service."""

    async def wait(self, spoke: Iterable[str] = ()) -> None:
        """Wait for quiet after the agencies *spoke*, or after the clock was moved.

        Raises:
            StageError: after the time limit; names who lags and why. When the clock was moved, also where the auditor
                has stopped; names the record.
        """
        until = time.monotonic() + self._patience
        pause = LOOK_SECONDS
        moved = self._tick_seen != self.tick
        self._concerned = (set(self._doors) if moved else {TIMEKEEPER, *spoke}) - {AUDITOR}
        while lagging := await self._lagging():
            if time.monotonic() > until:
                who = "; ".join(f"{name} {why}" for name, why in sorted(lagging.items()))
                raise StageError(f"the bus was not quiet after {self._patience:.0f} s: {who}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        self._tick_seen = self.tick
        if moved and AUDITOR in self._doors:
            await self._audited()

    async def _audited(self) -> None:
        # Nothing follows from the auditor's work, so nobody waits for it; but a refused history ends the play.
        health = await self._ask(AUDITOR)
        if health and health["trouble"]:
            raise StageError(f"the auditor stands still: {health['trouble']}")

    async def _lagging(self) -> dict[str, str]:
        desks = sorted(self._concerned & self._doors.keys() - {REGISTRAR})
        answers = dict(zip(desks, await asyncio.gather(*(self._ask(name) for name in desks)), strict=True))
        lagging = {name: why for name, health in answers.items() if (why := self._behind(health)) is not None}
        if lagging:
            return lagging
        registrar = await self._ask(REGISTRAR)
        why = self._behind(registrar, busy=True)
        if registrar is None or why is not None:
            return {REGISTRAR: why or "does not answer"}
        for name, issued in registrar["inbox"].items():
            if name not in self._doors or name == AUDITOR:  # who reads the history, and no inbox
                continue
            # A quiet desk without a delivery since has nothing to publish: only the others are asked.
            read = (answers.get(name) or self.seen.get(name) or {"inbox": {}})["inbox"]
            if any(read.get(partition, 0) < last for partition, last in issued.items()):
                self._concerned.add(name)
                lagging[name] = "has not read its inbox to the end"
        timekeeper = answers.get(TIMEKEEPER)
        if timekeeper and timekeeper["numbers"] != {each: last for each, last in registrar["numbers"].items() if last}:
            lagging[TIMEKEEPER] = "has not read the history to the end"
        if not lagging:
            self.seen |= {name: health for name, health in answers.items() if health} | {REGISTRAR: registrar}
        return lagging

    async def _ask(self, name: str) -> Health | None:
        try:
            return await self._doors[name].health()
        except DoorError:
            self._doors[name].look_again()  # another process of the service may have taken over
            return None

    def _behind(self, health: Health | None, *, busy: bool = False) -> str | None:
        if health is None:
            return "does not answer"
        if health.get("trouble"):
            return f"stands still: {health['trouble']}"
        if not health["ready"]:
            return "is not ready"
        if health["tick"] != self.tick:
            return f"has seen tick {health['tick']} of {self.tick}"
        if busy and health["busy"]:
            return "is inside a transaction"
        if health.get("outbox_open"):
            return f"has {health['outbox_open']} unanswered events"
        if health.get("erasing"):
            return f"has {health['erasing']} cases to erase"
        return None
