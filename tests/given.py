"""A procedure on the table: ``given(police, me="special-unit").heard(...).when(...).then(...)``.

What is heard is folded into the agency's own view and put through every line of its procedure, as a desk does it.
Everybody and everything is invented; nothing is judged, since a procedure hears only what was registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agencies import AGENCIES, NOW, POLICY, reference
from nrmbus.desk.procedure.interface import Heard, Procedure, Result, Settings, Task, hear, refused
from nrmbus.events.model import Data, Draft, Event, Fact, Frozen
from nrmbus.rules import Rules, View, load_profile

RULES: Final = Rules(load_profile(POLICY), AGENCIES)


def event_id(alias: str) -> str:
    """The event id that *alias* stands for."""
    digits = reference(alias)
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


@dataclass(frozen=True)
class Word:
    """Something that *by* said; *at* in hours after Monday 9:00, *registered* as well (at once, if left out)."""

    by: str
    data: Data
    ref: str | None = None
    letter: Mapping[str, Any] = field(default_factory=dict)
    case: str = "woman"
    at: float = 0.0
    registered: float | None = None
    alias: str | None = None
    incident: str | None = None


def says(by: str, data: Data, ref: str | None = None, **rest: Any) -> Word:
    """What *by* says about *ref*; see :class:`Word` for the rest."""
    return Word(by, data, ref, **rest)


def moment(hours: float) -> datetime:
    """*hours* after Monday 9:00."""
    return NOW + timedelta(hours=hours)


class Story:
    """One agency with its procedure, and what it has heard so far."""

    def __init__(self, procedure: Procedure[Any], me: str, capacity: Mapping[str, int]) -> None:
        """Begin with nothing heard."""
        self.procedure = procedure
        self.me = me
        self.book: Frozen = procedure.begin(Settings(capacity=dict(capacity)))
        self.views: dict[str, View] = {}
        self.number = 0

    def heard(self, *words: Word) -> "Story":
        """The agency heard these before; what it answered does not matter."""
        for word in words:
            self.hear(word)
        return self

    def when(self, *words: Word) -> "Answer":
        """Now it hears these."""
        said = [self.hear(word) for word in words]
        return Answer(self, sum(said, Result()))

    def refused(self, draft: Draft, code: str = "wrong_state") -> "Answer":
        """The registrar refused what it said by itself."""
        word = Word(self.me, draft.data, alias="refused")
        event = self._event(
            word, {"id": draft.id, "subject": draft.subject, "referral": draft.referral, "actor": draft.actor}
        )
        self.book, said = refused(self.procedure, self.book, event, code)
        return Answer(self, said)

    def hear(self, word: Word) -> Result:
        """Fold *word* into the view and put it through the procedure."""
        event = self._event(word, {})
        recipients = () if word.by == self.me else (self.me,)
        registered = moment(word.at if word.registered is None else word.registered)
        view = self.views.get(event.subject) or RULES.start(event.subject)
        view = RULES.evolve(view, Fact.of(event, recipients, registered, self.number))
        self.views[event.subject] = view
        heard = Heard(event, word.letter, view, self.me, registered, RULES, AGENCIES)
        self.book, said = hear(self.procedure, self.book, heard)
        return said

    def _event(self, word: Word, instead: Mapping[str, Any]) -> Event:
        self.number += 1
        attributes: dict[str, Any] = {
            "id": event_id(word.alias or f"{word.by} {self.number}"),
            "source": word.by,
            "type": word.data.type,
            "version": word.data.version,
            "subject": reference(word.case),
            "time": moment(word.at),
            "recordedtime": moment(word.at),
            "sequence": self.number,
            "actor": "A-1",
            "policy": RULES.profile.name,
            "data": word.data,
            "referral": reference(word.ref) if word.ref else None,
            "incident": reference(word.incident) if word.incident else None,
        }
        return Event(**{**attributes, **instead})


class Answer:
    """What the agency said and has to do."""

    def __init__(self, story: Story, said: Result) -> None:
        """Keep what was *said*."""
        self.story = story
        self.said = said

    @property
    def draft(self) -> Draft:
        """The one event that it says."""
        (draft,) = self.said.drafts
        return draft

    @property
    def task(self) -> Task:
        """The one task that it has."""
        (task,) = self.said.tasks
        return task

    def then(self, *expected: Data | str) -> "Answer":
        """It says exactly this (data) and has exactly these tasks (codes), in order; nothing, if nothing is expected."""
        assert [draft.data for draft in self.said.drafts] == [each for each in expected if isinstance(each, Data)]
        assert [task.code for task in self.said.tasks] == [each for each in expected if isinstance(each, str)]
        return self


def given(procedure: Procedure[Any], *, me: str, capacity: Mapping[str, int] | None = None) -> Story:
    """An agency *me* that runs *procedure* and has heard nothing yet."""
    return Story(procedure, me, capacity or {})
