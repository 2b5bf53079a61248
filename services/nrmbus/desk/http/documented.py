"""Documentation of the door's routes: answers by their models, errors by their codes.

A model documents an answer and does not check it; the tests check real answers. Of all this only the checks of the scopes
and of the names of parameters run for a request.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, get_args, get_origin

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from nrmbus.desk.errors import MEANINGS, DeskCode, DeskError, problem
from nrmbus.desk.http import scopes
from nrmbus.desk.http.scopes import ScopeName
from nrmbus.events.errors import Problem as Fault
from nrmbus.events.nearest import nearest

PROBLEM_JSON: Final = "application/problem+json"
EVERYWHERE: Final[tuple[DeskCode, ...]] = (
    "token_required", "not_found", "unknown_field", "too_many_requests", "not_available", "ledger_away", "ledger_held",
)  # fmt: skip
"""Codes that every route may answer: without a token, with an unknown parameter, beyond its limits, and while the desk has
no ledger.

At an agency without cases a program finds no route about one (`closed`).
"""
_FAULTY: Final[Mapping[DeskCode, DeskError]] = {
    "unknown_field": DeskError("unknown_field", [Fault("/data/urgency", "enum", ("emergency", "routine"))]),
    "document_shut": DeskError("document_shut", safe={"shut": "consent_withdrawn"}),
    "scope_missing": DeskError("scope_missing", safe={"scope": "read"}),
    "unknown_version": DeskError("unknown_version", accepts=[1, 2]),
}
"""Occurrences that show more than their code does."""
_NAMED_AT_MOST: Final = 8
"""Unknown parameters that a refusal tells of: an address has room for thousands."""
_RETRY_AFTER: Final = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}


def _absent_not_null(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Document an optional member as absent: only a member without a default may be null."""
    for name, field in model.model_fields.items():
        if not field.is_required():
            member = schema["properties"][field.alias or name]
            kinds = [each for each in member.pop("anyOf", ()) if each.get("type") != "null"]
            if kinds:  # what the member says of itself goes before what its type says
                member |= (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | member
    plain(schema)


def plain(schema: dict[str, Any]) -> None:
    """Leave out the titles and defaults that pydantic gives to members."""
    for member in schema.get("properties", {}).values():
        member.pop("title", None)
        member.pop("default", None)


class Answer(BaseModel):
    """Base of the documented answers. A member with the default None is left out of the answer if there is no value."""

    model_config = ConfigDict(json_schema_extra=_absent_not_null)


class ProblemPlace(Answer):
    """One fault of a request, by its place; a value that was sent is never repeated."""

    pointer: str = Field(description="RFC 6901, into the body; `?name` is a parameter of the address.")
    kind: str = Field(description="What is wrong there.")
    allowed: list[str] | None = Field(None, description="The values or names that would do.")
    nearest: list[str] | None = Field(None, description="The names that were probably meant.")


class Problem(Answer):
    """An error by RFC 9457. `sentence` says what happened and what to do; nothing of the request is repeated."""

    type: str = Field(description="`urn:nrmbus:problem:` and the code.")
    title: str = Field(description="The kind of problem.")
    detail: str = Field(description="This occurrence.")
    sentence: str = Field(description="What happened, then what to do.")
    status: int
    code: str = Field(description="One word for programs, of a closed list.")
    problems: list[ProblemPlace] | None = Field(None, description="Each fault of the request.")
    accepts: list[int] | None = Field(None, description="The versions that would do.")
    shut: str | None = Field(None, description="Why a document stays closed.")
    scope: str | None = Field(None, description="The scope that the token lacks.")
    event: int | None = Field(None, description="Number of the event in a list of events, from 0.")
    line: int | None = Field(None, description="Where the JSON breaks.")
    column: int | None = None
    answer: int | str | None = Field(
        None, description="Status of the answer of a webhook's receiver, or why none came."
    )
    refusal: str | None = Field(None, description="The registrar's code, if the registrar refused.")
    rule: str | None = Field(None, description="The rule that refuses.")
    article: str | None = Field(None, description="The law behind the rule.")


class Route(APIRoute):
    """Route that checks its scopes itself, and then the names of its parameters.

    As a dependency of FastAPI's, the check of the scopes would take twenty times as long; FastAPI ignores a parameter that it
    does not know.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the check."""
        whole = self.dependant
        checks = [each.call for each in whole.dependencies if isinstance(each.call, scopes.Needs)]
        rest = [each for each in whole.dependencies if not isinstance(each.call, scopes.Needs)]
        self.dependant = replace(whole, dependencies=rest)
        handler = super().get_route_handler()
        self.dependant = whole  # for the document
        taken = dict(_taken(whole))

        async def checked(request: Request) -> Response:
            for each in checks:
                await each(request)
            if request.scope["query_string"]:
                _check_names(request, taken)
            return await handler(request)

        return checked


def _taken(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the name of each parameter of the query, and whether it may be given more than once."""
    for each in dependant.query_params:
        kind = each.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ((field.alias or name, _is_list(field.annotation)) for name, field in kind.model_fields.items())
        else:
            yield each.alias, _is_list(kind)
    for below in dependant.dependencies:
        yield from _taken(below)


def _is_list(kind: Any) -> bool:
    return any(get_origin(each) is list for each in (kind, *get_args(kind)))


def _check_names(request: Request, taken: Mapping[str, bool]) -> None:
    """Raise DeskError for a parameter that is not *taken*, or that is given twice: a filter that is left out would show too much.

    An unknown name is not repeated, since it may be a person's.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) == len(set(names)) and taken.keys() >= set(names):
        return
    unknown = sorted({name for name in names if name not in taken})[:_NAMED_AT_MOST]
    twice = sorted(name for name, is_list in taken.items() if not is_list and names.count(name) > 1)
    faults = [Fault("?", "unknown_parameter", taken, nearest(each, taken)) for each in unknown]
    faults += [Fault(f"?{each}", "twice") for each in twice]
    if faults:
        raise DeskError("unknown_field", faults)


def subject(tag: str) -> APIRouter:
    """Return the routes of one subject; a route's operationId is its function's name."""
    return APIRouter(tags=[tag], route_class=Route, generate_unique_id_function=lambda route: route.name)


def errors(*codes: DeskCode) -> dict[int | str, dict[str, Any]]:
    """Return the documented errors of a route by status: its own *codes* and those of every route."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in dict.fromkeys((*codes, *EVERYWHERE)):
        status, _ = MEANINGS[code]
        of_status = found.setdefault(status, {"codes": []})
        of_status["codes"].append(code)
    return {status: _refusal(each["codes"]) for status, each in sorted(found.items(), key=lambda each: int(each[0]))}


def _refusal(codes: list[DeskCode]) -> dict[str, Any]:
    examples = {code: {"value": problem(_FAULTY.get(code, DeskError(code)))} for code in codes}
    kind: dict[str, Any] = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": codes}}}]
    }
    said = " ".join(f"`{code}`: {MEANINGS[code].sentence}" for code in codes)
    found = {"description": said, "content": {PROBLEM_JSON: {"schema": kind, "examples": examples}}}
    return found | ({"headers": {"Retry-After": _RETRY_AFTER}} if "too_many_requests" in codes else {})


def answers(
    model: type[BaseModel],
    example: Mapping[str, Any],
    *codes: DeskCode,
    needs: Sequence[ScopeName] = (),
    pending: Mapping[str, Any] | None = None,
    said: str = "Done.",
) -> dict[str, Any]:
    """Return the arguments of a route that answers *model* or an error of *codes*, to a token with the scopes *needs*.

    *pending* is an example of a 202.
    """
    found: dict[int | str, dict[str, Any]] = {200: _answer(model, example, said)}
    if pending is not None:
        found[202] = _answer(model, pending, "The outcome is not known yet: ask for it later by the id.")
    return {"response_model": None} | guarded(found, *codes, needs=needs)


def guarded(
    found: Mapping[int | str, dict[str, Any]], *codes: DeskCode, needs: Sequence[ScopeName] = ()
) -> dict[str, Any]:
    """Return the arguments of a route with the good answers *found*, its errors, and the scopes that it *needs*."""
    lacking: tuple[DeskCode, ...] = ("scope_missing",) if needs else ()
    return {"responses": {**found, **errors(*lacking, *codes)}, "dependencies": [scopes.needs(*needs)]}


def _answer(model: type[BaseModel], example: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {"model": model, "description": said, "content": {"application/json": {"example": dict(example)}}}
