"""Operations that a player needs of a bus: publish in an agency's name, move the clock, and look.

A stage promises quiet: :meth:`Stage.publish`, :meth:`Stage.again` and :meth:`Stage.advance` return when every registered
event has been delivered, every automatic answer given and every service has seen the time. An operation that a stage does not support raises :class:`StageError`, and the player reports it as the failure of its step.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self

from nrmbus.events.figures import TOTAL, Release
from nrmbus.events.model import Event, Part
from nrmbus.play.scenario import Participant


class StageError(Exception):
    """Raised when the bus fails a play; the message names the failure and the remedy."""


@dataclass(frozen=True, slots=True)
class Words:
    """An event as an agency's door takes it: plain data and a plain letter, before the desk signs, numbers and seals.

    *data* is as written: without ``to``, and with ``legal_basis``, which the door lifts to the envelope.
    *consents* and *cause* are event ids; *subject*, *ref* and *incident* 32 hex digits.
    """

    by: str
    type: str
    subject: str
    time: datetime
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)
    sealed: Mapping[str, Any] | None = None
    to: tuple[str, ...] = ()
    ref: str | None = None
    incident: str | None = None
    consents: tuple[str, ...] = ()
    cause: str | None = None
    approver: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to an event: its id, its registration, and the reason of a refusal."""

    id: str
    receipt: str
    code: str | None = None
    rule: str | None = None
    article: str | None = None

    @property
    def registered(self) -> bool:
        """True if the event was registered."""
        return self.code is None


@dataclass(frozen=True, slots=True)
class Happened:
    """One registered event of a case, in the order of the history."""

    id: str
    subject: str
    at: datetime
    by: str
    type: str
    data: Mapping[str, Any]
    ref: str | None

    @classmethod
    def of(cls, event: Event, at: datetime) -> Self:
        """Return the registered *event*, with the time *at* that is told for it."""
        data = event.data.to_mapping()
        return cls(event.id, event.subject, at, event.source, event.type, data, event.referral)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a case stands as registrar and timekeeper hold it: one code in *open_deadlines* per duty."""

    status: str | None
    open_referrals: tuple[str, ...]
    open_deadlines: tuple[str, ...]


class Stage(Protocol):
    """A bus that can be played on."""

    def admit(self, agencies: Mapping[str, Participant], policy: str, starts: datetime) -> None:
        """Admit the agencies that the bus does not know yet, set the shelters' free places, and the clock to *starts*."""

    def publish(self, words: Words) -> Outcome:
        """Say *words* in the name of their agency, and wait for quiet."""

    def again(self, event: str) -> Outcome:
        """Send the very bytes of an earlier *event* once more, in its sender's name, and wait for quiet."""

    def advance(self, at: datetime) -> None:
        """Move the clock to *at*, through every due time on the way in order, with quiet at each."""

    def history(self, subject: str, *, technical: bool = False) -> tuple[Happened, ...]:
        """Return every registered event of a case or an incident, *technical* ones only on request."""

    def received(self, event: str) -> tuple[str, ...]:
        """Return the agencies with *event* in their inbox, its sender left out, in any order."""

    def opens(self, event: str) -> Mapping[Part, tuple[str, ...]]:
        """Return the agencies that can open each part of the letter of *event*, its sender and ``statistics`` left out."""

    def exposed(self, texts: Collection[str]) -> tuple[str, ...]:
        """Return which of ``registrar``, ``auditor`` and ``broker`` hold any of *texts* readably."""

    def standing(self, subject: str) -> Standing:
        """Return the standing of a case at registrar and timekeeper."""

    def status_at(self, agency: str, subject: str) -> str | None:
        """Return the status that the agency's own desk shows, or None if it shows none."""

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """Return the types of the events that *agency* received, in order, without technical ones."""

    def counts(self) -> None:
        """Have the bus make figures; called before `admit`, if the scenario looks at them."""
        return

    def statistics(self, year: int, table: str) -> Mapping[str, int | str]:
        """Return the cells that the Coordinator would publish: a figure, or ``suppressed``, for each."""

    def restart(self, service: str) -> None:
        """Kill an agency's desk or a service and start it again."""

    def away(self, agency: str) -> None:
        """Let an agency's desk take and say nothing from here on."""

    def back(self, agency: str) -> None:
        """Let the desk of an agency that was away go on where it stopped."""

    def listens(self, agency: str, shown_to: str, expected: bool) -> bool:  # noqa: FBT001 - what is waited for
        """Return whether *agency* reads what it is sent, as the desk of *shown_to* shows it; wait a while for *expected*."""

    def replay(self, subject: str | None = None) -> tuple[str, ...]:
        """Return a sentence for each difference between a fold of the history and a live state, for *subject* or for all cases."""


def shown(release: Release, name: str) -> Mapping[str, int | str]:
    """Return the cells of the table *name* by their codes, ``total`` for a total. Raises StageError if there is none."""
    table = next((each for each in release.tables if each.id == name), None)
    if table is None:
        raise StageError(f"the figures have no table {name}; they have {', '.join(each.id for each in release.tables)}")
    names = [" ".join("total" if key == TOTAL else key for key in row.keys) for row in table.rows]
    counts: list[int | str] = ["suppressed" if row.count is None else row.count for row in table.rows]
    return dict(zip(names, counts, strict=True))
