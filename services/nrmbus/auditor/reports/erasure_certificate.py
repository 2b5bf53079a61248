"""Erasure certificate from the history: decision, holds, the agencies that confirmed, and those that have not."""

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
    """Signed confirmation of one holder that it erased the case, with the horizon of its backups."""

    agency: str
    number: int
    at: datetime
    horizon: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """One hold, with the last day on which it stops an erasure."""

    agency: str
    number: int
    until: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate of one case. ``due`` is None before the erasure is due; ``missing`` are holders without a confirmation.

    A confirmation counts for one decision: the next one starts a clock and a horizon of its own.
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
        """True if every agency that was told has confirmed."""
        return bool(self.confirmed) and not self.missing

    @property
    def horizon(self) -> datetime | None:
        """The time from which no backup of any holder opens the letters; None while a confirmation is missing."""
        return max(each.horizon for each in self.confirmed) if self.complete else None


def certificate(entries: Iterable[Entry]) -> Certificate:
    """Return the certificate from the verified *entries* of one case, for the last of several decisions."""
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
    told = set(due.audience.recipients if due else ())
    return Certificate(
        ground=ground,
        decided_by=decision.registration.source if decision else None,
        decision=decision.registration.number if decision else None,
        decided=decision.registration.time if decision else None,
        due=due.registration.time if due else None,
        holds=tuple(holds),
        confirmed=tuple(sorted(confirmed.values(), key=lambda each: each.number)),
        missing=tuple(sorted(told - answered)),
    )
