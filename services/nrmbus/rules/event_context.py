"""One event together with the view before it: the shared input of judging, routing, folding and clocks."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from nrmbus.events.model import Event
from nrmbus.events.values import frozen
from nrmbus.rules.mark import Mark
from nrmbus.rules.profile import DECIDERS
from nrmbus.rules.records import Bed, Document, Emergency, Hold, Proceedings, Referral, Review, Service, Standing
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import View

SHARING = "information_sharing"
SERVICES = "services"
COURT = "court"
AUTHORITIES = frozenset({"auditor", "court", "prosecution"})
"""Roles whose holds on erasure are announced to every agency holding the case."""
STATISTICS = "statistics"
NO_HOLDERS = frozenset({"auditor", "coordinator", "registrar", STATISTICS, "timekeeper"})
"""Roles that hold no case; of a letter the statistics get the coded facts."""
CLOSED = "case.closed"
STOPPED = "consent.stop_confirmed"
PAPERS = "handover.document_transferred"
CHILD_FLAGGED = "safeguard.child_flagged"
AGE_ASSESSED = "safeguard.age_assessed"
REFERRED = "referral.submitted"


def value(event: Event, name: str, default: Any = None) -> Any:
    """Return the field *name* of the event's data, or *default*: a history may hold versions without the field."""
    found = event.data.__dict__.get(
        name
    )  # where pydantic keeps fields; its own lookup is slow for those that are not there
    return default if found is None else found


def receivers_of(event: Event) -> tuple[str, ...]:
    """Return the agencies that a consent, refusal, withdrawal or override is about."""
    return tuple(value(event, "receivers", ()))


@frozen
class EventContext:
    """An event, the view before it, and the tables to read both by; ``recipients`` once it was sent to somebody.

    ``now`` is the time of its registration; None at a desk: nobody knows this time when an event is sealed.
    """

    tables: Tables
    roles: Roles
    view: View
    event: Event
    recipients: tuple[str, ...] = ()
    now: datetime | None = None

    @property
    def source(self) -> str:
        """Return the publisher of the event."""
        return self.event.source

    @property
    def role(self) -> str:
        """Return the publisher's role."""
        return self.roles.of(self.event.source)

    @property
    def ref(self) -> str:
        """Return the reference of the event; an event that opens a record without one uses its own id."""
        return self.event.referral or self.event.id

    @property
    def to(self) -> tuple[str, ...]:
        """Return the receivers that the sender chose."""
        return tuple(value(self.event, "to", ()))

    @property
    def child(self) -> bool:
        """Return whether the child procedure applies: known from the view or the event, or because the event finds a child."""
        if self.event.type == CHILD_FLAGGED or self.finds_child:
            return True
        known = self.view.child
        return known if known is not None else value(self.event, "child") is True

    @property
    def finds_child(self) -> bool:
        """Return whether the event is an age assessment that finds that the person is, or may be, a child."""
        return self.event.type == AGE_ASSESSED and value(self.event, "result") != "adult"

    @property
    def says_child(self) -> bool:
        """Return whether the event is a referral that says that the person is a child."""
        return self.event.type == REFERRED and value(self.event, "child") is True

    @property
    def age_said(self) -> bool | None:
        """Return whether the person is a child by what a recipient reads in the event; None if it tells nothing of age."""
        if self.event.type in (CHILD_FLAGGED, AGE_ASSESSED):
            return self.event.type == CHILD_FLAGGED or self.finds_child
        said: bool | None = value(self.event, "child")
        return said

    @property
    def deletes(self) -> bool:
        """Return whether the sender states with this event that it has deleted its data."""
        return self.event.type == STOPPED and value(self.event, "answer") == "deleted"

    @property
    def holders(self) -> tuple[str, ...]:
        """Return the agencies that may hold a letter of the case: all senders and receivers of its events, sorted."""
        return tuple(sorted(each for each in self.view.counts if self.roles.of(each) not in NO_HOLDERS))

    def kept_open(self, day: date) -> bool:
        """Return whether an authority's hold keeps the case on *day* (profile's zone), so that work on it may go on.

        An agency's own hold only stops the erasure: no agency restores access that a court ended, and no other holder learns
        of the objection.
        """
        holds = self.view.erasure.holds
        return any(each.until >= day.isoformat() and self.roles.of(each.source) in AUTHORITIES for each in holds)

    @property
    def units(self) -> tuple[str, ...]:
        """Return the agencies that decide whether a person is a victim: all of the profile's DECIDERS, sorted."""
        return self.roles.having_any(self.tables.deciders)

    @property
    def units_asked(self) -> tuple[str, ...]:
        """Return the deciding bodies that the named referral asks still, sorted: not declined, revoked or expired, and none that left."""
        standing = [party.agency for party in self.referral.receivers if party.stands] if self.referral else []
        return tuple(unit for unit in self.units if unit in standing and unit not in self.view.left)

    def is_unit(self, agency: str | None) -> bool:
        """Return whether *agency* has one of the roles that decide by the profile (in Azerbaijan the special unit)."""
        return self.roles.of(agency) in self.tables.deciders

    @property
    def by_unit(self) -> bool:
        """Return whether the publisher is a deciding body."""
        return self.is_unit(self.source)

    @property
    def about_no_case(self) -> bool:
        """Return whether the event concerns its publisher or the bus: it stands in a bulletin, and no person has a say in it."""
        return type(self.event.data).keyed_by == "agency"

    @property
    def units_in_to(self) -> tuple[str, ...]:
        """Return the deciding bodies that the event asks."""
        return tuple(agency for agency in self.to if self.is_unit(agency))

    @property
    def withholds_from_unit(self) -> bool:
        """Return whether the sender withholds the event from the deciding body, by id or by role."""
        named = value(self.event, "withhold_from", ())
        return any(name in self.tables.deciders or self.is_unit(name) for name in named)

    @property
    def units_withheld(self) -> tuple[str, ...]:
        """Return the deciding bodies from which the sender withholds the event, by id or by role."""
        named = value(self.event, "withhold_from", ())
        return tuple(unit for unit in self.units if unit in named or self.roles.of(unit) in named)

    def another_unit_agreed(self, *left_out: str) -> bool:
        """Return whether a consent to a deciding body stands, or an override, other than to those *left_out* (reading 168).

        It asks her words and not which bodies there are: one that is admitted later changes no case.
        """
        return any(self.named(unit) for unit in self.units if unit not in left_out)

    def in_group(self, agency: str | None, group: str) -> bool:
        """Return whether *agency* has a role of the profile's *group*."""
        return self.roles.of(agency) in self.tables.groups.get(group, frozenset())

    @property
    def referral(self) -> Referral | None:
        """Return the referral that the event names, or None."""
        return self.view.referrals.get(self.event.referral or "")

    @property
    def bed(self) -> Bed | None:
        """Return the request for a bed that the event names, or None."""
        return self.view.beds.get(self.event.referral or "")

    @property
    def hold(self) -> Hold | None:
        """Return the hold that the event names, or None."""
        return self.view.holds.get(self.event.referral or "")

    @property
    def review(self) -> Review | None:
        """Return the review that the event names, or None."""
        return self.view.reviews.get(self.event.referral or "")

    @property
    def review_role(self) -> str:
        """Return who decides the requested review: ``COURT``, or ``DECIDERS`` for the deciding body."""
        return COURT if value(self.event, "kind") == COURT else DECIDERS

    def decides_review(self, agency: str, decider: str) -> bool:
        """Return whether *agency* is one of those that *decider* of a review stands for."""
        return self.is_unit(agency) if decider == DECIDERS else self.roles.of(agency) == decider

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Return the agencies that could decide the requested review."""
        return self.deciding(self.review_role)

    def deciding(self, decider: str) -> tuple[str, ...]:
        """Return the agencies that *decider* of a review stands for, sorted."""
        return self.units if decider == DECIDERS else self.roles.having(decider)

    @property
    def deciders(self) -> tuple[str, ...]:
        """Return the agencies that decide the requested review and that the person has not refused."""
        return tuple(agency for agency in self.reviewers if not self.barred(agency))

    @property
    def emergency(self) -> Emergency | None:
        """Return the emergency request that the event names, or None."""
        return self.view.emergencies.get(self.event.referral or "")

    @property
    def document(self) -> Document | None:
        """Return the announced document that the event is caused by, or None."""
        return self.view.documents.get(self.event.causationid or "")

    @property
    def proceedings(self) -> Proceedings | None:
        """Return the proceedings that the event names, or None."""
        return self.view.proceedings.get(self.event.referral or "")

    def owes(self, agency: str, type: str) -> bool:
        """Return whether *agency* owes something that an event of *type* ends."""
        codes = self.tables.ends.get(type, frozenset())
        return any(clock.answerable == agency and clock.code in codes and clock.runs for clock in self.view.running)

    def guardianship(self, bodies: Iterable[str]) -> tuple[str, ...]:
        """Return those of *bodies* that are guardianship bodies, sorted."""
        return tuple(sorted(body for body in bodies if self.roles.of(body) == "guardianship"))

    @property
    def service(self) -> Service | None:
        """Return the service that the event names, or None."""
        return self.view.services.get(self.event.referral or "")

    @property
    def today(self) -> date:
        """Return the day, in the profile's zone, on which a consent must still hold.

        It is the later day of recording and registration, so that a backdated or belated event cannot use an expired consent.
        """
        recorded = self.tables.calendar.day(self.event.recordedtime)
        return recorded if self.now is None else max(recorded, self.tables.calendar.day(self.now))

    def standing(self, agency: str, purpose: str) -> Standing | None:
        """Return the person's statement about *agency* and *purpose* that holds today, or None: the last one that has not expired."""
        found = self.view.consents.get((agency, purpose))
        return found.on(self.today) if found else None

    def stands(self, agency: str, purpose: str) -> str | None:
        """Return its kind: given, refused, withdrawn or overridden."""
        found = self.standing(agency, purpose)
        return found.kind if found else None

    def refuses(self, agency: str) -> bool:
        """Return whether a standing refusal keeps information from *agency*; a withdrawal is none (reading 157)."""
        return self.stands(agency, SHARING) == "refused"

    def named(self, agency: str) -> bool:
        """Return whether a standing consent or override lets *agency* have information."""
        return self.stands(agency, SHARING) in ("given", "overridden")

    def barred(self, agency: str) -> bool:
        """Return whether *agency* may not hear of the person: it is refused, under the bar on embassies, or shut out."""
        return self.embassy_barred(agency) or self.shut_out(agency) is not None or self.refused(agency)

    def refused(self, agency: str) -> bool:
        """Return whether an adult's refusal or withdrawal for *agency* stands. A child is not asked, so a child's word bars nobody."""
        return not self.child and self.stands(agency, SHARING) in ("refused", "withdrawn")

    def shut_out(self, agency: str) -> str | None:
        """Return the event that ended the access of *agency*, if no consent lets it in today; else None."""
        return shut_out(self.view, agency, self.today)

    def embassy_barred(self, agency: str) -> bool:
        """Return whether *agency* is an embassy or consulate, and a bar on contact with them stands."""
        return self.view.embassy_bar is not None and self.in_group(agency, "ENVOYS")

    @property
    def takes_back(self) -> bool:
        """Return whether the agency that asked for a service takes the request back, since nobody answers."""
        service = self.service
        return (
            self.event.type == "service.not_delivered"
            and service is not None
            and service.open
            and service.requester == self.source
            and self.source not in service.receivers
        )

    @property
    def unit_refused(self) -> bool:
        """Return whether an adult's refusal of the deciding body stands, and no consent to another deciding body."""
        return not self.child and any(map(self.refuses, self.units)) and not self.another_unit_agreed()

    @property
    def referrer(self) -> str | None:
        """Return the sender of the latest standing referral to the deciding body, or None."""
        return referrer(self.tables, self.roles, self.view)

    @property
    def holder(self) -> str | None:
        """Return the holder of the case before this event, or None."""
        return holder_of(self, self.view)

    def mark(self, registered: datetime, number: int) -> Mark:
        """Return the place of this event in the history."""
        event = self.event
        return Mark(event.id, event.source, event.time, registered, number)


def shut_for(context: EventContext, agency: str) -> bool:
    """Return whether *agency* got the letter by consent that is refused or withdrawn since, or is shut out."""
    row = context.tables.row(context.event.type)
    return row is not None and ((not row.stops and context.barred(agency)) or context.shut_out(agency) is not None)


def shut_out(view: View, agency: str, day: date) -> str | None:
    """Return the event that ended the access of *agency*, if no consent lets it in on *day*; else None.

    An agency that a consent with a last day let in again reads as long as that consent stands; its part goes on afterwards,
    so that a withdrawal reaches it and a house discharges her (reading 164).
    """
    ended_by = view.revoked.get(agency)
    if ended_by is not None or agency not in view.let_in:
        return ended_by
    standing = view.consents.get((agency, SHARING))
    word = standing.on(day) if standing else None
    return None if word is not None and word.kind == "given" else view.let_in[agency]


def referrer(tables: Tables, roles: Roles, view: View) -> str | None:
    """Return the sender of the latest referral to the deciding body that was not declined, revoked or expired; None if the sender has left."""
    for referral in reversed(tuple(view.referrals.values())):
        if any(party.stands for party in referral.receivers if roles.of(party.agency) in tables.deciders):
            return referral.sender if referral.sender not in view.left else None
    return None


def holder_of(context: EventContext, view: View) -> str | None:
    """Return the holder of *view*: by plan, by taking over from the deciding body, as that unit which began, by taking over, or by the signal.

    An agency without a part holds nothing, as one that deleted its data, nor one whose role closes no case, nor one whose access was ended, also
    if a consent with a last day let it in again: the end of that day would move the case without an event. If none of these
    is left, the holder is the agency with the oldest part that may close cases. If no such agency is left, the first of them whose access was not ended can still close the
    case, and do nothing else; if the access of all was ended, a deciding body that knows the case can.
    """
    units = [view.begun_by] if view.begun_by and not context.barred(view.begun_by) else []
    after_unit = view.taken_over_by if view.handed_on else None
    named = [view.plan.holder if view.plan else None, after_unit, *units, view.taken_over_by, view.detector]
    by_right = [agency for agency in named if agency]
    if not by_right:
        return None
    closers = context.tables.publishers.get(CLOSED, frozenset())
    by_right = [agency for agency in by_right if context.roles.of(agency) in closers] or by_right
    ended = {*view.revoked, *view.let_in}
    left = [agency for agency in view.parts if context.roles.of(agency) in closers and agency not in ended]
    unrefused = [agency for agency in left if not context.barred(agency)]
    standing = [agency for agency in by_right if view.on_case(agency) and agency not in ended]
    former = [agency for agency in by_right if agency not in ended]
    knowing = [unit for unit in context.units if view.count_for(unit) and context.roles.of(unit) in closers]
    return next(iter((*standing, *unrefused, *left, *former, *knowing, *by_right)))


def taken_over(context: EventContext) -> dict[str, Any]:
    """Return the fields of a view that say who has taken the case over, once the sender has accepted the referral; empty if that moves nothing.

    While an agency holds the case from the deciding body, a transfer by that agency hands it on, and one by a third agency does not.
    """
    referral, view = context.referral, context.view
    if referral is None or not (referral.transfer or referral.made_support):
        return {}
    by_unit, holder = context.is_unit(referral.sender), view.taken_over_by
    is_handed_on = view.handed_on and holder is not None and view.on_case(holder) and holder not in view.let_in
    if is_handed_on and not by_unit and referral.sender != holder:
        return {}
    return {"taken_over_by": context.source, "handed_on": by_unit or is_handed_on}


def review_window(context: EventContext) -> datetime | None:
    """Return the end of the days for asking for a review of the standing negative decision, or None.

    They count from its registration, where it is dated back: nobody could ask before he was told.
    """
    decision = context.view.decisions.get(context.view.negative or "")
    if decision is None:
        return None
    told = max(decision.mark.time, decision.mark.registered)
    return context.tables.calendar.days_after(told, decision.review_days)
