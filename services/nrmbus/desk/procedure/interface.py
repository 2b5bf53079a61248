"""Interface of every written procedure: an agency's automatic actions on a received event, and their execution.

A procedure is a module of pure functions, one per numbered line of its README. The Rules say what may happen; a
procedure says what this agency does next, and never decides about another agency. An unhandled event becomes a task
for a person. The desk stores the procedure's book; this module does not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, Final, Generic, Protocol, TypeVar

from pydantic import Field

from nrmbus.events import bulletin
from nrmbus.events.model import Data, Draft, Event, Frozen
from nrmbus.rules import Agency, Profile, Rules, View
from nrmbus.rules.placed import placed
from nrmbus.wire.ids import derived, said_by_itself

BY_ITSELF: Final = "by-itself"
"""``actor`` of events that no member of staff entered."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Registered event received by this agency, or its own event that came back registered.

    *letter* has the opened fields, flat; empty if no part opened. *view* is this agency's view of the case after the
    event. *registered* is the registration's time: the earliest time for an answer.
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
    def profile(self) -> Profile:
        """Return the profile that the case is under."""
        return self.rules.profile_for(self.view)

    @property
    def own(self) -> bool:
        """Return whether the event is this agency's own."""
        return self.event.source == self.me


@dataclass(frozen=True, slots=True)
class Task:
    """Task for a person about *event*; *code* names the kind. The sentence holds no content.

    Whoever lists tasks opens no letter, and no reading is recorded. So no code, no sentence and no absence of a task may
    depend on what a letter says.
    """

    code: str
    sentence: str
    subject: str
    event: str
    referral: str | None = None
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a line of a procedure: drafts to publish, and tasks. Empty: the event needs nothing.

    *over* names earlier tasks that the event ends, by their code and the id of their event.
    """

    drafts: tuple[Draft, ...] = ()
    tasks: tuple[Task, ...] = ()
    over: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: "Result") -> "Result":
        """Return both results as one."""
        return Result(self.drafts + other.drafts, self.tasks + other.tasks, self.over + other.over)


class Settings(Frozen):
    """Settings of an agency.

    A shelter sets its places by category of person (``capacity``). Each agency sets the versions that its own system
    speaks, if not the first, and the staff number of the person who answers for automatic readings (``reader``).
    """

    capacity: dict[str, int] = Field(default_factory=dict)
    speaks: dict[str, int] = Field(default_factory=dict)
    reader: str | None = None


B = TypeVar("B", bound=Frozen)
D = TypeVar("D", bound=Data)


@dataclass(frozen=True, slots=True)
class Line(Generic[B]):
    """Numbered line of a procedure: event types, and the function that answers them.

    The function takes the event's data, what was heard, and the book; the result is None if the line does not apply.
    """

    types: tuple[type[Data], ...]
    function: Callable[[Any, Heard, B], Result | None]

    @property
    def name(self) -> str:
        """Return the function's name."""
        return self.function.__name__

    @property
    def text(self) -> str:
        """Return the numbered line itself, the function's docstring: it has places for the facts of a profile (`placed`)."""
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


def shared_line(
    text: str, name: str, types: tuple[type[Data], ...], function: Callable[[Heard, Any], Result | None]
) -> Line[Any]:
    """Return a numbered line that several procedures have in common: *text* with its number, and what *function* answers."""

    def answer(_: Data, heard: Heard, book: Any) -> Result | None:
        return function(heard, book)

    answer.__name__, answer.__doc__ = name, text
    return Line(types, answer)


Mend = Callable[[Event, str], Result | None]
"""Returns the replacement for an event refused with a code; None if a person decides."""
Settle = Callable[[Any, Settings], tuple[Any, Data | None]]
"""Returns the stored book under the settings of now, and what the agency then publishes about no case, if anything."""


class Procedure(Protocol[B]):
    """Module ``<agency>/procedure.py``: lines, and a book that is kept between events."""

    def begin(self, settings: Settings) -> B:
        """Return the book of an agency without any event."""

    def keep(self, book: B, heard: Heard) -> B:
        """Return the book after *heard* and the answers of the lines. The same history gives the same book."""

    def take_back(self, book: B, refused: Event) -> B:
        """Return the book after the registrar *refused* an event of a line: reservations for the event are released."""


def lines_of(procedure: Procedure[B]) -> tuple[Line[B], ...]:
    """Return the lines that the module *procedure* declares, in the order of its text."""
    return tuple(each for each in vars(procedure).values() if isinstance(each, Line))


def numbered(procedure: ModuleType, profile: Profile) -> Iterator[str]:
    """Yield the numbered lines of *procedure* under *profile*, in the order of its text; a step without events of its own is one too."""
    for each in vars(procedure).values():
        doc = each.text if isinstance(each, Line) else getattr(each, "__doc__", None)
        if isinstance(doc, str) and doc[:1].isdecimal():
            yield placed(" ".join(doc.split()), profile)


def answered(lines: Iterable[Line[B]], book: B, heard: Heard) -> Result | None:
    """Return what all *lines* answer to *heard*, together; None if no line applies."""
    said = [answer for each in lines if (answer := each(heard, book)) is not None]
    return sum(said, Result()) if said else None


def hear(procedure: Procedure[B], book: B, heard: Heard) -> tuple[B, Result]:
    """Run every line of *procedure* on *heard*; return the new book, and drafts and tasks.

    An event counts as handled if a line answered. A changed book is no answer: a person reads what another agency said.
    """
    said = answered(lines_of(procedure), book, heard)
    return procedure.keep(book, heard), unhandled(heard) if said is None else said


def refused(procedure: Procedure[B], book: B, event: Event, code: str) -> tuple[B, Result]:
    """Return the new book, and a task about the procedure's *event* that the registrar refused with *code*.

    If the procedure's function ``mend`` gives a replacement, no task is needed.
    """
    mend: Mend | None = getattr(procedure, "mend", None)
    mended = mend(event, code) if mend is not None else None
    if mended is not None:
        return procedure.take_back(book, event), mended
    sentence = f"The registrar refused {event.type}, which the desk said by itself, with {code}: a person decides."
    return procedure.take_back(book, event), Result(
        tasks=(Task("refused", sentence, event.subject, event.id, event.referral),)
    )


def settled(procedure: Procedure[B], book: B, settings: Settings) -> tuple[B, Data | None]:
    """Return the stored *book* under *settings*, and what is published of the change; the book itself if it keeps no setting."""
    settle: Settle | None = getattr(procedure, "settled", None)
    return settle(book, settings) if settle is not None else (book, None)


def unhandled(heard: Heard) -> Result:
    """Return a task about an event that no line handled; none for own events, technical receipts, and what concerns no case.

    An event about no case asks something of the agencies that it names in ``to``, and of nobody else.
    """
    data = heard.event.data
    asks = data.keyed_by != "agency" or heard.me in data.recipients
    if heard.own or data.technical or not asks:
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
    """Return a task about the event in *heard*; facts of the case's profile are put into the *sentence*."""
    sentence = placed(sentence, heard.profile)
    return Task(code, sentence, heard.event.subject, heard.event.id, heard.event.referral, alternatives)


def by_itself(heard: Heard, rule: str, data: Data, *, time: datetime | None = None, ref: str | None = None) -> Draft:
    """Return the automatic answer of this agency to *heard*, under the line *rule*.

    The id follows from agency, cause and rule alone, so the answer is published once, even after a restart or replay.
    The event's time is the registration of the cause, unless *time* is given.
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


def announced(heard: Heard, rule: str, data: Data) -> Draft:
    """Return what this agency publishes about no case after *heard*, under the line *rule*.

    It stands in the agency's bulletin and names no cause: whoever is told of it learns nothing of a case.
    """
    return Draft(
        type=data.type,
        version=data.version,
        subject=bulletin.of(heard.me),
        data=data,
        time=heard.registered,
        actor=BY_ITSELF,
        id=said_by_itself(heard.me, heard.event.id, rule),
    )


def derived_ref(heard: Heard, rule: str) -> str:
    """Return a reference (32 hex digits) for the result of *rule* on *heard*; deterministic."""
    return derived(heard.me, heard.event.id, f"{rule} ref").replace("-", "")
