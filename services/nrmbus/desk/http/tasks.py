"""Routes of tasks: the list, and marking one as done."""

from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import forms, views
from nrmbus.desk.http.answers import AT, CASE, EVENT, TaskDone, TaskList
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import LAST_ROW, After, Case, Limit, Since, TaskPath, Until
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import door_of
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import finish_task as finish

routes: Final = subject("tasks")

OfKind = Annotated[
    str | None, Query(max_length=forms.LONGEST_KIND, description="Only tasks of this kind.", examples=["read"])
]

OfNumber = Annotated[
    int | None, Query(ge=1, le=LAST_ROW, description="Only the task of this number; none if it is done.", examples=[3])
]


@routes.get(
    "/v1/tasks",
    summary="List the open tasks",
    **answers(
        TaskList,
        {"tasks": [{"task": 3, "opened": AT, "case": CASE, "event": EVENT, "kind": "read"}], "next": 3},
        "unknown_field",
        needs=["read"],
        said="A page of open tasks, oldest first.",
    ),
)
async def list_tasks(
    request: Request,
    after: After = 0,
    limit: Limit = 200,
    case: Case = None,
    kind: OfKind = None,
    task: OfNumber = None,
    since: Since = None,
    until: Until = None,
) -> JSONResponse:
    """Return what a person at this agency has to look at. Records nothing."""
    door = door_of(request)
    only: dict[str, Any] = {"case": case, "kind": kind, "task": task, "since": since, "until": until}
    with door.ledger.read() as tx:
        found = views.tasks(tx, after=after, limit=limit + 1, **only)
    return JSONResponse(views.page("tasks", found, limit, "task"))


@routes.post(
    "/v1/tasks/{task}/done",
    summary="Mark a task as done",
    **answers(
        TaskDone, {"task": 3, "done": True}, "not_found", "unknown_field", needs=["publish"], said="The task is done."
    ),
)
async def finish_task(request: Request, task: TaskPath) -> JSONResponse:
    """Record that a task is done, with the time; it leaves the list. The same request again changes nothing."""
    door = door_of(request)
    done = select(tables.tasks.c.done).where(tables.tasks.c.id == task)
    async with door.ledger.write() as tx:
        door.require_token(caller_of(request))
        if not finish(tx, task, door.seat.stamp()) and tx.scalar(done) is None:
            raise DeskError("not_found")
    return JSONResponse({"task": task, "done": True})
