"""Cookies of a sign-in: which member a request comes from, and the cookie of a session that begins or ends.

The cookie has the agency's name, since browsers do not tell two desks of one machine apart by their ports.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.shell import Visit, url

BY_ITSELF: Final = "nrm-by-itself"
"""Header of requests that a page's script sends without the member: they extend no session."""
_HALF: Final = f"{ROOT}/sign-in"
_PLACE: Final = re.compile(r"/(?!/)[A-Za-z0-9/._-]{0,200}")


def name_at(door: Door) -> str:
    """Return the name of the session's cookie."""
    return f"nrmbus-{door.seat.me}"


def value_of(request: Request, name: str) -> str:
    """Return the value of the cookie *name*; an empty text if there is none, or more than one.

    Another host of the agency's domain can give the browser a second cookie of that name, from a session of its own choice.
    """
    sent = ";".join(request.headers.getlist("cookie")).split(";")
    found = [each for each in sent if each.partition("=")[0].strip() == name]
    return request.cookies.get(name, "") if len(found) == 1 else ""


async def signed_in(request: Request, door: Door) -> Member | None:
    """Return the member whose session *request* has, and note that the member is there; None if it has none."""
    value = value_of(request, name_at(door))
    if not value:
        return None
    sessions = door.staff.sessions
    session = sessions.look(value) if is_by_itself(request) else await sessions.use(value)
    request.state.session = session
    return None if session is None else door.staff.members.find(session.member)


def is_by_itself(request: Request) -> bool:
    """Return whether a script sent *request* without the member."""
    return BY_ITSELF in request.headers or "text/event-stream" in request.headers.get("accept", "")


def begin(visit: Visit, response: Response, value: str) -> Response:
    """Give the browser the cookie of a session, and forget the sign-in that led to it; lead to a form that came late."""
    session = visit.door.staff.sessions.look(value)
    if session is not None and "location" in response.headers and visit.door.staff.late.of(session.member):
        response.headers["location"] = url("/late-form")
    _set(visit, response, name_at(visit.door), value, ROOT)
    return end_half(visit, response)


def end(visit: Visit, response: Response) -> Response:
    """Have the browser forget its session, and the language that was chosen meanwhile: the next member has another."""
    response.delete_cookie("lang", path=ROOT)
    response.delete_cookie(name_at(visit.door), path=ROOT)
    return response


def begin_elsewhere(visit: Visit, response: Response, value: str) -> Response:
    """Give the browser the cookie of a sign-in at the agency's provider."""
    _set(visit, response, f"{name_at(visit.door)}-provider", value, _HALF)
    return response


def elsewhere_of(visit: Visit) -> str:
    """Return the value of that cookie, or an empty text."""
    return value_of(visit.request, f"{name_at(visit.door)}-provider")


def begin_half(visit: Visit, response: Response, value: str) -> Response:
    """Give the browser the cookie of a sign-in that goes on."""
    _set(visit, response, f"{name_at(visit.door)}-half", value, _HALF)
    return response


def half_of(visit: Visit) -> str:
    """Return the value of that cookie, or an empty text."""
    return value_of(visit.request, f"{name_at(visit.door)}-half")


def end_half(visit: Visit, response: Response) -> Response:
    """Have the browser forget a sign-in that goes on."""
    response.delete_cookie(f"{name_at(visit.door)}-half", path=_HALF)
    return response


def _set(visit: Visit, response: Response, name: str, value: str, path: str) -> None:
    # Lax: a link in a notice leads into the session; forms of other sites are refused by their origin.
    is_tls = visit.request.url.scheme == "https"
    response.set_cookie(name, value, path=path, httponly=True, samesite="lax", secure=is_tls)


def page_before(request: Request) -> str:
    """Return the path of the page from which a form was sent, below `ROOT`; an empty text if the browser does not say."""
    before = urlsplit(request.headers.get("referer", ""))
    is_ours = before.netloc == request.url.netloc and before.path.startswith(f"{ROOT}/")
    return before.path.removeprefix(ROOT) if is_ours else ""


def is_place(path: str) -> bool:
    """Return whether *path* is one of a page below `ROOT`, and leads nowhere else."""
    return _PLACE.fullmatch(path) is not None


def host_of(request: Request) -> str:
    """Return the name under which the browser asks."""
    return (request.url.hostname or "").lower()


def origin_of(request: Request) -> str:
    """Return the origin of the page."""
    return f"{request.url.scheme}://{request.url.netloc}"


def client_of(request: Request) -> str | None:
    """Return the address from which the browser asks."""
    return request.client.host if request.client else None
