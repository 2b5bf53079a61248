"""What every page of a desk shares: routes with their permission, the visit, and the answers to errors."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.staff.sessions import Session
from nrmbus.desk.staff.staff import NotSignedIn
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.called import called
from nrmbus.events.model import Draft
from nrmbus.rules import Profile
from nrmbus.rules.handbook.lookup import facts_of
from nrmbus.web.frame import Place, Says
from nrmbus.web.guard import Form
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words

May = Permission | Literal["anybody", "member"]
"""Permission that a page needs; ``member``: everybody who has signed in; ``anybody``: without signing in."""
_LEGAL_MAY: Final = frozenset({*get_args(Permission), "anybody", "member"})


class NotFound(Exception):
    """There is no such page, or it is not this agency's to know: the answer is the same."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Routes of one subject. Each names the permission that it needs; without it nobody gets further."""

    routes: list["Page"] = field(default_factory=list)

    def get(self, path: str, *, may: May) -> Callable[["Handler"], "Handler"]:
        """Return a decorator: the page at *path*, below `ROOT`."""
        return self._route("GET", path, may)

    def post(self, path: str, *, may: May) -> Callable[["Handler"], "Handler"]:
        """Return a decorator: what a form at *path* does."""
        return self._route("POST", path, may)

    def _route(self, method: str, path: str, may: May) -> Callable[["Handler"], "Handler"]:
        if may not in _LEGAL_MAY:
            raise ValueError(f"{path}: {may} is no permission")

        def listed(handler: Handler) -> Handler:
            self.routes.append(Page(method, path, may, handler))
            return handler

        return listed


@dataclass(frozen=True, slots=True)
class Page:
    """Route: method, path below `ROOT`, permission, handler."""

    method: str
    path: str
    may: May
    handler: "Handler"


class Visit:
    """One request to a page, with who asks and in which language."""

    def __init__(
        self, request: Request, door: Door, templates: Environment, *, member: Member | None, language: Language
    ) -> None:
        self.request, self.door, self.member = request, door, member
        self.profile = door.seat.rules.profile_at(door.seat.now())
        """The profile in force; a page of a case goes by that of the case (`under`)."""
        self.t = Words(language, **facts_of(self.profile))
        self._templates = templates
        self._form: Form | None = None
        self.places: Callable[[], tuple[Place, ...]] = tuple
        """Returns the navigation of this page; the application sets it."""
        self.back = ""
        """Page that this one is, or came from, below `ROOT`; the application sets it. An address that takes forms alone is none."""
        self.notice, self.session_seconds = "", 0

    @cached_property
    def now(self) -> datetime:
        """The desk's time."""
        return self.door.seat.now()

    def under(self, profile: Profile) -> None:
        """Show what *profile* says, that of a case, instead of the profile in force. Times stay in the same zone."""
        if profile is not self.profile:
            self.profile = profile
            self.t = Words(self.t.language, **{**facts_of(profile), "zone": self.t.zone})

    @property
    def me(self) -> Member:
        """Return the member who asks. Pages for ``anybody`` look at `member` instead."""
        if self.member is None:
            raise NotFound
        return self.member

    @property
    def session(self) -> Session | None:
        """Return the session that the request came with; None if nobody has signed in."""
        return getattr(self.request.state, "session", None)

    def goes_on(self) -> bool:
        """Return whether the session of this request was not ended meanwhile, so that a stream ends with it."""
        return self.session is None or self.door.staff.sessions.goes_on(self.session)

    def must_go_on(self) -> None:
        """Raise NotSignedIn ``over`` if the session of this request was ended meanwhile: the application leads to the sign-in."""
        if not self.goes_on():
            raise NotSignedIn("over")

    def path(self, name: str) -> str:
        """Return the part *name* of the page's path."""
        return cast("str", self.request.path_params[name])

    def asked(self, name: str, longest: int = 64) -> str:
        """Return the value of *name* in the query, cut to *longest* characters, or an empty text."""
        return self.request.query_params.get(name, "").strip()[:longest]

    async def form(self) -> Form:
        """Return the fields that were sent.

        Raises:
            FormTooLarge
            NotSignedIn: ``over``: the session has ended while the form came, whose sender may be slow on purpose.
        """
        if self._form is None:
            self._form = await Form.read(self.request)
            self.must_go_on()
        return self._form

    async def put_on_record(self, drafts: Collection[Draft]) -> dict[str, Any]:
        """Have the registrar record the readings of *drafts*.

        Raises:
            DeskError: nothing may be read.
            NotSignedIn: ``over``: the session has ended while the registrar recorded them.
        """
        said = await self.door.put_on_record(drafts)
        self.must_go_on()
        return said

    def page(self, template: str, *, title: str, status: int = 200, **values: Any) -> Response:
        """Return the page that *template* makes of *values*; *title* says what the page is for, and nothing of a case."""
        shown = {"t": self.t, "says": self._says(), "title": title, "member": self.member, "url": url, "now": self.now}
        return HTMLResponse(
            self._templates.get_template(template).render({"has_errors": False, **shown, **values}),
            status,
        )

    def part(self, template: str, **values: Any) -> Markup:
        """Return the part of a page that *template* makes of *values*, with the visit's words."""
        return Markup(self._templates.get_template(template).render({"t": self.t, "url": url, **values}))  # noqa: S704 - escaped

    def see(self, path: str) -> Response:
        """Return the answer that leads to *path* below `ROOT`, as after a form."""
        return RedirectResponse(url(path), 303)

    def _says(self) -> Says:
        t, here = self.t, self.request.url.path
        query = [(name, value) for name, value in parse_qsl(self.request.url.query) if name != "lang"]

        def in_language(code: str) -> str:
            # The answer to a form cannot be opened again: the page that the form stood on can.
            place = here if self.request.method == "GET" else url(self.back)
            return f"{place}?{urlencode([*query, ('lang', code)])}"

        return Says(
            service=t("Referrals"),
            agency=called(self.door, self.door.seat.me),
            root=ROOT,
            languages=LANGUAGES,
            in_language=in_language,
            notice=self.notice,
            footer=t("Nothing on these pages leaves this agency unless you send it."),
            session_seconds=self.session_seconds,
            navigation=self.places(),
            back=self.back,
        )


Handler = Callable[[Visit], Awaitable[Response]]


def url(path: str) -> str:
    """Return the address of *path* below `ROOT`."""
    return f"{ROOT}{path}"
