"""The door of an agency's desk, from outside: HTTP on this machine, a token from a file that only the agency can read."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import httpx

_PATIENCE: Final = httpx.Timeout(35.0, connect=2.0)
_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP on this machine: httpx reads the list of all the world's authorities for each client, which takes 25 ms."""
Json = dict[str, Any]
_AS_DECLARED: Final[Mapping[str, int]] = MappingProxyType({})


class DoorError(Exception):
    """The desk did not do what it was asked. The message says why and what to do; ``code`` is one word for programs.

    ``problems`` names the fields that do not fit, each as (pointer, kind), in the words of the published schemas;
    ``accepts`` the versions of the type that the desk knows, where it does not know the one that was asked for.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 0,
        problems: tuple[tuple[str, str], ...] = (),
        accepts: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.problems, self.accepts = code, status, problems, accepts


def _read(answer: httpx.Response) -> Json:
    """The JSON object that a desk answers; of a failure that never reached its pages (a bare 500), an empty one.

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


class Door:
    """One agency's desk. Use as an async context manager.

    Every method raises DoorError: ``unreachable`` when no desk answers, else the desk's own code.
    """

    def __init__(self, url: str, token: str, *, speaks: Mapping[str, int] = _AS_DECLARED) -> None:
        """Ask at *url* with *token*. *speaks*: of each type named, the version that this program says and is handed.

        A type that is not named is spoken as the agency's ``agency.json`` declares, else in version 1.
        """
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            params={"speaks": [f"{name}:{version}" for name, version in speaks.items()]},
            timeout=_PATIENCE,
            trust_env=False,
            verify=_TRUSTS_NOBODY if url.startswith("http:") else True,
        )

    @classmethod
    def of(cls, home: Path, *, speaks: Mapping[str, int] = _AS_DECLARED) -> Self:
        """The door of the desk whose folder is *home*: it writes address and token to ``door.json`` there (mode 0600).

        Raises:
            DoorError: ``unreachable`` when the desk never ran.
        """
        try:
            found = json.loads((home / "door.json").read_text())
        except FileNotFoundError:
            found = None
        if found is None:
            raise DoorError(
                "unreachable", "this desk is not running; start the bus with `nrmbus up`, or it with `nrmbus run`"
            )
        return cls(found["url"], found["token"], speaks=speaks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

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
        """What became of an event of this agency."""
        return await self._ask("GET", f"/v1/events/{event_id}")

    async def inbox(
        self,
        *,
        after: int = 0,
        case: str | None = None,
        limit: int = 200,
        opened: bool = False,
        actor: str | None = None,
    ) -> Json:
        """Events received, in order, from row *after* on. *opened*: with letters, each on record as read first, by *actor*.

        *actor* is the agency's number of who reads. Without it, who answers for its system by ``agency.json``; where that
        names nobody, DoorError ``reader_unnamed``.

        Each comes in the ``version`` that is spoken; ``lost`` has what that cannot carry, and ``original`` what was signed
        (`verify_original`). One that is ``unknown`` to the desk's release has no data yet: ask for its row again when the
        desk was upgraded.
        """
        params = {"after": after, "limit": limit, "open": str(opened).lower()}
        params |= {name: each for name, each in {"case": case, "actor": actor}.items() if each is not None}
        return await self._ask("GET", "/v1/inbox", params=params)

    async def follow(
        self, *, after: int = 0, opened: bool = False, actor: str | None = None, every: float = 0.5
    ) -> AsyncIterator[Json]:
        """Events as they come, for ever; as `inbox`."""
        while True:
            page = await self.inbox(after=after, opened=opened, actor=actor)
            for event in page["events"]:
                after = event["row"]
                yield event
            if not page["events"]:
                await asyncio.sleep(every)

    async def case(self, ref: str) -> Json:
        """A case as this agency sees it."""
        return await self._ask("GET", f"/v1/cases/{ref}")

    async def read_case(self, ref: str, *, what: str, actor: str, purpose: str) -> Json:
        """Have the registrar put on record that *actor* now reads a case as a whole, or hands it on; then it may be done.

        *what* is ``case``, ``person_report`` or ``export``. Raises DoorError ``read_not_registered``, ``read_refused``.
        """
        params = {"what": what, "actor": actor, "purpose": purpose}
        return await self._ask("POST", f"/v1/cases/{ref}/reads", params=params)

    async def tasks(self) -> Json:
        """What waits for a person at this agency."""
        return await self._ask("GET", "/v1/tasks")

    async def health(self) -> Json:
        """How far the desk is: clock, positions, unanswered rows; one moment's snapshot."""
        return await self._ask("GET", "/health")

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
            problems = tuple((each["pointer"], each["kind"]) for each in body.get("problems", ()))
            title = body.get("title", "the desk refused the request")
            accepts = tuple(body.get("accepts", ()))
            raise DoorError(body.get("code", "refused"), title, answer.status_code, problems, accepts)
        return body
