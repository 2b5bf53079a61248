"""What the work lists know of a case, and the content of a possible row. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from nrmbus.rules import View
from nrmbus.rules.clocks import Clock
from nrmbus.rules.due import Due

Side = Literal["ours", "theirs", "answer", "case", "record"]
"""Whether this agency has to act, waits for others, was answered lately; the case itself; or something on record in it."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Happened:
    """Event that this desk sent or received: its clear part alone."""

    id: str
    type: str
    source: str
    ref: str | None
    registered: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """Open task of a case."""

    id: int
    kind: str
    opened: datetime
    event_type: str = ""
    source: str = ""
    ref: str | None = None
    alternatives: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    """Agencies that a letter of this agency did not reach, or reached beside those that it expected."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What this desk knows of one case."""

    view: View
    duties: tuple[Clock, ...] = ()
    due: tuple[Due, ...] = ()
    happened: tuple[Happened, ...] = ()
    tasks: tuple[Task, ...] = ()
    settled: frozenset[str] = frozenset()
    """References of referrals of which somebody has marked the task to refer the person again as done."""
    unsent: tuple[Happened, ...] = ()
    """Own events without the registrar's answer; ``registered`` is when they were entered."""
    is_whole: bool = True
    """False if the beginning of the case is gone: then it has no status and no duty."""
    is_parked: bool = False
    shelters: frozenset[str] = frozenset()
    """Agencies that were asked in a referral of the case and may offer a bed."""
    shut_out: frozenset[str] = frozenset()
    """Agencies with an emergency request in the case, whose access has ended."""
    refused: frozenset[str] = frozenset()
    """Agencies with an emergency request in the case, whom the person refuses."""
    is_out: bool = False
    """Whether this agency may know no more of the person: no part in the case, access ended, or refused by the person."""
    answer_until: Mapping[str, datetime] = field(default_factory=dict)
    """Reference of each emergency request in the case -> until when it may be answered."""
    owed: str = ""
    """Amount of an allowance that the person has earned and nobody has ordered yet."""


@dataclass(frozen=True, slots=True)
class Item:
    """Content of a possible row: a duty, a record, an answer or the case itself."""

    side: Side
    about: str
    """Kind of thing: duty, period, question, referral, bed, hold, permit, return, review, service, payment, emergency, task, unsent, case."""
    case: str
    type: str
    """Type of the event by which a reader knows the thing."""
    ref: str | None = None
    code: str = ""
    """The clock's code, the state of a record (of a failed payment that was ordered again, `REPLACED`), or the kind of a task."""
    agencies: tuple[str, ...] = ()
    """Agencies that ask (ours), that have to act (theirs), or that said it."""
    since: datetime | None = None
    due: datetime | None = None
    ends: datetime | None = None
    """When the row ends by itself: what was waited for is done or can come no more, and this agency is not told of it."""
    breached: bool = False
    state: str = ""
    act: str = ""
    """Type of the event that is the next step; empty: look at the case."""
    urgency: str = ""
    child: bool = False
    status: str = ""
    is_over: bool = False
    task: int = 0
    said: Mapping[str, Any] = field(default_factory=_nothing)

    def is_late(self, now: datetime) -> bool:
        """Return whether the thing is overdue at *now*."""
        return self.breached or (self.due is not None and self.due < now)
