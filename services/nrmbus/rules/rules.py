"""The Rules: one profile and the agencies of the directory, asked about a case. Pure; the same at registrar, desk and timekeeper."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from nrmbus.events.model import Event, Fact, Part
from nrmbus.rules.audience import Audience, audience_of
from nrmbus.rules.clocks import Clock, clocks_of
from nrmbus.rules.due import Due, due_of_view
from nrmbus.rules.emergency import RESEALED, is_too_late, refused_by_person
from nrmbus.rules.event_context import EventContext, shut_for
from nrmbus.rules.evolve.fold import evolve_view
from nrmbus.rules.judge.check import Question
from nrmbus.rules.judge.judge import Judge, Refusal
from nrmbus.rules.once import once_for
from nrmbus.rules.opening_bound import could_open
from nrmbus.rules.profile import Profile
from nrmbus.rules.retention import RetentionPeriod, kept
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.versions import understood
from nrmbus.rules.view import Agency, Emergency, View
from nrmbus.rules.why import Reason, reason_for

_tables_of = once_for(Tables.of)
_judge_of = once_for(Judge.of)


class Rules:
    """Decisions about what may happen, who is notified, and what is due. *agencies* may grow; an id keeps its role for life.

    Events may be of any published version: they are read as the version that the Rules are written for.
    """

    def __init__(self, profile: Profile, agencies: Mapping[str, Agency]) -> None:
        """Take *profile* and *agencies*, by id. Raise ProfileError if the profile names a rule that is not written."""
        self.profile = profile
        self._tables = _tables_of(profile)
        self._roles = Roles(agencies)
        self._judge = _judge_of(profile)

    def start(self, subject: str) -> View:
        """Return the empty view of the case (or incident) *subject*."""
        return View(subject)

    def judge(
        self,
        view: View,
        event: Event,
        now: datetime,
        *,
        letter_parts: Mapping[Part, frozenset[str]] | None = None,
        spent: int = 0,
    ) -> Refusal | None:
        """Return the refusal of *event* at *now* (aware UTC), given *view*; None if the event may be registered.

        *letter_parts* maps each part to its filled fields, while the letter is still open (the desk's door). *spent* counts
        the sender's emergency requests in the month of registration, over all cases. Source: section 4 of RULES.md.
        """
        return self._judge.refusal(
            Question(self._tables, self._roles, view, understood(event), (), now, letter_parts, spent)
        )

    def refusals(self, view: View, event: Event, now: datetime) -> Iterator[Refusal]:
        """Yield the refusals of *event* by all rules that apply, in their order; the first is that of `judge`."""
        return self._judge.refusals(Question(self._tables, self._roles, view, understood(event), (), now))

    def may_publish(self, agency: str, type_: str) -> bool:
        """Return whether the role of *agency* may ever publish *type_* (section 3)."""
        return self.role_of(agency) in self._tables.publishers.get(type_, frozenset())

    def role_of(self, agency: str) -> str:
        """Return the role of *agency*; an unknown agency has a role that may publish nothing."""
        return self._roles.of(agency)

    def audience(self, view: View, event: Event) -> Audience:
        """Return the audience of *event*, given *view* before it: recipients, openers of each part, consents to send first."""
        return audience_of(EventContext(self._tables, self._roles, view, understood(event)))

    def could_open(self, view: View, event: Event, part: Part, agency: str) -> bool:
        """Return whether *agency* could open *part* of the letter of *event* in any history, whatever *view* lacks."""
        return could_open(EventContext(self._tables, self._roles, view, understood(event)), agency, part)

    def keeps_shut(self, view: View, event: Event, agency: str) -> bool:
        """Return whether *agency* must leave the letter of *event* closed, since by *view* the person refuses it (C8).

        A letter that reaches the agency without consent (a signal, whose facts are coded) may be opened; a child is not asked.
        A letter sealed in an emergency stays closed after any refusal of the agency, a child's included.
        """
        context = EventContext(self._tables, self._roles, view, understood(event))
        return shut_for(context, agency) or (context.event.type == RESEALED and refused_by_person(view, agency))

    def may_be_answered(self, emergency: Emergency, now: datetime) -> bool:
        """Return whether the parts requested in *emergency* may still be sealed at *now*."""
        return not is_too_late(self._tables, emergency, now)

    def why(self, view: View, event: Event, agency: str) -> Reason:
        """Return why *event* reaches *agency*, or why not, on the view before; always in line with `audience`."""
        context = EventContext(self._tables, self._roles, view, understood(event))
        return reason_for(context, agency, audience_of(context))

    def evolve(self, view: View, fact: Fact) -> View:
        """Return *view* after *fact*. Never raises; an agency's history with gaps gives the view of that agency."""
        event = understood(fact.event)
        if event is not fact.event:
            fact = Fact(event=event, recipients=fact.recipients, registered=fact.registered, number=fact.number)
        return evolve_view(EventContext(self._tables, self._roles, view, event, fact.recipients), fact)

    def holder(self, view: View, event: Event) -> str | None:
        """Return the holder of the case by *view*, at the time of *event*, an event of the same case."""
        return EventContext(self._tables, self._roles, view, understood(event)).holder

    def month(self, instant: datetime) -> str:
        """Return the month of *instant* in the profile's zone, as ``2026-03``: the unit of the emergency limit."""
        return f"{self._tables.calendar.day(instant):%Y-%m}"

    def clocks(self, view: View) -> tuple[Clock, ...]:
        """Return every duty that runs or is overdue: ``open_deadlines``, one entry each."""
        return clocks_of(self._tables, self._roles, view)

    def due(self, view: View) -> tuple[Due, ...]:
        """Return the events that the timekeeper publishes if nothing else happens, earliest first."""
        return due_of_view(self._tables, self._roles, view)

    def kept(self, view: View) -> RetentionPeriod | None:
        """Return the retention of the closed case of *view*; None for a case that is not closed, or whose time is over."""
        return kept(self._tables, view)
