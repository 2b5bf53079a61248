"""Requests to a door under test: each answer must be in the OpenAPI document, and no error may repeat what was sent."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Self

import httpx
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types

from nrmbus.desk.http.document import document
from nrmbus.desk.http.door import routed
from nrmbus.wire import times

Json = dict[str, Any]
LACKS: Final = "scope_missing"
"""Code of a request whose token lacks the scope."""
PROBLEM: Final = "application/problem+json"
CANARY: Final = "Leyla Example 1996"
"""A person who does not exist: no answer may have her name."""
_TIMEOUT: Final = httpx.Timeout(75.0, connect=10.0)
_FORMATS: Final = FormatChecker(())
_OWN: Final = ""
"""In place of a token: the probe's own."""


class Broken(Exception):
    """Raised when the door breaks a promise; the message says what was asked, what came, and what should have come."""


class NotTried(Exception):
    """Raised when a promise cannot be checked here; the message says what is missing."""


@cache
def the_document() -> Json:
    """Return the OpenAPI document of this release."""
    return document(routed())


@cache
def _places() -> list[tuple[re.Pattern[str], str]]:
    """Return each path of the document as an expression, those without parameters first."""
    paths = sorted(the_document()["paths"], key=lambda path: "{" in path)
    return [(re.compile(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def path_of(address: str) -> str | None:
    """Return the path of the document that *address* belongs to; None if there is none."""
    return next((path for pattern, path in _places() if pattern.fullmatch(address)), None)


def validator(schema: Json) -> Draft202012Validator:
    """Return somebody else's validator for a *schema* of the document."""
    return Draft202012Validator({**schema, "components": the_document()["components"]}, format_checker=_FORMATS)


@_FORMATS.checks("date-time")  # type: ignore[untyped-decorator]  # it ships no types
def _is_time(value: object) -> bool:
    """Return whether *value* is a time of RFC 3339; another type is a fault of its own."""
    return not isinstance(value, str) or times.moment(value) is not None


@cache
def _validator(path: str, method: str, status: str, kind: str) -> Draft202012Validator:
    return validator(the_document()["paths"][path][method]["responses"][status]["content"][kind]["schema"])


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of the door: status, headers, and the JSON object of the body (empty for another kind of body)."""

    status: int
    headers: Mapping[str, str]
    body: Json

    @property
    def code(self) -> str:
        """Return the code of a problem; empty if there is none."""
        return str(self.body.get("code", ""))


@dataclass(slots=True)
class Probe:
    """A door under test, as a program with *token* sees it."""

    http: httpx.AsyncClient
    token: str
    publishes: bool
    said: Json = field(default_factory=dict)
    """The answer to the first published event, for the promises after it."""

    @classmethod
    @asynccontextmanager
    async def at(
        cls,
        url: str,
        token: str,
        *,
        publishes: bool,
        verify: Any = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Any:
        """Yield a probe of the door at *url*; *publishes* lets it publish invented events."""
        async with httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT, trust_env=False, verify=verify, transport=transport
        ) as http:
            yield cls(http, token, publishes)

    def may_publish(self) -> Self:
        """Return the probe, for a promise that needs an event.

        Raises:
            NotTried: the probe may not publish.
        """
        if not self.publishes:
            raise NotTried("it publishes invented events: say --publish at a bus without real cases")
        return self

    async def ask(
        self,
        method: str,
        path: str,
        *expected: int,
        token: str | None = _OWN,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        body: Any = None,
    ) -> Answer:
        """Send one request; *token* is another one, or None for none.

        Returns:
            The answer, whose status is among *expected*.

        Raises:
            Broken: another status, an answer that is not in the document, or an error that repeats what was sent.
            NotTried: the probe's own token lacks the scope, and `403` is not among *expected*.
        """
        headers = {"content-type": "application/json"} if content is not None or body is not None else {}
        if token is not None:
            headers["authorization"] = f"Bearer {token or self.token}"
        raw = content if body is None else json.dumps(body).encode()
        what = f"{method} {path}"
        try:
            came = await self.http.request(method, path, params=dict(params or {}), content=raw, headers=headers)
        except httpx.RequestError as error:
            raise Broken(f"{what}: no answer ({type(error).__name__})") from None
        kind = came.headers.get("content-type", "").partition(";")[0]
        answer = Answer(came.status_code, came.headers, _object(came) if kind.endswith("json") else {})
        lacks = token == _OWN and (answer.status, answer.code) == (HTTPStatus.FORBIDDEN, LACKS)
        if answer.status not in expected and not lacks:
            wanted = " or ".join(map(str, expected))
            raise Broken(f"{what}: {wanted} was expected and {answer.status} {answer.code} came".rstrip())
        if came.is_error:
            _check_problem(what, kind, answer)
        if CANARY.split()[0].encode() in came.content and (came.is_error or method == "POST"):
            raise Broken(f"{what}: the answer repeats what was sent")
        _check_documented(method.lower(), path, kind, answer)
        if answer.status not in expected:
            raise NotTried(f"{what}: the token lacks the scope: give one with every scope")
        return answer


def _object(came: httpx.Response) -> Json:
    try:
        body = came.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Broken(f"{came.request.method} {came.request.url.path}: the body is no JSON object")
    return body


def _check_problem(what: str, kind: str, answer: Answer) -> None:
    if kind != PROBLEM:
        raise Broken(f"{what}: an error is {PROBLEM}, and {kind or 'nothing'} came")
    missing = [name for name in ("type", "title", "status", "code", "sentence") if not answer.body.get(name)]
    if missing or answer.body["status"] != answer.status:
        raise Broken(f"{what}: the problem has no {', '.join(missing) or 'status like that of the answer'}")


def _check_documented(method: str, path: str, kind: str, answer: Answer) -> None:
    place = path_of(path)
    if place is None or method not in the_document()["paths"][place]:
        return
    documented = the_document()["paths"][place][method]["responses"]
    if str(answer.status) not in documented or kind not in documented[str(answer.status)]["content"]:
        raise Broken(f"{method.upper()} {path}: {answer.status} as {kind} is not in the document")
    if kind.endswith("json"):
        try:
            faults = list(_faults(_validator(place, method, str(answer.status), kind), answer.body))
        except RecursionError:  # the validator shows the value in its message
            raise Broken(f"{method.upper()} {path}: the answer is nested too deep") from None
        if faults:
            raise Broken(f"{method.upper()} {path}: the answer is not as documented at {', '.join(faults[:5])}")


def _faults(validator: Draft202012Validator, body: Json) -> Iterator[str]:
    for error in validator.iter_errors(body):
        yield "/" + "/".join(map(str, error.absolute_path))
