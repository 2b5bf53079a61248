"""Client of a door: HTTP and JSON as the desk or service has them, for `AsyncDesk` and for tools that show what they get."""

import asyncio
import json
import logging
import re
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import httpx

from nrmbus.client import sse
from nrmbus.client.errors import (
    NOT_A_DESK,
    DoorError,
    Read,
    RequestRefused,
    TokenRefused,
    Unreachable,
    refused,
    understood,
)

_PATIENCE: Final = httpx.Timeout(35.0, connect=10.0)
_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP on this machine: httpx reads the list of all the world's authorities for each client, which takes 25 ms."""
SHORTEST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two questions to a desk that does not answer."""
WAIT: Final = 20.0
"""Seconds that the desk may wait for an event before it answers that there is none."""
_NO_STREAM: Final = frozenset({"not_found", "method_not_allowed", "streams_used_up"})
"""Codes of a desk that has no stream: one of an earlier release, or one with as many as it can carry."""
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout)
"""Errors of a request that has not left this machine."""
_SPEAKING: Final = re.compile("/v1/(?:events|batches|checks|inbox(?:/stream)?|cases/[^/]+/timeline)")
"""Paths that take the versions that a program speaks; a desk refuses a parameter that a path does not take."""
_NOT_TRUSTED: Final = "no authority that is trusted here vouches for the desk's certificate: give `ca`, and the address as in the certificate"
_AWAY: Final = "the desk does not answer; is the bus up?"

_NEVER_RAN: Final = "this desk is not running; start the bus with `nrmbus up`, or it with `nrmbus run`"
_NOT_WHOLE: Final = (
    "the desk's door.json cannot be read, or lacks its url or token: wait until it is written, or start the desk again"
)
UNFIT: Final = (OSError, ValueError, KeyError, TypeError, RecursionError, httpx.InvalidURL)
"""Errors of a ``door.json`` that is half written or unfit, and of the files that it names."""

Json = dict[str, Any]
_AS_DECLARED: Final[Mapping[str, int]] = MappingProxyType({})


_ASKING: Final = ContextVar("nrmbus.client asks a desk", default=False)


class UnloggedClient(httpx.AsyncClient):
    """Client of a desk whose requests httpx does not log: an address names the case, and the person who reads."""

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """Send *request* as every client does."""
        before = _ASKING.set(True)
        try:
            return await super().send(request, **how)
        finally:
            _ASKING.reset(before)


logging.getLogger("httpx").addFilter(lambda _: not _ASKING.get())  # requests of other clients are logged as before


def _read(answer: httpx.Response) -> Json:
    """Return the JSON object that a desk answers, or an empty one for a failure that never reached its pages (a bare 500).

    Raises:
        DoorError: ``not_a_desk`` when what is no object came with a status of success.
    """
    body: Any = None
    with suppress(ValueError, RecursionError):  # its text would show what came
        body = answer.json() if answer.content else {}
    if isinstance(body, dict):
        return body
    if answer.is_success:
        raise Unreachable("not_a_desk", NOT_A_DESK)
    return {}


class Address(NamedTuple):
    """Address of a door, the token, and the files for TLS: the door's authority, this program's certificate and its key."""

    url: str
    token: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def address_in(home: Path) -> Address | None:
    """Return the address in the ``door.json`` *home*, or in that of the folder *home*; None if there is none."""
    with suppress(FileNotFoundError):
        file = home / "door.json" if home.is_dir() else home
        found = json.loads(file.read_text(encoding="utf-8"))
        named = {name: str(file.parent / found[name]) for name in ("ca", "certificate", "key") if name in found}
        return Address(found["url"], found["token"], **named)
    return None


def _trusted(at: Address) -> ssl.SSLContext:
    """Return the TLS settings for a door: the authorities that vouch for it, and this program's certificate.

    Raises:
        OSError: a file cannot be read as what it should be; `ssl.SSLError` is one.
    """
    context = ssl.create_default_context(cafile=at.ca)
    if at.certificate is not None:
        context.load_cert_chain(at.certificate, at.key)
    return context


def context_of(at: Address) -> ssl.SSLContext:
    """Return the context for a connection to the desk.

    Raises:
        RequestRefused: ``tls_required``: plain HTTP would carry the token, and letters, to another machine unsealed.
        OSError: a file cannot be read as what it should be; `ssl.SSLError` is one.
    """
    url = httpx.URL(at.url)
    if url.scheme == "https":
        return _trusted(at)
    if url.scheme == "http" and _is_here(url.host):
        return _TRUSTS_NOBODY
    raise RequestRefused("tls_required", "a desk on another machine is asked over https only: give its https address")


def _away(error: httpx.RequestError) -> DoorError:
    """Return why no desk answers: nobody is there, or somebody else, whom the authority does not vouch for or who garbles an answer."""
    if isinstance(error, httpx.DecodingError):
        return Unreachable("not_a_desk", NOT_A_DESK)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RequestRefused("not_trusted", _NOT_TRUSTED)
        cause = cause.__cause__ or cause.__context__
    return Unreachable("unreachable", _AWAY)


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class Door:
    """Door of one desk or service, as JSON. Use as an async context manager.

    Every method raises DoorError: ``unreachable`` when no desk answers, else the desk's own code. A door made by `of` first
    looks whether ``door.json`` has another address or token.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca: str | Path | None = None,
        certificate: tuple[str | Path, str | Path] | None = None,
        speaks: Mapping[str, int] = _AS_DECLARED,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Ask at *url* with *token*; *ca* and *certificate* as for `AsyncDesk`.

        *speaks*: of each type named, the version that this program says and is handed. A type that is not named is spoken
        as the agency's ``agency.json`` declares, else in version 1. *transport* answers instead of a network, for tests.
        """
        self.speaks = dict(speaks)
        self._home: Path | None = None
        self._transport = transport
        chain, key = map(str, certificate) if certificate else (None, None)
        self._at = Address(url, token, None if ca is None else str(ca), chain, key)
        self._http = self._connected(self._at)
        self._left: list[httpx.AsyncClient] = []

    def _connected(self, at: Address) -> httpx.AsyncClient:
        return UnloggedClient(
            base_url=at.url,
            headers={"authorization": f"Bearer {at.token}"},
            timeout=_PATIENCE,
            trust_env=False,
            verify=_TRUSTS_NOBODY if self._transport else context_of(at),
            transport=self._transport,
        )

    @classmethod
    def of(cls, home: Path, *, speaks: Mapping[str, int] = _AS_DECLARED) -> Self:
        """Return the door of the desk whose folder is *home*: the desk writes address and token to ``door.json`` there (mode 0600).

        *home* may also be such a file: ``url`` and ``token``, and the files ``ca``, ``certificate`` and ``key`` where they are needed.

        Raises:
            Unreachable: the desk never ran, or the file is not whole.
        """
        found, why = None, _NEVER_RAN
        try:
            found = address_in(home)
        except UNFIT:
            why = _NOT_WHOLE
        if found is None:  # outside the block: the error's text would show the token
            raise Unreachable("unreachable", why)
        pair = (found.certificate, found.key) if found.certificate and found.key else None
        door = cls(found.url, found.token, ca=found.ca, certificate=pair, speaks=speaks)
        door._home = home
        return door

    @property
    def url(self) -> str:
        """Return the address of the desk."""
        return self._at.url

    @property
    def token(self) -> str:
        """Return the token with which the desk is asked."""
        return self._at.token

    def look_again(self) -> bool:
        """Connect to where the desk is by its ``door.json``; return whether that is another address or token than before.

        A file that is not whole, or not fit, changes nothing: it may be being written now.
        """
        try:
            found = address_in(self._home) if self._home else None
            if found is None or found == self._at:
                return False
            connected = self._connected(found)
        except (*UNFIT, RequestRefused):
            return False
        self._left.append(self._http)  # a request may be under way on it
        self._at, self._http = found, connected
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in (*self._left, self._http):
            await each.aclose()

    async def patiently(self, ask: Callable[[], Awaitable[Json]], patience: float) -> Json:
        """Return what *ask* returns; while the desk is away, ask again for *patience* seconds, where ``door.json`` has it then.

        Raises:
            DoorError: another attempt does not help, or the seconds are over.
        """
        until, pause = time.monotonic() + patience, SHORTEST_PAUSE
        while True:
            at = self._at
            try:
                return await ask()
            except DoorError as error:
                moved, pause = self._has_moved(at), error.retry_after or pause
                if not (error.retryable or moved) or time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def publish(self, event: Mapping[str, Any], *, wait: float = 0) -> Json:
        """Say *event* (the desk signs and seals). With *wait* seconds, the answer has the verdict when it came in time.

        It is signed and registered as it is, in its ``version``, else in the one that is spoken. With an ``id`` of your own
        (a UUIDv7) you may publish the same event again after a cut connection: the answer is that of the first time.
        """
        return await self._ask("POST", "/v1/events", json=dict(event), params={"wait": wait})

    async def check(self, events: Sequence[Mapping[str, Any]]) -> Json:
        """Return what would become of the *events* of one case, each as if those before it were registered; nothing is published."""
        return await self._ask("POST", "/v1/checks", json={"events": [dict(each) for each in events]})

    async def again(self, event_id: str, *, wait: float = 0) -> Json:
        """Send the very same bytes of an earlier event once more; the answer is the same registration."""
        return await self._ask("POST", f"/v1/events/{event_id}/again", params={"wait": wait})

    async def event(self, event_id: str) -> Json:
        """Return the outcome of an event of this agency."""
        return await self._ask("GET", f"/v1/events/{event_id}")

    async def inbox(
        self,
        *,
        after: int = 0,
        ledger: str | None = None,
        limit: int = 200,
        wait: float = 0,
        opened: bool = False,
        actor: str | None = None,
        **only: str | None,
    ) -> Json:
        """Return events received, in order, from row *after* on; an empty answer comes after *wait* seconds only.

        *opened*: with letters; each reading is registered first, for *actor*. *only*: ``case``, ``type``, ``source``, ``ref``.

        The answer names the ``ledger`` that numbers the rows. Pass it with *after* to go on: DoorError ``inbox_restarted``
        if the desk has another ledger now, so that you ask again from the first row.

        *actor* is the agency's number of who reads. Without it, who answers for its system by ``agency.json``; where that
        names nobody, DoorError ``reader_unnamed``.

        Each comes in the ``version`` that is spoken; ``lost`` has what that cannot carry, and ``original`` what was signed
        (`verify_original`). One that is ``unknown`` to the desk's release has no data yet: ask for its row again when the
        desk was upgraded.
        """
        params = {"after": after, "limit": limit, "open": str(opened).lower()}
        chosen = {**only, "actor": actor, "ledger": ledger, "wait": wait or None}
        params |= {name: each for name, each in chosen.items() if each is not None}
        return await self._ask("GET", "/v1/inbox", params=params)

    async def pages(
        self,
        *,
        after: int = 0,
        ledger: str | None = None,
        every: float = 0.5,
        follow: bool = True,
        waiting: Callable[[DoorError], None] = lambda _: None,
        **asked: Any,
    ) -> AsyncGenerator[list[Json], None]:
        """Yield events as they come, from row *after* on, each once and in order, as many together as the desk handed over at once.

        The desk sends each event as it comes, by a stream of server-sent events; for letters, and at a desk without streams,
        the door asks and the desk waits with its answer.

        It goes on until the caller cancels it; without *follow* it ends after the newest event, or with the first error.
        While the desk is away, starts again or cannot answer, it asks again with growing pauses of up to 5 s, from the last
        row on, at the address and with the token of ``door.json`` (of a door made by `of`). *waiting* is called once each
        time that begins, with the reason. *asked*: as `inbox`.

        Each event has the ``ledger`` that numbers its ``row``: keep both to go on later. Without *ledger*, a door that goes on
        behind a row first asks which ledger the desk has. If the ledger of the desk was
        replaced, *waiting* is called with ``inbox_restarted`` and every event comes again from the first row on; an event
        that you have had has the same ``id``.

        Raises:
            DoorError: the desk refuses for good: another token is wanted (401, 403) and ``door.json`` has none, or it
                would refuse the same question again (any other 4xx: ``reader_unnamed``, say).
        """
        wanted = follow and not asked.get("opened")  # a stream opens no letters
        pause, streams = 0.0, wanted
        is_unnumbered = follow and after > 0 and ledger is None
        while True:
            began, there = time.monotonic(), False
            try:
                async with aclosing(
                    self._streamed(after, ledger, **asked)
                    if streams and not is_unnumbered
                    else self._asked(after, ledger, WAIT if follow and not is_unnumbered else 0, **asked)
                ) as pages:
                    async for events, numbered_by in pages:
                        there, ledger, is_unnumbered = is_unnumbered, numbered_by, False
                        if not events:  # a stream says nothing of its ledger until an event comes
                            continue
                        there, pause, after = True, 0.0, events[-1]["row"]
                        yield [{**event, "ledger": ledger} if ledger else event for event in events]
            except DoorError as error:
                if error.code == "inbox_restarted" and (after or ledger):
                    waiting(error)
                    after, ledger = 0, None
                    continue
                if streams and error.code in _NO_STREAM:
                    streams = False
                    continue
                if self._is_for_good(error) or not follow:
                    raise
                if not pause:
                    waiting(error)
                pause, streams = error.retry_after or min(pause * 2, LONGEST_PAUSE) or SHORTEST_PAUSE, wanted
            else:
                pause = 0.0
                if not follow and not there:
                    return
            if not there:  # a desk of an earlier release answers at once that there is nothing
                await asyncio.sleep(pause or max(0.0, every - (time.monotonic() - began)))

    async def _asked(
        self, after: int, ledger: str | None, wait: float, **asked: Any
    ) -> AsyncGenerator[tuple[list[Json], str | None], None]:
        page = await self.inbox(after=after, ledger=ledger, wait=wait, **asked)
        yield understood(sse.rows, page.get("events")), page.get("ledger")

    async def _streamed(
        self, after: int, ledger: str | None, *, opened: bool = False, actor: str | None = None, **only: str | None
    ) -> AsyncGenerator[tuple[list[Json], str | None], None]:
        """Yield what the desk's stream of events brings, until it ends; nothing if it never begins.

        Raises:
            DoorError: the desk refuses, or has another ledger now (``inbox_restarted``).
        """
        del opened, actor  # of letters, which no stream opens
        chosen = {**only, "after": str(after), "ledger": ledger}
        params = self._params("/v1/inbox/stream", {name: each for name, each in chosen.items() if each is not None})
        while True:
            at, begun, failed = self._at, False, None
            try:
                async with self._http.stream("GET", "/v1/inbox/stream", params=params) as answer:
                    if answer.is_error:
                        await answer.aread()
                        failed = refused(_read(answer), answer.status_code, answer.headers.get("retry-after"))
                    elif not answer.headers.get("content-type", "").startswith(sse.MEDIA_TYPE):
                        failed = Unreachable("not_a_desk", NOT_A_DESK)
                    else:
                        begun = True
                        async for page in sse.pages(answer.aiter_bytes()):
                            yield page
            except httpx.RequestError as error:
                is_cut = begun and isinstance(error, httpx.TransportError)
                failed = None if is_cut else _away(error)  # a stream that is cut has ended: the next one goes on
            if failed is None:
                return
            if begun or not self._has_moved(at):
                raise failed

    def _is_for_good(self, error: DoorError) -> bool:
        """Return whether the desk would refuse the same question again. Another program on its port answers without a desk's code."""
        return not error.retryable and (error.code != "refused" or self._home is None)

    async def case(self, ref: str) -> Json:
        """Return a case as this agency sees it."""
        return await self._ask("GET", f"/v1/cases/{ref}")

    async def read_case(self, ref: str, *, what: str, actor: str, purpose: str) -> Json:
        """Have the registrar put on record that *actor* now reads a case as a whole, or hands it on; then it may be done.

        *what* is ``case``, ``person_report`` or ``export``. Raises DoorError ``read_not_registered``, ``read_refused``.
        """
        params = {"what": what, "actor": actor, "purpose": purpose}
        return await self._ask("POST", f"/v1/cases/{ref}/reads", params=params)

    async def upload(self, case: str, content: bytes) -> Json:
        """Have this desk keep *content* for an event ``document.shared`` of *case*; return its id, chunks and file."""
        return await self._ask("POST", "/v1/documents", params={"case": case}, content=content)

    async def document(
        self, event_id: str, *, case: str | None = None, actor: str | None = None, purpose: str = "case_work"
    ) -> tuple[str, bytes]:
        """Return media type, without its charset, and content of the document that the event *event_id* announces; *actor* is on record as its reader first.

        *case* is needed if an event of another case has the same id.
        """
        params = {"purpose": purpose} | ({"case": case} if case else {}) | ({"actor": actor} if actor else {})
        return await self._answer(
            "GET",
            f"/v1/documents/{event_id}",
            lambda answer: (answer.headers.get("content-type", "").partition(";")[0], answer.content),
            params=params,
        )

    async def tasks(self) -> Json:
        """Return the tasks that wait for a person at this agency."""
        return await self._ask("GET", "/v1/tasks")

    async def health(self) -> Json:
        """Return how far the desk is: clock, positions, unanswered rows; one moment's snapshot."""
        return await self._ask("GET", "/health")

    async def metrics(self) -> str:
        """Return the numbers of this desk or service in Prometheus' text format."""
        with suppress(DoorError):
            return await self._answer("GET", "/metrics", lambda answer: answer.text)
        raise Unreachable("unreachable", _AWAY)

    async def get(self, path: str, **params: str) -> Json:
        """Look at another page of this desk or service."""
        return await self._ask("GET", path, params=params)

    async def put(self, path: str, **params: str) -> Json:
        """Have this desk keep what *params* say under *path*."""
        return await self._ask("PUT", path, params=params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **params: str) -> Json:
        """Have this desk do what the page *path* does, with the JSON object *body* if it asks for one."""
        return await self._ask("POST", path, params=params, **({} if body is None else {"json": dict(body)}))

    async def delete(self, path: str) -> Json:
        """Have this desk end what is at *path*."""
        return await self._ask("DELETE", path)

    def _params(self, path: str, params: Mapping[str, Any]) -> Json:
        """Return *params* of *path*, with the versions that this program speaks if the path takes them."""
        if _SPEAKING.fullmatch(path) is None:
            return dict(params)
        return {"speaks": [f"{name}:{version}" for name, version in self.speaks.items()], **params}

    async def _ask(
        self, method: str, path: str, *, params: Mapping[str, Any] = MappingProxyType({}), **how: Any
    ) -> Json:
        return await self._answer(method, path, _read, params=params, **how)

    async def _answer(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], Read],
        *,
        params: Mapping[str, Any] = MappingProxyType({}),
        **how: Any,
    ) -> Read:
        """Return what *read* makes of the desk's answer; ask once more if ``door.json`` has another address or token than the request had.

        A request that may have been done, a POST whose answer is lost, is not sent again.
        """
        while True:
            at, is_safe = self._at, method == "GET"
            try:
                answer = await self._http.request(method, path, params=self._params(path, params), **how)
                if not answer.is_error:
                    return read(answer)
                error = refused(_read(answer), answer.status_code, answer.headers.get("retry-after"))
            except httpx.RequestError as failed:
                error, is_safe = _away(failed), is_safe or isinstance(failed, _NOT_SENT)
            except DoorError as failed:
                error = failed
            is_safe = is_safe or isinstance(error, TokenRefused)
            if not (is_safe and self._has_moved(at)):  # outside the block: the error's text would show the address
                raise error

    def _has_moved(self, at: Address) -> bool:
        """Return whether the desk is now asked otherwise than *at*: this question, or another one, has looked again."""
        return self.look_again() or self._at != at
