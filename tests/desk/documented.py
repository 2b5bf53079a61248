"""Judge of the door's answers: each must be in the OpenAPI document, with its status, its form and its codes."""

import re
from functools import cache
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from nrmbus.desk.http.document import document
from nrmbus.desk.http.door import routed

METHODS: Final = ("get", "post", "put", "delete")


@cache
def the_document() -> dict[str, Any]:
    """Return the door's document."""
    return document(routed())


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of every route."""
    return [(path, method, each) for path, item in the_document()["paths"].items() for method, each in item.items()]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return somebody else's validator for a *schema* of the document."""
    return Draft202012Validator({**schema, "components": the_document()["components"]})


@cache
def _places() -> list[tuple[re.Pattern[str], str]]:
    """Return each path of the document as an expression, those without parameters first."""
    paths = sorted(the_document()["paths"], key=lambda path: "{" in path)
    return [(re.compile(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(path))), path) for path in paths]


@cache
def _judges(path: str, method: str, status: str, kind: str) -> Draft202012Validator | None:
    responses = the_document()["paths"][path][method]["responses"]
    assert status in responses, f"{method} {path} answers {status}, which is not documented"
    assert kind in responses[status]["content"], f"{method} {path} answers {status} as {kind}, which is not documented"
    return validator(responses[status]["content"][kind]["schema"]) if kind.endswith("json") else None


async def judge(answer: httpx.Response) -> None:
    """Fail if *answer* is not as the document says; a path or method that the document does not have answers a problem."""
    request, kind = answer.request, answer.headers["content-type"].partition(";")[0]
    path = next((path for place, path in _places() if place.fullmatch(request.url.path)), None)
    method = request.method.lower()
    if path is None or method not in the_document()["paths"][path]:
        assert answer.status_code in {401, 404, 405}
        return
    judged = _judges(path, method, str(answer.status_code), kind)
    if judged is not None:
        await answer.aread()
        judged.validate(answer.json())
