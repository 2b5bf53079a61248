"""Errors of an adapter, in the door's form (RFC 9457): nothing of the input is ever repeated."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from nrmbus.edge.door import Answer, DoorProblem
from nrmbus.edge.misfit import Misfit, NotThere
from nrmbus.wire.errors import SENTENCES, WireError

PROBLEM_JSON: Final = "application/problem+json"
_STATUS: Final[Mapping[str, int]] = {
    "json_invalid": 400, "json_duplicate": 400, "too_large": 413, "not_found": 404, "method_not_allowed": 405,
}  # fmt: skip
_NOT_FOUND: Final = "This desk has nothing at this address: check the id in the address."
_NOT_ALLOWED: Final = "This address does not take this HTTP method: check the method."
_KEPT: Final = frozenset({"retry-after", "www-authenticate"})


def answer_of(error: Exception, place: Callable[[str], str] = str) -> Answer:
    """Return the answer for *error*: the door's own, with its pointers led through *place*, or the adapter's.

    *place* returns the place in the standard's form for a pointer into the door's request.
    """
    if isinstance(error, DoorProblem):
        body = dict(error.answer.body)
        if "problems" in body:
            body["problems"] = [each | {"pointer": place(each["pointer"])} for each in body["problems"]]
        kept = {name: value for name, value in error.answer.headers.items() if name in _KEPT}
        return Answer(error.answer.status, kept, body)
    if isinstance(error, WireError):
        return _problem(error.code, error.sentence)
    if isinstance(error, NotThere):
        return _problem("not_found", _NOT_FOUND)
    if isinstance(error, HTTPException):
        is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        found = _problem("method_not_allowed", _NOT_ALLOWED) if is_method else _problem("not_found", _NOT_FOUND)
        return found._replace(headers=error.headers or {})
    problems = error.problems if isinstance(error, Misfit) else ()
    detail = "; ".join(each.sentence for each in problems[:5])
    listed = [
        {"pointer": each.pointer, "kind": each.kind} | ({"allowed": list(each.allowed)} if each.allowed else {})
        for each in problems
    ]
    return _problem("unknown_field", SENTENCES["unknown_field"], f"{detail}.", problems=listed)


def _problem(code: str, sentence: str, detail: str = "", **more: Any) -> Answer:
    title, _, remedy = sentence.partition(": ")
    status = _STATUS.get(code, 422)
    body = {
        "type": f"urn:nrmbus:problem:{code}",
        "title": f"{title}.",
        "detail": detail or f"{remedy[:1].upper()}{remedy[1:]}",
        "sentence": sentence,
        "status": status,
        "code": code,
    }
    return Answer(status, {}, body | more)


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> dict[str, str]:
    """Return the header with every method of the address (RFC 9110, section 10.2.1); Starlette names those of one route."""
    there = (each for each in routes if isinstance(each, Route) and each.matches(scope)[0] is not Match.NONE)
    return {"allow": ", ".join(sorted({method for each in there for method in each.methods or ()}))}


def handlers(
    routes: Sequence[BaseRoute], place: Callable[[str], str] = str
) -> Mapping[Any, Callable[[Request, Exception], Any]]:
    """Return the exception handlers of an adapter with *routes* that answers problems as the door does."""

    async def refused(request: Request, error: Exception) -> Response:
        answer = answer_of(error, place)
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            answer = answer._replace(headers=allowed(routes, request.scope))
        return JSONResponse(answer.body, answer.status, answer.headers, media_type=PROBLEM_JSON)

    return dict.fromkeys((DoorProblem, Misfit, NotThere, WireError, HTTPException), refused)
