"""The pages as one application: what anybody may read, and what a person writes and reads with her code."""

import asyncio
import gzip
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any, Final, cast

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from nrmbus.bus.wall_clock import wall_now
from nrmbus.intake import codes
from nrmbus.intake.codes import Holder
from nrmbus.intake.messages import MOST_CHARACTERS, ForWhom, Hotline, Reach, Written
from nrmbus.intake.store import FOLDER, PROFILE, IntakeStore, NoKey, StoreFull, Thread, TooMany
from nrmbus.packed import packed
from nrmbus.public.gate import BITS, WAITS, Gate
from nrmbus.public.settings import ZONE, PublicSettings
from nrmbus.public.slips import Slip, Slips
from nrmbus.telemetry import log
from nrmbus.web import look
from nrmbus.web.guard import HEADERS, Form, FormTooLarge, is_foreign
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.reach import unreachable
from nrmbus.web.words import Words, default_language, language_of
from nrmbus.wire import ids
from nrmbus.wire.errors import LetterClosed
from nrmbus.zone import zone_of

_HERE: Final = Path(__file__).parent
INFORMATION: Final = ("", "signs", "help", "rights", "call", "safety", "about")
"""Pages that are the same for everybody, by the last part of their address."""
UNSEEN: Final = timedelta(minutes=15)
"""Time after which the page says that nobody can read now."""
_QUEUE: Final = 20
"""Codes that may wait to be derived, one after the other: each takes 128 MiB while it is."""
_TAKES_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)
"""Accept-Encoding with gzip, but not as ``gzip;q=0``: not acceptable (RFC 9110, section 12.4.2)."""
_KEPT: Final = "public, max-age=600"
_KEPT_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_REACH: Final[tuple[Reach, ...]] = ("code", "phone", "email", "other")
_FOR_WHOM: Final[tuple[ForWhom, ...]] = ("myself", "somebody_i_know", "something_i_saw")
_SHORT: Final = 200
_FACTS: Final = signature(Words).parameters.keys() - {"language"}
"""Facts that sentences of this release have: a desk that was updated first writes others too."""


class Busy(Exception):
    """Raised when too many codes wait already."""


@dataclass(frozen=True, slots=True)
class Says:
    """Values of the frame of every page."""

    name: str
    home: str
    languages: Mapping[Language, str]
    here: str
    style: str
    script: str
    public: PublicSettings


@cache
def _static(name: str) -> tuple[bytes, bytes, str]:
    """Return content, the same compressed, and address of a style or script; the address changes with the content."""
    content = packed(f"public/static/{name}").read_bytes()
    return content, gzip.compress(content), f"/static/{name}?{hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _templates() -> Environment:
    """Return the templates of the pages: each is compiled once a process."""
    return look.environment(_HERE / "templates")


class PublicSite:
    """The public pages of one hotline."""

    def __init__(
        self, settings: PublicSettings, store: IntakeStore, hotline: Hotline, *, slips: Slips | None = None,
        gate: Gate | None = None,
    ) -> None:  # fmt: skip
        """Answer as *hotline*, with what *settings* say, and keep messages in *store*."""
        self._settings, self._store, self._hotline = settings, store, hotline
        self._slips = slips or Slips()
        self._gate = gate or Gate(self._slips)
        self._templates = _templates()
        self._turn, self._waiting = asyncio.Semaphore(1), 0
        self._same: dict[tuple[Language, str, str], tuple[bytes, bytes]] = {}
        self._facts: tuple[str, dict[str, Any]] = "", {"zone": ZONE}
        self._profile: str | None = None
        """Name of the profile in force; None if the desk has not written it yet."""
        self.routes: Final = [
            Route("/", self._first),
            Route("/static/{name}", self._file),
            *(Route(f"/{language}/{path}", page, methods=[method])
              for language in LANGUAGES for method, path, page in self._pages()),
        ]  # fmt: skip

    def _pages(self) -> Iterator[tuple[str, str, Callable[[Request], Awaitable[Response]]]]:
        """Yield method, address after the language, and handler of each page."""
        for name in INFORMATION:
            yield "GET", name, partial(self._information, name=name)
        yield "GET", "before", self._guarded(self._before)
        yield "GET", "write", self._guarded(self._write)
        yield "POST", "write", self._guarded(self._send)
        yield "GET", "answer", self._guarded(self._ask)
        yield "POST", "answer", self._guarded(self._answered)
        yield "POST", "more", self._guarded(self._more)
        yield "POST", "remove", self._guarded(self._remove)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        app = Starlette(routes=self.routes)
        app.add_exception_handler(404, self._no_page)
        app.add_exception_handler(405, self._no_page)
        return app

    # -- pages that are the same for everybody -----------------------------------------------------------------------

    async def _first(self, request: Request) -> Response:
        language = self._language(request)
        return RedirectResponse(f"/{language}/", 303, headers={**HEADERS, "vary": "Accept-Language"})

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        types = {"public.css": "text/css; charset=utf-8", "public.js": "text/javascript; charset=utf-8"}
        if name not in types:
            return Response(status_code=404, headers=HEADERS)
        content, small, _ = _static(name)
        return _compressed(request, content, small, types[name], _KEPT_FOR_GOOD)

    async def _information(self, request: Request, name: str) -> Response:
        t = self._words(request)
        if name == "call" and not self.names_number():
            raise HTTPException(404)
        key = t.language, name, self._facts[0]
        if (found := self._same.get(key)) is None:
            content = self._rendered(t, f"{name or 'home'}.html.j2", name).encode()
            found = self._same[key] = content, gzip.compress(content)
        return _compressed(request, *found, "text/html; charset=utf-8", _KEPT)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _before(self, _request: Request, t: Words) -> Response:
        return self._page(t, "before.html.j2", "before", **await self._readers())

    async def _write(self, _request: Request, t: Words) -> Response:
        return await self._form(t, Form([]), {})

    async def _send(self, request: Request, t: Words) -> Response:
        form = await Form.read(request)
        slip, problem = self._slips.open("write", form["slip"]), ""
        errors = _wrong(form, t)
        if slip is None or len(slip.body) != codes.DIGITS:
            problem = t(
                "This page was open for too long, so nothing was sent. Your words are still here: press Send again."
            )
            return await self._form(t, form, {}, problem="" if _is_language(form) else problem)
        if _is_language(form):
            return await self._form(t, form, {}, slip=form["slip"])
        if errors:
            return await self._form(t, form, errors, slip=form["slip"], status=422)
        written = _written(form, t.language)
        wait = self._gate.wait("write", slip, form["slip"], form["proof"], _address(request), _digest(slip, written))
        if wait > 0:
            return await self._form(t, form, {}, slip=form["slip"], wait=wait, status=429)
        code = slip.body.decode()
        try:
            holder = await self._derived(code)
            await self._take(holder, slip, written, danger=form["danger"] == "yes")
        except (StoreFull, NoKey, TooMany, Busy, sqlite3.Error) as error:
            return await self._form(t, form, {}, slip=form["slip"], problem=self._refused(error, t), status=503)
        return await self._receipt(t, code, is_danger=form["danger"] == "yes")

    async def _receipt(self, t: Words, code: str, *, is_danger: bool) -> Response:
        """Show the code once, in no other language: no browser has the page again, so a click would lose the code."""
        others = [Words(each, **self._known()) for each in LANGUAGES if each != t.language]
        values = {"code": codes.shown(code).split(), "danger": is_danger, "others": others, **await self._readers()}
        return self._page(t, "receipt.html.j2", "write", **values)

    async def _take(self, holder: Holder, slip: Slip, written: Written, *, danger: bool = False) -> None:
        # The same words sent twice from one form are one message; other words from it are another one.
        id = ids.derived(self._hotline.agency, _digest(slip, written).hex(), FOLDER)
        seal = partial(self._hotline.seal, written, id=id, ref=holder.ref)
        await asyncio.to_thread(self._store.take, holder, id, seal, now=wall_now(), danger=danger)

    async def _form(
        self, t: Words, form: Form, errors: Mapping[str, str], *, slip: str = "", problem: str = "", wait: float = 0.0,
        status: int = 200,
    ) -> Response:  # fmt: skip
        values = {
            "form": form, "errors": errors, "problem": problem, "wait": _whole(wait), "most": MOST_CHARACTERS,
            "slip": slip or self._slips.seal("write", codes.new().encode()), **await self._readers(),
        }  # fmt: skip
        values["keeps"] = "write" if values["can_write"] else ""
        return self._page(t, "write.html.j2", "write", status=status, has_errors=bool(errors or problem), **values)

    # -- coming back -------------------------------------------------------------------------------------------------

    async def _ask(self, _request: Request, t: Words) -> Response:
        return self._asking(t)

    def _asking(
        self, t: Words, *, error: str = "", wait: float = 0.0, kept: str = "", code: str = "", slip: str = "",
        status: int = 200,
    ) -> Response:  # fmt: skip
        values = {
            "error": error, "wait": _whole(wait), "kept": kept, "code": code[:_SHORT],
            "slip": slip or self._slips.seal("ask"), "keeps": "answer",
        }  # fmt: skip
        return self._page(t, "answer.html.j2", "answer", status=status, has_errors=bool(error), **values)

    async def _answered(self, request: Request, t: Words) -> Response:
        form = await Form.read(request)
        code, slip, kept = codes.read(form["code"][:_SHORT]), self._slips.open("ask", form["slip"]), form["text"]
        if _is_language(form):
            slip_kept = form["slip"] if slip else ""
            return self._asking(t, kept=kept, code=form["code"], slip=slip_kept)
        if code is None:
            error = t("A code has 16 digits, and one of yours does not fit: compare it with what you wrote down.")
            return self._asking(t, error=error, kept=kept, code=form["code"], status=422)
        if slip is None:
            return self._asking(t, error=t("This page was open for too long. Give your code again."), kept=kept)
        if (wait := self._gate.wait("ask", slip, form["slip"], form["proof"], _address(request))) > 0:
            return self._asking(t, wait=wait, kept=kept, code=form["code"], slip=form["slip"], status=429)
        if self._waiting >= _QUEUE:  # before the slip is spent, which is good for another try
            error = self._refused(Busy(), t)
            return self._asking(t, error=error, kept=kept, code=form["code"], slip=form["slip"], status=503)
        if not self._gate.spend(slip):
            return self._asking(t, error=t("Give your code again."), kept=kept, status=429)
        holder = await self._derived(code)
        try:
            return await self._conversation(t, holder, text=kept)
        except sqlite3.Error as error:
            if not kept:
                raise
            return self._asking(t, error=self._refused(error, t), kept=kept, code=form["code"], status=503)

    async def _conversation(
        self, t: Words, holder: Holder, *, told: str = "", problem: str = "", text: str = "", slip: str = ""
    ) -> Response:
        """Show the thread of *holder*; *slip*: that of a form that comes back, so that what was waited counts."""
        thread = await asyncio.to_thread(self._store.found, holder.ref, now=wall_now())
        if thread is None:
            error = t("There is nothing under this code. It may have been deleted, or the code is another one.")
            return self._asking(t, error=error, kept=text, status=404)
        values = {
            "thread": thread, "said": self._opened(holder, thread), "told": told, "problem": problem, "text": text,
            "most": MOST_CHARACTERS, "let_in": self._slips.seal("pass", holder.raw), "slip": slip or self._slips.seal("write"),
            "until": thread.ends, "keeps": "more", **await self._readers(),
        }  # fmt: skip
        return self._page(t, "conversation.html.j2", "answer", has_errors=bool(problem), **values)

    def _opened(self, holder: Holder, thread: Thread) -> list[tuple[Any, str | None]]:
        """Return each message with the text of an answer; None for the person's own, and for one that does not open."""
        found: list[tuple[Any, str | None]] = []
        for each in thread.messages:
            text = None
            if each.who is not None:
                try:
                    text = self._hotline.opened_by(holder, each.letter, id=each.id)
                except LetterClosed:
                    log.report("answer_closed")
            found.append((each, text))
        return found

    async def _more(self, request: Request, t: Words) -> Response:
        form = await Form.read(request)
        let_in, slip, text = (
            self._slips.open("pass", form["pass"]),
            self._slips.open("write", form["slip"]),
            form["text"],
        )
        if let_in is None or slip is None:
            error = t(
                "This page was open for too long, so nothing was sent. Your words are kept: give your code again."
            )
            return self._asking(t, error=error, kept=text)
        holder = Holder.of_raw(let_in.body)
        if _is_language(form):
            return await self._not_taken(t, holder, "", text, slip=form["slip"])
        if not 0 < len(text.strip()) <= MOST_CHARACTERS:
            return await self._not_taken(t, holder, _text_wrong(text, t), text, slip=form["slip"])
        written = Written(text.strip(), t.language)
        wait = self._gate.wait("write", slip, form["slip"], form["proof"], _address(request), _digest(slip, written))
        if wait > 0:
            problem = t("Please wait {n} seconds, then press Send again. Your words are still here.", n=_whole(wait))
            return await self._not_taken(t, holder, problem, text, slip=form["slip"])
        try:
            if await asyncio.to_thread(self._store.found, holder.ref, now=wall_now()) is None:
                return await self._conversation(t, holder, text=text)
            await self._take(holder, slip, written)
        except (StoreFull, NoKey, TooMany, sqlite3.Error) as error:
            return await self._not_taken(t, holder, self._refused(error, t), text)
        return await self._conversation(t, holder, told=t("Your message is with us. Your code stays the same."))

    async def _not_taken(self, t: Words, holder: Holder, problem: str, text: str, *, slip: str = "") -> Response:
        """Return the conversation with what was written; the page that asks for the code, while the file is held."""
        try:
            return await self._conversation(t, holder, problem=problem, text=text, slip=slip)
        except sqlite3.Error:
            return self._asking(t, error=problem, kept=text, status=503)

    async def _remove(self, request: Request, t: Words) -> Response:
        form = await Form.read(request)
        let_in = self._slips.open("pass", form["pass"])
        if let_in is None:
            return self._asking(t, error=t("This page was open for too long. Give your code again."))
        if form["sure"] != "yes" or _is_language(form):
            return self._page(t, "remove.html.j2", "answer", let_in=form["pass"], keeps="remove")
        await asyncio.to_thread(self._store.remove, Holder.of_raw(let_in.body).ref)
        return self._page(t, "removed.html.j2", "answer")

    # -- for all of them ---------------------------------------------------------------------------------------------

    async def _derived(self, code: str) -> Holder:
        """Return the keys of *code*; one at a time, since each takes memory. Raises Busy."""
        if self._waiting >= _QUEUE:
            raise Busy
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(Holder.of_code, code, self._store.salt)
        finally:
            self._waiting -= 1

    async def _readers(self) -> dict[str, Any]:
        """Return since when nobody could read, or None if somebody can; and whether a message can be sealed at all.

        A desk that runs corrects a time in the future at its next look, so such a time means that it does not run.
        """
        seen, now = await asyncio.to_thread(lambda: self._store.seen), wall_now()
        is_away = seen is not None and abs(now - seen) > UNSEEN
        return {"unread_since": min(seen, now) if seen and is_away else None, "can_write": seen is not None}

    def names_number(self) -> bool:
        """Return whether the pages name a telephone number, under the profile in force."""
        self._known()
        return self._settings.under(self._profile).first is not None

    def _refused(self, error: Exception, t: Words) -> str:
        """Return what to do when a message could not be stored."""
        log.report("intake_refused", error=type(error).__name__)
        if isinstance(error, TooMany):
            full = t("There are as many messages under this code as we can keep.")
            return f"{full} {t('Please call instead.')}" if self.names_number() else full
        if isinstance(error, Busy):
            return t("Many people are here at this moment. Wait half a minute, then try again.")
        if not self.names_number():
            return t("We cannot take a message now, and nothing was sent. Your words are still here: try again later.")
        return t(
            "We cannot take a message now, and nothing was sent. Your words are still here: try again later, or call."
        )

    def _guarded(
        self, page: Callable[[Request, Words], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            t = self._words(request)
            try:
                if is_foreign(request):
                    sentence = t("The form came from another site, so nothing was done.")
                    return self._page(t, "message.html.j2", "", status=403, sentence=sentence)
                return await page(request, t)
            except FormTooLarge:
                sentence = t("The message is too long, so nothing was sent. Go back and shorten it.")
                return self._page(t, "message.html.j2", "", status=413, sentence=sentence)
            except Exception as error:  # noqa: BLE001 - what it says may hold what was written
                log.report("page_failed", error=type(error).__name__)
                sentence = (
                    t("This page failed. Go back and try again, or call.")
                    if self.names_number()
                    else t("This page failed. Go back and try again.")
                )
                return self._page(t, "message.html.j2", "", status=500, sentence=sentence)

        return guarded

    async def _no_page(self, request: Request, _error: Exception) -> Response:
        first = request.url.path.split("/")[1]
        language = self._language(request, first)
        t = Words(language, **self._known())
        return self._page(t, "message.html.j2", "", status=404, sentence=t("There is no such page."))

    def _words(self, request: Request) -> Words:
        return Words(cast("Language", request.url.path.split("/")[1]), **self._known())

    def _language(self, request: Request, *wanted: str) -> Language:
        self._known()
        default = "az" if self._profile is None else default_language(self._profile)
        return language_of(*wanted, accepted=request.headers.get("accept-language"), default=default)

    def _known(self) -> dict[str, Any]:
        """Return the facts of the profile in force, as the desk wrote them last; those before if the file is held."""
        with suppress(sqlite3.Error):
            written = self._store.facts
            if written != self._facts[0]:
                self._same.clear()
                known = json.loads(written)
                self._profile = known.pop(PROFILE, None)
                # A desk of an earlier release has written no zone.
                zone = zone_of(known["zone"]) if "zone" in known else ZONE
                facts = {name: each for name, each in known.items() if name in _FACTS}
                self._facts = written, {**facts, "zone": zone}
        return self._facts[1]

    def _page(self, t: Words, template: str, name: str, *, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._rendered(t, template, name, **values), status, headers=HEADERS)

    def _rendered(self, t: Words, template: str, name: str, **values: Any) -> str:
        says = Says(
            self._settings.name[t.language], f"/{t.language}/", LANGUAGES, name, _static("public.css")[2],
            _static("public.js")[2], self._settings.under(self._profile),
        )  # fmt: skip
        shown = {"t": t, "says": says, "has_errors": False, "keeps": "", "bits": BITS, "waits": WAITS, **values}
        return self._templates.get_template(template).render(shown)


def _compressed(request: Request, content: bytes, small: bytes, media_type: str, kept: str) -> Response:
    headers = {**HEADERS, "cache-control": kept, "vary": "Accept-Encoding"}
    if _TAKES_GZIP.search(request.headers.get("accept-encoding", "")):
        return Response(small, media_type=media_type, headers={**headers, "content-encoding": "gzip"})
    return Response(content, media_type=media_type, headers=headers)


def _digest(slip: Slip, written: Written) -> bytes:
    return hmac.digest(slip.once, repr(written.parts).encode(), "sha256")


def _is_language(form: Form) -> bool:
    """Return whether the form only asks for its page in another language, with what stands in it; nothing is judged or done."""
    return "language" in form


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


def _whole(seconds: float) -> int:
    return max(0, -int(-seconds // 1))


def _text_wrong(text: str, t: Words) -> str:
    if not text.strip():
        return t("Write what happened, or what you want to ask.")
    return t("Your text has {count} characters; {most} are possible. Shorten it, or send the rest as a second message.",
             count=len(text.strip()), most=MOST_CHARACTERS)  # fmt: skip


def _wrong(form: Form, t: Words) -> dict[str, str]:
    """Return what is wrong with the form, by field."""
    wrong = {}
    if not 0 < len(form["text"].strip()) <= MOST_CHARACTERS:
        wrong["text"] = _text_wrong(form["text"], t)
    if form["reach"] in ("phone", "email", "other") and not form["contact"].strip():
        wrong["contact"] = t("Write the number or address, or choose that you come back with your code.")
    elif doubt := unreachable(t, form["reach"], form["contact"].strip()):
        wrong["contact"] = doubt
    for name in ("contact", "safe_times"):
        if form["reach"] not in _REACH and form[name].strip():
            wrong[name] = t("Choose how we can reach you, or empty this field.")
        if len(form[name]) > _SHORT:
            wrong[name] = t("Use at most {most} characters here.", most=_SHORT)
    return wrong


def _written(form: Form, language: Language) -> Written:
    reach: Reach = next((each for each in _REACH if each == form["reach"]), "code")
    for_whom: ForWhom = next((each for each in _FOR_WHOM if each == form["for_whom"]), "")
    written = Written(form["text"].strip(), language, for_whom, reach)
    if reach == "code":
        return written
    return replace(written, contact=form["contact"].strip(), safe_times=form["safe_times"].strip())
