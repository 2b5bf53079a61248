"""What the history proves of a case's erasure: which decision, what stood in its way, who confirmed, who has not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nrmbus.auditor.history.history import Entry
from nrmbus.events.erasure import (
    AccessErasureConfirmed,
    AccessErasureDue,
    AccessHoldPlaced,
    AccessTerminated,
    ErasureGround,
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One holder's signed word that it erased, and from when on none of its backups opens what it held."""

    agency: str
    number: int
    at: datetime
    horizon: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """One hold, and the last day on which it stops an erasure."""

    agency: str
    number: int
    until: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """All of it. ``due`` is None while nobody was told; ``missing`` are holders who have not confirmed since they were told.

    Who confirmed a decision has not confirmed the next: each time a clock runs, and what backups hold is counted anew.
    """

    ground: ErasureGround | None
    decided_by: str | None
    decision: int | None
    decided: datetime | None
    due: datetime | None
    holds: tuple[Placed, ...]
    confirmed: tuple[Confirmed, ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everybody who was told has confirmed."""
        return bool(self.confirmed) and not self.missing

    @property
    def horizon(self) -> datetime | None:
        """From when on no backup of any holder opens the letters; None as long as somebody's word is missing."""
        return max(each.horizon for each in self.confirmed) if self.complete else None


def certificate(entries: Iterable[Entry]) -> Certificate:
    """The certificate by the *entries* of one case, which were verified; of several decisions, the last."""
    decision: Entry | None = None
    due: Entry | None = None
    holds: list[Placed] = []
    confirmed: dict[str, Confirmed] = {}
    answered: set[str] = set()
    ground: ErasureGround | None = None
    for entry in entries:
        said, number = entry.registration, entry.registration.number
        data = entry.event.data if entry.event is not None else None
        if isinstance(data, AccessTerminated):
            decision = entry
        elif isinstance(data, AccessErasureDue):
            due, ground = entry, data.ground
            answered = set()
        elif isinstance(data, AccessHoldPlaced):
            holds.append(Placed(said.source, number, data.until))
        elif isinstance(data, AccessErasureConfirmed):
            ground = ground or data.ground
            before = confirmed.get(said.source)
            horizon = max(data.horizon, before.horizon) if before else data.horizon
            answered.add(said.source)
            confirmed[said.source] = Confirmed(said.source, number, said.time, horizon)
    told = due.audience.recipients if due else ()
    return Certificate(
        ground=ground,
        decided_by=decision.registration.source if decision else None,
        decision=decision.registration.number if decision else None,
        decided=decision.registration.time if decision else None,
        due=due.registration.time if due else None,
        holds=tuple(holds),
        confirmed=tuple(sorted(confirmed.values(), key=lambda each: each.number)),
        missing=tuple(sorted(set(told) - answered)),
    )
