"""View of a case by one reader: records (`nrmbus.rules.records`), folded from the events that the reader sent or received.

The registrar's view rests on the whole history, an agency's on its own events; both use the same class.
Mappings are never changed in place: each change makes a small new one. Times are aware UTC, to the second.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from nrmbus.events.values import frozen
from nrmbus.rules.erasure import Erasure
from nrmbus.rules.mark import Mark
from nrmbus.rules.persistent_map import PersistentMap
from nrmbus.rules.records import (
    Announced,
    Bed,
    Closing,
    Decision,
    Document,
    Emergency,
    Grant,
    Hold,
    House,
    Letters,
    Paper,
    Payment,
    Permit,
    Plan,
    Proceedings,
    Referral,
    Return,
    Review,
    Running,
    Service,
    Standing,
    Status,
    Stop,
)


@frozen
class View:
    """A case as somebody sees it. ``status`` and ``child`` are None as long as nothing seen tells."""

    subject: str
    policy: str | None = None
    """Name of the profile that the case is under; None before its first event."""
    policy_since: datetime | None = field(default=None, compare=False)
    """Registration of the event by which the case came under it."""
    status: Status | None = None
    exists: bool = False
    newest: int | None = field(default=None, compare=False)
    """Number of the latest event; None while the reader has only events that come before its first (`nrmbus.rules.earlier`)."""
    classes: frozenset[str] = frozenset()
    """Retention classes of the events in the case; reading the case counts as well."""
    incident: bool = False
    bulletin: Mapping[str, Announced] = field(default_factory=dict)
    """Latest event about no case by its type, and by the agency or the period that it is about if it names one; only in a bulletin's view."""
    counts: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    opened: Mark | None = None
    child: bool | None = None
    grown_up: str | None = None
    """Id of the assessment that found the person to be an adult, while that stands."""
    grown_up_known: frozenset[str] = frozenset()
    """Agencies that know of that assessment."""
    found_child: str | None = None
    """Id of the latest flag or assessment by which the person is a child, while that stands."""
    ages: Mapping[str, bool] = field(default_factory=dict)
    """Whether the person is a child by what each agency was told; an agency that was told nothing of age is not in it."""
    group: str | None = None
    """Incident in which the person was found with others."""
    abroad: bool = False
    """Whether the person was found in another country."""
    revoked: Mapping[str, str] = field(default_factory=dict)
    """Agencies whose access was ended, and the event that ended it; a new consent of the person lets one in again."""
    let_in: Mapping[str, str] = field(default_factory=dict)
    """Agencies that a consent with a last day let in again, and the event that had ended the access (`event_context.shut_out`)."""
    flagged: frozenset[str] = frozenset()
    represented: bool = False
    best_interests: str | None = None
    stage: int = 0
    begun_by: str | None = None
    """The deciding body that began initial assistance, since the last referral to one."""
    screened: bool = False
    consents: Mapping[tuple[str, str], Standing] = field(default_factory=dict)
    papers: PersistentMap[Paper] = field(default_factory=PersistentMap)
    stops: Mapping[str, Stop] = field(default_factory=dict)
    left: Mapping[str, datetime] = field(default_factory=dict)
    """Agencies that declared their data deleted and have no part since; by time of registration."""
    referrals: Mapping[str, Referral] = field(default_factory=dict)
    beds: Mapping[str, Bed] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    permit: Permit | None = None
    returning: Return | None = None
    embassy_bar: str | None = None
    """Id of the event by which no embassy or consulate may be contacted, while that stands."""
    bar_known: frozenset[str] = frozenset()
    """Agencies that know of the standing bar."""
    missed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a deciding body was not told of the course of the case while the person refused it, in order."""
    reviews: Mapping[str, Review] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    grants: Mapping[str, Grant] = field(default_factory=dict)
    proceedings: Mapping[str, Proceedings] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    plan: Plan | None = None
    taken_over_by: str | None = None
    handed_on: bool = False
    """True if the deciding body itself handed the case over to the agency that took it over."""
    negative: str | None = None
    effective: str | None = None
    closing: Closing | None = None
    running: tuple[Running, ...] = ()
    letters: PersistentMap[Letters] = field(default_factory=PersistentMap)
    erasure: Erasure = field(default_factory=Erasure)
    emergencies: Mapping[str, Emergency] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)

    @property
    def detector(self) -> str | None:
        """Return the agency that gave the signal, or None if the signal was not seen."""
        return self.opened.source if self.opened else None

    @property
    def over(self) -> bool:
        """Return whether the retention period is over: nothing more may be published, and nothing is known of the case."""
        return self.erasure.retention is not None

    @property
    def open_referrals(self) -> tuple[str, ...]:
        """Referrals submitted and not yet accepted, declined, revoked or expired, in the order of submission."""
        return tuple(referral.ref for referral in self.referrals.values() if referral.open)

    @property
    def knows(self) -> frozenset[str]:
        """Return the agencies that sent or received an event of the case."""
        return frozenset(self.counts)

    def changed(self, changes: Mapping[str, Any]) -> "View":
        """Return the view with *changes*, as `dataclasses.replace` does, in less than half of its time: every event makes a view."""
        after = View(*_VALUES(self))
        for name, value in changes.items():
            setattr(after, name, value)
        return after

    def count_for(self, agency: str) -> int:
        """Return the number of events that *agency* sent or received, without receipts: its ``expectedversion``."""
        return self.counts.get(agency, 0)

    def on_case(self, agency: str) -> bool:
        """Return whether a part of *agency* stands (scenarios/README.md)."""
        return agency in self.parts

    def houses(self) -> Iterable[tuple[Bed, House]]:
        """Return the housing shelters, each with the request that it answered."""
        for bed in self.beds.values():
            for house in bed.houses:
                if house.houses:
                    yield bed, house


_VALUES: Final = attrgetter(*(each.name for each in fields(View)))
