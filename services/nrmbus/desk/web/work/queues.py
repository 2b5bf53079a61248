"""Queues as data: the items of a list, its columns and order, and the words of an empty list. Pure.

`queues.yaml` beside this file has the lists of every agency, and the board of roles without a room of their own. An agency's
room has its board in a file of the same name. The English sentences in these files are the keys of their translations.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from nrmbus.desk.access.break_glass import WITHOUT_ANSWER
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.desk.web.work.item import Item, Side
from nrmbus.packed import packed
from nrmbus.rules.profile import DECIDERS
from nrmbus.web.folding import folded

FILE: Final = "queues.yaml"
LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Place of a thing without a due time: behind all that have one."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)

Column = Literal[
    "case", "what", "agency", "since", "due", "state", "colleague", "amount", "status", "stage", "last", "for_what"
]
Order = Literal["due", "since", "newest", "label", "children"]
ORDERS: Final[tuple[Order, ...]] = ("due", "since", "newest", "label")
"""Orders that a reader may choose."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pick(_Strict):
    """Items of a queue: those that fit every condition given."""

    side: Side
    about: frozenset[str] | None = None
    code: frozenset[str] | None = None
    but: frozenset[str] = frozenset()
    """Codes of items that the queue leaves to another one."""
    status: frozenset[str] | None = None
    is_over: bool | None = None
    child: bool | None = None
    period_days: int | None = None
    """Shows a period only if it ends within so many days."""
    newer_days: int | None = None
    """Shows what happened within so many days."""

    def fits(self, item: Item, now: datetime) -> bool:
        """Return whether the queue shows *item* at *now*."""
        if item.side != self.side:
            return False
        wanted = ((self.about, item.about), (self.code, item.code), (self.status, item.status))
        if item.code in self.but or any(among is not None and value not in among for among, value in wanted):
            return False
        if item.ends is not None and item.ends < now:
            return False
        if self.is_over not in (None, item.is_over) or self.child not in (None, item.child):
            return False
        if item.about == "period" and self.period_days is not None:
            return item.due is not None and item.due <= now + timedelta(days=self.period_days)
        return self.newer_days is None or (item.since or _FIRST) > now - timedelta(days=self.newer_days)


class Empty(_Strict):
    """Text of an empty list: it is empty, and how something comes to stand there."""

    title: str
    lead: str


class Queue(_Strict):
    """One list."""

    id: str
    name: str
    lead: str = ""
    pick: Pick
    columns: tuple[Column, ...]
    order: Order = "due"
    empty: Empty
    is_counted: bool = False
    """Whether its name is shown with the number of its rows."""
    hides_empty: bool = False
    """Whether the list is left out as long as it is empty: many agencies never have such items."""


class Board(_Strict):
    """Page of one role: several lists, one below the other."""

    id: str
    name: str
    lead: str = ""
    roles: frozenset[str]
    places: bool = False
    """Whether it begins with a shelter's places by category."""
    money: bool = False
    """Whether it ends with a table of where the money went."""
    services: bool = False
    """Whether it shows the services of each case as a table of services by case."""
    sections: tuple[Queue, ...]


class File(_Strict):
    """A file of queues: words for the states, lists, and boards by role."""

    states: Mapping[str, "Words"] = Field(default_factory=dict)
    tasks: Mapping[str, str] = Field(default_factory=dict)
    queues: tuple[Queue, ...] = ()
    boards: tuple[Board, ...] = ()


class Words(_Strict):
    """How a state is shown: its words, and the colour of its tag."""

    name: str
    colour: str = "grey"


def _read(path: Traversable) -> File:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return File.model_validate(yaml.load(path.read_text(encoding="utf-8"), loader))  # noqa: S506 - a safe loader


@cache
def general() -> File:
    """Return the lists of every agency."""
    return _read(packed(f"desk/web/work/{FILE}"))


def files() -> dict[str, File]:
    """Return every file of queues, by the room that it stands in."""
    return {"": general(), **{room: found for room in sorted(set(ROOMS.values())) if (found := _of_room(room))}}


@cache
def _of_room(room: str) -> File | None:
    path = packed(f"{room}/{FILE}")
    return _read(path) if path.is_file() else None


@cache
def board_of(role: str | None, deciders: frozenset[str] = frozenset()) -> Board | None:
    """Return the board of agencies of *role*; None if the lists of every agency are all that they have.

    *deciders* are the roles that decide by the profiles of the bus: theirs is the board of whoever decides.
    """
    wanted = DECIDERS if role in deciders else role
    return next((each for file in files().values() for each in file.boards if wanted in each.roles), None)


def queue_of(role: str | None, id: str, deciders: frozenset[str] = frozenset()) -> Queue | None:
    """Return the list *id* that agencies of *role* have; *deciders* as in `board_of`."""
    board = board_of(role, deciders)
    return next((each for each in (*general().queues, *(board.sections if board else ())) if each.id == id), None)


def state_words(state: str) -> Words | None:
    """Return the words of a *state*; None for one that is a code of another list."""
    return next((file.states[state] for file in files().values() if state in file.states), None)


def picked(queue: Queue, items: Iterable[Item], now: datetime) -> list[Item]:
    """Return the items that *queue* shows at *now*, in its own order."""
    return ordered([each for each in items if queue.pick.fits(each, now)], queue.order, {})


def ordered(items: list[Item], order: Order, labels: Mapping[str, str]) -> list[Item]:
    """Return *items* in *order*: overdue first (before that, emergencies without an answer), oldest first, newest first, by label, or children first."""

    def key(item: Item) -> Any:
        due, since = item.due or (_FIRST if item.breached else LATEST), item.since or _FIRST
        # Somebody may be in danger now, and other rows are overdue by days.
        if item.code in WITHOUT_ANSWER and not item.is_over:
            due = _FIRST
        if order == "since":
            return (since, item.case)
        if order == "newest":
            return (-(item.said.get("last") or since).timestamp() if since is not _FIRST else 0.0, item.case)
        if order == "label":
            label = labels.get(item.case, "")
            return (not label, folded(label), due, item.case)
        if order == "children":
            return (not item.child, due, since, item.case)
        return (due, since, item.case)

    return sorted(items, key=key)
