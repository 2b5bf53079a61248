"""The door from outside: whatever comes back, an agency's own system meets one kind of error."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.given import CASE, OTHER, Kept, in_process
from nrmbus.bus.wall_clock import wall_now
from nrmbus.client import AsyncDesk, Received
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, Unreachable
from nrmbus.desk.http.scopes import LOCAL
from nrmbus.desk.http.tokens import NewToken
from nrmbus.events.case import SignalRecorded

CANARY = "Leyla"


def asked(answer: httpx.Response) -> object:
    """Return the health of a desk that gives *answer*."""

    async def ask() -> object:
        async with Door("http://127.0.0.1:1", "token") as door:
            await door._http.aclose()
            door._http = httpx.AsyncClient(base_url="http://desk", transport=httpx.MockTransport(lambda _: answer))
            return await door.health()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(500, text=f"Internal Server Error {CANARY}"), "refused"),
        (httpx.Response(500, json=[CANARY]), "refused"),
        (httpx.Response(200, text=f"<html>{CANARY}</html>"), "not_a_desk"),
        (httpx.Response(200, json=[CANARY]), "not_a_desk"),
        (httpx.Response(401), "refused"),
        (httpx.Response(200, content=b"[" * 200_000), "not_a_desk"),
    ],
    ids=["a bare failure", "a failure that is a list", "a page", "a list", "another's token", "a list without end"],
)
def test_a_foreign_answer_is_a_door_error_without_its_text(answer: httpx.Response, code: str) -> None:
    """P9: a failure of a service, or another program on its port, is said in a sentence and never repeated."""
    with pytest.raises(DoorError) as raised:
        asked(answer)

    assert raised.value.code == code
    assert CANARY not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_no_address_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """P9: Given a program that logs, then no line has the case or the reader of a request; requests of other clients are logged."""
    case = "ab" * 16
    answer: dict[str, Any] = {"events": [], "next": None, "ledger": "9f2c4e6a8b0d1f35"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with caplog.at_level(logging.DEBUG):
        async with Door("http://127.0.0.1:1", "token", transport=transport) as door:
            await door.inbox(opened=True, actor=CANARY, case=case)
            async with httpx.AsyncClient(transport=transport) as other:
                await other.get("http://127.0.0.1:1/elsewhere")

    logged = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert len(logged) == 1
    assert "/elsewhere" in logged[0]
    assert CANARY not in caplog.text
    assert case not in caplog.text


async def test_an_answer_that_cannot_be_unpacked_is_a_door_error() -> None:
    """Given an answer with broken compression, then each way to ask raises the one kind of error, without the text."""

    def broken(request: httpx.Request) -> httpx.Response:
        kind = "text/event-stream" if request.url.path.endswith("/stream") else "application/json"
        headers = {"content-type": kind, "content-encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(CANARY.encode()))

    async with Door("http://127.0.0.1:1", "token", transport=httpx.MockTransport(broken)) as door:
        for ask, code in (
            (door.health, "not_a_desk"),
            (door.metrics, "unreachable"),
            (lambda: anext(door._streamed(0, None)), "not_a_desk"),
        ):
            with pytest.raises(DoorError) as caught:
                await ask()
            assert caught.value.code == code
            assert caught.value.retryable
            assert CANARY not in str(caught.value)


def test_a_version_that_the_desk_does_not_know_comes_with_those_that_it_knows() -> None:
    """The error has the desk's versions, so that a program can choose another one."""
    problem = {"code": "unknown_version", "title": "Say it in another.", "accepts": [1, 2]}
    with pytest.raises(DoorError) as raised:
        asked(httpx.Response(422, json=problem))

    assert (raised.value.code, raised.value.accepts) == ("unknown_version", (1, 2))


def test_a_refusal_says_what_happened_and_what_to_do() -> None:
    """The message has the code's sentence and this occurrence; a program finds place, kind and what is allowed."""
    fault = {"pointer": "/data", "kind": "unknown_field", "allowed": ["urgency"], "nearest": ["urgency"]}
    problem = {
        "code": "unknown_field", "title": "It does not fit.", "detail": "/data has a name that is not allowed.",
        "sentence": "It does not fit: correct it.", "problems": [fault],
    }  # fmt: skip
    with pytest.raises(DoorError) as raised:
        asked(httpx.Response(422, json=problem))
    (found,) = raised.value.problems

    assert str(raised.value) == "It does not fit: correct it. /data has a name that is not allowed."
    assert raised.value.sentence == "It does not fit: correct it."
    assert (found, found.allowed, found.nearest) == (("/data", "unknown_field"), ("urgency",), ("urgency",))


def test_title_and_detail_do_not_repeat_each_other() -> None:
    """A code of which no more is known has its remedy as detail."""
    problem = {
        "code": "not_found",
        "title": "Nothing there.",
        "detail": "Check the id.",
        "sentence": "Nothing there: check the id.",
    }
    with pytest.raises(DoorError, match=r"^Nothing there: check the id\.$"):
        asked(httpx.Response(404, json=problem))


def test_only_a_door_behind_tls_reads_the_trusted_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door is plain HTTP on this machine, and asked for often while a bus starts; one behind TLS is verified as ever."""

    class Read(Exception):
        """The machine's authorities were read."""

    def read(**_: object) -> None:
        raise Read

    monkeypatch.setattr("ssl.create_default_context", read)
    Door("http://127.0.0.1:1", "token")
    with pytest.raises(Read):
        Door("https://desk.example", "token")


UNFIT: dict[str, bytes] = {
    "empty": b"",
    "half written": b'{"url": "http://127.0.0.1:2", "token": "Leyla',
    "a list": b"[]",
    "without its token": b'{"url": "http://127.0.0.1:2"}',
    "deep": b"[" * 200_000,
    "not in UTF-8": b'{"url": "\xff"}',
}
"""Bytes of a ``door.json`` that is no address."""
LATER: dict[str, dict[str, Any]] = {
    "a file comes later": {"url": "https://desk.example:8443", "token": "second", "ca": "ca.pem"},
    "plain HTTP elsewhere": {"url": "http://desk.example", "token": "second"},
    "no URL": {"url": "http://[", "token": "second"},
    "a number": {"url": 7, "token": "second"},
}
"""Addresses with which no connection can be made."""


@pytest.mark.parametrize(
    "content", [*UNFIT.values(), *(json.dumps(each).encode() for each in LATER.values())], ids=[*UNFIT, *LATER]
)
async def test_an_unfit_address_changes_nothing_until_it_is_fit(content: bytes, tmp_path: Path) -> None:
    """Given a `door.json` that is being written, then the door stays as it is, whole; the next look finds the whole file."""
    file = tmp_path / "door.json"
    file.write_text('{"url": "http://127.0.0.1:1", "token": "first"}')
    async with Door.of(tmp_path) as door:
        file.write_bytes(content)
        assert not door.look_again()
        assert (door.url, door.token) == ("http://127.0.0.1:1", "first")
        assert door._http.headers["authorization"] == "Bearer first"

        file.write_text('{"url": "http://127.0.0.1:3", "token": "third"}')
        assert door.look_again()
        assert (door.url, str(door._http.base_url)) == ("http://127.0.0.1:3", "http://127.0.0.1:3")


@pytest.mark.parametrize("content", UNFIT.values(), ids=UNFIT)
def test_a_program_that_starts_with_an_unfit_address_learns_what_to_do(content: bytes, tmp_path: Path) -> None:
    """Given a `door.json` that is not whole, then one kind of error says, without the text, that a retry may help."""
    (tmp_path / "door.json").write_bytes(content)
    with pytest.raises(Unreachable, match=r"door\.json") as raised:
        Door.of(tmp_path)

    assert CANARY not in str(raised.value)
    assert raised.value.__context__ is None


def _moving(door: Door, answer: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]) -> None:
    """Have *answer* answer the door, wherever it asks."""
    door._transport = httpx.MockTransport(answer)
    door._http = door._connected(door._at)


@pytest.mark.parametrize("first", ["http://127.0.0.1:1", "http://127.0.0.1:3"], ids=["moved", "another token"])
async def test_every_question_finds_a_desk_that_moved_or_got_another_token(first: str, tmp_path: Path) -> None:
    """Given several questions under way when `door.json` changes, then each of them is answered, at the new address."""
    (tmp_path / "door.json").write_text(json.dumps({"url": first, "token": "first"}))
    async with Door.of(tmp_path) as door:
        questions: dict[str, Callable[[], Coroutine[None, None, object]]] = {
            "health": door.health,
            "metrics": door.metrics,
            "tasks": door.tasks,
            "inbox": door.inbox,
            "event": lambda: door.event("x"),
            "case": lambda: door.case(CASE),
            "document": lambda: door.document("x"),
            "check": lambda: door.check([]),
            "again": lambda: door.again("x"),
            "reading": lambda: door.read_case(CASE, what="case", actor="S-7", purpose="case_work"),
        }
        under_way, answered = asyncio.Barrier(len(questions)), list[str]()

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.headers["authorization"] != "Bearer second":
                await under_way.wait()
                if request.url.port == 1:
                    raise httpx.ConnectError("nobody is there", request=request)
                return httpx.Response(401, json={"code": "token_required"})
            answered.append(f"{request.method} {request.url.path}")
            return httpx.Response(200, json={})

        _moving(door, answer)
        (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:3", "token": "second"}')
        await asyncio.gather(*(ask() for ask in questions.values()))

    assert len(answered) == len(set(answered)) == len(questions)


async def test_a_question_is_asked_again_when_another_program_has_the_port(tmp_path: Path) -> None:
    """Given a page of another program at the old address, then the desk is found by its `door.json`, and without a new one the page is an error."""
    (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:1", "token": "first"}')
    async with Door.of(tmp_path) as door:

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.port == 1:
                return httpx.Response(200, text="<html>")
            return httpx.Response(200, json={"tasks": []})

        _moving(door, answer)
        with pytest.raises(Unreachable):
            await door.tasks()
        (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:3", "token": "second"}')
        assert await door.tasks() == {"tasks": []}


async def test_a_request_that_may_have_been_done_is_not_sent_again_at_a_new_address(tmp_path: Path) -> None:
    """Given a POST whose answer is lost, then the program learns it, and the same request goes to no other desk."""
    (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:1", "token": "first"}')
    sent = list[str]()

    async def cut(request: httpx.Request) -> httpx.Response:
        sent.append(str(request.url))
        raise httpx.ReadError("the connection was cut", request=request)

    async with Door.of(tmp_path) as door:
        _moving(door, cut)
        (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:3", "token": "second"}')
        with pytest.raises(Unreachable):
            await door.again("x")

    assert sent == ["http://127.0.0.1:1/v1/events/x/again?wait=0"]


async def test_an_inbox_goes_on_when_another_question_has_found_the_new_token(tmp_path: Path) -> None:
    """Given a refused stream, and a question that has read the new token in the meantime, then the stream begins with it."""
    (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:1", "token": "first"}')
    async with Door.of(tmp_path) as door:

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.headers["authorization"] == "Bearer first":
                assert door.look_again()  # as the other question does
                return httpx.Response(401, json={"code": "token_required"})
            said = b'id: 1-a\ndata: {"row": 1}\n\n'
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=said)

        _moving(door, answer)
        (tmp_path / "door.json").write_text('{"url": "http://127.0.0.1:1", "token": "second"}')
        async with aclosing(door.pages()) as pages:
            assert await anext(pages) == [{"row": 1, "ledger": "a"}]


async def test_a_handler_is_not_refused_with_a_token_that_was_replaced(tmp_path: Path) -> None:
    """Given a second token in the file of the program, and the first one revoked, then handlers at work open their letters with the second."""
    file, opened, at_work, replaced = tmp_path / "own.json", list[int](), asyncio.Event(), asyncio.Event()
    async with in_process(tmp_path) as place:
        tokens = place._given.behind.tokens

        async def give(name: str) -> None:
            ends = wall_now().replace(microsecond=0) + timedelta(days=9)
            made = await tokens.add(NewToken(name=name, scopes=("publish", "read", "open"), ends=ends), LOCAL)
            file.write_text(json.dumps({"url": place.url, "token": made["token"]}), encoding="utf-8")

        await give("one")
        await place.tell(CASE)
        await place.tell(OTHER)
        async with AsyncDesk.of(file) as desk:

            @desk.on(SignalRecorded)
            async def report(event: Received[SignalRecorded]) -> None:
                at_work.set()
                await replaced.wait()
                await desk.open(event, actor="S-7")
                opened.append(event.cursor.row)

            running = asyncio.create_task(desk.run(Kept(), follow=False))
            await at_work.wait()
            await give("two")
            await tokens.revoke("one", "door.json")
            replaced.set()
            await running

    assert sorted(opened) == [1, 2]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["registered", "refused", CANARY]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "verdict", "id", "case", "number", "receipt", "code", "sentence", "events", "row", "time", "problems", "accepts",
            "ledger", "type", "version", "data", "letter", "parts", "source", "registered", "published", "pointer", "kind",
        ]),
        inner,
    ),
    max_leaves=8,
)  # fmt: skip
ANSWER = st.dictionaries(
    st.sampled_from(["verdict", "id", "case", "code", "problems", "accepts", "events", "next"]), JSON
)


@pytest.mark.thorough
@given(answer=ANSWER, status=st.sampled_from([200, 202, 409, 422, 429, 500]), is_stream=st.booleans())
def test_whatever_answers_a_program_meets_one_kind_of_error(answer: Any, status: int, *, is_stream: bool) -> None:
    """Given any JSON with a desk's own names, then the answer is understood, or it is a DoorError without its text."""

    def answered(request: httpx.Request) -> httpx.Response:
        if is_stream and request.url.path.endswith("/stream") and status == 200:
            said = f"id: 1-a\ndata: {json.dumps(answer)}\n\n".encode()
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=said)
        return httpx.Response(status, json=answer)

    async def use() -> list[Exception]:
        met = list[Exception]()
        async with AsyncDesk("http://127.0.0.1", "t", patience=0, transport=httpx.MockTransport(answered)) as desk:
            once = desk.inbox(follow=is_stream, waiting=stop)
            for work in (desk.publish({"type": "case.signal_recorded"}), desk.verdict("x"), anext(once, None)):
                try:
                    await work
                except (DoorError, Stopped) as error:
                    met.append(error)
            await once.aclose()
        return met

    for error in asyncio.run(use()):
        assert CANARY not in str(error) or status >= 400  # a desk's own sentence is shown
        assert isinstance(error, Stopped) or error.__cause__ is error.__context__ is None


class Stopped(Exception):
    """The inbox waits for its desk."""


def stop(_: DoorError) -> None:
    """End a program that would wait."""
    raise Stopped
