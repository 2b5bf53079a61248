"""The session of a page that is open: how long it lasts, longer if the member says so, and forms that came too late."""

from typing import Final

from starlette.responses import JSONResponse, Response

from nrmbus.desk.web.acts import around
from nrmbus.desk.web.acts.editing import own_draft
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url

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
            "about": _about(visit, each.path),
        }
        for each in forms
    ]  # fmt: skip
    return visit.page("staff/late-form.html.j2", title=visit.t("What you sent too late"), rows=rows)


def _about(visit: Visit, path: str) -> str:
    """Return the step and the case of a form that was sent to *path*; the member has to know what would be sent.

    Whoever sat at the browser after the session was over may have sent it.
    """
    subject, step, page = "", "", "/".join(path.split("/")[:2])
    match path.split("/")[1:]:
        case ["acts", id, *_]:
            draft = own_draft(visit, id)
            subject, step = (draft.subject, visit.t.code("act", draft.type)) if draft is not None else ("", "")
        case ["cases", subject, "acts", type]:
            step = visit.t.code("act", type)
        case ["cases", subject, *rest]:
            page = "/".join(("/cases/…", *rest))
        case ["intake", number, *_]:
            step = visit.t("Message {number}", number=number)
    with visit.door.ledger.read() as tx:
        may_read = "read_cases" in visit.me.permissions
        case = around.case_in_words(visit, tx, subject) if subject and may_read else ""
    return " · ".join(each for each in (step or visit.t("Form of the page {path}", path=page), case) if each)


@routes.post("/late-form", may="member")
async def drop_late_form(visit: Visit) -> Response:
    """Forget a form that came too late."""
    late, me = visit.door.staff.late, visit.me.number
    late.forget(me, (await visit.form())["late"])
    return visit.see("/late-form" if late.of(me) else "/")
