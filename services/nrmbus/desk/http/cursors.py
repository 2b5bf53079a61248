"""Routes of cursors: how far a program has read the inbox, kept for programs that keep nothing themselves."""

from typing import Annotated, Any, Final

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import Time
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.parameters import LAST_ROW, LedgerId, Limit
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import Door, door_of
from nrmbus.desk.store import tables
from nrmbus.events.errors import Problem

routes: Final = subject("inbox")

MOST: Final = 1_000
"""Most cursors of one token."""
_CURSORS: Final = tables.cursors.c
Name = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,95}$", description="Name of the cursor, as the program chose it.")
]
AfterName = Annotated[str, Query(max_length=96, description="The cursor: `next` of the page before; empty begins.")]
Row = Annotated[
    int | None,
    Query(ge=0, le=LAST_ROW, description="The row of the inbox that was read last; left out: the newest one now."),
]


class CursorItem(Answer):
    """How far a program has read."""

    name: str
    after: int = Field(description="The row of the inbox that was read last: `after` of the next page.")
    ledger: str = Field(description="The ledger that numbers this row: `ledger` of the next page.")
    moved: Time


class CursorList(Answer):
    """Page of the cursors of a token."""

    cursors: list[CursorItem]
    next: str | None = Field(description="Cursor of the next page; null if there is nothing more.")


_CURSOR: Final = {"name": "booking", "after": 12, "ledger": "9f2c4e6a8b0d1f35", "moved": "2026-03-02T05:00:00Z"}


@routes.get(
    "/v1/cursors",
    summary="List the cursors",
    **answers(
        CursorList, {"cursors": [_CURSOR], "next": "booking"}, "unknown_field", needs=["read"],
        said="A page of this token's cursors, by name.",
    ),
)  # fmt: skip
async def list_cursors(request: Request, after: AfterName = "", limit: Limit = 200) -> JSONResponse:
    """Return the cursors that programs with this token keep here. Records nothing."""
    mine = (_CURSORS.token == caller_of(request).name) & (_CURSORS.name > after)
    door = door_of(request)
    with door.ledger.read() as tx:
        rows = tx.execute(select(tables.cursors).where(mine).order_by(_CURSORS.name).limit(limit + 1))
        return JSONResponse(views.page("cursors", [_shown(door, each) for each in rows], limit, "name"))


@routes.get(
    "/v1/cursors/{name}",
    summary="Look at a cursor",
    **answers(CursorItem, _CURSOR, "not_found", "unknown_field", needs=["read"], said="The cursor."),
)
async def get_cursor(request: Request, name: Name) -> JSONResponse:
    """Return a cursor of this token. Records nothing."""
    door = door_of(request)
    with door.ledger.read() as tx:
        row = tx.execute(select(tables.cursors).where(_mine(request, name))).first()
    if row is None:
        raise DeskError("not_found")
    return JSONResponse(_shown(door, row))


@routes.put(
    "/v1/cursors/{name}",
    summary="Keep a cursor",
    **answers(
        CursorItem, _CURSOR, "inbox_restarted", "unknown_field", needs=["read"], said="The cursor as it is kept now.",
    ),
)  # fmt: skip
async def keep_cursor(request: Request, name: Name, after: Row = None, ledger: LedgerId = None) -> JSONResponse:
    """Record how far the program has read the inbox, under a name of its own; a token has its own names.

    The cursor ends with the ledger whose rows it counts: after the loss of a ledger there is none. With `ledger`, a row that
    another ledger numbered is `inbox_restarted`, and no cursor.
    """
    door, token = door_of(request), caller_of(request).name
    async with door.ledger.write() as tx:
        door.require_token(caller_of(request))
        newest = views.newest(tx)
        if ledger not in (None, door.ledger.id) or (after is not None and after > newest):
            raise DeskError("inbox_restarted")
        kept = tx.execute(select(_CURSORS.name).where(_CURSORS.token == token)).scalars().all()
        if name not in kept and len(kept) >= MOST:
            raise DeskError("unknown_field", [Problem("{name}", "too_long")])
        row = {"token": token, "name": name, "position": newest if after is None else after, "moved": door.seat.stamp()}
        new = upsert(tables.cursors).values(row)
        tx.execute(new.on_conflict_do_update(index_elements=["token", "name"], set_=row))
    return JSONResponse({"name": name, "after": row["position"], "ledger": door.ledger.id, "moved": row["moved"]})


@routes.delete(
    "/v1/cursors/{name}",
    summary="Remove a cursor",
    **answers(CursorItem, _CURSOR, "not_found", "unknown_field", needs=["read"], said="The cursor, which is gone."),
)
async def remove_cursor(request: Request, name: Name) -> JSONResponse:
    """Record nothing any more under this name."""
    door = door_of(request)
    async with door.ledger.write() as tx:
        door.require_token(caller_of(request))
        row = tx.execute(select(tables.cursors).where(_mine(request, name))).first()
        if row is None:
            raise DeskError("not_found")
        tx.execute(delete(tables.cursors).where(_mine(request, name)))
    return JSONResponse(_shown(door, row))


def _mine(request: Request, name: str) -> Any:
    return (_CURSORS.token == caller_of(request).name) & (_CURSORS.name == name)


def _shown(door: Door, row: Any) -> dict[str, Any]:
    return {"name": row.name, "after": row.position, "ledger": door.ledger.id, "moved": row.moved}
