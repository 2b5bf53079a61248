"""Navigation of the pages, as data: `places.yaml` says which place is for whom."""

from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.desk.outbox import drafts
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.rooms import room_of, rooms_of
from nrmbus.desk.web.shell import May, Visit
from nrmbus.desk.web.work.pages import counted
from nrmbus.desk.web.work.queues import board_of, queue_of
from nrmbus.telemetry import log
from nrmbus.web.frame import Place

SIGNATURES: Final = "signatures"
"""Name of the count of what waits for a second signature; every other count is a list's."""
FILE: Final = Path(__file__).with_name("places.yaml")


class Entry(BaseModel):
    """One place of the navigation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = ""
    path: str
    below: str = ""
    """Beginning of other addresses that belong to the place."""
    may: May
    count: str = ""
    board: bool = False
    publishes: str = ""
    """Type of event that the agency's role must be able to publish."""
    cases: bool = False
    """True for a place about cases: an agency without cases has none."""


@cache
def entries(role: str | None = None) -> tuple[Entry, ...]:
    """Return the places of an agency of *role*, in their order.

    A role whose room has pages of its own has no cases: the places of rooms come first, and those about cases are left out.
    """
    own, of_rooms = tuple(_read(FILE)), tuple(each for room in rooms_of(role) for each in _read(room.places))
    return (*own, *of_rooms) if room_of(role) is None else (*of_rooms, *(each for each in own if not each.cases))


def _read(file: Path) -> Iterator[Entry]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for each in yaml.load(file.read_text(encoding="utf-8"), loader):  # noqa: S506 - a safe loader
        yield Entry.model_validate(each)


def of(visit: Visit, paths: Collection[str]) -> tuple[Place, ...]:
    """Return the navigation of *visit*; a place whose page is not among *paths* of routes is left out."""
    if visit.member is None:
        return ()
    deciders = visit.door.seat.rules.deciders
    role, here = visit.door.seat.role, visit.request.url.path.removeprefix(ROOT)
    shown = []
    for each in entries(role):
        board = board_of(role, deciders) if each.board else None
        text = board.name if board else each.text
        is_list = each.path.startswith("/lists/") and queue_of(role, each.path.rpartition("/")[2], deciders) is not None
        if each.publishes and not visit.door.seat.rules.may_publish(visit.door.seat.me, each.publishes):
            continue
        if text and (each.may == "member" or each.may in visit.member.permissions) and (each.path in paths or is_list):
            shown.append((each, text))
    nearest = max((each.path for each, _ in shown if _is_below(here, each)), key=len, default="")
    found = []
    for each, text in shown:
        count, is_late = (_counted(visit, each.count) if each.count else None) or (None, False)
        found.append(Place(visit.t(text), each.path, each.path == nearest, count, is_late, each.count))
    return tuple(found)


def _counted(visit: Visit, list: str) -> tuple[int, bool] | None:
    """Return the count at a place, and whether something is overdue; None for nothing, and while the store is away: an error page has places too."""
    if list != SIGNATURES:
        return counted(visit, list)
    try:
        with visit.door.ledger.read() as tx:
            count = drafts.waiting(tx, visit.me.number)
    except SQLAlchemyError as error:
        log.report("counts_failed", error=type(error).__name__)
        return None
    return (count, False) if count else None


def _is_below(here: str, entry: Entry) -> bool:
    return any(each and (here == each or here.startswith(f"{each}/")) for each in (entry.path, entry.below))
