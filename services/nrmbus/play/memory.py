"""A bus in memory: the Rules and the procedures alone, with no Kafka and no ciphers, for judging a scenario in a moment.

The bus registers like the registrar, delivers at once, and publishes the events of timekeeper and procedures.
"""

import hashlib
import json
from collections import deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from nrmbus.desk.procedure.interface import BY_ITSELF, Settings, Task
from nrmbus.events import bulletin
from nrmbus.events.errors import Invalid, UnknownType
from nrmbus.events.model import Draft, Event, Fact, Part
from nrmbus.play import traces_left
from nrmbus.play.memory_desk import Delivery, MemoryDesk
from nrmbus.play.scenario import Participant
from nrmbus.play.stage import Happened, Outcome, Stage, StageError, Standing, Words, shown
from nrmbus.play.words import draft_of
from nrmbus.rules import Agency, Due, Rules, View, load_profile
from nrmbus.statistics.persons import Case
from nrmbus.statistics.release import compute
from nrmbus.statistics.spans import Span
from nrmbus.timekeeper.silence import Silence, told
from nrmbus.wire.ids import new_event_id, said_by_itself
from nrmbus.wire.names import REGISTRAR, STATISTICS, TIMEKEEPER

_FROM_DRAFT: Final = (
    "type", "version", "subject", "data", "time", "actor", "approver", "legalbasis", "consent", "referral", "incident",
    "causationid", "correlationid", "expectedversion",
)  # fmt: skip


class MemoryBus(Stage):
    """A stage that is a few dictionaries."""

    def __init__(self) -> None:
        """Begin with no agency, no case and no time."""
        self._now = datetime.min.replace(tzinfo=UTC)
        self._desks: dict[str, MemoryDesk] = {}
        self._views: dict[str, View] = {}
        self._history: dict[str, dict[str, Fact]] = {}
        self._submitted: dict[str, tuple[Event, Mapping[Part, Mapping[str, Any]], Outcome]] = {}
        self._sequences: dict[tuple[str, str], int] = {}
        self._drafts: deque[tuple[str, Draft]] = deque()
        self._away: dict[str, list[Delivery]] = {}
        """Agencies whose desks take nothing -> what waits for them."""
        self._silence: Silence | None = None

    def admit(self, agencies: Mapping[str, Participant], policy: str, starts: datetime) -> None:
        """Admit the agencies of a play under the profile *policy*, and begin at *starts*."""
        if self._desks:
            raise StageError("a bus in memory is for one play: begin with a fresh one")
        try:
            profile = load_profile(policy)
        except LookupError as error:
            raise StageError(str(error)) from None
        self._now = starts
        known = {id: Agency(id, each.role, each.supervisor) for id, each in agencies.items()}
        self._rules = Rules(profile, {TIMEKEEPER: Agency(TIMEKEEPER, TIMEKEEPER), **known})
        self._desks = {
            id: MemoryDesk(known[id], self._rules, known, Settings(capacity=each.capacity or {}))
            for id, each in agencies.items()
        }

    def publish(self, words: Words) -> Outcome:
        """Register *words* or refuse them, deliver, and go on until nobody has anything to say by himself."""
        try:
            draft = draft_of(words)
        except Invalid:
            return self._not_taken("unknown_field")
        except UnknownType:
            return self._not_taken("unknown_type")
        if set(draft.data.named) - set(self._desks):
            return self._not_taken("unknown_recipient")
        outcome = self._submit(words.by, draft)
        self._until_quiet()
        return outcome

    def again(self, event: str) -> Outcome:
        """Submit an earlier *event* once more: it is known, so nothing happens, and the answer is the same."""
        submitted, letter, _ = self._submitted[event]
        outcome = self._register(submitted, letter)
        self._until_quiet()
        return outcome

    def advance(self, at: datetime) -> None:
        """Go through every due time up to *at*, the timekeeper speaking at each."""
        self._until_quiet()
        while (due := self._next_due()) is not None and due[1].at <= at:
            self._now = max(self._now, due[1].at)
            self._until_quiet()
        self._now = max(self._now, at)
        self._look()

    def _look(self) -> None:
        """Look twice at the desks, as the timekeeper does every few seconds, and publish what everybody must know."""
        after = timedelta(minutes=self._rules.profile_at(self._now).periods.silent_minutes)
        if self._silence is None:
            self._silence = Silence(after)
        self._silence.after = after
        subject = bulletin.of(TIMEKEEPER)
        for _ in range(2):
            published = told(self._views.get(subject) or self._rules.start(subject))
            taking = {each: each not in self._away for each in self._desks}
            for draft in self._silence.look(taking, published, self._now):
                self._submit(TIMEKEEPER, draft)
        self._until_quiet()

    def away(self, agency: str) -> None:
        """Let an agency's desk take and say nothing from here on."""
        self._away.setdefault(agency, [])
        self._look()

    def back(self, agency: str) -> None:
        """Let the desk of an agency that was away go on where it stopped."""
        for delivery in self._away.pop(agency, []):
            self._drafts.extend((agency, draft) for draft in self._desks[agency].receive(delivery))
        self._until_quiet()
        self._look()

    def listens(self, agency: str, shown_to: str, expected: bool) -> bool:  # noqa: FBT001 - as on a stage
        """Return whether *agency* reads what it is sent, as the desk of *shown_to* shows it."""
        del expected
        view = self._desks[shown_to].view(bulletin.of(TIMEKEEPER))
        return view is None or told(view).get(agency, True)

    def history(self, subject: str, *, technical: bool = False) -> tuple[Happened, ...]:
        """Return the registered events of a case or incident."""
        facts = self._history.get(subject, {}).values()
        return tuple(
            Happened.of(fact.event, fact.registered) for fact in facts if technical or not fact.event.data.technical
        )

    def received(self, event: str) -> tuple[str, ...]:
        """Return the agencies with *event* in their inbox."""
        return tuple(id for id, desk in self._desks.items() if any(each.id == event for each in desk.inbox))

    def opens(self, event: str) -> Mapping[Part, tuple[str, ...]]:
        """Return the parts of the letter of *event* that each desk can open."""
        opened = {id: desk.opened(event) for id, desk in self._desks.items()}
        parts = sorted({part for parts in opened.values() for part in parts})
        return {part: tuple(id for id, parts in opened.items() if part in parts) for part in parts}

    def exposed(self, texts: Collection[str]) -> tuple[str, ...]:
        """Registrar, auditor and broker have the envelopes, and all of them the same."""
        envelopes = [submitted.model_dump_json().encode() for submitted, _, _ in self._submitted.values()]
        readable = any(each in envelope for each in traces_left.spellings(texts) for envelope in envelopes)
        return ("auditor", "broker", "registrar") if readable else ()

    def standing(self, subject: str) -> Standing:
        """Return the standing of a case."""
        view = self._views.get(subject)
        if view is None:
            return Standing(None, (), ())
        duties = self._rules.clocks(view, self._now)
        return Standing(view.status, view.open_referrals, tuple(clock.code for clock in duties))

    def status_at(self, agency: str, subject: str) -> str | None:
        """Return the status in the view of the agency's own desk."""
        view = self._desks[agency].view(subject)
        return view.status if view else None

    def inbox(self, agency: str, subject: str | None = None) -> tuple[str, ...]:
        """Return the types of the events that *agency* received."""
        return tuple(event.type for event in self._desks[agency].inbox if subject in (None, event.subject))

    def statistics(self, year: int, table: str) -> Mapping[str, int | str]:
        """Count every case, by the coded parts that a desk of the statistics would have."""
        cases = [
            Case(subject, tuple(facts.values()), {id: self._submitted[id][1].get("coded", {}) for id in facts})
            for subject, facts in self._history.items()
        ]
        release = compute(
            self._rules,
            cases,
            Span(year),
            bus="memory",
            by=STATISTICS,
            checkpoints=(),
        )
        return shown(release, table)

    def restart(self, service: str) -> None:
        """Let a desk, the registrar or the timekeeper read its history again and publish its events again."""
        if service in self._desks:
            self._drafts.extend((service, draft) for draft in self._desks[service].restart())
        elif service in (REGISTRAR, TIMEKEEPER):
            self._views = {subject: self._fold(subject) for subject in self._history}
        else:
            raise StageError(f"a bus in memory has no {service} that could be killed")
        self._until_quiet()

    def replay(self, subject: str | None = None) -> tuple[str, ...]:
        """Fold the history of the registrar and of every agency once more, and compare."""
        subjects = self._history if subject is None else [subject]
        found = ["the registrar holds a case otherwise than its history tells it"]
        differing = any(self._fold(each) != self._views.get(each, View(each)) for each in subjects)
        desks = (sentence for desk in self._desks.values() for sentence in desk.differences())
        return (*(found if differing else ()), *desks)

    def tasks(self, agency: str) -> tuple[Task, ...]:
        """Return the open tasks of *agency*."""
        return self._desks[agency].tasks

    def told(self) -> tuple[list[Fact], dict[str, Mapping[str, Any]]]:
        """Return every registered fact in its order, and the coded part of each letter by the event's id."""
        facts = sorted(
            (fact for facts in self._history.values() for fact in facts.values()), key=lambda each: each.number
        )
        letters = ((fact.event.id, self._submitted[fact.event.id][1]) for fact in facts)
        return facts, {id: letter["coded"] for id, letter in letters if "coded" in letter}

    def _fold(self, subject: str) -> View:
        view = self._rules.start(subject)
        for fact in self._history.get(subject, {}).values():
            view = self._rules.evolve(view, fact)
        return view

    def _view(self, subject: str) -> View:
        return self._views.get(subject) or self._rules.start(subject)

    def _not_taken(self, code: str) -> Outcome:
        """Return the outcome of an event that a door refuses; it never reaches the registrar."""
        return Outcome(new_event_id(), "", code)

    def _submit(self, by: str, draft: Draft) -> Outcome:
        sequence = self._sequences[by, draft.subject] = self._sequences.get((by, draft.subject), 0) + 1
        letter = draft.letter.parts() if draft.letter else {}
        event = Event(
            id=draft.id or new_event_id(int(self._now.timestamp() * 1000)),
            source=by,
            recordedtime=self._now,
            sequence=sequence,
            policy=self._rules.policy_for(self._view(draft.subject), by, self._now),
            sealeddigest=_digest(letter) if draft.letter else None,
            **{name: getattr(draft, name) for name in _FROM_DRAFT},
        )
        return self._register(event, letter)

    def _register(self, event: Event, letter: Mapping[Part, Mapping[str, Any]]) -> Outcome:
        """Answer a known event as before; else judge, number, route and deliver it, as the registrar does."""
        if event.id in self._submitted:
            return self._submitted[event.id][2]
        view = self._view(event.subject)
        policy = self._rules.policy_for(view, event.source, self._now)
        filled = {part: frozenset(fields) for part, fields in letter.items()}
        number = len(self._submitted)
        refusal = self._rules.judge(
            view,
            event,
            self._now,
            letter_parts=filled if event.sealeddigest else None,
            spent=self._spent(event.source),
            policy=policy,
        )
        if refusal is not None:
            outcome = Outcome(event.id, f"refusal {number}", refusal.code, refusal.rule, refusal.article)
            self._submitted[event.id] = (event, letter, outcome)
            return outcome
        audience = self._rules.audience(view, event, policy, self._now)
        fact = Fact.of(event, audience.recipients, self._now, number, policy)
        self._rules.activate(fact)
        self._views[event.subject] = self._rules.evolve(view, fact)
        outcome = Outcome(event.id, f"registration {number}")
        self._submitted[event.id] = (event, letter, outcome)
        self._history.setdefault(event.subject, {})[event.id] = fact
        for missed in audience.earlier.get(event.source, ()):
            self._deliver(self._history[event.subject][missed], (event.source,), event.source, {})
        self._deliver(fact, (), event.source, {}, letter)
        for agency in audience.recipients:
            for consent in audience.earlier.get(agency, ()):
                self._deliver(self._history[event.subject][consent], (agency,), agency, {})
            opened = {part: letter.get(part, {}) for part, who in audience.opens.items() if agency in who}
            self._deliver(fact, (agency,), agency, opened if event.sealeddigest else {})
        return outcome

    def _spent(self, agency: str) -> int:
        """Return how often *agency* has broken the glass this month."""
        month = self._rules.month(self._now)
        return sum(
            fact.event.type == "access.break_glass"
            and fact.event.source == agency
            and self._rules.month(fact.registered) == month
            for facts in self._history.values()
            for fact in facts.values()
        )

    def _deliver(
        self,
        fact: Fact,
        recipients: tuple[str, ...],
        agency: str,
        opened: Mapping[Part, Mapping[str, Any]],
        own: Mapping[Part, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Hand a fact to one desk, which learns of no other recipient."""
        desk = self._desks.get(agency)
        if desk is not None:
            heard = Fact.of(fact.event, recipients, fact.registered, fact.number, fact.policy)
            delivery = Delivery(heard, opened, own)
            if agency in self._away:
                self._away[agency].append(delivery)
            else:
                self._drafts.extend((agency, draft) for draft in desk.receive(delivery))

    def _until_quiet(self) -> None:
        """Register what procedures and timekeeper say by themselves, until they say nothing more."""
        while True:
            if self._drafts:
                agency, draft = self._drafts.popleft()
                if draft.id in self._submitted:
                    continue  # a restarted desk publishes its events again
                outcome = self._submit(agency, draft)
                if outcome.code is not None:
                    said = self._desks[agency].be_refused(self._submitted[outcome.id][0], outcome.code)
                    self._drafts.extend((agency, draft) for draft in said)
            elif (due := self._next_due()) is not None and due[1].at <= self._now:
                self._publish_due(*due)
            else:
                return

    def _next_due(self) -> tuple[str, Due] | None:
        dues = [(subject, due) for subject, view in self._views.items() for due in self._rules.due(view)]
        waiting = [(subject, due) for subject, due in dues if _id_of(due) not in self._submitted]
        return min(waiting, key=lambda each: each[1].at, default=None)

    def _publish_due(self, subject: str, due: Due) -> None:
        """Publish the due event as the timekeeper, once."""
        draft = Draft(
            type=due.type,
            subject=subject,
            data=due.data,
            time=due.at,
            actor=BY_ITSELF,
            referral=due.ref,
            causationid=due.cause,
            id=_id_of(due),
        )
        outcome = self._submit(TIMEKEEPER, draft)
        if outcome.code is not None:
            raise StageError(f"the Rules refuse what the timekeeper says by itself: {due.type}, {outcome.code}")


def _id_of(due: Due) -> str:
    return said_by_itself(TIMEKEEPER, due.key, due.rule)


def _digest(letter: Mapping[Part, Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(letter, sort_keys=True).encode()).hexdigest()
