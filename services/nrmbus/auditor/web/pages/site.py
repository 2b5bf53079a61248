"""HTTP of the auditor's page: sessions, languages, and the headers of every answer.

Each question about the history is recorded (`AccessLog`) before it is answered; `answers` has the content of each page.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from nrmbus.auditor.web.access_log import NotOnRecordError, OnRecord, Question
from nrmbus.auditor.web.apps import Apps
from nrmbus.auditor.web.names import PURPOSES
from nrmbus.auditor.web.pages.answers import Answers, Missing, Opened, Shown
from nrmbus.auditor.web.pages.rendering import environment, place_of, static
from nrmbus.auditor.web.pages.rules import rules_shown
from nrmbus.auditor.web.pages.visit import Visit, comes_from, inside
from nrmbus.auditor.web.sessions import Attempts, Begun, HalfWay, Session, Sessions
from nrmbus.auditor.web.users import FILE, Users, UsersUnreadable
from nrmbus.bus.wall_clock import wall_now
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.telemetry import log
from nrmbus.web import second_factor
from nrmbus.web.frame import LANGUAGE, Place, Says
from nrmbus.web.guard import HEADERS, Form, FormTooLarge, is_foreign
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.words import Words, default_language, language_of

HOST: Final = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
"""Names of this machine; a foreign page whose host name points here is refused."""
_YEAR_SECONDS: Final = 365 * 86_400


class Site:
    """All pages of a bus. Before `open` each page says that the auditor is still starting."""

    def __init__(self, home: Path, *, bus: str, partitions: int, profile: Profile) -> None:
        """Serve the users in *home*."""
        self._users, self._apps = Users(home), Apps(home)
        self._bus, self._profile = bus, profile
        self._sessions, self._attempts = Sessions(time.monotonic), Attempts(time.monotonic)
        self._begun = Begun(time.monotonic)
        self._one_at_a_time = asyncio.Lock()
        self._answers: Answers | None = None
        # The name differs by bus: browsers keep cookies by machine, not by port, and two buses may run on one machine.
        self._cookie = f"nrmbus-auditor-{bus[-8:]}"
        self._half_way = f"{self._cookie}-begun"
        self._place, self._pages = place_of(one=partitions == 1), environment(one=partitions == 1, links=True)

    def open(self, opened: Opened) -> None:
        """Begin to answer."""
        self._answers = Answers(opened, self._users, self._record)

    # -- the paths ---------------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """Return a route for every path of the page."""
        shown: dict[str, tuple[str, Callable[[Answers, Visit], Awaitable[Shown]]]] = {
            "/search": ("search", lambda answers, visit: answers.search(visit)),
            "/cases/{ref}": ("search", lambda answers, visit: answers.case(visit)),
            "/events/{id}": ("search", lambda answers, visit: answers.event(visit)),
            "/agencies": ("agencies", lambda answers, visit: answers.agencies(visit)),
            "/checkpoints": ("checkpoints", lambda answers, visit: answers.checkpoints(visit)),
            "/rules": ("rules", lambda answers, visit: rules_shown(answers.profiles(self._profile), visit)),
            "/rules/{name}": ("rules", lambda answers, visit: rules_shown(answers.profiles(self._profile), visit)),
        }
        routes = [Route(path, self._guarded(self._page(place, show))) for path, (place, show) in shown.items()]
        done = {
            "/sign-in": self._sign_in,
            "/sign-in/code": self._code,
            "/sign-out": self._sign_out,
            "/purpose": self._purpose,
        }
        routes += [Route(path, self._guarded(do), methods=["POST"]) for path, do in done.items()]
        routes.append(Route("/session", self._guarded(self._left), methods=["GET", "POST"]))
        routes.append(Route("/sign-in/code", self._guarded(self._ask_code), methods=["GET"]))
        page = self._guarded(self._nowhere)

        async def no_page(request: Request) -> Response:
            # Programs ask for the logs at this door too, by any name of the machine.
            is_person = "text/html" in request.headers.get("accept", "")
            return await page(request) if is_person else Response(status_code=404, headers=HEADERS)

        nowhere = Route("/{path:path}", no_page)
        return [Route("/", self._guarded(self._begin)), Route("/static/{name}", _static), *routes, nowhere]

    def _guarded(self, answer: Callable[[Visit], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return *answer* in the visitor's language, with the headers of every page, also after an error."""

        async def guarded(request: Request) -> Response:
            if not HOST.fullmatch(request.headers.get("host", "")):
                return Response(status_code=421, headers=HEADERS)
            asked = request.query_params.get("lang")
            profile = self._answers.profiles(self._profile)[0] if self._answers else self._profile
            kept, accepted = request.cookies.get("lang"), request.headers.get("accept-language")
            language = language_of(asked, kept, accepted=accepted, default=default_language(profile.name))
            t = Words(language, **facts_of(profile))
            visit = Visit(request, t, None)
            try:
                visit = Visit(request, t, self._session(request))
                response = (
                    self._message(visit, 403, t("The request did not come from this page, and nothing was done."))
                    if is_foreign(request)
                    else await answer(visit)
                )
            except FormTooLarge:
                response = self._message(visit, 413, t("The form is too long."))
            except UsersUnreadable:
                log.report("users_unreadable")
                response = self._message(visit, 503, t("The file with the users of this page cannot be read, so nobody can sign in. Move {file} away first, then restore it: {command}.", file=FILE, command="nrmbus restore DIR --part users"))  # fmt: skip
            except NotOnRecordError as error:
                response = self._not_on_record(visit, error.code)
            except Missing:
                response = self._message(visit, 404, t("The history has no such case or event."))
            except KafkaError:
                response = self._message(visit, 503, t("The history cannot be read now: the broker does not answer."))
            except Exception as error:  # noqa: BLE001 - what it says may hold what was asked
                log.report("page_failed", error=type(error).__name__)
                response = self._message(
                    visit, 500, t("The page failed and shows nothing. Look into the auditor's log.")
                )
            response.headers.update(HEADERS)
            if asked in LANGUAGES:
                response.set_cookie("lang", asked or "", max_age=_YEAR_SECONDS, httponly=True, samesite="strict")
            return response

        return guarded

    def _page(
        self, place: str, show: Callable[[Answers, Visit], Awaitable[Shown]]
    ) -> Callable[[Visit], Awaitable[Response]]:
        async def page(visit: Visit) -> Response:
            if visit.session is None:
                return self._sign_in_form(visit, visit.here)
            if self._answers is None:
                return self._message(visit, 503, visit.t("The auditor is still starting. Ask again in a moment."))
            shown = await show(self._answers, visit)
            if self._session(visit.request) is None:  # the user was removed while the question was recorded
                return self._sign_in_form(visit, visit.here)
            return self._html(
                visit, shown.template, shown.status, place=place, on_record=shown.on_record, **shown.values
            )

        return page

    async def _nowhere(self, visit: Visit) -> Response:
        return self._message(visit, 404, visit.t("There is no such page."))

    async def _begin(self, visit: Visit) -> Response:
        back = inside(visit.asked("back", 2000))  # a session that has ended leads here
        return self._sign_in_form(visit, back) if visit.session is None else RedirectResponse(back, 303)

    # -- who -----------------------------------------------------------------------------------------------------------

    def _session(self, request: Request) -> Session | None:
        # A link from elsewhere sends no cookie, but a link from another port of this machine does.
        if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
            return None
        by_itself = request.method == "GET" and request.url.path == "/session"  # a script looks how long is left
        session = self._sessions.find(request.cookies.get(self._cookie, ""), by_itself=by_itself)
        # A session ends when its user is removed or gets another password.
        return session if session and self._users.password_of(session.name) == session.password else None

    async def _sign_in(self, visit: Visit) -> Response:
        t, form = visit.t, await Form.read(visit.request)
        name, password, purpose = form["name"], form["password"], form["purpose"]
        back = inside(form["back"])
        if form["go"] == LANGUAGE:
            return self._sign_in_form(visit, back, name=name, purpose=purpose)
        if not name or not password or purpose not in PURPOSES:
            return self._sign_in_form(visit, back, t("Give name, password and purpose."), 400, name, purpose)
        if not self._attempts.allows(name[:64]):
            log.report("sign_in_refused", code="too_often")
            return self._sign_in_form(
                visit, back, t("Too many attempts have failed. Try again in fifteen minutes."), 429, name, purpose
            )
        self._attempts.failed(name[:64])  # before it is known, or many at once would all be allowed
        with_password = self._users.password_of(name)  # before it is tried: what is changed meanwhile ends the session
        async with self._one_at_a_time:
            actor = await asyncio.to_thread(self._users.signed_in, name, password)
        if actor is None or with_password is None:
            log.report("sign_in_refused", code="wrong")
            return self._sign_in_form(visit, back, t("Name or password is not right."), 401, name, purpose)
        secret = None if self._apps.has(name) else second_factor.new_secret()
        token = self._begun.begin(name, actor, with_password, purpose, back, secret=secret)
        return self._led(visit, "/sign-in/code", self._half_way, token)

    async def _ask_code(self, visit: Visit) -> Response:
        begun = self._half_way_of(visit)
        if begun is None and visit.session is not None:  # another tab has signed in meanwhile
            return RedirectResponse("/search", 303)
        return self._sign_in_form(visit, "/search", status=200) if begun is None else self._code_form(visit, begun)

    async def _code(self, visit: Visit) -> Response:
        """Take the code of the app, or of the app that is set up with it, and begin the session."""
        t, form, begun = visit.t, await Form.read(visit.request), self._half_way_of(visit)
        if begun is None and visit.session is not None:
            return RedirectResponse("/search", 303)
        if begun is None:
            return self._sign_in_form(visit, "/search", t("The sign-in took too long. Begin again."), 401)
        name = begun.name[:64]
        if not self._attempts.allows(name):
            log.report("sign_in_refused", code="too_often")
            return self._code_form(visit, begun, t("Too many attempts have failed. Try again in fifteen minutes."), 429)
        self._attempts.failed(name)
        if not self._takes(begun, form["code"]):
            log.report("sign_in_refused", code="code_wrong")
            return self._code_form(
                visit, begun, t("The code is wrong or was used before. Wait for the next one and enter it."), 401
            )
        self._attempts.succeeded(name)
        self._begun.end(visit.request.cookies.get(self._half_way, ""))
        token = self._sessions.begin(begun.name, begun.actor, begun.password, begun.purpose)
        response = self._led(visit, begun.back, self._cookie, token)
        response.delete_cookie(self._half_way, httponly=True, samesite="strict")
        return response

    def _takes(self, begun: HalfWay, code: str) -> bool:
        now = wall_now()
        if begun.secret is None:
            return self._apps.is_code(begun.name, code, now)
        step = second_factor.step_of(begun.secret, code, now, None)
        return step is not None and self._apps.set_up(begun.name, begun.password, begun.secret, step)

    def _half_way_of(self, visit: Visit) -> HalfWay | None:
        """Return the sign-in that waits for a code; None if it took too long, or the password is another by now."""
        begun = self._begun.find(visit.request.cookies.get(self._half_way, ""))
        return begun if begun and self._users.password_of(begun.name) == begun.password else None

    def _led(self, visit: Visit, to: str, cookie: str, token: str) -> Response:
        response = RedirectResponse(to, 303)
        response.set_cookie(cookie, token, httponly=True, samesite="strict", secure=visit.request.url.scheme == "https")
        return response

    def _code_form(self, visit: Visit, begun: HalfWay, problem: str = "", status: int = 200) -> Response:
        nobody, values = Visit(visit.request, visit.t, None), {"picture": "", "secret": ""}
        if begun.secret is not None:
            place = f"{visit.t('Referrals: audit')} {self._bus}"
            address = second_factor.address(begun.secret, begun.name, place)
            groups = " ".join(begun.secret[at : at + 4] for at in range(0, len(begun.secret), 4))
            values = {"picture": second_factor.picture(address), "secret": groups}
        errors = {"code": problem} if problem else {}
        return self._html(nobody, "code.html.j2", status, errors=errors, **values)

    async def _sign_out(self, visit: Visit) -> Response:
        form = await Form.read(visit.request)
        if visit.session is None:
            return self._sign_in_form(visit, "/search", status=403)
        if not comes_from(visit, form):
            return self._of_before(visit)
        self._sessions.end(visit.request.cookies.get(self._cookie, ""))
        response = RedirectResponse("/", 303)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return response

    async def _left(self, visit: Visit) -> Response:
        """Tell a script how long the session lasts; a form of its page has extended it."""
        if visit.session is None:
            return JSONResponse({"seconds": 0}, 401)
        return JSONResponse({"seconds": self._sessions.seconds_left(visit.session)})

    async def _purpose(self, visit: Visit) -> Response:
        form = await Form.read(visit.request)
        purpose = form["purpose"]
        if visit.session is None:
            return self._sign_in_form(visit, form["back"], status=403)
        if purpose not in PURPOSES:
            return self._message(visit, 403, visit.t("The request did not come from this page, and nothing was done."))
        if not comes_from(visit, form):
            return self._of_before(visit)
        visit.session.purpose = purpose
        return RedirectResponse(inside(form["back"]), 303)

    def _of_before(self, visit: Visit) -> Response:
        """Return the answer to a form whose secret is not that of the session: as a rule, another tab has signed in anew."""
        sentence = visit.t(
            "The form is from before your last sign-in, so nothing was done. Open its page again, then repeat it."
        )
        return self._message(visit, 403, sentence)

    # -- on record ---------------------------------------------------------------------------------------------------

    async def _record(self, session: Session, opened: Opened, question: Question, words: str) -> OnRecord:
        """Return the record of *question*, a new one unless this session asked the same a short while ago."""
        found = session.on_record(question, words, time.monotonic())
        if found is None:
            found = await opened.access_log.record(question)
            session.asked(found, words, time.monotonic())
        return found

    # -- pages -------------------------------------------------------------------------------------------------------

    def _html(self, visit: Visit, template: str, status: int = 200, *, place: str = "", **values: Any) -> Response:
        answers, t, here = self._answers, values.pop("t", visit.t), visit.here
        joint = "&" if "?" in here else "?"
        errors: Mapping[str, str] = values.pop("errors", {})
        record: OnRecord | None = values.pop("on_record", None)
        shown = {
            **values,
            "errors": errors,
            "has_errors": bool(errors),
            "t": t,
            "says": Says(
                service=t("Referrals: audit"),
                agency=f"{t('bus')} {self._bus}",
                root="",
                languages=LANGUAGES,
                in_language=lambda code: f"{here}{joint}lang={code}",
                session_seconds=self._sessions.seconds_left(visit.session) if visit.session else 0,
                navigation=_places(t, place) if visit.session else (),
            ),
            "here": here,
            "session": visit.session,
            "purposes": PURPOSES,
            "alarms": answers.alarms(t) if answers and visit.session else [],
            "now": answers.now() if answers else wall_now(),
            "on_record": record and {
                "place": self._place(record),
                "time": record.time,
                "what": record.question.what,
                "purpose": record.question.purpose,
                "actor": record.question.actor,
            },
        }  # fmt: skip
        body = self._pages.get_template(template).render(shown)
        return Response(body, status, media_type="text/html; charset=utf-8")

    def _message(self, visit: Visit, status: int, sentence: str, code: str = "") -> Response:
        title = visit.t("Not answered")
        return self._html(visit, "message.html.j2", status, title=title, sentence=sentence, code=code, back="/search")

    def _not_on_record(self, visit: Visit, code: str) -> Response:
        """Return the answer to a question that is not on record, for the reason *code*."""
        t = visit.t
        if code == "not_verified":
            return self._message(visit, 503, t("The history does not verify, so your question was not recorded and is not answered. Keep the broker's data as they are, and ask the bus's operator."))  # fmt: skip
        if code == "unanswered":
            return self._message(visit, 503, t("Your question could not be recorded within ten seconds, so it is not answered. Check that the registrar runs, and ask again."))  # fmt: skip
        return self._message(
            visit, 503, t("The registrar refused to record your question, so it is not answered."), code
        )

    def _sign_in_form(
        self, visit: Visit, back: str, problem: str = "", status: int = 200, name: str = "", purpose: str = ""
    ) -> Response:
        """Return the sign-in with the *name* and *purpose* that were given; a password is never shown again."""
        nobody = Visit(visit.request, visit.t, None)
        errors = {"name": problem} if problem else {}
        is_over = bool(visit.asked("over"))
        return self._html(
            nobody,
            "sign_in.html.j2",
            status,
            back=inside(back),
            errors=errors,
            is_over=is_over,
            name=name[:64],
            purpose=purpose,
            keeps="/sign-in",
        )


def _places(t: Words, here: str) -> tuple[Place, ...]:
    """Return the navigation; *here* names the place of the page that is shown."""
    places = {
        "search": t("Search"),
        "agencies": t("Agencies: refusals and breaches"),
        "checkpoints": t("Checkpoints and witnesses"),
        "rules": t("The Rules"),
    }
    return tuple(Place(text, f"/{name}", name == here) for name, text in places.items())


async def _static(request: Request) -> Response:
    """Return a style or a script."""
    try:
        content, media_type = static(request.path_params["name"])
    except KeyError:
        return Response(status_code=404, headers=HEADERS)
    return Response(content, media_type=media_type, headers=HEADERS)
