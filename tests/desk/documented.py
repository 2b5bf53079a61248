"""Judge of the door's answers: each must be in the OpenAPI document, with its status, its form and its codes."""

from functools import cache
from http import HTTPStatus
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from nrmbus.published.conformance.probe import path_of, the_document, validator

__all__ = ["METHODS", "judge", "operations", "the_document", "validator"]

METHODS: Final = ("get", "post", "put", "delete")


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Return path, method and operation of every route."""
    return [(path, method, each) for path, item in the_document()["paths"].items() for method, each in item.items()]


@cache
def _judges(path: str, method: str, status: str, kind: str) -> Draft202012Validator | None:
    responses = the_document()["paths"][path][method]["responses"]
    assert status in responses, f"{method} {path} answers {status}, which is not documented"
    assert kind in responses[status]["content"], f"{method} {path} answers {status} as {kind}, which is not documented"
    return validator(responses[status]["content"][kind]["schema"]) if kind.endswith("json") else None


async def judge(answer: httpx.Response) -> None:
    """Fail if *answer* is not as the document says; a path or method that the document does not have answers a problem."""
    request, kind = answer.request, answer.headers["content-type"].partition(";")[0]
    path = path_of(request.url.path)
    method = request.method.lower()
    if path is None or method not in the_document()["paths"][path]:
        assert answer.status_code in {401, 404, 405}
        return
    judged = _judges(path, method, str(answer.status_code), kind)
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        assert int(answer.headers["retry-after"]) > 0, "every 429 says when to try again"
    if judged is not None:
        await answer.aread()
        judged.validate(answer.json())
