"""Programs follow the inbox without asking again and again: by long polling, or by a stream that survives its desk."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from sqlalchemy.exc import OperationalError

from agencies import CASE
from desk.given import BED, REF, TOKEN, Given, desk_of
from nrmbus.desk.http import inbox_stream, streams, views
from nrmbus.desk.http.arrivals import Arrivals
from nrmbus.desk.store.ledger import Ledger
from patience import PATIENCE, eventually

OTHER = "ef" * 16


async def hear(here: Given, case: str = CASE, type_: str = "shelter.bed_requested") -> None:
    """Let the shelter receive an event."""
    data = BED if type_ == "shelter.bed_requested" else {}
    event = here.registrar.event("special-unit", type_, data, case=case, referral=REF)
    await here.hear(here.registrar.register(event, to="shelter"))


class Stream:
    """A stream as its client reads it."""

    def __init__(self) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self.parts: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def next(self) -> dict[str, str]:
        """Return the fields of the next event; a comment is the field without a name."""
        async with asyncio.timeout(PATIENCE):
            part = (await self.parts.get()).decode()
        return {name: value for name, _, value in (line.partition(": ") for line in part.strip().splitlines())}

    async def row(self) -> int:
        """Return the row of the next event of the inbox."""
        return int(json.loads((await self.next())["data"])["row"])


@asynccontextmanager
async def stream(here: Given, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    """Yield an open stream of the desk's inbox."""
    found = Stream()
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/v1/inbox/stream", "raw_path": b"/v1/inbox/stream", "root_path": "", "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    begun = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not begun.is_set():
            begun.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await found.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message.get("body"):
            found.parts.put_nowait(message["body"])

    app = here.door._transport.app  # type: ignore[attr-defined]  # httpx has no public name for it
    serving = asyncio.create_task(app(scope, receive, send))
    try:
        await eventually("an answer begins", lambda: found.status)
        yield found
    finally:
        found.gone.set()
        await serving


async def test_a_stream_sends_what_is_there_and_then_what_comes(tmp_path: Path) -> None:
    """Each event has its row and its ledger as `id`; technical events come only if asked for."""
    async with desk_of("shelter", tmp_path) as here:
        await hear(here)
        async with stream(here) as plain, stream(here, "technical=true") as all_of_it:
            assert (plain.status, plain.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
            for each in (plain, all_of_it):
                assert (await each.next())["retry"] == "2000"
            first = await plain.next()
            assert (await all_of_it.next())["data"] == first["data"]
            await hear(here, OTHER, "letter.opened")
            await hear(here, OTHER)

            assert json.loads(first["data"])["case"] == CASE
            assert first["id"] == f"1-{here.desk.seat.ledger.id}"
            assert await plain.row() == 3
            assert [await all_of_it.row(), await all_of_it.row()] == [2, 3]


async def test_a_stream_goes_on_after_the_last_event_that_its_client_has(tmp_path: Path) -> None:
    """`Last-Event-ID` goes before `after`; filters are those of the inbox."""
    async with desk_of("shelter", tmp_path) as here:
        for case in (CASE, OTHER, CASE):
            await hear(here, case)
        last = f"1-{here.desk.seat.ledger.id}"
        async with stream(here, "after=2", last_event_id=last) as again, stream(here, f"case={CASE}&after=1") as one:
            for each in (again, one):
                await each.next()

            assert [await again.row(), await again.row()] == [2, 3]
            assert await one.row() == 3


@pytest.mark.parametrize("last", ["9-{ledger}", "1-0000000000000000", "0-0000000000000000"])
async def test_a_stream_says_that_rows_are_numbered_anew(tmp_path: Path, last: str) -> None:
    """A client that knows rows of another ledger, or rows that are not there, gets a word of it and everything once more."""
    async with desk_of("shelter", tmp_path) as here:
        await hear(here)
        async with stream(here, last_event_id=last.format(ledger=here.desk.seat.ledger.id)) as found:
            await found.next()
            word = await found.next()

            assert (word["event"], json.loads(word["data"])["code"]) == ("inbox_restarted", "inbox_restarted")
            assert word["id"] == f"0-{here.desk.seat.ledger.id}"
            assert await found.row() == 1


async def test_an_idle_stream_has_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment keeps proxies from closing the connection."""
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.02)
    async with desk_of("shelter", tmp_path) as here, stream(here) as found:
        await found.next()

        assert await found.next() == {"": "ping"}


async def test_more_streams_than_a_desk_can_carry_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is refused with a code; when one has gone, there is room again."""
    monkeypatch.setattr(streams, "MOST", 2)
    async with desk_of("shelter", tmp_path) as here, stream(here):
        async with stream(here):
            refused = await here.door.get("/v1/inbox/stream")

        assert (refused.status_code, refused.json()["code"]) == (429, "streams_used_up")
        async with stream(here) as found:
            assert found.status == 200


@pytest.mark.parametrize("bad", ["x", "1", "1-CANARY", "1e3-0000000000000000"])
async def test_a_last_event_that_is_none_is_refused(tmp_path: Path, bad: str) -> None:
    """The stream does not begin, and the answer repeats nothing."""
    async with desk_of("shelter", tmp_path) as here:
        answer = await here.door.get("/v1/inbox/stream", headers={"last-event-id": bad})

        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
        assert "CANARY" not in answer.text


async def test_streams_that_are_equally_far_read_a_page_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred programs at the newest row cost the desk one reading for each event, and none for its own commits."""
    asked, read = list[int](), views.received

    def counted(*args: Any, **how: Any) -> Any:
        asked.append(how["after"])
        return read(*args, **how)

    async with desk_of("shelter", tmp_path) as here, AsyncExitStack() as stack:
        followed = [await stack.enter_async_context(stream(here)) for _ in range(5)]
        for each in followed:
            await each.next()
        monkeypatch.setattr(views, "received", counted)
        await hear(here)
        assert [await each.row() for each in followed] == [1] * 5
        async with here.desk.seat.ledger.write():
            pass
        await hear(here, OTHER)
        assert [await each.row() for each in followed] == [2] * 5

    assert sorted(asked) == sorted(set(asked)), "each page once"


class Page:
    """A page that a reading returns."""


def test_page_read_before_a_commit_is_not_the_page_after_it() -> None:
    """On a server a reading waits; a commit comes meanwhile, and other streams read what it brought."""
    shared, old, new = streams.Streams(), Page(), Page()

    def reading() -> Page:
        shared.shared(2, "another", Page)
        return old

    assert shared.shared(1, "same", reading) is old
    assert shared.shared(2, "same", lambda: new) is new


def test_desk_keeps_the_pages_that_streams_used_last() -> None:
    """A program that reads a long inbox from its first row does not leave the inbox in memory."""
    shared, alive, row = streams.Streams(), WeakSet[Page](), 0

    def reading() -> Page:
        page = Page()
        alive.add(page)
        return page

    newest = shared.shared(1, "newest", reading)
    for row in range(1_000):
        shared.shared(1, row, reading)
        assert shared.shared(1, "newest", reading) is newest

    assert len(alive) == streams.KEPT


async def test_stream_lets_the_desk_work_while_its_page_is_behind_the_newest_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server the watch sees a new row before the desk counts the commit: the stream asks again, and stops nobody."""
    async with desk_of("shelter", tmp_path) as here:
        await hear(here)
        real, is_counted, asked = inbox_stream._page, asyncio.Event(), 0

        def page(*args: Any) -> Any:
            nonlocal asked
            asked += 1
            assert asked < 1_000, "the stream stops everybody else"
            return real(*args) if is_counted.is_set() else (0, [])

        monkeypatch.setattr(inbox_stream, "_page", page)
        await here.behind.arrivals.past(0)
        watching = asyncio.create_task(here.behind.arrivals.past(1))
        begun = inbox_stream._Begun(here.behind, inbox_stream.Asked(), 0, restarted=False)
        async with aclosing(inbox_stream.follow_inbox(begun)) as found:  # type: ignore[type-var]  # a generator
            assert (await anext(found)).comment == "open"
            asyncio.get_running_loop().call_soon(is_counted.set)
            assert json.loads((await anext(found)).raw_data or "")["row"] == 1
        watching.cancel()


async def test_who_waits_for_an_event_gets_it_when_it_comes(tmp_path: Path) -> None:
    """Long polling: an empty page comes only when the time is over, and an event of another case does not end the waiting."""
    async with desk_of("shelter", tmp_path) as here:
        empty = await here.door.get("/v1/inbox", params={"wait": 0.05})
        waiting = asyncio.create_task(here.door.get("/v1/inbox", params={"wait": 60, "case": CASE}))
        await hear(here, OTHER)
        await hear(here, CASE)
        answer = await waiting

        assert empty.json()["events"] == []
        assert [each["row"] for each in answer.json()["events"]] == [2]


@pytest.mark.parametrize(
    ("only", "rows"),
    [
        ({"type": "shelter.bed_requested"}, [1, 2]),
        ({"type": "shelter.discharged"}, []),
        ({"source": "special-unit", "case": OTHER}, [2]),
        ({"source": "police"}, []),
        ({"ref": REF}, [1, 2]),
        ({"since": "2026-03-02T09:00:00+04:00"}, [1, 2]),
        ({"until": "2026-03-02T05:00:00Z"}, []),
        ({"since": "2026-03-02T05:00:01Z"}, []),
    ],
)
async def test_filters_are_equality_and_bounds_of_time(tmp_path: Path, only: dict[str, str], rows: list[int]) -> None:
    """A filter is named like the member; times are of the registration."""
    async with desk_of("shelter", tmp_path) as here:
        await hear(here, CASE)
        await hear(here, OTHER)
        page = (await here.door.get("/v1/inbox", params=only)).json()

        assert [each["row"] for each in page["events"]] == rows


async def test_a_page_names_the_next_one(tmp_path: Path) -> None:
    """`next` is the cursor `after` of the next page, and null on the last one."""
    async with desk_of("shelter", tmp_path) as here:
        for case in (CASE, OTHER):
            await hear(here, case)
        first = (await here.door.get("/v1/inbox", params={"limit": 1})).json()
        last = (await here.door.get("/v1/inbox", params={"limit": 1, "after": first["next"]})).json()

        assert ([each["row"] for each in last["events"]], last["next"]) == ([2], None)


async def test_a_ledger_that_cannot_be_read_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told, and does not wait for ever."""
    async with desk_of("shelter", tmp_path) as here:
        arrivals = Arrivals(here.desk.seat.ledger, "shelter")
        waiting = asyncio.create_task(arrivals.past(0))
        await asyncio.sleep(0)

        def away(_: Ledger) -> None:
            raise OperationalError("", {}, Exception())

        monkeypatch.setattr(Ledger, "read", away)
        with pytest.raises(Exception, match="not_available"):
            await waiting
