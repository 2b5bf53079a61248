"""An agency's desk in memory: received events, views and procedure. No keys, no bytes, no waiting."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nrmbus.desk import versions
from nrmbus.desk.access import break_glass
from nrmbus.desk.procedure.interface import BY_ITSELF, Heard, Settings, Task, hear, refused, unhandled
from nrmbus.desk.procedure.roles import procedure_of
from nrmbus.events.erasure import AccessErasureConfirmed, AccessErasureDue
from nrmbus.events.model import Draft, Event, Fact, Part
from nrmbus.rules import Agency, Rules, View
from nrmbus.wire.ids import said_by_itself


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record of an inbox: a fact with the opened parts, or an own registered event with its letter."""

    fact: Fact
    opened: Mapping[Part, Mapping[str, Any]]
    own: Mapping[Part, Mapping[str, Any]] = field(default_factory=dict)


class MemoryDesk:
    """The desk of *agency*; *settings* are the agency's own, such as a shelter's places."""

    def __init__(self, agency: Agency, rules: Rules, agencies: Mapping[str, Agency], settings: Settings) -> None:
        """Begin with an empty ledger; *agencies* is the directory."""
        self._agency = agency
        self._agencies = agencies
        self._rules = rules
        self._settings = settings
        self._procedure = procedure_of(agency.role)
        self._ledger: list[Delivery | tuple[Event, str]] = []
        self._forget()

    def _forget(self) -> None:
        self._views: dict[str, View] = {}
        self._state: Any = self._procedure.begin(self._settings) if self._procedure else None
        self.tasks: tuple[Task, ...] = ()
        self._letters: dict[str, list[break_glass.Parts]] = {}

    @property
    def inbox(self) -> tuple[Event, ...]:
        """Events received from others, in order."""
        facts = [each.fact for each in self._ledger if isinstance(each, Delivery)]
        return tuple(fact.event for fact in facts if fact.event.source != self._agency.id)

    def opened(self, event: str) -> Mapping[Part, Mapping[str, Any]]:
        """Return the parts of the letter of another agency's *event* that the desk could open."""
        found = (each for each in self._ledger if isinstance(each, Delivery) and each.fact.event.id == event)
        return next((each.opened for each in found if each.fact.event.source != self._agency.id), {})

    def view(self, subject: str) -> View | None:
        """Return the view of a case, or None if the desk has no event of it."""
        return self._views.get(subject)

    def receive(self, delivery: Delivery) -> tuple[Draft, ...]:
        """Take a delivery in; return what the procedure says to it. A letter that the person took back stays shut."""
        event, view = delivery.fact.event, self._views.get(delivery.fact.event.subject)
        if view is not None and event.source != self._agency.id:
            shut = self._rules.keeps_shut(view, event, self._agency.id, delivery.fact.registered)
            delivery = replace(delivery, opened={}) if shut else delivery
        self._ledger.append(delivery)
        return self._take(delivery)

    def be_refused(self, event: Event, code: str) -> tuple[Draft, ...]:
        """Take the registrar's refusal of the procedure's *event*; return the procedure's events in its place."""
        self._ledger.append((event, code))
        return self._lose(event, code)

    def restart(self) -> tuple[Draft, ...]:
        """Lose everything but the ledger and go through that once more; return all that was said again."""
        self._forget()
        drafts: list[Draft] = []
        for entry in self._ledger:
            if isinstance(entry, Delivery):
                drafts += self._take(entry)
            else:
                drafts += self._lose(*entry)
        return tuple(drafts)

    def differences(self) -> tuple[str, ...]:
        """Return a sentence for each difference of a second fold of the ledger."""
        twin = MemoryDesk(self._agency, self._rules, self._agencies, self._settings)
        twin._ledger = list(self._ledger)
        twin.restart()
        kept = {"shows a case": twin._views == self._views, "keeps its book": twin._state == self._state}
        return tuple(
            f"{self._agency.id} {what} otherwise than its own events tell it" for what, same in kept.items() if not same
        )

    def _take(self, delivery: Delivery) -> tuple[Draft, ...]:
        fact = delivery.fact
        before = self._views.get(fact.event.subject) or self._rules.start(fact.event.subject)
        view = self._views[fact.event.subject] = self._rules.evolve(before, fact)
        letter: Mapping[str, Any] = {
            name: value for fields in delivery.opened.values() for name, value in fields.items()
        }
        event, letter = versions.heard(fact.event, letter)
        heard = Heard(event, letter, view, self._agency.id, fact.registered, self._rules, self._agencies)
        said = unhandled(heard)
        if self._procedure is not None:
            self._state, said = hear(self._procedure, self._state, heard)
        held = self._letters.setdefault(event.subject, [])
        held.append(delivery.own or delivery.opened)
        if parts := break_glass.needed(self._agency.id, event, view):
            said += break_glass.answer(self._agency.id, event, parts, held, fact.registered)
        open_before = (each for each in self.tasks if (each.code, each.event) not in said.over)
        self.tasks = (*open_before, *said.tasks)
        return (*said.drafts, *_erased(self._agency.id, fact))

    def _lose(self, event: Event, code: str) -> tuple[Draft, ...]:
        if self._procedure is None:
            return ()
        self._state, said = refused(self._procedure, self._state, event, code)
        self.tasks += said.tasks
        return said.drafts


def _erased(me: str, fact: Fact) -> tuple[Draft, ...]:
    """Return the confirmation of the desk of *me* for a due erasure. No key lives here, so no backup opens anything from now on."""
    data = fact.event.data
    if not isinstance(data, AccessErasureDue):
        return ()
    at, subject, cause = fact.registered, fact.event.subject, fact.event.id
    done = AccessErasureConfirmed(ground=data.ground, horizon=at)
    id = said_by_itself(me, cause, done.type)
    return (Draft(type=done.type, subject=subject, data=done, time=at, actor=BY_ITSELF, causationid=cause, id=id),)
