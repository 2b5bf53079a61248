"""Route that checks events before anything is published: the same reading and the same Rules as for publishing, and no row."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import Connection

from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError, of_wire, problem
from nrmbus.desk.http import recipients, repeated, views
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http.answers import CASE, Ref
from nrmbus.desk.http.documented import Answer, ProblemPlace, answers, subject
from nrmbus.desk.http.parameters import Spoken
from nrmbus.desk.http.served import Door, body_of, door_of
from nrmbus.desk.outbox import refusals
from nrmbus.desk.outbox.rehearsal import Rehearsal
from nrmbus.desk.versions import Speaks
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.model import Draft
from nrmbus.wire import json
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import new_ref

routes: Final = subject("events")


class Check(Answer):
    """What would become of one event."""

    verdict: str = Field(
        description="`fits`; `refused`; `not_judged` behind an event that does not fit; or the verdict of an event that was published under this id before."
    )
    type: str | None = None
    case: Ref | None = Field(None, description="Left out for a case that the event would begin.")
    code: str | None = None
    sentence: str | None = Field(None, description="What happened and what to do.")
    rule: str | None = None
    article: str | None = None
    problems: list[ProblemPlace] | None = Field(None, description="Each fault of the event.")
    accepts: list[int] | None = Field(None, description="The versions that would do.")
    number: int | None = None


class CheckList(Answer):
    """Checks, in the order of the events."""

    checks: list[Check]


_EXAMPLE: Final = {
    "checks": [
        {"verdict": "fits", "type": "case.signal_recorded", "case": CASE},
        {"verdict": "refused", "type": "referral.submitted", "case": CASE, "code": "consent_required", "rule": "G-32"},
    ]
}


@routes.post(
    "/v1/checks",
    summary="Check events before they are published",
    openapi_extra={"requestBody": {"$ref": "#/components/requestBodies/Events"}},
    **answers(
        CheckList, _EXAMPLE, "json_invalid", "json_duplicate", "too_large", "unknown_field", "unknown_type",
        "unknown_version",
        needs=["publish"], said="What would become of each event.",
    ),
)  # fmt: skip
async def check_events(request: Request, speaks: Spoken = None) -> JSONResponse:
    """Read and judge the events one after the other, each as if those before it were registered. Records nothing.

    The registrar knows more of a case than this desk does, so its verdict may differ. An event without `case` belongs to
    the case of the event before it.
    """
    door = door_of(request)
    spoken = versions.asked(speaks or (), door.desk.speaks)
    checking = Checking(door, spoken)
    for each in event_request.events_in(await body_of(request)):
        await checking.take(each)
    return JSONResponse({"checks": checking.found})


class Checking:
    """Checks of the events of one request, one after the other."""

    def __init__(self, door: Door, speaks: Speaks) -> None:
        self._door, self._speaks = door, speaks
        self._rehearsal = Rehearsal(door.seat, door.desk.cases)
        self._case: str | None = None
        self._fits = True
        self.found: list[dict[str, Any]] = []

    async def take(self, body: dict[str, Any]) -> None:
        """Check the event that *body* asks for."""
        try:
            checked = await self._checked(body)
        except DeskError as error:
            told = problem(error)
            checked = {name: told[name] for name in ("code", "sentence", "problems", "accepts") if name in told}
            checked = {"verdict": "refused", **checked}
        self._fits = self._fits and checked["verdict"] in {"fits", "registered", "pending"}
        self.found.append({name: value for name, value in checked.items() if value is not None})

    async def _checked(self, body: dict[str, Any]) -> dict[str, Any]:
        seat, kind = self._door.seat, body.get("type")
        begins = isinstance(kind, str) and kind in event_request.FOLLOWS_NONE
        follows = "case" not in body and "incident" not in body and not begins
        if follows and len(self.found):
            self._case = self._case or new_ref()  # the event before it did not fit: its shape is checked all the same
            body = {**body, "case": self._case}
        wanted, canonical = event_request.read(json.dumps(body))
        drafts = event_request.drafts_of(seat, wanted, self._speaks)
        await recipients.see(seat, wanted)
        with self._door.ledger.read() as tx:
            placed = repeated.in_its_case(seat, tx, wanted, canonical, drafts)
            self._case = self._case if is_bulletin(placed[0].subject) else placed[0].subject
            said = self._said(tx, placed)
            if said is not None:
                return said
            known = {"type": wanted.type, "case": placed[0].subject}
            if not self._fits:
                return {"verdict": "not_judged", **known}
            try:
                refused = next((each for each in self._rehearsal.of(tx, placed) if each is not None), None)
            except WireError as error:
                raise of_wire(error) from None
        if refused is None:
            return {"verdict": "fits", **known}
        names = ("code", "rule", "article", "sentence")
        return {"verdict": "refused", **known, **{name: getattr(refused, name) or None for name in names}}

    def _said(self, tx: Connection, drafts: tuple[Draft, ...]) -> dict[str, Any] | None:
        """Return the verdict on *drafts* if they were published before."""
        seat = self._door.seat
        found = [views.said(tx, seat.me, draft.subject, draft.id or "") for draft in drafts]
        if any(each is None for each in found):
            return None
        whole = views.together([refusals.told(seat, each) for each in found if each is not None])
        return {name: whole.get(name) for name in Check.model_fields}
