"""The session of a page that is open: how long it lasts, longer if the member says so, and forms that came too late."""

from collections.abc import Sequence
from typing import Final

from starlette.responses import JSONResponse, Response

from nrmbus.desk.staff.late_forms import LateForm
from nrmbus.desk.web.acts import around
from nrmbus.desk.web.acts.editing import own_draft
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.web.words import Words

routes: Final = Pages()


def seconds_left(visit: Visit) -> int:
    """Return the seconds until the session is over unless it is used; 0 without one."""
    session = visit.session
    return 0 if session is None else max(0, int((session.ends - visit.door.staff.now()).total_seconds()))


def sent(visit: Visit) -> None:
    """Forget a form that came late, once the member has sent it again."""
    if visit.request.method == "POST" and visit.member is not None:
        visit.door.staff.late.forget(visit.member.number, visit.asked("late"))


@routes.get("/session", may="member")
async def left(visit: Visit) -> Response:
    """Tell a script how long the session lasts. With the header `BY_ITSELF` this is no use of it."""
    return JSONResponse({"seconds": seconds_left(visit)})


@routes.post("/session", may="member")
async def extend(visit: Visit) -> Response:
    """Extend the session, since the member said so."""
    return JSONResponse({"seconds": seconds_left(visit)})


@routes.get("/late-form", may="member")
async def late_forms(visit: Visit) -> Response:
    """Show the forms that came when their session was over, each with a button that sends it now."""
    forms = visit.door.staff.late.of(visit.me.number)
    if not forms:
        raise NotFound
    rows = [
        {
            "id": each.id, "action": url(f"{each.path}?late={each.id}"), "pairs": each.pairs, "came": visit.t.moment(each.came),
            "about": _about(visit, each),
        }
        for each in forms
    ]  # fmt: skip
    return visit.page("staff/late-form.html.j2", title=visit.t("What you sent too late"), rows=rows)


def _about(visit: Visit, form: LateForm) -> str:
    """Return the step and the case of *form*, and what its button did; the member has to know what would be sent.

    Whoever sat at the browser after the session was over may have sent it.
    """
    t, path = visit.t, form.path
    subject, step, does, page = "", "", "", "/".join(path.split("/")[:2])
    match path.split("/")[1:]:
        case ["acts", id, *rest]:
            page = "/".join(("/acts/…", *rest))
            draft = own_draft(visit, id)
            if draft is not None:
                subject, step, does = draft.subject, t.code("act", draft.type), _of_draft(t, rest)
        case ["cases", subject, "acts", type]:
            step = t.code("act", type)
        case ["cases", subject, *rest]:
            page = "/".join(("/cases/…", *rest))
        case ["print"]:
            step = t("The person's own copy")
            subject = next((value for name, value in form.pairs if name == "case"), "")
        case ["intake", number, *rest]:
            step, does = (
                t("Message {number}", number=number),
                _of_message(t, rest, is_deleted=("how", "delete") in form.pairs),
            )
    with visit.door.ledger.read() as tx:
        may_read = "read_cases" in visit.me.permissions
        case = around.case_in_words(visit, tx, subject) if subject and may_read else ""
    return " · ".join(each for each in (step or t("Form of the page {path}", path=page), does, case) if each)


def _of_draft(t: Words, rest: Sequence[str]) -> str:
    """Return what the button of a draft's form did, by the last part of its path; empty for a page that was filled in."""
    done = {"send": t("Sign and send"), "delete": t("Delete this draft"), "again": t("Take it back and change it")}
    return done.get("/".join(rest), "")


def _of_message(t: Words, rest: Sequence[str], *, is_deleted: bool) -> str:
    """Return what the button of a message's form did; a closed conversation may be *is_deleted* instead."""
    done = {
        "open": t("Open and read"), "answer": t("Send the answer", ctx="messages"), "signal": t("Begin a signal", ctx="messages"),
        "close": t("Delete it now for good: it is not meant for us") if is_deleted else t("Close the conversation"),
    }  # fmt: skip
    return done.get("/".join(rest), "")


@routes.post("/late-form", may="member")
async def drop_late_form(visit: Visit) -> Response:
    """Forget a form that came too late."""
    late, me = visit.door.staff.late, visit.me.number
    late.forget(me, (await visit.form())["late"])
    return visit.see("/late-form" if late.of(me) else "/")
