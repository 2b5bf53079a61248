"""`Door.pages` goes on after any failure of the desk: each event once, in order, until the caller ends the loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from nrmbus.client import door as of_door
from nrmbus.client import sse
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, Unreachable

Answer = Callable[[httpx.Request], httpx.Response]


class Desk:
    """A desk that has *rows*, and answers each question by the next word of a script: rows, or something that is wrong."""

    def __init__(self, home: Path, *script: str, streams: bool) -> None:
        self.streams = streams
        self.home, self.script, self.asked, self.token, self.url = (
            home,
            list(script),
            list[int](),
            "first",
            "http://127.0.0.1:1",
        )
        self.ledger = "a" * 16
        self.say()

    def say(self) -> None:
        """Write the address and the token down, as a desk does at its start."""
        self.home.joinpath("door.json").write_text(json.dumps({"url": self.url, "token": self.token}))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer *request* by the next word; a desk of an earlier release has no stream."""
        if request.url.path.endswith("/stream") and not self.streams:
            return problem(404, "not_found")
        word, after = self.script.pop(0) if self.script else "rows", int(request.url.params.get("after", 0))
        stream = request.url.path.endswith("/stream")
        if request.headers["authorization"] != f"Bearer {self.token}":
            return problem(401, "token_required")
        self.asked.append(after)
        if (instead := self.instead(word, after, stream=stream)) is not None:
            return instead
        rows = [{"row": row} for row in range(after + 1, min(after + 2, 7) + 1)]
        restarted = after and request.url.params.get("ledger") not in (None, self.ledger)
        if restarted and stream:
            said = b'event: inbox_restarted\nid: 0-b\ndata: {"code": "inbox_restarted", "title": "It is so."}\n\n'
            return streamed(said + lines({"row": 1}, self.ledger))
        if restarted:
            return problem(409, "inbox_restarted")
        return streamed(b"".join(lines(row, self.ledger) for row in rows)) if stream else self.page(rows)

    def instead(self, word: str, after: int, *, stream: bool) -> httpx.Response | None:
        """Do what *word* says, and return what is answered instead of rows."""
        answers: dict[str, httpx.Response] = {
            "shut": problem(503, "not_available"),
            "another program": httpx.Response(404, text="<html>"),
            "a page of it": httpx.Response(200, text="<html>"),
            "renewed": problem(401, "token_required"),
            "silence": streamed(b": open\n\n") if stream else self.page([]),
            "cut": streamed(lines({"row": after + 1}, self.ledger) + b'id: 9-a\ndata: {"ro'),
        }
        if word == "moved":
            self.url, self.token = "http://127.0.0.1:2", "second"
            self.say()
        if word in {"gone", "moved"}:
            raise httpx.ConnectError("nobody there")
        if word == "renewed":
            self.token = "third"
        if word == "replaced":
            self.ledger = "b" * 16
        if word == "used up" and stream:
            return problem(429, "streams_used_up")
        return problem(int(word), "reader_unnamed") if word.isdecimal() else answers.get(word)

    def page(self, rows: list[dict[str, int]]) -> httpx.Response:
        """Return a page of rows."""
        return httpx.Response(200, json={"ledger": self.ledger, "events": rows})


def lines(row: dict[str, int], ledger: str) -> bytes:
    """One server-sent event, with a comment before it and data on two lines."""
    first, second = json.dumps(row, indent=1).split("\n", 1)
    rest = "".join(f"data:{line}\r\n" for line in second.split("\n"))
    return f": ping\r\n\r\nretry: 1\nid: {row['row']}-{ledger}\r\ndata: {first}\n{rest}\n".encode()


def streamed(body: bytes) -> httpx.Response:
    """A stream that brings *body* in small pieces, and ends."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=pieces())


def problem(status: int, code: str) -> httpx.Response:
    """A refusal of the desk."""
    return httpx.Response(status, json={"code": code, "title": "It is so."})


async def rows_of(desk: Desk, monkeypatch: pytest.MonkeyPatch, waiting: list[str], *, until: int = 7) -> list[int]:
    """Return the rows of a program that follows from row 0 to row *until*."""
    monkeypatch.setattr(of_door, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(of_door, "LONGEST_PAUSE", 0.002)
    connect = of_door.UnloggedClient

    def connected(**how: Any) -> httpx.AsyncClient:
        return connect(**how | {"transport": httpx.MockTransport(desk.answer)})

    monkeypatch.setattr(of_door, "UnloggedClient", connected)
    found: list[int] = []
    async with Door.of(desk.home) as door:
        async for events in door.pages(every=0.001, waiting=lambda error: waiting.append(error.code)):
            found += [event["row"] for event in events]
            if found[-1] == until:
                break
    return found


@pytest.fixture(name="streams", params=[True, False], ids=["stream", "earlier release"])
def _streams(request: pytest.FixtureRequest) -> bool:
    """Return whether the desk has a stream of events."""
    return bool(request.param)


async def test_it_begins_again_when_the_desk_has_another_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streams: bool
) -> None:
    """A ledger that was lost numbers its rows again: the program is told, and gets every event again from the first."""
    waiting: list[str] = []
    desk = Desk(tmp_path, "rows", "rows", "gone", "replaced", streams=streams)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7]
    assert waiting == ["unreachable", "inbox_restarted"]


@pytest.mark.parametrize(
    ("script", "waited"),
    [
        (("rows", "gone", "gone", "rows"), ["unreachable"]),
        (("rows", "gone", "rows", "gone", "rows"), ["unreachable", "unreachable"]),
        (("rows", "shut", "rows"), ["not_available"]),
        (("gone", "moved", "rows"), ["unreachable"]),
        (("rows", "moved", "another program", "rows"), ["refused"]),
        (("rows", "a page of it", "rows"), ["not_a_desk"]),
        (("silence", "rows", "silence", "rows"), []),
    ],
    ids=[
        "away",
        "away twice",
        "unable",
        "elsewhere with another token",
        "another program on its port",
        "a page",
        "nothing",
    ],
)
async def test_it_goes_on_without_a_gap_and_without_a_repetition(
    script: tuple[str, ...], waited: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streams: bool
) -> None:
    """Whatever the desk answers in between, the program gets rows 1 to 7 once, and is told once for each time it waits."""
    waiting: list[str] = []
    desk = Desk(tmp_path, *script, streams=streams)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 5, 6, 7]
    assert waiting == waited
    assert desk.asked == sorted(desk.asked), "it asked again for what it had"


async def test_a_token_that_was_renewed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streams: bool
) -> None:
    """A desk whose `door.json` was deleted makes another token, and a program that follows goes on with it at once."""
    desk = Desk(tmp_path, "rows", streams=streams)
    waiting: list[str] = []
    answer = desk.answer

    def renewing(request: httpx.Request) -> httpx.Response:
        if desk.asked and desk.token == "first":
            desk.token = "second"
            desk.say()
        return answer(request)

    monkeypatch.setattr(desk, "answer", renewing)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 5, 6, 7]
    assert waiting == []


@pytest.mark.parametrize(
    ("word", "code"), [("renewed", "token_required"), ("403", "reader_unnamed"), ("422", "reader_unnamed")]
)
async def test_a_refusal_for_good_ends_it(
    word: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streams: bool
) -> None:
    """A token that `door.json` does not have either, or a question that the desk would refuse again."""
    waiting: list[str] = []
    with pytest.raises(DoorError) as raised:
        await rows_of(Desk(tmp_path, "rows", word, streams=streams), monkeypatch, waiting)

    assert (raised.value.code, waiting) == (code, [])


async def test_it_ends_when_its_caller_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, streams: bool
) -> None:
    """Cancelled while the desk is away, it is over."""
    desk, waiting = Desk(tmp_path, *["gone"] * 100_000, streams=streams), list[str]()
    following = asyncio.ensure_future(rows_of(desk, monkeypatch, waiting))
    while not waiting:  # noqa: ASYNC110 - it waits for a list to be filled
        await asyncio.sleep(0)
    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following


@pytest.mark.parametrize(
    "script", [("rows", "cut", "rows"), ("rows", "used up", "rows", "gone", "rows")], ids=["cut", "used up"]
)
async def test_a_stream_that_fails_loses_nothing(
    script: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a stream is cut within an event, or the desk has no free stream, each row comes once, without an error."""
    waiting: list[str] = []
    desk = Desk(tmp_path, *script, streams=True)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 5, 6, 7]
    assert waiting == (["unreachable"] if "gone" in script else [])


@pytest.mark.parametrize(
    "body", [b"data: []\n\n", b"data: {}\n\n", b"id: x\ndata: {}\n\n", b"data: {\n\n", b"id: 1-a\ndata: \xff\n\n"],
    ids=["a list", "no id", "another id", "no JSON", "no text"],
)  # fmt: skip
async def test_a_stream_of_another_program_is_no_desk(body: bytes) -> None:
    """Whatever comes, the program meets one kind of error, without the text."""

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    with pytest.raises(Unreachable) as raised:
        _ = [page async for page in sse.pages(chunks())]
    assert raised.value.code == "not_a_desk"


async def test_an_event_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that answers without end fills no memory."""
    monkeypatch.setattr(sse, "_LARGEST", 1000)

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x"

    with pytest.raises(Unreachable):
        _ = [page async for page in sse.pages(chunks())]
