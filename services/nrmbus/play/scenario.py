"""Models of a scenario: one written story of the mechanism with its events, times and expectations.

The format and its meaning are in ``README.md`` beside this file; ``reader.py`` makes these models of a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal

from pydantic import Field

from nrmbus.directory.entry import Contact
from nrmbus.events.model import AgencyId, Frozen, Part
from nrmbus.events.registry import TYPES

Alias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]
When = Annotated[str, Field(pattern=r"^(?:\d{1,4}:[0-5]\d|d\d{1,4}(?: (?:[01]?\d|2[0-3]):[0-5]\d)?)$")]
Count = Annotated[int, Field(ge=0)]
Category = Annotated[str, Field(pattern=r"^(?:women|children|men)$")]
EventType = Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$")]

CARRIERS = ("auditor", "broker", "registrar")
"""Services that carry or watch and never open a letter; legal in ``closed_to`` beside the agencies."""

SERVICES = ("auditor", "broker", "coordinator", "registrar", "timekeeper")
"""What ``restart`` may name beside the agencies."""


class Participant(Frozen):
    """An agency that plays: role, supervisor, a shelter's free places, how people find it, its public page and its receivers of webhooks."""

    role: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    supervisor: AgencyId | None = None
    capacity: dict[Category, Count] | None = None
    contact: Contact | None = None
    public: dict[str, Any] | None = None
    webhooks: dict[str, Any] | None = None


class Refusal(Frozen):
    """The expected refusal of a step: its code, and the rule's id if it matters."""

    refused: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    rule: Annotated[str, Field(pattern=r"^G-\d{2}$")] | None = None


class Publish(Frozen):
    """A step in which an agency publishes an event, and what must be observable when the bus is quiet again."""

    by: AgencyId
    event: EventType
    case: Alias | None = None
    cases: Annotated[tuple[Alias, ...], Field(min_length=1)] | None = None
    incident: Alias | None = None
    ref: Alias | None = None
    to: Annotated[tuple[AgencyId, ...], Field(min_length=1)] | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    sealed: dict[str, Any] | None = None
    decision: Alias | None = None
    consent: Alias | None = None
    previous_case: Alias | None = None
    other_case: Alias | None = None
    alias: Annotated[Alias | None, Field(alias="as")] = None
    approver: Alias | None = None
    again: Literal[True] | None = None
    expect: Literal["registered"] | Refusal = "registered"
    seen_by: tuple[AgencyId, ...] | None = None
    opened_by: tuple[AgencyId, ...] | dict[Part, tuple[AgencyId, ...]] | None = None
    closed_to: tuple[AgencyId, ...] = ()

    @property
    def about_no_case(self) -> bool:
        """True of an event that concerns its publisher or the bus, and no case."""
        found = TYPES.get((self.event, 1))
        return found is not None and found.keyed_by == "agency"

    @property
    def subjects(self) -> tuple[str | None, ...]:
        """Aliases of the event's cases; one None for an event about an incident alone, or about no case."""
        return self.cases or (self.case,)


class _Check(Frozen):
    check: str

    @property
    def title(self) -> str:
        """The check in a few words: what it looks at."""
        about = [getattr(self, field, None) for field in ("type", "kind", "service", "agency", "year", "table", "case")]
        return " ".join([self.check, *[str(each) for each in about if each][:2], *(getattr(self, "cases", None) or ())])


class _OfCases(_Check):
    case: Alias | None = None
    cases: Annotated[tuple[Alias, ...], Field(min_length=1)] | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The aliases of the cases it looks at."""
        return self.cases or ((self.case,) if self.case else ())


class CheckEvents(_OfCases):
    """How many events of a type are registered on the cases together, by whom and with which data."""

    check: Literal["events"]
    type: EventType
    count: Count
    by: AgencyId | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class CheckState(_OfCases):
    """Where each case stands, as registrar and timekeeper hold it; *shown_to*: whose own desk shows the same status."""

    check: Literal["state"]
    status: Annotated[str, Field(pattern=r"^[A-Z_]+$")] | None = None
    open_referrals: tuple[Alias, ...] | None = None
    open_deadlines: tuple[Annotated[str, Field(pattern=r"^D-[A-Z0-9]+$")], ...] | None = None
    shown_to: tuple[AgencyId, ...] = ()


class CheckInbox(_Check):
    """Events that an agency received: of one case in order, or of all cases in any order."""

    check: Literal["inbox"]
    agency: AgencyId
    case: Alias | None = None
    count: Count | None = None
    types: tuple[EventType, ...] | None = None


class CheckPayments(_Check):
    """How many payments of a kind are ordered or executed, and the amount of each."""

    check: Literal["payments"]
    case: Alias
    kind: str
    count: Count
    amount: Annotated[str, Field(pattern=r"^\d+\.\d{2}$")] | None = None


class CheckStatistics(_Check):
    """Published figures of the Coordinator, or ``suppressed`` for a cell below the threshold."""

    check: Literal["statistics"]
    year: int
    table: str
    cells: dict[str, Count | Literal["suppressed"]]


class CheckReplay(_Check):
    """The fold of the history equals the live state at every agency, of one case or of ``all``."""

    check: Literal["replay"]
    case: Alias


class CheckRestart(_Check):
    """A service is killed and started again; the play goes on."""

    check: Literal["restart"]
    service: str


class CheckAway(_Check):
    """From here on an agency's desk takes nothing of what is delivered to it, and says nothing."""

    check: Literal["away"]
    agency: AgencyId


class CheckBack(_Check):
    """The desk of an agency that was away goes on where it stopped."""

    check: Literal["back"]
    agency: AgencyId


class CheckListening(_Check):
    """An agency reads what it is sent, or does not, as the desks of others show before somebody turns to it."""

    check: Literal["listening"]
    agency: AgencyId
    listens: bool
    shown_to: Annotated[tuple[AgencyId, ...], Field(min_length=1)]


Check = (
    CheckEvents
    | CheckState
    | CheckInbox
    | CheckPayments
    | CheckStatistics
    | CheckReplay
    | CheckRestart
    | CheckAway
    | CheckBack
    | CheckListening
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its number from 1, its line in the file, its time and its action. *occurred* is an event's ``time``."""

    number: int
    line: int
    at: datetime
    occurred: datetime
    what: Publish | Check


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole story. Times are UTC; *zone* is the fixed offset in which ``starts`` was written, for showing them."""

    title: str
    policy: str
    starts: datetime
    zone: tzinfo
    agencies: Mapping[str, Participant]
    steps: tuple[Step, ...]
    lines: int
    """How many lines the file has: where a failure of the last, unwritten replay is reported."""
