"""Parameters of the door's routes: each has one name, one form and one sentence, wherever it is used."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Header, Path, Query, Request
from pydantic import AwareDatetime, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from nrmbus.desk.http import forms
from nrmbus.desk.http.answers import AT
from nrmbus.events.access import AccessPurpose
from nrmbus.wire import times

LONGEST_WAIT: Final = 60.0
LAST_ROW: Final = 2**63 - 1
"""Largest row number of SQLite."""

Wait = Annotated[
    float,
    Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the outcome; 0 answers at once.", examples=[20]),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="The most entries of one page.")]
After = Annotated[int, Query(ge=0, le=LAST_ROW, description="The cursor: `next` of the page before; 0 begins.")]
AfterNumber = Annotated[
    int,
    Query(
        ge=0,
        le=LAST_ROW,
        description="The cursor: `next` of the page before; 0 begins. It holds within one reading alone: an event that this "
        "agency hears of later may have an earlier number.",
    ),
]
"""`After` where the cursor is the number of a registration."""
AfterText = Annotated[
    str, Query(max_length=forms.LONGEST_CASE, description="The cursor: `next` of the page before; empty begins.")
]
AfterName = Annotated[str, Query(max_length=64, description="The cursor: `next` of the page before; empty begins.")]
"""`AfterText` where the cursor is the name of a token, which may be that long."""
Case = Annotated[str | None, Query(pattern=forms.REF, description="Only this case: its reference, 32 hex digits.")]
Referral = Annotated[
    str | None, Query(pattern=forms.REF, description="Only this referral: its reference, 32 hex digits.")
]
OfType = Annotated[
    str | None,
    Query(
        pattern=forms.TYPE,
        description="Only events of this type, without the prefix `nrm.`.",
        examples=["referral.submitted"],
    ),
]
OfSource = Annotated[str | None, Query(pattern=forms.SOURCE, description="Only events that this agency published.")]


def _time(text: object) -> datetime:
    """Return the time of a parameter; pydantic alone would take a day, or a number, for a time too.

    Raises:
        PydanticCustomError: the text is no time with a zone by RFC 3339.
    """
    found = times.moment(text) if isinstance(text, str) else None
    if found is not None:
        return found
    raise PydanticCustomError("datetime_parsing", "no time by RFC 3339")


_AFTER_THEN: Final = (
    "Only entries with this time or a later one, by RFC 3339 with a zone; parts of a second do not count."
)
_At = Annotated[AwareDatetime, BeforeValidator(_time)]
Since = Annotated[_At | None, Query(description=_AFTER_THEN, examples=[AT])]
SinceThen = Annotated[_At, Query(description=_AFTER_THEN, examples=[AT])]
"""`Since` where it may not be left out."""
Until = Annotated[_At | None, Query(description="Only entries with an earlier time, in the same form.", examples=[AT])]
LedgerId = Annotated[
    str | None,
    Query(pattern=forms.LEDGER, description="The `ledger` that numbered the row `after`, from the page before."),
]
Actor = Annotated[
    str | None,
    Query(
        pattern=forms.ACTOR,
        description="Staff number of the person who reads; it has a digit.",
        examples=["S-17"],
    ),
]
Purpose = Annotated[AccessPurpose, Query(description="What the person reads for.")]
Open = Annotated[bool, Query(description="Open the letters too, at most 50 a page: each reading is registered first.")]
Technical = Annotated[bool, Query(description="Include events about letters, readings and clocks.")]
Spoken = Annotated[
    list[Annotated[str, StringConstraints(pattern=forms.SPOKEN)]] | None,
    Query(
        max_length=forms.MOST_SPOKEN,
        description="Version of a type that the program speaks, as `referral.submitted:2`; else the one that "
        "`agency.json` declares.",
    ),
]
What = Annotated[
    Literal["case", "person_report", "export"],
    Query(description="Reading of the case as a whole, or its disclosure to the person or to somebody else."),
]

OfCase = Annotated[
    str, Query(pattern=forms.REF, description="The case that it belongs to: its reference, 32 hex digits.")
]
InCase = Annotated[
    str | None, Query(pattern=forms.REF, description="The case that the document is in: its reference, 32 hex digits.")
]
Prefer = Annotated[
    str | None,
    Header(
        max_length=200,
        description="`wait=SECONDS` (RFC 7240) instead of the parameter `wait`; the answer has `Preference-Applied`.",
        examples=["wait=20"],
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=forms.IDEMPOTENCY_KEY,
        description="The `id` of the event, a UUIDv7, instead of the member.",
        examples=['"01930000-0000-7000-8000-000000000000"'],
    ),
]
_WAITS: Final = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=[,;]|$)', re.IGNORECASE)

DocumentPath = Annotated[str, Path(description="Id of the event `document.shared` that announces the document.")]
EventPath = Annotated[str, Path(description="Id of an event of this agency.")]
CasePath = Annotated[str, Path(description="Reference of a case: 32 hex digits.")]
TaskPath = Annotated[int, Path(ge=0, le=LAST_ROW, description="Number of the task.")]


def patience(request: Request, wait: float, prefer: str | None) -> tuple[float, dict[str, str] | None]:
    """Return for how many seconds to wait, and the headers of the answer; a parameter goes before a preference."""
    found = _WAITS.search(prefer) if prefer and "wait" not in request.query_params else None
    if found is None:
        return wait, None
    seconds = min(int(found[1]), int(LONGEST_WAIT))
    return float(seconds), {"preference-applied": f"wait={seconds}"}
