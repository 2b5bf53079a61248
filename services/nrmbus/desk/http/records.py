"""Routes of what is on record at this desk: the registrar's verdicts on its events, the openings of letters, the agencies."""

from typing import Annotated, Any, Final, Literal

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import select

from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, CASE, EVENT, STATE_EXAMPLE, EventState, Read, Time
from nrmbus.desk.http.bulletins import standing_of
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.parameters import After, AfterText, Case, Limit, OfType, Since, Until
from nrmbus.desk.http.served import door_of
from nrmbus.desk.outbox import refusals
from nrmbus.desk.state.bulletins import standings
from nrmbus.desk.store import tables
from nrmbus.directory.fold import State
from nrmbus.events.access import AccessPurpose
from nrmbus.events.codes import Availability
from nrmbus.wire import times

routes: Final = subject("records")

_OUTBOX, _READS = tables.outbox.c, tables.reads.c


class Receipt(EventState):
    """Registrar's verdict on an event of this agency."""

    row: int = Field(description="Number of the row in this ledger: the cursor `after`, in the order of publishing.")
    closed: Time


class ReceiptList(Answer):
    """Page of receipts, in the order of publishing."""

    receipts: list[Receipt]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


class ReadRow(Read):
    """Opening of one part of one letter at this desk, in any case."""

    case: str


class ReadRows(Answer):
    """Page of openings, oldest first."""

    reads: list[ReadRow]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


class AgencyEntry(Answer):
    """Agency of the directory."""

    agency: str
    role: str
    supervisor: str | None = None
    state: State | None = Field(None, description="What the agency is now; left out before its first entry holds.")
    reachable: bool = Field(description="True if letters can be sealed to it now.")
    valid_from: Time = Field(description="Since when its newest entry holds.")
    places: dict[str, Availability] | None = Field(
        None, description="For whom it has places, as it said last; left out if it has said nothing."
    )
    places_at: Time | None = Field(None, description="When it said so.")
    silent_since: Time | None = Field(
        None, description="Since when its desk takes nothing of what is delivered to it; left out while it does."
    )


class AgencyList(Answer):
    """Page of agencies, by id."""

    agencies: list[AgencyEntry]
    next: str | None = Field(description="Cursor of the next page; null if there is nothing more.")


class _AskedReads(BaseModel):
    after: After = 0
    limit: Limit = 200
    case: Case = None
    who: Annotated[
        str | None, Query(max_length=64, description="Only openings by this staff number, or by `desk`.")
    ] = None
    purpose: Annotated[AccessPurpose | None, Query(description="Only openings for this purpose.")] = None
    system: Annotated[str | None, Query(max_length=64, description="Only openings by the token of this name.")] = None
    since: Since = None
    until: Until = None


Verdict = Annotated[
    Literal["registered", "refused", "failed"] | None, Query(description="Only receipts with this verdict.")
]
Role = Annotated[str | None, Query(pattern="^[a-z][a-z_]{1,40}$", description="Only agencies with this role.")]


@routes.get(
    "/v1/receipts",
    summary="List the registrar's verdicts",
    **answers(
        ReceiptList, {"receipts": [{"row": 5, **STATE_EXAMPLE, "closed": AT}], "next": 5}, "unknown_field",
        needs=["publish"], said="A page of receipts.",
    ),
)  # fmt: skip
async def list_receipts(
    request: Request,
    after: After = 0,
    limit: Limit = 200,
    case: Case = None,
    type: OfType = None,
    verdict: Verdict = None,
    since: Since = None,
    until: Until = None,
) -> JSONResponse:
    """Return the verdicts on the events of this agency that this ledger published. Records nothing.

    The order is that of publishing, so a verdict may come below a row that you have read: ask for one event by its id, or
    for what was `closed` at a time or later.
    """
    door = door_of(request)
    only = {"case": case, "type": type, "verdict": verdict, "since": since, "until": until}
    columns = {"case": _OUTBOX.subject, "type": _OUTBOX.type, "verdict": _OUTBOX.verdict}
    rows = (
        select(tables.outbox)
        .where(_OUTBOX.seq > after, _OUTBOX.state == "closed", _OUTBOX.replaced_by.is_(None))
        .where(*views.filtered(columns, _OUTBOX.closed, only))
        .order_by(_OUTBOX.seq)
        .limit(limit + 1)
    )
    with door.ledger.read() as tx:
        found = [(row, views.state_of(tx, row)) for row in tx.execute(rows).all()]
    told = [{"row": row.seq, **refusals.told(door.seat, said), "closed": row.closed} for row, said in found]
    return JSONResponse(views.page("receipts", told, limit, "row"))


@routes.get(
    "/v1/reads",
    summary="List who read what",
    **answers(
        ReadRows,
        {
            "reads": [
                {"row": 9, "case": CASE, "at": AT, "who": "S-17", "source": "police", "event": EVENT, "part": "story",
                 "purpose": "case_work", "system": "booking"}
            ],
            "next": 9,
        },
        "unknown_field", needs=["read"], said="A page of openings, oldest first.",
    ),
)  # fmt: skip
async def list_reads(request: Request, asked: Annotated[_AskedReads, Query()]) -> JSONResponse:
    """Return the openings of letters at this desk in all cases: reader, purpose, part. Records nothing."""
    door = door_of(request)
    only = asked.model_dump(include={"case", "who", "purpose", "system", "since", "until"})
    columns = {"case": _READS.subject, "who": _READS.who, "purpose": _READS.purpose, "system": _READS.system}
    rows = select(tables.reads).where(_READS.id > asked.after, *views.filtered(columns, _READS.at, only))
    with door.ledger.read() as tx:
        found = tx.execute(rows.order_by(_READS.id).limit(asked.limit + 1)).all()
    told = [{"row": row.id, "case": row.subject} | views.read(row) for row in found]
    return JSONResponse(views.page("reads", told, asked.limit, "row"))


@routes.get(
    "/v1/directory",
    summary="List the agencies",
    **answers(
        AgencyList,
        {
            "agencies": [
                {"agency": "ngo-a", "role": "ngo_legal", "state": "admitted", "reachable": True, "valid_from": AT}
            ],
            "next": "ngo-a",
        },
        "unknown_field", needs=["read"], said="A page of agencies, by id.",
    ),
)  # fmt: skip
async def list_agencies(request: Request, after: AfterText = "", limit: Limit = 200, role: Role = None) -> JSONResponse:
    """Return the agencies of the bus by the directory, with their roles, as this desk has read it. Records nothing."""
    door = door_of(request)
    now, directory = door.seat.now(), door.seat.directory
    wanted = sorted(name for name, entry in directory.entries.items() if name > after and role in (None, entry.role))
    with door.ledger.read() as tx:
        known = standings(tx, door.desk.cases)
    found: list[dict[str, Any]] = []
    for name in wanted[: limit + 1]:
        entry = directory.entries[name]
        told: dict[str, Any] = {"agency": name, "role": entry.role, "supervisor": entry.supervisor}
        told |= {
            "state": directory.state(name, now),
            "reachable": directory.seal_to(name, now) is not None,
            "valid_from": times.write(entry.valid_from),
            **standing_of(known.get(name)),
        }
        found.append({key: value for key, value in told.items() if value is not None})
    return JSONResponse(views.page("agencies", found, limit, "agency"))
