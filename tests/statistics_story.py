"""Twelve women who gave a signal: their history, and what is delivered to the desk of the statistics."""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, cast

from agencies import NOW, town
from desk.given import FakeRegistrar, Given, Read
from nrmbus.events.figures import Checkpoint, Release
from nrmbus.events.model import Fact
from nrmbus.statistics.history import Histories
from nrmbus.statistics.service import Figures
from nrmbus.statistics.spans import Span
from nrmbus.wire.envelope import decode

SIGNAL: Final[dict[str, Any]] = {
    "detector": "ngo_outreach",
    "child": False,
    "urgency": "normal",
    "detected_abroad": False,
    "basis": ["indicators"],
}
CODED: Final = {"coded": {"sex": "F", "age_band": "25-34", "citizenship": "AZ"}}


class Story:
    """What was registered, and what the statistics heard of it."""

    signal, coded = SIGNAL, CODED

    def __init__(self, *, at: datetime = NOW) -> None:
        """Let twelve women give a signal *at* a time."""
        self.registrar = FakeRegistrar(town())
        self.facts: dict[str, list[Fact]] = {}
        self.deliveries: list[Read] = []
        self._others = 0
        for number in range(12):
            case = f"{number + 1:032x}"
            self.happens("ngo-a", "case.signal_recorded", SIGNAL, case=case, parts=CODED, opens=("statistics",), at=at)

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return how far the history goes."""
        return (Checkpoint(partition=0, size=self.registrar.number + self._others, head="a" * 64),)

    def elsewhere(self) -> None:
        """Let something be registered that no figure counts."""
        self._others += 1

    def happens(
        self, by: str, type_: str, data: dict[str, Any], *, case: str, at: datetime | None = None, **more: Any
    ) -> None:
        """Register an event *at* a time, now if nothing else is said; it reaches the statistics."""
        now = self.registrar.time
        self.registrar.time = at or now
        record = self.registrar.event(by, type_, data, case=case, **more)
        self.deliveries.append(self.registrar.register(record, to="statistics"))
        fact = Fact.of(decode(record).event(), ("statistics",), self.registrar.time, self.registrar.number)
        self.facts.setdefault(case, []).append(fact)
        self.registrar.time = now

    def erased(self, number: int) -> None:
        """Order the erasure of the woman of *number*."""
        self.happens("timekeeper", "access.erasure_due", {"ground": "decision"}, case=f"{number:032x}")

    async def figures(self, given: Given, heard: Sequence[Read] | None = None) -> Release:
        """Return the figures of 2026 that the desk of *given* computes, which has *heard* everything if nothing else is said."""
        for each in self.deliveries if heard is None else heard:
            await given.hear(each)
        return await self.draft(given)

    async def draft(self, given: Given) -> Release:
        """Return the figures of 2026 that the desk of *given* computes now."""
        histories = cast("Histories", SimpleNamespace(facts=self.facts, checkpoints=(), is_known_to=lambda _: True))
        return await Figures(given.desk, histories, _nothing_new).draft(Span(2026))


async def _nothing_new() -> None:
    return
