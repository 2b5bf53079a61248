"""Whatever is sent to a route, by whomever: a documented answer, no fault of the desk, and nothing of it repeated.

Schemathesis makes the requests from the OpenAPI document: some that fit, and some that do not.
"""

import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from agencies import CASE, SIGNAL
from desk.documented import operations, the_document
from desk.given import TOKEN, Given, desk_of
from nrmbus.desk.access import opening
from nrmbus.desk.errors import MEANINGS
from nrmbus.events import errors

Request = Case[Any]
SCHEMA: Final = schemathesis.openapi.from_dict(the_document())
TOKENS: Final = {
    "valid": f"Bearer {TOKEN}", "missing": None, "foreign": "Bearer nrm_" + "A" * 43, "narrow": "Bearer a-token-to-nothing",
}  # fmt: skip
"""The header of each caller; the narrow token has no scope, so that it may read health, metrics and the document."""
FOR_ALL: Final = frozenset({"/docs"})
"""Pages that are the same at every desk, and need no token on this machine."""
_HEADERS: Final = frozenset(
    each["name"].lower()
    for _, _, operation in operations()
    for each in operation.get("parameters", ())
    if each["in"] == "header"
)
"""Headers that are parameters of a route."""
_SHORT: Final = 5
"""Texts that are no longer may stand in an answer by chance."""
_OURS: Final = re.compile(r"[0-9a-fA-F-]{32,36}|[0-9TZ:.+-]*")
"""References, ids and times: an answer to a request has the event's own."""


class Sent:
    """One request of an operation, without its caller."""

    def __init__(self, case: Request, known: dict[str, str]) -> None:
        """Make it from *case*, with the *known* parts of its path."""
        case.path_parameters = {**(case.path_parameters or {}), **known}
        how = case.as_transport_kwargs(base_url="http://desk")
        ready = requests.Request(
            how["method"], how["url"], params=how.get("params"), json=how.get("json"), data=how.get("data")
        ).prepare()
        self.method, body = ready.method or "GET", ready.body or b""
        # The desk of a test has no relay that answers: whoever would wait asks at once.
        self.url = re.sub(r"(?<=[?&]wait=)[0-9.]+(?=&|$)", "0", ready.url or "")
        self.body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(cast("bytes", body))
        given = {str(name).lower(): str(value) for name, value in (case.headers or {}).items()}
        self.headers = {
            name: value.encode("utf-8", "surrogatepass") for name, value in given.items() if name in _HEADERS
        }
        self.texts = set(
            _texts([case.path_parameters, how.get("params"), how.get("json"), *map(given.get, self.headers)])
        )

    async def by(self, here: Given, authorization: str | None) -> httpx.Response:
        """Return the answer of the door to the caller with that header."""
        own = {"content-type": b"application/json", "authorization": (authorization or "").encode()}
        headers = [(name.encode(), value) for name, value in {**self.headers, **own}.items()]
        request = here.door.build_request(self.method, self.url, content=self.body, headers=headers)
        if authorization is None:
            del request.headers["authorization"]
        return await here.door.send(request)


def _texts(found: Any) -> Iterator[str]:
    """Yield every text in *found* that is long enough to be known again, and is no word of the document."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _texts(str(name))
            yield from _texts(value)
    elif isinstance(found, list | tuple):
        for each in found:
            yield from _texts(each)
    elif isinstance(found, str) and len(found) > _SHORT and not _OURS.fullmatch(found) and found not in _words():
        yield found


@cache
def _words() -> str:
    """Return every word of the document and of the desk's own sentences: Hypothesis takes texts from our code, too."""
    sentences = [*map(str, MEANINGS.values()), *errors._WORDS, *errors._WORDS.values()]
    return json.dumps([the_document(), sentences], ensure_ascii=False)


def cases(operation: Any, mode: GenerationMode, count: int) -> list[Request]:
    """Return *count* requests of *operation*, always the same."""
    found: list[Request] = []

    @seed(14)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Request) -> None:
        found.append(case)

    collect()
    return found


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.usefixtures("cheap_passwords", "kept")
@pytest.mark.parametrize("count", [3, pytest.param(250, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
async def test_whatever_comes_is_answered_as_the_document_says(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """No fault of the desk, no undocumented answer, and nothing of a request in a refusal or a log.

    Who has no valid token gets 401, and a token without scopes at most what needs none, whatever the request.
    """
    monkeypatch.setattr(opening, "WITHIN_SECONDS", 0.0)  # no registrar answers here
    caplog.set_level(logging.DEBUG)
    for client in ("httpx", "httpcore"):  # these write the addresses that they ask for
        caplog.set_level(logging.ERROR, client)
    seen, texts = set[int](), set[str]()
    async with desk_of("ngo-a", tmp_path) as here:
        event = await here.ask(type="case.signal_recorded", data=SIGNAL)
        known = {"ref": CASE, "id": event["id"], "task": "1", "name": "booking"}
        for found in SCHEMA.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            # A stream does not end, so that its own tests read it; here it refuses.
            streams = "text/event-stream" in operation.definition.raw["responses"]["200"]["content"]
            names = {each for each in known if f"{{{each}}}" in operation.path}
            for mode in GenerationMode:
                for number, case in enumerate(cases(operation, mode, count)):
                    sent = Sent(case, {name: known[name] for name in names} if number % 2 else {})
                    texts |= sent.texts
                    for name, authorization in TOKENS.items():
                        if (name == "valid" and streams) or (name != "valid" and number):
                            continue
                        answer = await sent.by(here, authorization)
                        seen.add(answer.status_code)
                        of = (name, sent.method, sent.url, sent.body, answer.text)
                        assert not answer.is_server_error or answer.json()["code"] == "read_not_registered", of
                        if name in {"missing", "foreign"} and operation.path not in FOR_ALL:
                            assert answer.status_code == HTTPStatus.UNAUTHORIZED, of
                        if answer.is_error:
                            assert [each for each in sent.texts if each in _read(answer)] == [], of

    assert {200, 202, 401, 403, 404, 422} <= seen
    logged = [
        line.getMessage() for line in caplog.records if not line.name.startswith(("httpx", "httpcore", "asyncio"))
    ]
    everything = "\n".join([*logged, *capfd.readouterr()])
    assert [each for each in texts if each in everything] == []


def _read(answer: httpx.Response) -> str:
    """Return the text of a refusal, with the characters that JSON escapes as they are."""
    return json.dumps(answer.json(), ensure_ascii=False)


@pytest.mark.usefixtures("kept")
async def test_a_nul_in_an_address_is_refused_before_any_ledger_sees_it(tmp_path: Path) -> None:
    """A server's text takes no NUL: as a part of the path it is nothing that a desk has, as a value it is no value."""
    async with desk_of("ngo-a", tmp_path) as here:
        for path, method, operation in operations():
            address = re.sub(r"\{[a-z]+\}", "%00", path)
            given = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            if address != path:
                answer = await here.door.request(method, address)
                assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, address)
            for name in given:
                answer = await here.door.request(method, re.sub(r"\{[a-z]+\}", CASE, path) + f"?{name}=a%00")
                assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field"), (method, path, name)
