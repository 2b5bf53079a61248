"""Records of a case, which a view has: agencies, referrals, beds, holds, decisions, money, clocks and papers. All are frozen.

Times are aware UTC, to the second.
"""

from datetime import date, datetime
from typing import Literal

from nrmbus.events.model import Data, Part
from nrmbus.events.values import frozen
from nrmbus.rules.length import Length
from nrmbus.rules.mark import Mark

Status = Literal[
    "SUSPECTED", "REFERRED", "UNDER_IDENTIFICATION", "PRESUMED", "IDENTIFIED", "NOT_IDENTIFIED", "SUPPORT_NO_STATUS",
    "WITHDRAWN", "CLOSED",
]  # fmt: skip
PartState = Literal["submitted", "accepted", "completed", "declined", "revoked", "expired"]
BedState = Literal["asked", "offered", "refused", "lapsed", "admitted", "discharged"]
PaymentState = Literal["ordered", "executed", "failed"]


def lasts(last_day: str | None, day: date) -> bool:
    """Return whether a statement with *last_day* (ISO 8601; None: without one) still holds on *day*."""
    return last_day is None or day.isoformat() <= last_day


@frozen
class Agency:
    """Agency that may take part. The role is fixed for the life of the id."""

    id: str
    role: str
    supervisor: str | None = None


@frozen
class Party:
    """One receiver of a referral. ``asked`` is true while its question waits for the sender.

    ``left`` is when it left the case without an answer: it owes none, also after it has come back.
    """

    agency: str
    state: PartState = "submitted"
    acknowledged: bool = False
    asked: bool = False
    left: datetime | None = None

    @property
    def stands(self) -> bool:
        """Return whether the referral still makes this agency a party of the case."""
        return self.state in ("submitted", "accepted", "completed")

    @property
    def works(self) -> bool:
        """Return whether this agency may still need an answer to its question: it has neither completed nor lost its part."""
        return self.state in ("submitted", "accepted")


@frozen
class Referral:
    """One hand-over.

    ``before`` is the status that the referral replaced by making the case REFERRED; ``made_support`` says that by this
    referral a person who refuses the deciding body got help without a status.
    """

    ref: str
    mark: Mark
    transfer: bool
    urgency: str
    made_support: bool
    before: Status | None
    receivers: tuple[Party, ...]
    known_to: frozenset[str]

    @property
    def sender(self) -> str:
        """Return the sender of the referral."""
        return self.mark.source

    @property
    def open(self) -> bool:
        """Return whether a receiver has not answered yet: neither accepted, declined, revoked nor expired."""
        return any(party.state == "submitted" for party in self.receivers)

    @property
    def stands(self) -> bool:
        """Return whether some receiver's part of it was not declined, revoked or expired."""
        return any(party.stands for party in self.receivers)

    def party(self, agency: str) -> Party | None:
        """Return the receiver *agency*, or None."""
        return next((party for party in self.receivers if party.agency == agency), None)


@frozen
class House:
    """One shelter that was asked for a bed; ``offer`` while or since it held one."""

    agency: str
    state: BedState = "asked"
    offer: Mark | None = None
    valid_hours: int | None = None

    @property
    def houses(self) -> bool:
        """Its offer stands, or it admitted and has not discharged."""
        return self.state in ("offered", "admitted")


@frozen
class Bed:
    """One request for a bed and its outcome."""

    ref: str
    mark: Mark
    houses: tuple[House, ...]
    known_to: frozenset[str]

    @property
    def asker(self) -> str:
        """Return the agency that asked for the bed."""
        return self.mark.source

    def house(self, agency: str) -> House | None:
        """Return the asked shelter *agency*, or None."""
        return next((house for house in self.houses if house.agency == agency), None)


@frozen
class Hold:
    """One hold on removal; stands until the deciding body ends it, confirmed or not. ``until`` ends the days it was asked for."""

    ref: str
    mark: Mark
    migration: tuple[str, ...]
    known_to: frozenset[str]
    until: datetime
    confirmed: bool = False
    ended: bool = False


@frozen
class Permit:
    """The latest permit to stay; ``until`` is the end of its days, with those of every renewal."""

    mark: Mark
    until: datetime


@frozen
class Return:
    """The latest voluntary return: its consent, the agencies that help, how far it is, and what was found of the danger.

    ``helpers`` are the agencies that the consent named and those that took a step; ``safe`` is None before an assessment.
    """

    mark: Mark
    given_by: str
    helpers: tuple[str, ...]
    step: Literal["consented", "assessed", "travel_arranged", "completed", "monitored", "stopped"] = "consented"
    safe: bool | None = None

    @property
    def open(self) -> bool:
        """Return whether the person has consented and has not arrived yet."""
        return self.step in ("consented", "assessed", "travel_arranged")

    @property
    def made(self) -> bool:
        """Return whether the person has arrived."""
        return self.step in ("completed", "monitored")


@frozen
class Review:
    """One request to look at a decision again; ``decider`` is the role that owes the answer.

    A ``complaint`` goes to the superior of the person who decided.
    """

    ref: str
    mark: Mark
    decider: str
    known_to: frozenset[str]
    open: bool = True
    complaint: bool = False


@frozen
class Service:
    """One service; ``receivers`` were asked for it, nobody if the provider gave it unasked.

    ``answered`` are the receivers that delivered it, or said that they do not. Open until all have, or until it is taken back.
    """

    ref: str
    mark: Mark
    requester: str | None
    receivers: tuple[str, ...]
    open: bool
    answered: frozenset[str] = frozenset()

    @property
    def waiting(self) -> tuple[str, ...]:
        """Return the receivers that have not answered, while the service is open."""
        return tuple(agency for agency in self.receivers if agency not in self.answered) if self.open else ()


@frozen
class Plan:
    """Latest plan: ``holder`` adopted it, ``to`` are its members; in force until completed.

    ``agreed`` is the number of the event by which it was adopted or last changed.
    """

    holder: str
    to: tuple[str, ...]
    ends: datetime | None
    in_force: bool = True
    agreed: int = 0


@frozen
class Payment:
    """One order of money; ``amount`` as the event wrote it, ``grant`` is the reference of the grant that it pays.

    ``failed`` is where in the history the money came back, or None unless the state is ``failed``.
    """

    ref: str
    mark: Mark
    kind: str
    decision: str | None
    amount: str
    currency: str
    grant: str | None = None
    state: PaymentState = "ordered"
    failed: Mark | None = None


@frozen
class Grant:
    """Money granted by the fund or a court; ``order`` is the reference of the payment that was ordered for it and stands.

    ``band`` and ``source`` are as the event wrote them: how much, coarsely, and where the money comes from.
    """

    ref: str
    mark: Mark
    purpose: str
    known_to: frozenset[str]
    order: str | None = None
    band: str | None = None
    source: str = ""


@frozen
class Proceedings:
    """Proceedings about what was done to the person; ``court`` hears them, if one does. Open until the verdict."""

    ref: str
    mark: Mark
    court: str | None
    known_to: frozenset[str]
    outcome: str | None = None

    @property
    def open(self) -> bool:
        """Return whether no verdict is recorded."""
        return self.outcome is None


@frozen
class Decision:
    """One decision on reasonable grounds, or on the status. A review may be asked for within ``review_days`` when negative."""

    mark: Mark
    victim: bool
    negative: bool
    review_days: int
    known_to: frozenset[str]
    on_status: bool = False


@frozen
class Standing:
    """The consent, refusal, withdrawal or override that stands for one receiver and purpose.

    ``against``: another agency recorded a refusal or withdrawal, and since then nobody but the receiver recorded anything.
    ``before``: the refusal or withdrawal that a consent with a last day, or an override, has replaced. It holds again after that
    day, or when the case is opened again.
    """

    kind: Literal["given", "refused", "withdrawn", "overridden"]
    id: str
    number: int
    last_day: str | None = None
    against: bool = False
    before: "Standing | None" = None

    @property
    def bars(self) -> bool:
        """Return whether this is a refusal or withdrawal."""
        return self.kind in ("refused", "withdrawn")

    def on(self, day: date) -> "Standing | None":
        """Return what stands on *day*: this statement, or after its last day the refusal or withdrawal before it, or None."""
        return self if lasts(self.last_day, day) else self.before


@frozen
class Paper:
    """One consent, refusal, withdrawal or override on record, for references to it; ``grants`` the first and the last."""

    source: str
    receiver: str
    grants: bool
    known_to: frozenset[str]


@frozen
class Stop:
    """The latest withdrawal of consent, open until the receiver confirms that use has stopped; ``answer`` is that confirmation.

    ``recorders`` are the agencies that recorded it and those before it, back to the last deletion.
    """

    mark: Mark
    recorders: tuple[str, ...]
    open: bool = True
    answer: str | None = None


@frozen
class Pause:
    """A time in which a clock stands still: a question to the sender of a referral, a review, or a time without the duty.

    The answer to a question does not count while the receiver reports it unreadable. ``review``: ``ref`` is that of a review.
    """

    ref: str
    asked: datetime
    supplied: datetime | None = None
    supply: str | None = None
    unread: bool = False
    review: bool = False

    @property
    def until(self) -> datetime | None:
        """Return when the answer came; None while it is awaited."""
        return None if self.unread else self.supplied


@frozen
class Ending:
    """An event with a letter that ended a clock, as long as one of ``receivers`` could read the letter."""

    id: str
    receivers: frozenset[str]
    unread: frozenset[str] = frozenset()

    @property
    def counts(self) -> bool:
        """Return whether the letter reached somebody."""
        return not self.receivers <= self.unread


@frozen
class Running:
    """A clock that was started. ``waits`` is who asked; ``until`` moves a stay, ``more_days`` a recovery period.

    ``until`` is the end of a plan less the days that the clock stood still before the plan: its pauses move it too.
    ``by`` is the type of the event that started it; ``lifted`` is since when an adult's word lifts the duty. ``length`` is
    that of an earlier profile of the case, if the duty keeps it (reading 167).
    """

    code: str
    by: str
    mark: Mark
    start: datetime
    answerable: str
    ref: str | None = None
    waits: str | None = None
    urgency: str | None = None
    days: int | None = None
    more_days: int = 0
    until: datetime | None = None
    pauses: tuple[Pause, ...] = ()
    endings: tuple[Ending, ...] = ()
    reopened: datetime | None = None
    breached: bool = False
    lifted: datetime | None = None
    length: Length | None = None

    @property
    def runs(self) -> bool:
        """Return whether the duty is still owed, in time or overdue."""
        return self.lifted is None and not self.met

    @property
    def met(self) -> bool:
        """Return whether an event ended the duty, with a letter that reached somebody."""
        return any(ending.counts for ending in self.endings)

    def runs_until(self, at: datetime) -> bool:
        """Return whether the duty is owed *at* that time: an adult's word lifts it later, or not at all."""
        return not self.met and (self.lifted is None or at < self.lifted)


@frozen
class Closing:
    """Closing or dismissal of the case: the status before, and the follow-ups requested and published since.

    ``stopped`` are the duties that the closing ended, which a re-opening brings back; ``told`` are the notified agencies.
    """

    mark: Mark
    before: Status | None
    follow_up: bool
    told: tuple[str, ...] = ()
    said: frozenset[int] = frozenset()
    stopped: tuple[Running, ...] = ()


@frozen
class Letters:
    """Sender and recipients of an event that came with a letter."""

    source: str
    recipients: tuple[str, ...]


@frozen
class Document:
    """One announced document: its sender, the agencies that got the announcement, and how many of its chunks came."""

    source: str
    recipients: tuple[str, ...]
    chunks: int
    came: int = 0


@frozen
class Emergency:
    """One emergency request: the holder, the requested ``parts``, and whether the answer waits for an objection.

    ``sealed`` are the parts of which the answer handed something over: none if nothing was held.
    """

    ref: str
    mark: Mark
    holder: str | None
    parts: tuple[Part, ...]
    at_once: bool
    known_to: frozenset[str]
    state: Literal["asked", "objected", "due", "resealed"] = "asked"
    sealed: tuple[Part, ...] = ()

    @property
    def open(self) -> bool:
        """Return whether the request has neither been objected to nor answered."""
        return self.state in ("asked", "due")


@frozen
class Announced:
    """Event about no case: its place in the history, and its data."""

    mark: Mark
    data: Data
