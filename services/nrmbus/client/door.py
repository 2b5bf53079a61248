"""The door of an agency's desk, from outside: HTTP on this machine, a token from a file that only the agency can read."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import httpx

from nrmbus.events.errors import Problem

_PATIENCE: Final = httpx.Timeout(35.0, connect=10.0)
_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP on this machine: httpx reads the list of all the world's authorities for each client, which takes 25 ms."""
SHORTEST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between two questions to a desk that does not answer."""

Json = dict[str, Any]
_AS_DECLARED: Final[Mapping[str, int]] = MappingProxyType({})


class DoorError(Exception):
    """The desk did not do what it was asked. The message says why and what to do; ``code`` is one word for programs.

    ``problems`` names the fields that do not fit, each as (pointer, kind), in the words of the published schemas, with what
    is ``allowed`` there and the names ``nearest`` to the one that was sent; ``accepts`` the versions of the type that the
    desk knows, where it does not know the one that was asked for; ``sentence`` what the code means and what to do.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 0,
        problems: tuple[Problem, ...] = (),
        accepts: tuple[int, ...] = (),
        sentence: str = "",
    ) -> None:
        super().__init__(message)
        self.sentence = sentence or message
        self.code, self.status, self.problems, self.accepts = code, status, problems, accepts


def _read(answer: httpx.Response) -> Json:
    """Return the JSON object that a desk answers, or an empty one for a failure that never reached its pages (a bare 500).

    Raises:
        DoorError: ``not_a_desk`` when what is no object came with a status of success.
    """
    body: Any = None
    with suppress(ValueError):  # its text would show what came
        body = answer.json() if answer.content else {}
    if isinstance(body, dict):
        return body
    if answer.is_success:
        raise DoorError("not_a_desk", "what answers there is no desk of this bus; start the desk again")
    return {}


def _refused(body: Json, status: int) -> DoorError:
    """Return the error for the problem object *body* (RFC 9457): its message has what is wrong, then what to do."""
    problems = tuple(
        Problem(each["pointer"], each["kind"], each.get("allowed", ()), each.get("nearest", ()))
        for each in body.get("problems", ())
    )
    sentence = body.get("sentence") or body.get("title") or "the desk refused the request"
    detail = body.get("detail") or ""
    message = sentence if not detail or sentence.lower().endswith(detail.lower()) else f"{sentence} {detail}"
    return DoorError(
        body.get("code", "refused"), message, status, problems, tuple(body.get("accepts", ())), sentence=sentence
    )


def _address(home: Path) -> tuple[str, str] | None:
    """Return address and token in the ``door.json`` of *home*, or None if there is none."""
    with suppress(FileNotFoundError):
        found = json.loads((home / "door.json").read_text())
        return found["url"], found["token"]
    return None


class Door:
    """One agency's desk. Use as an async context manager.

    Every method raises DoorError: ``unreachable`` when no desk answers, else the desk's own code.
    """

    def __init__(self, url: str, token: str, *, speaks: Mapping[str, int] = _AS_DECLARED) -> None:
        """Ask at *url* with *token*. *speaks*: of each type named, the version that this program says and is handed.

        A type that is not named is spoken as the agency's ``agency.json`` declares, else in version 1.
        """
        self._speaks = [f"{name}:{version}" for name, version in speaks.items()]
        self._home: Path | None = None
        self._at = (url, token)
        self._http = self._connected()
        self._left: list[httpx.AsyncClient] = []

    def _connected(self) -> httpx.AsyncClient:
        url, token = self._at
        return httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            params={"speaks": self._speaks},
            timeout=_PATIENCE,
            trust_env=False,
            verify=_TRUSTS_NOBODY if url.startswith("http:") else True,
        )

    @classmethod
    def of(cls, home: Path, *, speaks: Mapping[str, int] = _AS_DECLARED) -> Self:
        """Return the door of the desk whose folder is *home*: the desk writes address and token to ``door.json`` there (mode 0600).

        Raises:
            DoorError: ``unreachable`` when the desk never ran.
        """
        found = _address(home)
        if found is None:
            raise DoorError(
                "unreachable", "this desk is not running; start the bus with `nrmbus up`, or it with `nrmbus run`"
            )
        door = cls(*found, speaks=speaks)
        door._home = home
        return door

    def _look_again(self) -> bool:
        """Connect to where the desk is by its ``door.json``; return whether that is another address or token than before."""
        found = _address(self._home) if self._home else None
        if found is None or found == self._at:
            return False
        self._left.append(self._http)  # a request may be under way on it
        self._at = found
        self._http = self._connected()
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in (*self._left, self._http):
            await each.aclose()

    async def publish(self, event: Mapping[str, Any], *, wait: float = 0) -> Json:
        """Say *event* (the desk signs and seals). With *wait* seconds, the answer has the verdict when it came in time.

        It is signed and registered as it is, in its ``version``, else in the one that is spoken. With an ``id`` of your own
        (a UUIDv7) you may publish the same event again after a cut connection: the answer is that of the first time.
        """
        return await self._ask("POST", "/v1/events", json=dict(event), params={"wait": wait})

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
        case: str | None = None,
        limit: int = 200,
        opened: bool = False,
        actor: str | None = None,
    ) -> Json:
        """Events received, in order, from row *after* on. *opened*: with letters, each on record as read first, by *actor*.

        The answer names the ``ledger`` that numbers the rows. Pass it with *after* to go on: DoorError ``inbox_restarted``
        if the desk has another ledger now, so that you ask again from the first row.

        *actor* is the agency's number of who reads. Without it, who answers for its system by ``agency.json``; where that
        names nobody, DoorError ``reader_unnamed``.

        Each comes in the ``version`` that is spoken; ``lost`` has what that cannot carry, and ``original`` what was signed
        (`verify_original`). One that is ``unknown`` to the desk's release has no data yet: ask for its row again when the
        desk was upgraded.
        """
        params = {"after": after, "limit": limit, "open": str(opened).lower()}
        chosen = {"case": case, "actor": actor, "ledger": ledger}
        params |= {name: each for name, each in chosen.items() if each is not None}
        return await self._ask("GET", "/v1/inbox", params=params)

    async def follow(
        self,
        *,
        after: int = 0,
        ledger: str | None = None,
        case: str | None = None,
        opened: bool = False,
        actor: str | None = None,
        every: float = 0.5,
        waiting: Callable[[DoorError], None] = lambda _: None,
    ) -> AsyncIterator[Json]:
        """Yield events as they come, from row *after* on, each once and in order; else as `inbox`.

        It goes on until the caller cancels it. While the desk is away, starts again or cannot answer, it asks again with
        growing pauses of up to 5 s, from the last row on, at the address and with the token of ``door.json`` (of a door
        made by `of`). *waiting* is called once each time that begins, with the reason.

        Each event has the ``ledger`` that numbers its ``row``: keep both to go on later. If the ledger of the desk was
        replaced, *waiting* is called with ``inbox_restarted`` and every event comes again from the first row on; an event
        that you have had has the same ``id``.

        Raises:
            DoorError: the desk refuses for good: another token is wanted (401, 403) and ``door.json`` has none, or it
                would refuse the same question again (any other 4xx: ``reader_unnamed``, say).
        """
        asked: Json = {"case": case, "opened": opened, "actor": actor}
        async for page in self.pages(after=after, ledger=ledger, every=every, waiting=waiting, **asked):
            for event in page:
                yield event

    async def pages(
        self,
        *,
        after: int = 0,
        ledger: str | None = None,
        every: float = 0.5,
        waiting: Callable[[DoorError], None] = lambda _: None,
        **asked: Any,
    ) -> AsyncIterator[list[Json]]:
        """Yield events as `follow` does, as many together as the desk handed over at once. *asked*: as `inbox`."""
        pause = 0.0
        while True:
            events: list[Json] = []
            try:
                page = await self.inbox(after=after, ledger=ledger, **asked)
                events, ledger = page["events"], page.get("ledger")
            except DoorError as error:
                if error.code == "inbox_restarted" and after:
                    waiting(error)
                    after, ledger = 0, None
                    continue
                moved = self._look_again()
                if self._is_for_good(error) and not moved:
                    raise
                if not pause:
                    waiting(error)
                pause = min(pause * 2, LONGEST_PAUSE) or SHORTEST_PAUSE
            else:
                pause = 0.0
            if events:
                after = events[-1]["row"]
                yield [{**event, "ledger": ledger} if ledger else event for event in events]
            else:
                await asyncio.sleep(pause or every)

    def _is_for_good(self, error: DoorError) -> bool:
        """Return whether the desk would refuse the same question again. Another program on its port answers without a desk's code."""
        refused = HTTPStatus.BAD_REQUEST <= error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return refused and (error.code != "refused" or self._home is None)

    async def case(self, ref: str) -> Json:
        """Return a case as this agency sees it."""
        return await self._ask("GET", f"/v1/cases/{ref}")

    async def read_case(self, ref: str, *, what: str, actor: str, purpose: str) -> Json:
        """Have the registrar put on record that *actor* now reads a case as a whole, or hands it on; then it may be done.

        *what* is ``case``, ``person_report`` or ``export``. Raises DoorError ``read_not_registered``, ``read_refused``.
        """
        params = {"what": what, "actor": actor, "purpose": purpose}
        return await self._ask("POST", f"/v1/cases/{ref}/reads", params=params)

    async def tasks(self) -> Json:
        """Return the tasks that wait for a person at this agency."""
        return await self._ask("GET", "/v1/tasks")

    async def health(self) -> Json:
        """Return how far the desk is: clock, positions, unanswered rows; one moment's snapshot."""
        return await self._ask("GET", "/health")

    async def metrics(self) -> str:
        """Return the numbers of this desk or service in Prometheus' text format."""
        with suppress(httpx.TransportError):
            answer = await self._http.get("/metrics")
            if answer.is_success:
                return answer.text
        raise DoorError("unreachable", "the desk does not answer; is the bus up?")

    async def get(self, path: str, **params: str) -> Json:
        """Look at another page of this desk or service."""
        return await self._ask("GET", path, params=params)

    async def post(self, path: str) -> Json:
        """Have this desk do what the page *path* does, which asks for nothing more."""
        return await self._ask("POST", path)

    async def _ask(self, method: str, path: str, **how: Any) -> Json:
        answer = None
        with suppress(httpx.TransportError):  # its text would show the address of the request
            answer = await self._http.request(method, path, **how)
        if answer is None:
            raise DoorError("unreachable", "the desk does not answer; is the bus up?")
        body = _read(answer)
        if answer.is_error:
            raise _refused(body, answer.status_code)
        return body
