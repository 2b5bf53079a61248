"""The Rules: the profiles of a bus and the agencies of the directory, asked about a case. Pure; the same at registrar, desk and timekeeper.

Each case is judged by its own profile (`nrmbus.rules.dated`): that in force when the case began, unless an activation moved it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from nrmbus.events import bulletin
from nrmbus.events.model import Event, Fact, Part
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules.audience import Audience, audience_of
from nrmbus.rules.calendar import lasting
from nrmbus.rules.clocks import Clock, clocks_of
from nrmbus.rules.dated import Activation, Timeline
from nrmbus.rules.due import EARLY_AT_MOST, Due, due_of_view
from nrmbus.rules.due_times import under
from nrmbus.rules.duties import as_of, changing, just_before
from nrmbus.rules.emergency import OF_THE_REQUEST, RESEALED, answer_due, answer_until, is_too_late, refused_by_person
from nrmbus.rules.event_context import AUTHORITIES, EventContext, shut_for, shut_out
from nrmbus.rules.evolve.fold import evolve_view
from nrmbus.rules.judge.check import Question
from nrmbus.rules.judge.judge import Judge, Refusal
from nrmbus.rules.mark import Mark
from nrmbus.rules.once import once_for
from nrmbus.rules.opening_bound import could_open
from nrmbus.rules.profile import Profile, Row, UnknownProfileError
from nrmbus.rules.profile_files import load_profile
from nrmbus.rules.records import Agency, Emergency, Running
from nrmbus.rules.retention import RetentionPeriod, kept
from nrmbus.rules.running import TIMEKEEPER
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.versions import understood
from nrmbus.rules.view import View
from nrmbus.rules.why import Reason, reason_for

_SEES_ALL: Final = frozenset({TIMEKEEPER, *AUTHORITIES})
"""Roles that may speak of a case without having heard of it."""
_tables_of = once_for(Tables.of)
_judge_of = once_for(Judge.of)


@dataclass(frozen=True, slots=True)
class _Ruled:
    """One profile, ready to be asked."""

    profile: Profile
    tables: Tables
    judge: Judge

    @classmethod
    def of(cls, profile: Profile) -> "_Ruled":
        """Make *profile* ready. Raise ProfileError for a rule that is not written."""
        return cls(profile, _tables_of(profile), _judge_of(profile))


class Rules:
    """Decisions about what may happen, who is notified, and what is due. *agencies* may grow; an id keeps its role for life.

    Events may be of any published version: they are read as the version that the Rules are written for.
    ``profile`` is that under which the bus began; ``timeline`` has the activations since, and grows by `activate`.
    """

    def __init__(self, profile: Profile, agencies: Mapping[str, Agency], timeline: Timeline | None = None) -> None:
        """Take *profile* and *agencies*, by id. Raise ProfileError if the profile names a rule that is not written."""
        self.profile = profile
        self.timeline = Timeline(profile.name, profile.zone) if timeline is None else timeline
        self._first = _Ruled.of(profile)
        self._ruled: dict[str, _Ruled | None] = {profile.name: self._first}
        self._roles = Roles(agencies)

    def afresh(self) -> "Rules":
        """Return the same Rules as they were before any activation."""
        return Rules(self.profile, self._roles.agencies)

    # Profiles

    def knows(self, policy: str) -> bool:
        """Return whether this installation has the profile *policy*, with the values that its activation names."""
        return self._named(policy) is not None

    def lacks(self, policy: str) -> bool:
        """Return whether nobody can be judged here by *policy*: this installation does not have it, or has other values than were activated."""
        found = self._named(policy)
        activated = (each.digest for each in self.timeline if each.profile == policy)
        return found is None or any(digest != found.profile.digest for digest in activated)

    def _named(self, policy: str) -> _Ruled | None:
        if policy not in self._ruled:
            try:
                self._ruled[policy] = _Ruled.of(load_profile(policy))
            except UnknownProfileError:
                self._ruled[policy] = None
        return self._ruled[policy]

    def _of(self, policy: str | None) -> _Ruled:
        """Return the profile *policy*; the first one if there is none, or this installation lacks it."""
        return (self._named(policy) if policy else None) or self._first

    def policy_for(self, view: View, source: str, now: datetime) -> str:
        """Return the name of the profile by which an event of *source* that is registered at *now* is judged, given *view* before it.

        An agency that has no event of the case is answered as if there were none: by the profile in force. Otherwise a
        refusal would tell it when the case began, and so that it exists.
        """
        if not view.count_for(source) and self.role_of(source) not in _SEES_ALL:
            return self.timeline.in_force(now)
        return self._case_policy(view, source, now)

    def is_told_policy(self, view: View, source: str) -> bool:
        """Return whether *view*, that of *source* itself, shows the profile of `policy_for` as the registrar's view does.

        The timekeeper and the authorities may speak of a case without having heard of it; they cannot tell when it began.
        """
        return view.policy is not None or bulletin.is_bulletin(view.subject) or self.role_of(source) not in _SEES_ALL

    def _case_policy(self, view: View, source: str, now: datetime) -> str:
        if view.policy is None or view.policy_since is None or bulletin.is_bulletin(view.subject):
            return self.timeline.in_force(now)
        if self.role_of(source) == TIMEKEEPER or not len(self.timeline):
            return view.policy
        deciders = self._of(view.policy).tables.deciders
        return self.timeline.moved(
            view.policy, view.policy_since, now, lambda name: self._of(name).tables.deciders == deciders
        )

    def profile_for(self, view: View) -> Profile:
        """Return the profile that the case of *view* is under, or the first one before its first event."""
        return self._of(view.policy).profile

    def profile_named(self, policy: str) -> Profile:
        """Return the profile *policy*, or the first one if this installation lacks it."""
        return self._of(policy).profile

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Return every profile of this bus: the first, then those that were activated, in the order of their days."""
        names = dict.fromkeys((self.profile.name, *(each.profile for each in self.timeline)))
        return tuple(self._of(name).profile for name in names if self._named(name))

    @property
    def deciders(self) -> frozenset[str]:
        """Return the roles that decide by any profile of this bus: cases go on under the profile of their time."""
        return frozenset(role for profile in self.profiles for role in profile.deciders)

    def profile_at(self, now: datetime) -> Profile:
        """Return the profile under which a case begins at *now*."""
        return self._of(self.timeline.in_force(now)).profile

    def is_installed(self, policy: str, digest: str) -> bool:
        """Return whether this installation has the profile *policy* with the very values of *digest*."""
        found = self._named(policy)
        return found is not None and found.profile.digest == digest

    def row(self, type_: str, policy: str | None = None) -> Row | None:
        """Return the row of *type_* in the profile *policy*, or in the first profile of this bus that has one."""
        names = (policy,) if policy else (self.profile.name, *(each.profile for each in self.timeline))
        found = (self._of(name).profile.types.get(type_) for name in names)
        return next((row for row in found if row is not None), None)

    def says(self, code: str | None, rule: str | None) -> str | None:
        """Return the sentence of a refusal with *code* by *rule* in the newest profile of this bus that has it; None if it is not ours."""
        names = (*(each.profile for each in reversed(tuple(self.timeline))), self.profile.name)
        found = (self._of(name).profile.says(code, rule) for name in names)
        return next((sentence for sentence in found if sentence is not None), None)

    def activate(self, fact: Fact) -> None:
        """Take the activation that *fact* registers, once however often; other facts change nothing."""
        data = fact.event.data
        if isinstance(data, ProfileActivated):
            since = self.timeline.begins(data.valid_from)
            event = fact.event
            mark = Mark(event.id, event.source, event.time, fact.registered, fact.number)
            self.timeline.take(Activation(data.profile, data.digest, since, data.open_cases, mark))
            if data.profile != self.profile.name and not self.is_installed(data.profile, data.digest):
                self._ruled[data.profile] = None  # a file of that name with other values is another profile

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
        policy: str | None = None,
    ) -> Refusal | None:
        """Return the refusal of *event* at *now* (aware UTC), given *view*; None if the event may be registered.

        *letter_parts* maps each part to its filled fields, while the letter is still open (the desk's door). *spent* counts
        the sender's emergency requests in the month of registration, over all cases. *policy* is the profile to judge by,
        if not that of `policy_for`. Source: section 4 of RULES.md.
        """
        ruled = self._of(policy or self.policy_for(view, event.source, now))
        before = self._just_before(view, event, now)
        question = Question(
            ruled.tables, self._roles, before, understood(event), (), now, letter_parts, spent, self.timeline
        )
        return ruled.judge.refusal(question)

    def refusals(self, view: View, event: Event, now: datetime, *, spent: int = 0) -> Iterator[Refusal]:
        """Yield the refusals of *event* by all rules that apply, in their order; the first is that of `judge`."""
        ruled = self._of(self.policy_for(view, event.source, now))
        before = self._just_before(view, event, now)
        question = Question(ruled.tables, self._roles, before, understood(event), (), now, None, spent, self.timeline)
        return ruled.judge.refusals(question)

    def may_publish(self, agency: str, type_: str, view: View | None = None) -> bool:
        """Return whether the role of *agency* may publish *type_* in the case of *view*, or in some case (section 3)."""
        role = self.role_of(agency)
        if view is not None and view.policy is not None:
            return role in self._of(view.policy).tables.publishers.get(type_, frozenset())
        names = {self.profile.name, *(each.profile for each in self.timeline)}
        return any(role in self._of(name).tables.publishers.get(type_, frozenset()) for name in names)

    def role_of(self, agency: str) -> str:
        """Return the role of *agency*; an unknown agency has a role that may publish nothing."""
        return self._roles.of(agency)

    def _context(
        self, view: View, event: Event, policy: str | None = None, now: datetime | None = None
    ) -> EventContext:
        policy = policy or self.policy_for(view, event.source, event.recordedtime)
        before = self._just_before(view, event, now or event.recordedtime)
        return EventContext(self._of(policy).tables, self._roles, before, understood(event), (), now)

    def _just_before(self, view: View, event: Event, now: datetime) -> View:
        return just_before(self._of(view.policy).tables, self._roles, view, event, now)

    def audience(self, view: View, event: Event, policy: str | None = None, now: datetime | None = None) -> Audience:
        """Return the audience of *event*, given *view* before it: recipients, openers of each part, consents to send first.

        *policy* is the profile of its registration; None: that of the time when the event was recorded. *now* is the
        time of registration; a sealing desk does not know this time, and the registrar may answer with another
        audience.
        """
        return audience_of(self._context(view, event, policy, now))

    def could_open(self, view: View, event: Event, part: Part, agency: str) -> bool:
        """Return whether *agency* could open *part* of the letter of *event* in any history, whatever *view* lacks."""
        profiles = [self._of(each.name).tables for each in self.profiles]
        return could_open(self._context(view, event), agency, part, profiles)

    def keeps_shut(self, view: View, event: Event, agency: str, now: datetime | None = None) -> bool:
        """Return whether *agency* must leave the letter of *event* closed *now*, since by *view* the person refuses it (C8).

        A letter that reaches the agency without consent (a signal, whose facts are coded) may be opened; a child is not asked.
        A letter sealed in an emergency stays closed after any refusal of the agency, a child's included.
        """
        context = self._context(view, event, now=now)
        return shut_for(context, agency) or (
            context.event.type == RESEALED and refused_by_person(view, agency, context.today)
        )

    def shuts_out(self, view: View, agency: str, now: datetime) -> bool:
        """Return whether the access of *agency* was ended, and no consent lets it in *now*: it reads nothing, also not what it retains."""
        return shut_out(view, agency, self._of(view.policy).tables.calendar.day(now)) is not None

    def is_refused(self, view: View, agency: str, now: datetime) -> bool:
        """Return whether by *view* the person refuses *agency* for any purpose *now*."""
        return refused_by_person(view, agency, self._of(view.policy).tables.calendar.day(now))

    def answer_until(self, view: View, emergency: Emergency) -> datetime:
        """Return until when *emergency* in the case of *view* may be answered."""
        return answer_until(self._of(view.policy).tables, emergency)

    def may_be_answered(self, view: View, emergency: Emergency, now: datetime) -> bool:
        """Return whether the parts requested in *emergency* in the case of *view* may still be sealed at *now*: in time, to an asker that is not shut out."""
        is_late = is_too_late(self._of(view.policy).tables, emergency, now)
        return not is_late and not self.shuts_out(view, emergency.mark.source, now)

    def may_be_due(self, view: View, emergency: Emergency, asked: Event, due: datetime, *, spent: int) -> bool:
        """Return whether the answer to *emergency*, requested by *asked*, may be due at *due*, as far as a holder's *view* shows.

        *due* is the registration of the event that says so; *spent* counts the asker's earlier requests of that month that
        the holder knows. A registrar by the Rules registers nothing else; a holder need not trust it in this.
        """
        registered = emergency.mark.registered
        broken = {each.because or each.rule for each in self.refusals(view, asked, registered, spent=spent)}
        return (
            broken.isdisjoint(OF_THE_REQUEST)
            and due >= answer_due(self._of(view.policy).tables, emergency) - EARLY_AT_MOST
        )

    def why(
        self, view: View, event: Event, agency: str, policy: str | None = None, now: datetime | None = None
    ) -> Reason:
        """Return why *event* reaches *agency*, or why not, on the view before; always in line with `audience`."""
        context = self._context(view, event, policy, now)
        return reason_for(context, agency, audience_of(context))

    def evolve(self, view: View, fact: Fact) -> View:
        """Return *view* after *fact*. Never raises; an agency's history with gaps gives the view of that agency.

        The fact's own policy counts; without one, that of the case at its registration.
        """
        policy, before = fact.policy or self._case_policy(view, fact.event.source, fact.registered), view
        if policy != view.policy:
            view = self._under(view, policy, fact.registered)
        event = understood(fact.event)
        if event is not fact.event:
            fact = Fact(
                event=event, recipients=fact.recipients, registered=fact.registered, number=fact.number, policy=policy
            )
        view = self._just_before(view, event, fact.registered)
        context = EventContext(self._of(policy).tables, self._roles, view, event, fact.recipients, fact.registered)
        after = evolve_view(context, fact)
        if after is view and not after.exists:
            return before  # a reading of what nobody opened makes no case
        if after.policy == policy:
            return after
        return after.changed({"policy": policy, "policy_since": view.policy_since})

    def _under(self, view: View, policy: str, since: datetime) -> View:
        """Return *view* as that of a case under *policy*: duties that this profile does not know are lifted.

        The others take the length of this profile, unless theirs ends later (reading 167).
        """
        before, tables, closing = self._of(view.policy).tables, self._of(policy).tables, view.closing

        def moved(clocks: tuple[Running, ...]) -> tuple[Running, ...]:
            return tuple(under(before, tables, each) for each in clocks if each.code in tables.profile.clocks)

        if closing is not None:
            closing = replace(closing, stopped=moved(closing.stopped))
        running = moved(view.running)
        return view.changed({"policy": policy, "policy_since": since, "running": running, "closing": closing})

    def holder(self, view: View, event: Event) -> str | None:
        """Return the holder of the case by *view*, at the time of *event*, an event of the same case."""
        return self._context(view, event).holder

    def month(self, instant: datetime) -> str:
        """Return the month of *instant* in the zone of the bus's first profile, as ``2026-03``: the unit of the emergency limit."""
        return f"{self._first.tables.calendar.day(instant):%Y-%m}"

    @property
    def notice(self) -> timedelta:
        """Return how long before its day an activation is registered at least, by whichever profile of this bus asks least."""
        return lasting(hours=min(each.periods.activation_notice_hours for each in self.profiles))

    @property
    def most_emergencies(self) -> int:
        """Return the highest monthly limit of emergency requests among the profiles of this bus."""
        names = {self.profile.name, *(each.profile for each in self.timeline)}
        return max(self._of(name).profile.emergency.monthly for name in names)

    def changing(self, view: View) -> Iterator[tuple[datetime, View]]:
        """Yield the times at which days alone change *view*, each with the view from then on; empty for nearly every case."""
        return changing(self._of(view.policy).tables, self._roles, view)

    def as_of(self, view: View, now: datetime) -> View:
        """Return *view* as it is at *now*: days may have changed it since its last event."""
        return as_of(self._of(view.policy).tables, self._roles, view, now)

    def next_change(self, view: View, now: datetime) -> datetime | None:
        """Return when days alone change *view* next after *now*, or None."""
        return next((at for at, _ in self.changing(view) if at > now), None)

    def clocks(self, view: View, now: datetime | None = None) -> tuple[Clock, ...]:
        """Return every duty that runs or is overdue: ``open_deadlines``, one entry each.

        They are those at *now*; None: those just after the last event of *view*, though days may have lifted some since.
        """
        return clocks_of(self._of(view.policy).tables, self._roles, view if now is None else self.as_of(view, now))

    def due(self, view: View) -> tuple[Due, ...]:
        """Return the events that the timekeeper publishes if nothing else happens, earliest first."""
        return due_of_view(self._of(view.policy).tables, self._roles, view)

    def kept(self, view: View) -> RetentionPeriod | None:
        """Return the retention of the closed case of *view*; None for a case that is not closed, or whose time is over."""
        return kept(self._of(view.policy).tables, view)
