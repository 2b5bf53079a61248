"""The pages of a desk as one application: sign-in first, permission at the door, and the same headers on every answer."""

from collections.abc import Awaitable, Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from nrmbus.bus.folder import PLAY
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.staff import NotSignedIn
from nrmbus.desk.web import acts, cases, home, places
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.intake import pages as intake
from nrmbus.desk.web.notices import pages as notices
from nrmbus.desk.web.rooms import room_of, rooms_of
from nrmbus.desk.web.rules import pages as rules
from nrmbus.desk.web.shell import NotFound, Page, Pages, Visit
from nrmbus.desk.web.staff import pages as staff
from nrmbus.desk.web.staff import session, sign_in
from nrmbus.desk.web.staff.cookies import page_before, signed_in
from nrmbus.desk.web.work import pages as work
from nrmbus.rules.handbook.lookup import has_words
from nrmbus.telemetry import log
from nrmbus.web import look
from nrmbus.web.frame import Place
from nrmbus.web.guard import HEADERS, FormTooLarge, is_foreign
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.words import default_language, language_of

SUBJECTS: Final[tuple[Pages, ...]] = (
    home.routes,
    work.routes,
    *acts.ROUTES,
    *cases.ROUTES,
    intake.routes,
    *staff.SUBJECTS,
    notices.routes,
    rules.routes,
)
"""The pages of every desk, by subject."""
_HERE: Final = Path(__file__).parent
_STATIC: Final = {**HEADERS, "cache-control": "private, no-cache"}
"""A browser keeps styles and scripts, and asks each time whether they are still the same: after an upgrade they are not."""


_OF_CASES: Final = (
    "/cases", "/lists", "/work", "/board", "/signals", "/groups", "/readings", "/colleagues",
)  # fmt: skip
"""Beginnings of the addresses of pages about cases."""


def pages_of(role: str | None) -> tuple[Page, ...]:
    """Return the pages of a desk whose agency has *role*: those of every desk, and those of rooms.

    An agency whose room has pages of its own has no cases, so it has no page about one: the statistics hold sealed parts of
    every case, which are counted and read by nobody.
    """
    rooms, has_cases = (room.routes for room in rooms_of(role)), room_of(role) is None
    found = (page for each in (*SUBJECTS, *rooms) for page in each.routes)
    return tuple(page for page in found if has_cases or not page.path.startswith(_OF_CASES))


Who = Callable[[Request, Door], Awaitable[Member | None]]
"""Finds the member whose session a request has."""


@cache
def _templates(*rooms: Path) -> Environment:
    """Return the templates of a desk's pages, then those in the folders *rooms*: each is compiled once a process."""
    own = (each / "templates" for each in sorted(_HERE.iterdir()) if each.is_dir())
    made = look.environment(_HERE / "templates", *own, *rooms)
    made.globals["has_words"] = has_words
    return made


class AgencyPages:
    """ASGI application of a desk's pages."""

    def __init__(self, door: Door, who: Who = signed_in) -> None:
        """Serve the people of the desk behind *door*; *who* finds out who asks."""
        self._door, self._who = door, who
        self._templates = _templates(*(room.templates for room in rooms_of(door.seat.role)))
        pages = pages_of(door.seat.role)
        self._paths = frozenset(page.path for page in pages if page.method == "GET")
        self._opened, self._sent = (
            [(page.path, compile_path(page.path)[0]) for page in pages if page.method == method]
            for method in ("GET", "POST")
        )
        routes = [Route(f"{ROOT}{page.path}", self._guarded(page), methods=[page.method]) for page in pages]
        self._app = Starlette(routes=[Route(f"{ROOT}/static/{{name}}", _static), *routes])
        self._app.add_exception_handler(404, self._not_found)
        self._app.add_exception_handler(405, self._not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    def _guarded(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            if is_foreign(request):
                visit = self._visit(request, None)
                return self._finished(
                    visit, self._message(visit, 403, visit.t("This form came from another site."), "")
                )
            visit = self._visit(request, await self._who(request, self._door))
            visit.session_seconds = session.seconds_left(visit)
            return self._finished(visit, await self._answer(page, visit))

        return guarded

    async def _answer(self, page: Page, visit: Visit) -> Response:
        member = visit.member
        if page.may not in {"anybody", "member"} and member is not None and page.may not in member.permissions:
            return self._message(
                visit,
                403,
                visit.t("You may not do this."),
                visit.t("Ask your administrator if it belongs to your work."),
            )
        try:
            if page.may != "anybody" and member is None:
                return await sign_in.lead_in(visit)
            if not sign_in.is_of_script(visit.request):
                await work.count_anew(visit)
            answer = await page.handler(visit)
            session.sent(visit)
            return answer
        except NotFound:
            return self._gone(visit)
        except NotSignedIn:  # the session has ended since it was looked at
            return await sign_in.lead_in(visit)
        except FormTooLarge:
            return self._message(visit, 413, visit.t("The form is too long."), visit.t("Shorten the longest text."))
        except DeskError as error:
            if error.code == "not_found":
                return self._gone(visit)
            return self._message(visit, error.status, visit.t(error.sentence), "")
        except SQLAlchemyError as error:
            log.report("page_failed", error=type(error).__name__)
            return self._message(
                visit,
                503,
                visit.t("The desk cannot reach its store."),
                visit.t("Nothing was sent. What was saved before is still there. Try again in a minute."),
            )
        except Exception as error:  # noqa: BLE001 - what it says may hold what was typed
            log.report("page_failed", error=type(error).__name__)
            return self._message(
                visit,
                500,
                visit.t("This page failed."),
                visit.t(
                    "Look at the case before you send anything again: it may have gone out. Tell your administrator the time."
                ),
            )

    def _visit(self, request: Request, member: Member | None) -> Visit:
        asked, kept = request.query_params.get("lang"), request.cookies.get("lang")
        own = member.language if member else None
        seat = self._door.seat
        default = default_language(seat.rules.profile_at(seat.now()).name)
        language = language_of(asked, kept, own, accepted=request.headers.get("accept-language"), default=default)
        visit = Visit(request, self._door, self._templates, member=member, language=language)
        visit.places = partial(self._places, visit)
        visit.back = self._back(request)
        if self._door.seat.bus.startswith(PLAY):
            visit.notice = visit.t("Everything here is invented. Enter no real case.")
        return visit

    def _back(self, request: Request) -> str:
        """Return the page that *request* asks for; of a form the page that it came from, or one above its address."""
        here = request.url.path.removeprefix(ROOT)
        parts = here.split("/")
        above = ("/".join(parts[:count]) for count in range(len(parts) - 1, 1, -1))
        return next((each for each in (here, page_before(request), *above) if self._is_page(each)), "/")

    def _is_page(self, path: str) -> bool:
        """Return whether *path* can be opened: ``/acts/{id}/send`` looks like a page of a draft, and takes forms alone."""
        sent = next((each for each, pattern in self._sent if pattern.fullmatch(path)), None)
        return any(pattern.fullmatch(path) for _, pattern in self._opened) and (sent is None or sent in self._paths)

    def _places(self, visit: Visit) -> tuple[Place, ...]:
        return (*places.of(visit, self._paths), *(each for each in (intake.place(visit),) if each is not None))

    def _finished(self, visit: Visit, response: Response) -> Response:
        response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
        asked = visit.request.query_params.get("lang")
        if asked in LANGUAGES:
            response.set_cookie(
                "lang", asked or "", path=ROOT, httponly=True, samesite="strict",
                secure=visit.request.url.scheme == "https",
            )  # fmt: skip
        return response

    def _message(self, visit: Visit, status: int, title: str, sentence: str) -> Response:
        leads_back = visit.request.method == "POST" and (status in {409, 422} or status >= 500)
        before = visit.back if leads_back and visit.back != "/" else ""
        return visit.page("message.html.j2", title=title, status=status, sentence=sentence, before=before)

    def _gone(self, visit: Visit) -> Response:
        return self._message(
            visit,
            404,
            visit.t("There is no such page."),
            visit.t("It may have been removed, or it is not yours to see."),
        )

    async def _not_found(self, request: Request, _error: Exception) -> Response:
        visit = self._visit(request, await self._who(request, self._door))
        return self._finished(visit, self._gone(visit))


async def _static(request: Request) -> Response:
    """Return a style or a script, the same for everybody; nothing to a browser that has it already."""
    try:
        content, media_type = look.static(request.path_params["name"])
    except KeyError:
        return Response(status_code=404, headers=HEADERS)
    headers = {**_STATIC, "etag": f'"{sha256(content).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
