"""Items of emergency access: requests that can be objected to or have no answer yet, and tasks after the answer was due. Pure.

`desk/README.md` has the table of all states of a request, with the task and the row of each.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from nrmbus.desk.access.break_glass import CHECK_ASKER, SEALED, WITHOUT_ANSWER, is_met
from nrmbus.desk.web.work.item import Facts, Task
from nrmbus.rules import View
from nrmbus.rules.records import Emergency

Found = tuple[Literal["ours", "theirs"], str, str, dict[str, Any]]
"""Side, kind and type of an item, and its further fields."""
SEALED_TO_REFUSED: Final = "resealed_to_refused"
"""Code of the row of a task `SEALED` once the person refuses the agency."""
_ASKED: Final = "access.break_glass"


def asked(me: str, facts: Facts, object_minutes: int, *, is_over: bool) -> Iterator[Found]:
    """Yield each request to *me* while the time to object runs, and each request of *me* without an answer.

    *object_minutes* is the time to object; *is_over* says that the case is.
    """
    for ref, each in facts.view.emergencies.items():
        asker, said = each.mark.source, {"ref": ref, "since": each.mark.registered}
        if each.holder == me and each.state == "asked" and not each.at_once:
            if asker in facts.shut_out:
                continue  # nothing will be handed over, so an objection would change nothing
            # A consent that this desk does not know may have lifted a refusal. Until the last moment it can be answered then.
            ends = facts.answer_until.get(ref) if asker in facts.refused else None
            yield "ours", "emergency", _ASKED, {
                **said, "agencies": (asker,), "due": _answer_due(each, object_minutes), "state": "to_do",
                "act": "access.break_glass_objected", "urgency": _urgency(is_over=is_over),
                "ends": ends,
            }  # fmt: skip
        elif asker == me and each.open:
            agencies = (each.holder,) if each.holder else ()
            yield "theirs", "emergency", _ASKED, {**said, "agencies": agencies, "state": "no_answer"}


def is_about(task: Task, view: View) -> bool:
    """Return whether *task* is about a request of *view* whose answer was due: the event of such a task is the timekeeper's."""
    return task.kind in (SEALED, *WITHOUT_ANSWER) and task.ref in view.emergencies


def afterwards(task: Task, facts: Facts, object_minutes: int, *, is_over: bool) -> Iterator[Found]:
    """Yield the row of *task*, which names the agency that asked; nothing if nobody is to be told or called any more.

    The row stays for an agency that the person refuses, since a consent that this desk does not know may have lifted the
    refusal.
    """
    request = facts.view.emergencies[task.ref or ""]
    asker = request.mark.source
    if asker in facts.shut_out or (task.kind != SEALED and is_met(facts.view, request)):
        return
    said = {"ref": task.ref, "since": task.opened, "task": task.id, "agencies": (asker,), "state": "to_do"}
    is_refused = asker in facts.refused
    if task.kind == SEALED:
        yield "ours", "task", _ASKED, {**said, "code": SEALED_TO_REFUSED if is_refused else SEALED}
    else:
        more = {"due": _answer_due(request, object_minutes), "urgency": _urgency(is_over=is_over)}
        is_doubtful = is_refused or facts.is_out
        yield "ours", "task", _ASKED, {**said, **more, "code": CHECK_ASKER if is_doubtful else task.kind}


def _answer_due(request: Emergency, object_minutes: int) -> datetime:
    return request.mark.registered + timedelta(minutes=0 if request.at_once else object_minutes)


def _urgency(*, is_over: bool) -> str:
    return "" if is_over else "emergency"
