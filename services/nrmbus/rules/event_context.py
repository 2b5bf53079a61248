"""One event as it meets a view: what judging, routing, folding and clocks all ask of the two."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from nrmbus.events.model import Event
from nrmbus.rules.mark import Mark
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import Bed, Emergency, Hold, Referral, Review, Service, Standing, View

SHARING = "information_sharing"
SERVICES = "services"
UNIT = "special_unit"
COURT = "court"
AUTHORITIES = frozenset({"auditor", "court", "prosecution"})
"""Whose holds all who hold the case hear of."""
NO_HOLDERS = frozenset({"auditor", "coordinator", "registrar", "statistics", "timekeeper"})
"""Roles that keep no letter; of a letter the statistics get coded facts, and no service of theirs is built yet."""
CLOSED = "case.closed"
STOPPED = "consent.stop_confirmed"
CHILD_FLAGGED = "safeguard.child_flagged"
AGE_ASSESSED = "safeguard.age_assessed"
NOBODYS = frozenset({"by-itself", "desk"})
"""Names under which machines act: no member of staff has one of them."""


def value(event: Event, name: str, default: Any = None) -> Any:
    """The field *name* of the event's data, or *default*: a history may hold versions that lack it."""
    found = event.data.__dict__.get(
        name
    )  # where pydantic keeps fields; its own lookup is slow for those that are not there
    return default if found is None else found


def receivers_of(event: Event) -> tuple[str, ...]:
    """The agencies that a consent, refusal, withdrawal or override is about."""
    return tuple(value(event, "receivers", ()))


@dataclass(frozen=True, slots=True)
class Step:
    """An event, the view before it, and the tables to read both by; ``recipients`` once it was sent to somebody."""

    tables: Tables
    roles: Roles
    view: View
    event: Event
    recipients: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Who publishes."""
        return self.event.source

    @property
    def role(self) -> str:
        """The role of who publishes."""
        return self.roles.of(self.event.source)

    @property
    def ref(self) -> str:
        """The reference that the event carries; its own id where it opens something without one."""
        return self.event.referral or self.event.id

    @property
    def to(self) -> tuple[str, ...]:
        """Whom the sender chose."""
        return tuple(value(self.event, "to", ()))

    @property
    def child(self) -> bool:
        """Whether the procedure for children applies: to a case that does not tell yet, and by an event that finds a child."""
        if self.event.type == CHILD_FLAGGED or self.finds_child:
            return True
        known = self.view.child
        return known if known is not None else value(self.event, "child") is True

    @property
    def finds_child(self) -> bool:
        """Whether the event is an assessment by which the person is, or may be, a child."""
        return self.event.type == AGE_ASSESSED and value(self.event, "result") != "adult"

    @property
    def deletes(self) -> bool:
        """Whether the sender says by this event that it has deleted what it was told."""
        return self.event.type == STOPPED and value(self.event, "answer") == "deleted"

    @property
    def holders(self) -> tuple[str, ...]:
        """Who may hold a letter of the case: whoever sent or received one of its events, sorted."""
        return tuple(sorted(each for each in self.view.counts if self.roles.of(each) not in NO_HOLDERS))

    def kept_open(self, day: date) -> bool:
        """Whether an authority has the case kept on *day*, of the profile's zone, so that it may be worked on.

        An agency's hold stops the erasure alone: nobody gives itself back what a court has ended, and no other holder
        finds out that somebody objects.
        """
        holds = self.view.erasure.holds
        return any(each.until >= day.isoformat() and self.roles.of(each.source) in AUTHORITIES for each in holds)

    @property
    def units_in_to(self) -> tuple[str, ...]:
        """The special unit, if it is asked."""
        return tuple(agency for agency in self.to if self.roles.of(agency) == UNIT)

    @property
    def withholds_from_unit(self) -> bool:
        """Whether the sender says that the special unit must not hear; by its id or by its role."""
        return any(UNIT in (name, self.roles.of(name)) for name in value(self.event, "withhold_from", ()))

    def in_group(self, agency: str | None, group: str) -> bool:
        """Whether *agency* has a role of the profile's *group*."""
        return self.roles.of(agency) in self.tables.groups.get(group, frozenset())

    @property
    def referral(self) -> Referral | None:
        """The referral that the event names."""
        return self.view.referrals.get(self.event.referral or "")

    @property
    def bed(self) -> Bed | None:
        """The request for a bed that the event names."""
        return self.view.beds.get(self.event.referral or "")

    @property
    def hold(self) -> Hold | None:
        """The hold that the event names."""
        return self.view.holds.get(self.event.referral or "")

    @property
    def review(self) -> Review | None:
        """The review that the event names."""
        return self.view.reviews.get(self.event.referral or "")

    @property
    def review_role(self) -> str:
        """The role that decides on the review which the event asks for."""
        return COURT if value(self.event, "kind") == COURT else UNIT

    @property
    def deciders(self) -> tuple[str, ...]:
        """Who decides on the review which the event asks for, and may hear of the person."""
        return tuple(agency for agency in self.roles.having(self.review_role) if not self.barred(agency))

    @property
    def emergency(self) -> Emergency | None:
        """The breaking of the glass that the event names."""
        return self.view.emergencies.get(self.event.referral or "")

    @property
    def service(self) -> Service | None:
        """The service that the event names."""
        return self.view.services.get(self.event.referral or "")

    @property
    def today(self) -> date:
        """The day, of the profile's zone, on which a consent must still hold."""
        return self.tables.calendar.day(self.event.recordedtime)

    def standing(self, agency: str, purpose: str) -> Standing | None:
        """What the person has said last about *agency* and *purpose*; an expired consent stands no more."""
        found = self.view.consents.get((agency, purpose))
        if found and found.last_day and self.today.isoformat() > found.last_day:
            return None
        return found

    def stands(self, agency: str, purpose: str) -> str | None:
        """Its kind: given, refused, withdrawn or overridden."""
        found = self.standing(agency, purpose)
        return found.kind if found else None

    def named(self, agency: str) -> bool:
        """Whether a consent or override that stands lets *agency* have information."""
        return self.stands(agency, SHARING) in ("given", "overridden")

    def barred(self, agency: str) -> bool:
        """Whether an adult's refusal or withdrawal for *agency* stands. A child is not asked, so it bars nobody."""
        return not self.child and self.stands(agency, SHARING) in ("refused", "withdrawn")

    @property
    def unit_refused(self) -> bool:
        """Whether an adult's refusal of the special unit stands."""
        return not self.child and any(self.stands(unit, SHARING) == "refused" for unit in self.roles.having(UNIT))

    @property
    def referrer(self) -> str | None:
        """Sender of the latest referral to the special unit that stands."""
        return referrer(self.view, self.roles)

    @property
    def holder(self) -> str | None:
        """Who holds the case before this event."""
        return holder_of(self, self.view)

    def mark(self, registered: datetime, number: int) -> Mark:
        """Where this event stands in the history."""
        event = self.event
        return Mark(event.id, event.source, event.time, registered, number)


def shut_for(step: Step, agency: str) -> bool:
    """Whether the letter of the event reached *agency* by consent, and a refusal or withdrawal of it stands now."""
    row = step.tables.row(step.event.type)
    return row is not None and not row.stops and step.barred(agency)


def referrer(view: View, roles: Roles) -> str | None:
    """Sender of the latest referral to the special unit that was not declined, revoked or expired."""
    for referral in reversed(tuple(view.referrals.values())):
        if any(party.stands for party in referral.receivers if roles.of(party.agency) == UNIT):
            return referral.sender
    return None


def holder_of(step: Step, view: View) -> str | None:
    """Who holds the case of *view*: by plan, as special unit from the first stage on, by taking it over, by the signal.

    Whoever has deleted what it was told holds nothing. If all of these have, the agency holds that has had a part for
    longest and may close; if nobody is left who may, the first of these can still close, and do nothing else.
    """
    units = [unit for unit in step.roles.having(UNIT) if not step.barred(unit)] if view.stage else []
    named = [view.plan.holder if view.plan else None, *units, view.taken_over_by, view.detector]
    by_right = [agency for agency in named if agency]
    if not by_right:
        return None
    closers = step.tables.publishers.get(CLOSED, frozenset())
    left = [agency for agency in view.parts if step.roles.of(agency) in closers]
    unrefused = [agency for agency in left if not step.barred(agency)]
    standing = [agency for agency in by_right if agency not in view.left]
    return next(iter((*standing, *unrefused, *left, *by_right)))


def review_window(step: Step) -> datetime | None:
    """When the days for asking for a review of the standing negative decision end, or None if there is none.

    They count from its registration, where it is dated back: nobody could ask before he was told.
    """
    decision = step.view.decisions.get(step.view.negative or "")
    if decision is None:
        return None
    told = max(decision.mark.time, decision.mark.registered)
    return step.tables.calendar.days_after(told, decision.review_days)
