"""Routes of cases: the list, one case, its readings, its release."""

from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse

from nrmbus.desk.access import opening
from nrmbus.desk.access.written_parts import written
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, CASE, EVENT, Case, CaseList, ReadList, Recorded, Released
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import Actor, After, AfterText, CasePath, Limit, Purpose, Since, Until, What
from nrmbus.desk.http.served import door_of
from nrmbus.wire.ids import REF

routes: Final = subject("cases")

_CASE: Final = {
    "case": CASE, "status": "SUSPECTED", "child": False, "version": 1, "on_case": True, "events": 1,
    "open_referrals": [], "open_deadlines": [{"code": "D-REFER", "agency": "ngo-a", "due": AT}], "parked": False,
}  # fmt: skip
_STATE: Final = {
    "id": EVENT, "case": CASE, "type": "access.granted", "version": 1, "state": "closed", "verdict": "registered",
    "number": 8, "sequence": 2, "receipt": "0" * 64, "receipts": 1, "again": False, "time": AT,
}  # fmt: skip


@routes.get(
    "/v1/cases",
    summary="List the cases",
    **answers(
        CaseList, {"cases": [{"case": CASE, "events": 1, "last": AT}], "next": CASE}, "unknown_field",
        needs=["read"], said="A page of cases, by reference.",
    ),
)  # fmt: skip
async def list_cases(
    request: Request, after: AfterText = "", limit: Limit = 200, since: Since = None, until: Until = None
) -> JSONResponse:
    """Return the cases that this agency knows. Records nothing.

    `since` and `until` select by `last`, so a case leaves the earlier selection once a newer event comes.
    """
    door = door_of(request)
    with door.ledger.read() as tx:
        found = views.cases(tx, after=after, limit=limit + 1, since=since, until=until)
    return JSONResponse(views.page("cases", found, limit, "case"))


@routes.get(
    "/v1/cases/{ref}",
    summary="Look at a case",
    **answers(Case, _CASE, "not_found", needs=["read"], said="The case as this agency sees it."),
)
async def get_case(request: Request, ref: CasePath) -> JSONResponse:
    """Return this agency's view of a case: the fold of all sent and received events. Records nothing; no letter is opened."""
    door = door_of(request)
    with door.ledger.read() as tx:
        found = views.case(tx, door.desk, ref)
    if found is None:
        raise DeskError("not_found")
    return JSONResponse(found)


@routes.get(
    "/v1/cases/{ref}/reads",
    summary="Look at who read a case",
    **answers(
        ReadList,
        {
            "reads": [
                {
                    "row": 9,
                    "at": AT,
                    "who": "S-17",
                    "source": "police",
                    "event": EVENT,
                    "part": "story",
                    "purpose": "case_work",
                }
            ],
            "next": 9,
        },
        "not_found",
        needs=["read"],
        said="A page of the openings of the case's letters by this desk, oldest first.",
    ),
)
async def list_case_reads(
    request: Request, ref: CasePath, after: After = 0, limit: Limit = 200, since: Since = None, until: Until = None
) -> JSONResponse:
    """Return this desk's openings of a case's letters, with the readers. Records nothing."""
    door = door_of(request)
    with door.ledger.read() as tx:
        if not views.events_of(tx, ref):
            raise DeskError("not_found")
        found = views.reads(tx, ref, after, limit + 1, since=since, until=until)
    return JSONResponse(views.page("reads", found, limit, "row"))


@routes.post(
    "/v1/cases/{ref}/reads",
    summary="Record that a case is read or disclosed",
    **answers(
        Recorded, {"verdict": "registered", "id": EVENT, "case": CASE, "number": 8, "events": [_STATE]}, "not_found",
        "unknown_field", "reader_unnamed", "read_not_registered", "read_refused", "inbox_unread",
        needs=["open"], said="The reading is registered: the case may now be read.",
    ),
)  # fmt: skip
async def record_case_reading(
    request: Request, ref: CasePath, what: What, actor: Actor = None, purpose: Purpose = "case_work"
) -> JSONResponse:
    """Have the registrar record that `actor` reads the case as a whole, or hands it on; then this is permitted.

    For a report to the person, `written` names the parts of the case's letters that have content.
    """
    door = door_of(request)
    if REF.fullmatch(ref) is None:
        raise DeskError("not_found")
    who = opening.reader(door.desk, actor)
    said = await door.put_on_record([opening.access(door.desk, ref, what, who=who, purpose=purpose)])
    if what == "person_report":
        said["written"] = await written(door.desk, ref)
    return JSONResponse(said)


@routes.post(
    "/v1/cases/{ref}/release",
    summary="Let a case's parked records through",
    **answers(
        Released,
        {"case": CASE, "left": 0},
        "not_parked",
        "inbox_unread",
        needs=["administer"],
        said="What was let through, and what still waits.",
    ),
)
async def release_case(request: Request, ref: CasePath) -> JSONResponse:
    """Handle the parked records of a case, in order, and record what follows; stops at the first that fails again."""
    door = door_of(request)
    if ref not in door.desk.parked:
        raise DeskError("not_parked")
    if ref in door.desk.ahead:  # a withdrawal may follow the letter: the desk continues automatically
        raise DeskError("inbox_unread")
    return JSONResponse({"case": ref, "left": await door.release(ref)})
