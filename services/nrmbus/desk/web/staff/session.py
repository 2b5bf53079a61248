"""The session of a page that is open: how long it lasts, longer if the member says so, and forms that came too late."""

from typing import Final

from starlette.responses import JSONResponse, Response

from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.staff import cookies

routes: Final = Pages()


def seconds_left(visit: Visit) -> int:
    """Return the seconds until the session is over unless it is used; 0 without one."""
    session = cookies.session_of(visit.request)
    return 0 if session is None else max(0, int((session.ends - visit.door.staff.now()).total_seconds()))


def sent(visit: Visit) -> None:
    """Forget a form that came late, once the member has sent it again."""
    if visit.request.method == "POST" and visit.member is not None:
        late = visit.door.staff.late
        form = late.of(visit.member.number)
        if form is not None and url(form.path) == visit.request.url.path:
            late.forget(visit.member.number)


@routes.get("/session", may="member")
async def left(visit: Visit) -> Response:
    """Tell a script how long the session lasts. With the header `BY_ITSELF` this is no use of it."""
    return JSONResponse({"seconds": seconds_left(visit)})


@routes.post("/session", may="member")
async def extend(visit: Visit) -> Response:
    """Extend the session, since the member said so."""
    return JSONResponse({"seconds": seconds_left(visit)})


@routes.get("/late-form", may="member")
async def late_form(visit: Visit) -> Response:
    """Show that a form came when its session was over, with a button that sends it now."""
    form = visit.door.staff.late.of(visit.me.number)
    if form is None:
        raise NotFound
    return visit.page(
        "staff/late-form.html.j2", title=visit.t("Your form was not sent yet"), action=url(form.path), pairs=form.pairs
    )


@routes.post("/late-form", may="member")
async def drop_late_form(visit: Visit) -> Response:
    """Forget a form that came too late."""
    visit.door.staff.late.forget(visit.me.number)
    return visit.see("/")
