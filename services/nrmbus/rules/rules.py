"""The Rules: one profile and the agencies of the directory, asked about a case. Pure; the same at registrar, desk and timekeeper."""

from collections.abc import Mapping
from datetime import datetime

from nrmbus.events.model import Event, Fact, Part
from nrmbus.rules.audience import Audience, audience_of
from nrmbus.rules.clocks import Clock, clocks_of
from nrmbus.rules.due import Due, due_of_view
from nrmbus.rules.emergency import RESEALED, is_too_late, refused_by_person
from nrmbus.rules.event_context import Step, shut_for
from nrmbus.rules.evolve.fold import evolve_view
from nrmbus.rules.judge.check import Question
from nrmbus.rules.judge.judge import Judge, Refusal
from nrmbus.rules.opening_bound import could_open
from nrmbus.rules.profile import Profile
from nrmbus.rules.retention import Kept, kept
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.versions import understood
from nrmbus.rules.view import Agency, Emergency, View
from nrmbus.rules.why import Reason, reason_for


class Rules:
    """What may happen, who is told, what is due. *agencies* may grow; an id keeps its role for life.

    Events may be of any published version: they are read as the version that the Rules are written for.
    """

    def __init__(self, profile: Profile, agencies: Mapping[str, Agency]) -> None:
        """Take *profile* and *agencies*, by id. Raise ProfileError if the profile names a rule that is not written."""
        self.profile = profile
        self._tables = Tables.of(profile)
        self._roles = Roles(agencies)
        self._judge = Judge.of(profile)

    def start(self, subject: str) -> View:
        """The view of a case (or incident) *subject* of which nothing is known."""
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
        """Whether *event* may be registered at *now* (aware UTC), given *view*; None if it may.

        *letter_parts* has the names of the filled fields by part, where the letter is still open (the desk's door).
        *spent* is how often its sender broke the glass in the month in which it would be registered, over all cases.
        Source: section 4 of RULES.md, by the profile.
        """
        return self._judge.refusal(
            Question(self._tables, self._roles, view, understood(event), (), now, letter_parts, spent)
        )

    def role_of(self, agency: str) -> str:
        """The role of *agency*; of one that is not known, none that may say anything."""
        return self._roles.of(agency)

    def audience(self, view: View, event: Event) -> Audience:
        """Who gets *event*, who opens which part of its letter, and which consents go before it; on the view before it."""
        return audience_of(Step(self._tables, self._roles, view, understood(event)))

    def could_open(self, view: View, event: Event, part: Part, agency: str) -> bool:
        """Whether *agency* could be among those who open *part* of the letter of *event*, whatever *view* does not know."""
        return could_open(Step(self._tables, self._roles, view, understood(event)), agency, part)

    def keeps_shut(self, view: View, event: Event, agency: str) -> bool:
        """Whether *agency* must leave the letter of *event* closed: by *view*, the person refuses that it be told (C8).

        What reaches it all the same (a signal, whose coded facts rest on no consent) may be opened; a child is not asked.
        What was sealed in an emergency is not, upon any word of hers against the agency, a child's too.
        """
        step = Step(self._tables, self._roles, view, understood(event))
        return shut_for(step, agency) or (step.event.type == RESEALED and refused_by_person(view, agency))

    def may_be_answered(self, emergency: Emergency, now: datetime) -> bool:
        """Whether what was asked for in *emergency* may still be sealed at *now*."""
        return not is_too_late(self._tables, emergency, now)

    def why(self, view: View, event: Event, agency: str) -> Reason:
        """Why *event* reaches *agency*, or why not, on the view before it; told exactly where `audience` has it."""
        step = Step(self._tables, self._roles, view, understood(event))
        return reason_for(step, agency, audience_of(step))

    def evolve(self, view: View, fact: Fact) -> View:
        """*view* after *fact*. Never raises; a history with gaps, as an agency has it, gives the view of that agency."""
        event = understood(fact.event)
        if event is not fact.event:
            fact = Fact(event=event, recipients=fact.recipients, registered=fact.registered, number=fact.number)
        return evolve_view(Step(self._tables, self._roles, view, event, fact.recipients), fact)

    def holder(self, view: View, event: Event) -> str | None:
        """Who holds the case by *view*, at the time of *event*, one of its own."""
        return Step(self._tables, self._roles, view, understood(event)).holder

    def month(self, instant: datetime) -> str:
        """The month of *instant* in the profile's zone, as ``2026-03``: what the limit on breaking the glass counts by."""
        return f"{self._tables.calendar.day(instant):%Y-%m}"

    def clocks(self, view: View) -> tuple[Clock, ...]:
        """Every duty that runs or is overdue: ``open_deadlines``, one entry each."""
        return clocks_of(self._tables, self._roles, view)

    def due(self, view: View) -> tuple[Due, ...]:
        """What the timekeeper says by itself if nothing else happens, earliest first."""
        return due_of_view(self._tables, self._roles, view)

    def kept(self, view: View) -> Kept | None:
        """How long the closed case of *view* is kept; None of a case that is not closed, or whose time is over."""
        return kept(self._tables, view)
