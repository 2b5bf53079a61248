"""Routes of what happened in cases: the timeline of one, and the referrals of all."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import courses, views
from nrmbus.desk.http.answers import (
    AT,
    CASE,
    EVENT,
    DocumentState,
    Happened,
    LostField,
    Received,
    Ref,
    Registered,
    Time,
)
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.forms import Direction
from nrmbus.desk.http.parameters import (
    After,
    AfterNumber,
    Case,
    CasePath,
    Limit,
    Referral,
    Since,
    Spoken,
    Technical,
    Until,
)
from nrmbus.desk.http.served import door_of
from nrmbus.rules.records import PartState

routes: Final = subject("cases")

AT_A_TIME: Final = 50
"""Referrals that are read at a time: others have their turn before the next ones."""


class Asked(BaseModel):
    """Parameters of a timeline."""

    after: AfterNumber = 0
    limit: Limit = 200
    since: Since = None
    until: Until = None
    technical: Technical = False
    speaks: Spoken = None


class _AskedReferrals(BaseModel):
    after: After = 0
    limit: Limit = 200
    case: Case = None
    ref: Referral = None
    since: Since = None
    until: Until = None
    state: Annotated[PartState | None, Query(description="Only referrals with a receiver in this state.")] = None
    direction: Annotated[
        Direction | None, Query(description="Only referrals that this agency sent, or did not send.")
    ] = None


class TimelineEvent(Answer):
    """Event of a case that this agency published or received, without its letter."""

    number: int = Field(description="Number of the registration: the cursor `after`, and the order of the case.")
    id: str
    type: str
    published: int = Field(description="Version in which it was published.")
    version: int | None = Field(None, description="Version in which it is shown; left out with `unknown`.")
    case: Ref
    source: str = Field(description="Agency that published it; this agency's own events are here too.")
    time: Happened
    registered: Registered
    received: Received | None = None
    ref: str | None = Field(None, description="Reference of the referral.")
    parts: list[str] = Field(description="Parts of the letter that this agency may open.")
    shut: str | None = Field(None, description="Why the letter stays closed.")
    technical: bool
    document: DocumentState | None = Field(None, description="Of `document.shared`: how much of its content has come.")
    parked: bool | None = None
    unknown: bool | None = Field(None, description="True if this release does not know the type or version.")
    data: dict[str, Any] | None = Field(None, description="Facts in the clear; left out with `unknown`.")
    lost: list[LostField] | None = Field(None, description="Places without a value: what this version cannot say.")


class Timeline(Answer):
    """Page of a case's events, in the order of their registration."""

    events: list[TimelineEvent]
    next: int | None = Field(
        description="Cursor of the next page; null after the last one. For later events, begin at 0 again or follow `GET /v1/inbox`."
    )


class ReferralAnswer(Answer):
    """One receiver of a referral, and how it stands there."""

    agency: str
    state: PartState = Field(description="`submitted` while there is no answer.")
    acknowledged: bool
    asked: bool = Field(description="True while a question of the receiver waits for the sender.")


class ReferralItem(Answer):
    """Referral that this agency sent or received."""

    row: int = Field(description="Number of the row in this ledger: the cursor `after`.")
    ref: Ref
    case: Ref
    source: str = Field(description="Agency that sent it.")
    id: str = Field(description="Event of the referral.")
    time: Happened
    registered: Registered
    receivers: list[ReferralAnswer]
    direction: Direction = Field(description="`sent` by this agency; else it was told of the referral.")
    waits_for: list[str] = Field(
        description="Agencies whose answer this agency hears and still waits for; the sender, while a question waits."
    )
    due: Time | None = Field(
        None,
        description="When the earliest duty of the agencies in `waits_for` is due; left out if the beginning of the case is gone.",
    )
    overdue: bool | None = Field(None, description="True if such a duty is overdue.")


class ReferralList(Answer):
    """Page of referrals, in the order in which this desk heard of them."""

    referrals: list[ReferralItem]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


_EVENT: Final = {
    "number": 31, "id": EVENT, "type": "referral.acknowledged", "published": 1, "version": 1, "case": CASE,
    "source": "special-unit", "time": AT, "registered": AT, "received": AT, "ref": CASE, "parts": [], "technical": False,
    "data": {"receipt_no": "SU-1", "duty_role": "duty_officer"},
}  # fmt: skip
_REFERRAL: Final = {
    "row": 7, "ref": CASE, "case": CASE, "source": "ngo-a", "id": EVENT, "time": AT, "registered": AT,
    "receivers": [{"agency": "special-unit", "state": "submitted", "acknowledged": True, "asked": False}],
    "direction": "sent", "waits_for": ["special-unit"], "due": AT, "overdue": False,
}  # fmt: skip


@routes.get(
    "/v1/cases/{ref}/timeline",
    summary="Look at what happened in a case",
    **answers(
        Timeline, {"events": [_EVENT], "next": 31}, "not_found", "unknown_field", "unknown_type", "unknown_version",
        needs=["read"], said="A page of the case's events.",
    ),
)  # fmt: skip
async def list_case_events(request: Request, ref: CasePath, asked: Annotated[Asked, Query()]) -> JSONResponse:
    """Return the events of a case that this agency published or received, in the order of registration. Records nothing; no letter is opened."""
    door = door_of(request)
    spoken = versions.asked(asked.speaks or (), door.desk.speaks)
    how: dict[str, Any] = {"after": asked.after, "limit": asked.limit + 1, "technical": asked.technical}
    how |= {"since": asked.since, "until": asked.until}
    with door.ledger.read() as tx:
        events = courses.course(tx, door.desk, ref, spoken, **how)
        if not events and not courses.is_known(tx, ref):
            raise DeskError("not_found")
    return JSONResponse(views.page("events", events, asked.limit, "number"))


@routes.get(
    "/v1/referrals",
    summary="List the referrals",
    **answers(
        ReferralList, {"referrals": [_REFERRAL], "next": 7}, "unknown_field", needs=["read"], said="A page of referrals.",
    ),
)  # fmt: skip
async def list_referrals(request: Request, asked: Annotated[_AskedReferrals, Query()]) -> JSONResponse:
    """Return the referrals that this agency sent or received: the answers that it knows, who is waited for, and until when.

    Records nothing.
    """
    door = door_of(request)
    only: dict[str, Any] = asked.model_dump(include={"after", "case", "ref", "since", "until", "direction"})
    found, most = list[dict[str, Any]](), min(asked.limit + 1, AT_A_TIME)
    while len(found) <= asked.limit:
        with door.ledger.read() as tx:
            read = courses.referrals(tx, door.desk, **only, limit=most)
        found += [each for each in read if asked.state in (None, *(party["state"] for party in each["receivers"]))]
        if len(read) < most:
            break
        only["after"] = read[-1]["row"]
        await asyncio.sleep(0)
    return JSONResponse(views.page("referrals", found, asked.limit, "row"))
