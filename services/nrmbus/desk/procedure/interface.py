"""What an agency does by itself when it hears something: the interface of every written procedure, and how one is run.

A procedure is a module of pure functions, one per numbered line of its README. The Rules say what may happen; a
procedure says what this agency does next, and never decides about another. What no line handles becomes a task, so
that a person sees it. A desk keeps the procedure's book in its ledger; nothing here knows how.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import Field

from nrmbus.events.model import Data, Draft, Event, Frozen
from nrmbus.rules import Agency, Rules, View
from nrmbus.wire.ids import derived, said_by_itself

BY_ITSELF: Final = "by-itself"
"""The ``actor`` of what no member of staff said."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A registered event that reached this agency, or its own that came back registered.

    *letter* has the fields that this agency could open, flat; none if it could open nothing. *view* is the case as this
    agency sees it after the event. *registered* is the registration's time: when the agency could first answer.
    *agencies* is the directory, by id.
    """

    event: Event
    letter: Mapping[str, Any]
    view: View
    me: str
    registered: datetime
    rules: Rules
    agencies: Mapping[str, Agency]

    @property
    def own(self) -> bool:
        """Whether this agency said it itself."""
        return self.event.source == self.me


@dataclass(frozen=True, slots=True)
class Task:
    """Something that a person has to do about *event*; *code* says what kind of thing. Its sentence holds no content."""

    code: str
    sentence: str
    subject: str
    event: str
    referral: str | None = None
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a line of a procedure: drafts to publish, and tasks. Empty: the event needs nothing."""

    drafts: tuple[Draft, ...] = ()
    tasks: tuple[Task, ...] = ()

    def __add__(self, other: "Result") -> "Result":
        """Return both results as one."""
        return Result(self.drafts + other.drafts, self.tasks + other.tasks)


class Settings(Frozen):
    """What an agency sets about itself.

    A shelter its places by category of the person they are for; each agency the version that its own system speaks of a
    type, where that is not the first, and the number of who answers for what that system reads by itself.
    """

    capacity: dict[str, int] = Field(default_factory=dict)
    speaks: dict[str, int] = Field(default_factory=dict)
    reader: str | None = None


B = TypeVar("B", bound=Frozen)
D = TypeVar("D", bound=Data)


@dataclass(frozen=True, slots=True)
class Line(Generic[B]):
    """One numbered line of a procedure: the event types that it is about, and the function that answers them.

    The function takes the event's data, what was heard, and the book; it returns None where the line does not apply.
    """

    types: tuple[type[Data], ...]
    function: Callable[[Any, Heard, B], Result | None]

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.function.__name__

    @property
    def text(self) -> str:
        """Return the numbered line itself, which is the function's docstring."""
        return self.function.__doc__ or ""

    def __call__(self, heard: Heard, book: B) -> Result | None:
        """Return the line's answer to *heard*; None if the event is of another type, or the line does not apply."""
        data = heard.event.data
        return self.function(data, heard, book) if isinstance(data, self.types) else None


def line(*types: type[D]) -> Callable[[Callable[[D, Heard, B], Result | None]], Line[B]]:
    """Declare a function of ``procedure.py`` as a numbered line about events of these *types*."""

    def declare(function: Callable[[D, Heard, B], Result | None]) -> Line[B]:
        return Line(types, function)

    return declare


Mend = Callable[[Event, str], Result | None]
"""What is said instead of an event that was refused with a code; None where that is a person's to decide."""


class Procedure(Protocol[B]):
    """A module ``<agency>/procedure.py``: its lines, and what it keeps between events."""

    def begin(self, settings: Settings) -> B:
        """The book of an agency that has heard nothing yet."""

    def keep(self, book: B, heard: Heard) -> B:
        """The book after *heard*, and after what the lines said about it. The same history gives the same book."""

    def take_back(self, book: B, refused: Event) -> B:
        """The book after the registrar *refused* what a line had said: whatever was set aside for it is free again."""


def lines_of(procedure: Procedure[B]) -> tuple[Line[B], ...]:
    """Return the lines that the module *procedure* declares, in the order of its text."""
    return tuple(each for each in vars(procedure).values() if isinstance(each, Line))


def hear(procedure: Procedure[B], book: B, heard: Heard) -> tuple[B, Result]:
    """Run every line of *procedure* on *heard*; return the book after it and what there is to say and to do.

    A line has handled it when it answered, or when the book changed.
    """
    said = [answer for each in lines_of(procedure) if (answer := each(heard, book)) is not None]
    after = procedure.keep(book, heard)
    return after, sum(said, Result()) if said or after != book else unhandled(heard)


def refused(procedure: Procedure[B], book: B, event: Event, code: str) -> tuple[B, Result]:
    """What to do when the registrar refused, with *code*, an *event* that the procedure said: a person looks at it.

    A procedure that can put right by itself what was refused has a function ``mend``, and then nobody needs to look.
    """
    mend: Mend | None = getattr(procedure, "mend", None)
    mended = mend(event, code) if mend is not None else None
    if mended is not None:
        return procedure.take_back(book, event), mended
    sentence = f"The registrar refused {event.type}, which the desk said by itself, with {code}: a person decides."
    return procedure.take_back(book, event), Result(
        tasks=(Task("refused", sentence, event.subject, event.id, event.referral),)
    )


def unhandled(heard: Heard) -> Result:
    """What nobody handles becomes a task for a person; what the agency said itself, and technical receipts, do not."""
    if heard.own or heard.event.data.technical:
        return Result()
    return Result(
        tasks=(
            task(
                heard,
                "read",
                f"{heard.event.type} from {heard.event.source}: read it, and decide what it asks of this agency.",
            ),
        )
    )


def task(heard: Heard, code: str, sentence: str, alternatives: tuple[str, ...] = ()) -> Task:
    """A task about what was *heard*."""
    return Task(code, sentence, heard.event.subject, heard.event.id, heard.event.referral, alternatives)


def by_itself(heard: Heard, rule: str, data: Data, *, time: datetime | None = None, ref: str | None = None) -> Draft:
    """What this agency says by itself because of what it *heard*, under its line *rule*.

    The id follows from agency, cause and rule alone, so that it is said once, whatever is restarted or replayed.
    It happened when the cause was registered, unless *time* says otherwise.
    """
    return Draft(
        type=data.type,
        version=data.version,
        subject=heard.event.subject,
        data=data,
        time=time or heard.registered,
        actor=BY_ITSELF,
        referral=ref,
        causationid=heard.event.id,
        id=said_by_itself(heard.me, heard.event.id, rule),
    )


def derived_ref(heard: Heard, rule: str) -> str:
    """A reference of its own (32 hex digits) for what *rule* makes out of what was *heard*; the same again each time."""
    return derived(heard.me, heard.event.id, f"{rule} ref").replace("-", "")
