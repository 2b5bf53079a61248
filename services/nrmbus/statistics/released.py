"""Released figures as a desk has received them, each with the time of its registration."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Row, select

from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.events.figures import Release
from nrmbus.events.stats import PeriodPublished, unpacked

_EVENTS: Final = tables.events.c
_RELEASES: Final = (
    select(_EVENTS.id, _EVENTS.source, _EVENTS.registered, _EVENTS.value)
    .where(_EVENTS.type == PeriodPublished.type)
    .order_by(_EVENTS.position.desc())
)


@dataclass(frozen=True, slots=True)
class Released:
    """Release of the figures of one period: publisher, event, time and digest."""

    event: str
    period: str
    digest: str
    previous: str | None
    source: str
    at: datetime
    packed: str

    @property
    def figures(self) -> Release:
        """Return the release itself. The registrar has checked the form and the digest."""
        return _read(self.packed)


def newest_first(ledger: Ledger) -> tuple[Released, ...]:
    """Return every release that this desk has, the newest first."""
    with ledger.read() as tx:
        rows = tx.execute(_RELEASES).all()
    return tuple(_released(PeriodPublished.from_json(row.value), row) for row in rows)


def _released(said: PeriodPublished, row: Row[Any, Any, Any, Any]) -> Released:
    at = datetime.fromisoformat(row.registered)
    return Released(row.id, said.period, said.release, said.previous, row.source, at, said.figures)


def chosen(every: Sequence[Released], *, digest: str = "", period: str = "") -> Released | None:
    """Return the release with *digest*, else the newest of *period*, else the newest of the last whole year, else the newest."""
    if digest:
        return next((each for each in every if each.digest == digest), None)
    if period:
        return next((each for each in every if each.period == period), None)
    years = [each.period for each in every if "Q" not in each.period]
    return chosen(every, period=max(years)) if years else next(iter(every), None)


def periods_of(every: Sequence[Released]) -> list[str]:
    """Return the periods with a release: the newest year first, and in a year the year itself before its quarters."""
    return sorted({each.period for each in every}, key=lambda each: (-int(each[:4]), each))


@lru_cache(maxsize=32)
def _read(packed: str) -> Release:
    return Release.read(unpacked(packed) or b"")
