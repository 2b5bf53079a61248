"""Every case folded from ``nrm.cases``, and what is due of each: pure, so that a restart says the same things again."""

import heapq
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from nrmbus.bus.periodic import doubled
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.events.model import Draft, Event, Fact
from nrmbus.rules import Due, Rules, View
from nrmbus.wire.history import Chain, HistoryFault, KeyOf, known_event, read
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.names import TIMEKEEPER
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Audience, Registration

SAY_AGAIN_AFTER: Final = timedelta(minutes=1)
"""How long after a refusal, or a failure, what is still due is said once more; twice as long after each further one."""
SAY_AGAIN_AT_LEAST: Final = timedelta(days=1)


class Watch:
    """The clocks of all cases. Its state is a function of the history, and of the events that failed without a trace there."""

    def __init__(self, rules: Rules, bus: str, registrar_key: KeyOf) -> None:
        """Begin before the first record of *bus*; *registrar_key* finds the registrar's key of a kid."""
        self._rules, self._bus, self._registrar_key = rules, bus, registrar_key
        self._chains: dict[int, Chain] = {}
        self._views: dict[str, View] = {}
        self._due: dict[str, tuple[Due, ...]] = {}
        self._changed: set[str] = set()
        """Cases with events since the last look at what is due; each is looked at once."""
        self._uncounted: set[str] = set()
        """Cases with events since their overdue duties were counted."""
        self._overdue: dict[str, int] = {}
        self._soonest: list[tuple[datetime, str]] = []
        self._again: dict[tuple[str, str], int] = {}
        """How often what is said of a cause was refused or failed, as far as is known; the cause is a key and a rule."""
        self._refused: dict[str, datetime] = {}
        """Refused and failed events by id, with the time of the refusal, or of the first look at one that is dated ahead: the registrar's clock may be behind."""
        self.unknown: set[str] = set()
        """Cases with an event that this release cannot read, or that is missing or altered: no deadline of them is published."""

    @property
    def numbers(self) -> dict[int, int]:
        """The number of the last registration taken, by partition."""
        return {partition: chain.number for partition, chain in self._chains.items() if chain.number}

    def take(self, record: Record, partition: int) -> None:
        """Verify the next record of *partition*, and fold it. Refusals start no clock; a record read twice counts once.

        Raises:
            HistoryFault: the record is not the next registration of the partition, or not the registrar's.
        """
        chain = self._chains.setdefault(partition, Chain(self._bus, partition))
        found = read(record, Registration.parse, self._registrar_key)
        registration = found.registration
        try:
            chain.check(found)
        except HistoryFault as fault:
            if fault.code != "duplicate":
                raise
            return
        chain.take(found)
        if registration.verdict == "refused":
            if registration.source == TIMEKEEPER:
                self._refused[registration.id] = registration.time
            return
        event: Event | None = None
        recipients: tuple[str, ...] = ()
        with suppress(HistoryFault):
            found.check_commitments()
            recipients = found.told(Audience.parse).recipients
            event = known_event(found.opened())
        # An event that was cut out or altered, or that this release does not know, may have ended a clock.
        # A breach that is published late does less harm than a false one.
        # The same holds for a profile that is not here with these values: its clocks are others.
        said = registration.policy
        if event is None or not self._rules.is_installed(said.name, said.digest):
            self._silence(registration.subject)
            return
        if event.subject in self.unknown:
            return
        view = self._views.get(event.subject) or self._rules.start(event.subject)
        fact = Fact.of(event, recipients, registration.time, registration.number, registration.policy.name)
        self._rules.activate(fact)
        view = self._rules.evolve(view, fact)
        self._views[event.subject] = view
        self._changed.add(event.subject)
        self._uncounted.add(event.subject)

    def _silence(self, subject: str) -> None:
        self.unknown.add(subject)
        self._changed.discard(subject)
        self._uncounted.discard(subject)
        self._overdue.pop(subject, None)
        self._due[subject] = ()

    def due(self, now: datetime) -> Iterator[Draft]:
        """Yield the events due at *now* or before, earliest first, again at each call until each is registered."""
        self._look()
        ready = self._ready(now)
        said = [(each.at, subject, each) for subject in ready for each in self._due[subject] if each.at <= now]
        for _, subject, each in sorted(said, key=lambda found: found[:2]):
            id = self.id_of(each.key, each.rule, now)
            if id is None:
                continue
            yield Draft(
                type=each.type,
                version=each.data.version,
                subject=subject,
                data=each.data,
                time=each.at,
                actor=BY_ITSELF,
                referral=each.ref,
                causationid=each.cause,
                id=id,
            )

    def _look(self) -> None:
        for subject in self._changed:
            due = self._due[subject] = self._rules.due(self._views[subject])
            if due:
                heapq.heappush(self._soonest, (due[0].at, subject))
        self._changed.clear()

    def failed(self, id: str, at: datetime) -> None:
        """Note the end of the event *id* at *at* without a registration, which the history does not show.

        The timekeeper's desk could not sign the event, or the registrar gave a passing answer.
        """
        self._refused.setdefault(id, at)

    def id_of(self, key: str, rule: str, now: datetime) -> str | None:
        """Return the id under which the event of a cause is said: another after each refusal or failure.

        The registrar knows a refused id for good, and so does the outbox a failed one. None too soon after either; the time
        doubles with each one, since a registrar of another release refuses for ever.
        """
        again = self._again.get((key, rule), 0)
        while True:
            id = said_by_itself(TIMEKEEPER, f"{key}|{again}" if again else key, rule)
            refused = self._refused.get(id)
            if again:
                self._again[key, rule] = again
            if refused is None:
                return id
            # A partition's times stay ahead after a clock that was; the wait then counts from this look.
            refused = self._refused[id] = min(refused, now)
            pause = doubled(SAY_AGAIN_AFTER.total_seconds(), again, SAY_AGAIN_AT_LEAST.total_seconds())
            if now - refused < timedelta(seconds=pause):
                return None
            again += 1

    def _ready(self, now: datetime) -> list[str]:
        """Return the cases with something due at *now*, and drop notes that the case has outlived, or they would pile up."""
        ready: set[str] = set()
        while self._soonest and self._soonest[0][0] <= now:
            _, subject = heapq.heappop(self._soonest)
            ready.add(subject)
        for subject in ready:
            if due := self._due[subject]:
                heapq.heappush(self._soonest, (due[0].at, subject))
        return sorted(ready)

    def view(self, subject: str) -> View:
        """Return the view of a case or bulletin after what was read so far."""
        return self._views.get(subject) or self._rules.start(subject)

    def next_due(self) -> datetime | None:
        """When something is to be said next; None when nothing waits."""
        self._look()
        while self._soonest:
            at, subject = self._soonest[0]
            due = self._due[subject]
            if due and due[0].at == at:
                return at
            heapq.heappop(self._soonest)  # the case has moved on since this was noted
            if due and due[0].at > at:
                heapq.heappush(self._soonest, (due[0].at, subject))
        return None

    def overdue(self, now: datetime) -> int:
        """Return how many duties of all cases are still owed at *now* after their breach was published."""
        uncounted, self._uncounted = self._uncounted, set()
        for subject in uncounted:
            view = self._views[subject]
            late = sum(clock.breached for clock in self._rules.clocks(view, now))
            self._overdue.pop(subject, None)
            if late:
                self._overdue[subject] = late
                if self._rules.next_change(view, now):
                    self._uncounted.add(subject)  # days alone may lift these duties
        return sum(self._overdue.values())

    def open_deadlines(self, subject: str, now: datetime) -> tuple[str, ...]:
        """Return the codes of the duties of a case that run or are overdue at *now*, one for each duty, sorted."""
        view = self._views.get(subject)
        return tuple(sorted(clock.code for clock in self._rules.clocks(view, now))) if view else ()
