"""`Door.pages` goes on over whatever happens to its desk: each event once, in order, until the caller ends it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from nrmbus.client import door as of_door
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError

Answer = Callable[[httpx.Request], httpx.Response]


class Desk:
    """A desk that has *rows*, and answers each question by the next word of a script: rows, or something that is wrong."""

    def __init__(self, home: Path, *script: str) -> None:
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
        """Answer *request* by the next word."""
        word, after = self.script.pop(0) if self.script else "rows", int(request.url.params.get("after", 0))
        if request.headers["authorization"] != f"Bearer {self.token}":
            return problem(401, "token_required")
        self.asked.append(after)
        match word:
            case "gone":
                raise httpx.ConnectError("nobody there")
            case "moved":
                self.url, self.token = "http://127.0.0.1:2", "second"
                self.say()
                raise httpx.ConnectError("nobody there")
            case "shut":
                return problem(503, "not_available")
            case "another program":
                return httpx.Response(404, text="<html>")
            case "a page of it":
                return httpx.Response(200, text="<html>")
            case "renewed":
                self.token = "third"
                return problem(401, "token_required")
            case "replaced":
                self.ledger = "b" * 16
            case refused if refused.isdecimal():
                return problem(int(refused), "reader_unnamed")
        if after and request.url.params.get("ledger") not in (None, self.ledger):
            return problem(409, "inbox_restarted")
        rows = [{"row": row} for row in range(after + 1, min(after + 2, 7) + 1)]
        return httpx.Response(200, json={"ledger": self.ledger, "events": rows})


def problem(status: int, code: str) -> httpx.Response:
    """A refusal of the desk."""
    return httpx.Response(status, json={"code": code, "title": "It is so."})


async def rows_of(desk: Desk, monkeypatch: pytest.MonkeyPatch, waiting: list[str], *, until: int = 7) -> list[int]:
    """The rows that a program gets that follows from row 0, until it has had row *until*."""
    monkeypatch.setattr(of_door, "SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr(of_door, "LONGEST_PAUSE", 0.002)
    connect = httpx.AsyncClient

    def connected(**how: Any) -> httpx.AsyncClient:
        return connect(**how | {"transport": httpx.MockTransport(desk.answer)})

    monkeypatch.setattr(httpx, "AsyncClient", connected)
    found: list[int] = []
    async with Door.of(desk.home) as door:
        async for events in door.pages(every=0.001, waiting=lambda error: waiting.append(error.code)):
            found += [event["row"] for event in events]
            if found[-1] == until:
                break
    return found


async def test_it_begins_again_when_the_desk_has_another_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that was lost numbers its rows again: the program is told, and gets every event again from the first."""
    waiting: list[str] = []
    desk = Desk(tmp_path, "rows", "rows", "gone", "replaced")

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7]
    assert waiting == ["unreachable", "inbox_restarted"]


@pytest.mark.parametrize(
    ("script", "waited"),
    [
        (("rows", "gone", "gone", "rows"), ["unreachable"]),
        (("rows", "gone", "rows", "gone", "rows"), ["unreachable", "unreachable"]),
        (("rows", "shut", "rows"), ["not_available"]),
        (("gone", "moved", "rows"), ["unreachable"]),
        (("rows", "moved", "another program", "rows"), ["unreachable"]),
        (("rows", "a page of it", "rows"), ["not_a_desk"]),
    ],
    ids=["away", "away twice", "unable", "elsewhere with another token", "another program on its port", "a page"],
)
async def test_it_goes_on_without_a_gap_and_without_a_repetition(
    script: tuple[str, ...], waited: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the desk answers in between, the program gets rows 1 to 7 once, and is told once for each time it waits."""
    waiting: list[str] = []
    desk = Desk(tmp_path, *script)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 5, 6, 7]
    assert waiting == waited
    assert desk.asked == sorted(desk.asked), "it asked again for what it had"


async def test_a_token_that_was_renewed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk whose `door.json` was deleted makes another token; who follows reads it there."""
    desk = Desk(tmp_path, "rows")
    waiting: list[str] = []
    answer = desk.answer

    def renewing(request: httpx.Request) -> httpx.Response:
        if desk.asked and desk.token == "first":
            desk.token = "second"
            desk.say()
        return answer(request)

    monkeypatch.setattr(desk, "answer", renewing)

    assert await rows_of(desk, monkeypatch, waiting) == [1, 2, 3, 4, 5, 6, 7]
    assert waiting == ["token_required"]


@pytest.mark.parametrize(
    ("word", "code"), [("renewed", "token_required"), ("403", "reader_unnamed"), ("422", "reader_unnamed")]
)
async def test_a_refusal_for_good_ends_it(
    word: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that `door.json` does not have either, or a question that the desk would refuse again."""
    waiting: list[str] = []
    with pytest.raises(DoorError) as raised:
        await rows_of(Desk(tmp_path, "rows", word), monkeypatch, waiting)

    assert (raised.value.code, waiting) == (code, [])


async def test_it_ends_when_its_caller_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled while the desk is away, it is over."""
    desk, waiting = Desk(tmp_path, *["gone"] * 100_000), list[str]()
    following = asyncio.ensure_future(rows_of(desk, monkeypatch, waiting))
    while not waiting:  # noqa: ASYNC110 - it waits for a list to be filled
        await asyncio.sleep(0)
    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following
