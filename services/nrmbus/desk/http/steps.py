"""Route of the steps: what this agency may publish in a case now."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import select

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.answers import CASE, Ref, Time
from nrmbus.desk.http.bulletins import standing_of
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.parameters import OfCase
from nrmbus.desk.http.served import door_of
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.bulletins import standings
from nrmbus.desk.state.steps import Step, steps
from nrmbus.desk.store import tables
from nrmbus.events.codes import Availability
from nrmbus.rules import Profile
from nrmbus.rules.placed import of_type

routes: Final = subject("cases")


class CaseStep(Answer):
    """Event that the agency's role may publish."""

    type: str
    summary: str = Field(description="What the event says, and who says it.")
    ref: str | None = Field(None, description="Reference of the record that it answers.")
    open: bool = Field(description="True if no rule about the case is in the way now.")
    code: str | None = Field(None, description="Why not, for a program.")
    rule: str | None = None
    article: str | None = Field(None, description="The law behind the rule.")
    sentence: str | None = Field(None, description="Why not, and what to do.")


class Receiver(Answer):
    """What is known of an agency before somebody turns to it."""

    agency: str
    places: dict[str, Availability] | None = Field(None, description="For whom it has places, as it said last.")
    places_at: Time | None = Field(None, description="When it said so.")
    silent_since: Time | None = Field(None, description="Since when its desk takes nothing; left out while it does.")


class CaseSteps(Answer):
    """Steps of a case."""

    case: Ref
    version: int = Field(description="The steps are those after so many events: send it as `expected_version`.")
    incomplete: bool | None = Field(None, description="True if the beginning is gone after a loss: nothing is judged.")
    sentence: str | None = None
    steps: list[CaseStep]
    receivers: list[Receiver] | None = Field(
        None, description="Agencies that have said for whom they have places, or that do not read what they are sent."
    )


_OPEN: Final = {"type": "case.withdrawn", "summary": "The person withdraws from the procedure.", "open": True}
_SHUT: Final = {
    "type": "plan.adopted", "summary": "A plan of support is adopted.", "open": False, "code": "wrong_state",
    "rule": "G-40", "article": "RULES.md#statuses [D]",
    "sentence": "The case is not in a status from which this may follow; look at its status.",
}  # fmt: skip


@routes.get(
    "/v1/steps",
    summary="Ask what may be published in a case now",
    **answers(
        CaseSteps, {"case": CASE, "version": 3, "steps": [_OPEN, _SHUT]}, "not_found", "unknown_field",
        needs=["read"], said="Every event that the agency's role may publish: open, or the rule in the way.",
    ),
)  # fmt: skip
async def list_steps(request: Request, case: OfCase) -> JSONResponse:
    """Return the events that this agency may publish in a case now, and of the others the rule that is in the way.

    Rules about what a person enters (recipients, reasons, a second signature) are left to the event itself: `POST /v1/checks`
    tells. The registrar knows more of a case than this desk does. Records nothing; no letter is opened.
    """
    door = door_of(request)
    events = tables.events.c
    with door.ledger.read() as tx:
        if tx.scalar(select(events.position).where(events.subject == case).limit(1)) is None:
            raise DeskError("not_found")
        view = door.desk.cases.view(tx, case)
        known = standings(tx, door.desk.cases)
        is_whole = not beginnings.is_incomplete(door.ledger, tx, case)
    profile = door.seat.rules.profile_for(view)
    said: dict[str, Any] = {"case": case, "version": view.count_for(door.seat.me)}
    receivers = [{"agency": name, **told} for name in sorted(known) if (told := standing_of(known[name]))]
    said |= {"receivers": receivers} if receivers else {}
    if not is_whole:
        return JSONResponse({**said, "incomplete": True, "sentence": beginnings.INCOMPLETE, "steps": []})
    return JSONResponse({**said, "steps": [_told(each, profile) for each in steps(door.seat, view)]})


def _told(step: Step, profile: Profile) -> dict[str, Any]:
    summary = of_type(" ".join((step.data.__doc__ or "").split()), profile)
    told: dict[str, Any] = {"type": step.data.type, "summary": summary}
    if step.ref is not None:
        told["ref"] = step.ref
    if step.refusal is None:
        return {**told, "open": True}
    names = ("code", "rule", "article", "sentence")
    return {**told, "open": False} | {name: getattr(step.refusal, name) for name in names}
