"""Cursors: finished events are stored durably, and a run outlasts the desk that keeps the cursor."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from client.given import LETTER, SIGNAL, Kept, of_two_cases
from nrmbus.client import Cursor, CursorFile, CursorStore, CursorTable, DoorError, Received
from nrmbus.client import desk as sdk
from nrmbus.client import door as of_door
from nrmbus.client.cursors import CursorAtDesk
from nrmbus.client.received import BEGINNING
from nrmbus.client.testing import FakeDesk
from nrmbus.events.case import SignalRecorded
from patience import eventually


@pytest.fixture(name="fake")
def _fake() -> FakeDesk:
    """A desk that has heard of two cases."""
    return of_two_cases()


@pytest.mark.parametrize(
    "made", [lambda path: CursorFile(path / "c"), lambda path: CursorTable(path / "db")], ids=["file", "SQLite"]
)
def test_a_cursor_survives_the_program(made: Callable[[Path], CursorStore], tmp_path: Path) -> None:
    """Given a file or a SQLite database, then a second program finds the cursor of the first."""
    assert made(tmp_path).load() == BEGINNING
    made(tmp_path).store(Cursor(7, "a" * 16))
    made(tmp_path).store(Cursor(8, "a" * 16))

    assert made(tmp_path).load() == Cursor(8, "a" * 16)
    (file,) = tmp_path.iterdir()
    assert file.name == "db" or file.stat().st_mode & 0o077 == 0


def test_two_programs_share_a_database(tmp_path: Path) -> None:
    """Given two names, then each has a cursor of its own; a file that is no cursor is no beginning."""
    CursorTable(tmp_path / "db", "one").store(Cursor(1))
    assert CursorTable(tmp_path / "db", "two").load() == BEGINNING
    (tmp_path / "c").write_text("{}")
    with pytest.raises(ValueError, match="a cursor is a row"):
        CursorFile(tmp_path / "c").load()


async def test_a_cursor_of_a_ledger_that_was_replaced_is_not_kept(fake: FakeDesk) -> None:
    """Given a ledger that another of the same length replaced, then no old cursor makes a program miss events."""
    async with fake.desk() as desk:
        store = CursorAtDesk(desk.door, "booking", desk._patiently)
        events = [each async for each in desk.inbox(follow=False)]
        await store.store(events[1].cursor)
        assert (await store.load()).row == 2
        fake.lose_ledger()
        await store.store(events[2].cursor)
        assert await store.load() == BEGINNING


@pytest.mark.parametrize("is_named", [True, False], ids=["this release", "earlier release"])
async def test_a_program_without_new_events_hears_that_the_ledger_was_replaced(
    fake: FakeDesk, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    """Given a cursor at the desk and no event since, when another ledger of the same length comes, then every event comes again."""
    heard, waited, asked, answer = list[int](), list[str](), list[str](), fake.handle_async_request

    async def noting(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        found = await answer(request)
        if request.url.path == "/v1/cursors/booking" and not is_named:
            found = httpx.Response(200, json={name: value for name, value in found.json().items() if name != "ledger"})
        return found

    async with fake.desk() as desk:
        desk.on(SignalRecorded)(lambda event: heard.append(event.cursor.row))
        await desk.run("booking", follow=False)
        heard.clear()
        monkeypatch.setattr(fake, "handle_async_request", noting)
        running = asyncio.create_task(desk.run("booking", waiting=lambda error: waited.append(error.code)))
        await eventually("the program follows", lambda: "/v1/inbox/stream" in asked)
        fake.lose_ledger()
        await eventually("every event came again", lambda: len(heard) == 3)
        desk.stop()
        await running

    assert (sorted(heard), waited) == ([1, 2, 3], ["inbox_restarted"])


async def test_a_program_that_opens_letters_outlasts_a_ledger_that_is_replaced_before_the_first_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given an empty inbox that is followed with letters, when the desk has another ledger, then the program hears so, and gets the first event that comes."""
    monkeypatch.setattr(of_door, "WAIT", 0.0)
    fake, named, waited = FakeDesk("special-unit", agencies=["ngo-a"]), list[bool](), list[str]()
    answer = fake.handle_async_request

    async def noting(request: httpx.Request) -> httpx.Response:
        named.append("ledger" in request.url.params)
        return await answer(request)

    monkeypatch.setattr(fake, "handle_async_request", noting)
    async with fake.desk() as desk:
        pages = desk.door.pages(opened=True, actor="S-7", every=0.001, waiting=lambda error: waited.append(error.code))
        async with aclosing(pages):
            coming = asyncio.ensure_future(anext(pages))
            await eventually("the program names the ledger", lambda: any(named))
            fake.lose_ledger()
            fake.receive(SIGNAL, source="ngo-a", sealed=LETTER)
            (event,) = await coming

    assert (event["row"], waited) == (1, ["inbox_restarted"])


async def test_a_desk_of_an_earlier_release_keeps_a_cursor_without_its_ledger(
    fake: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that refuses the parameter, then the cursor is kept as before, and the desk is asked with it once."""
    asked, answer = list[bool](), fake.handle_async_request

    async def earlier(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            asked.append("ledger" in request.url.params)
            if asked[-1]:
                return httpx.Response(422, json={"code": "unknown_field", "sentence": "It is unknown."})
        return await answer(request)

    monkeypatch.setattr(fake, "handle_async_request", earlier)
    async with fake.desk() as desk:
        store = CursorAtDesk(desk.door, "booking", desk._patiently)
        events = [each async for each in desk.inbox(follow=False)]
        for each in events[:2]:
            await store.store(each.cursor)
        assert (await store.load()).row == 2
    assert asked == [True, False, False]


async def test_a_desk_that_starts_again_keeps_the_cursor(fake: FakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a cursor at the desk, when the desk is away for a moment, then the run goes on, and nothing is handled twice."""
    away, heard, answer = ["PUT", "GET"], list[int](), fake.handle_async_request

    async def sometimes(request: httpx.Request) -> httpx.Response:
        if "/cursors/" in request.url.path and request.method in away:
            away.remove(request.method)
            raise httpx.ConnectError("starts again")
        return await answer(request)

    monkeypatch.setattr(fake, "handle_async_request", sometimes)
    async with fake.desk() as desk:
        desk.on(SignalRecorded)(lambda event: heard.append(event.cursor.row))
        await desk.run("booking", follow=False)
        await desk.run("booking", follow=False)
        assert (sorted(heard), away) == ([1, 2, 3], [])
        fake.lose_ledger()
        await desk.run("booking", follow=False)
    assert sorted(heard) == [1, 1, 2, 2, 3, 3]


async def test_a_run_with_its_cursor_at_the_desk_outlasts_the_desk(
    fake: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that is away for longer than any patience, at the start and while a handler works, then the run goes on and stores."""
    monkeypatch.setattr(sdk, "LONGEST_PAUSE", 0.01)
    heard, waited, fake.away = list[int](), list[str](), True

    def waiting(error: DoorError) -> None:
        waited.append(error.code)
        fake.away = False

    async with fake.desk(patience=0) as desk:

        @desk.on(SignalRecorded)
        async def report(event: Received[SignalRecorded]) -> None:
            heard.append(event.cursor.row)
            fake.away = event.cursor.row == 2
            if len(heard) == 3:
                desk.stop()

        await desk.run("booking", waiting=waiting, at_once=1)
        kept = await CursorAtDesk(desk.door, "booking", desk._patiently).load()
    assert sorted(heard) == [1, 2, 3]
    assert kept.row >= 3
    assert set(waited) == {"unreachable"}


async def test_a_run_that_waits_for_its_cursor_can_be_stopped(fake: FakeDesk) -> None:
    """Given a desk that is away when the program starts, when the run is stopped, then it ends in order."""
    fake.away = True
    async with fake.desk(patience=0) as desk:
        desk.on(SignalRecorded)(lambda _: None)
        await desk.run("booking", waiting=lambda _: desk.stop())


async def test_a_place_that_could_not_be_stored_is_stored_at_the_end(fake: FakeDesk) -> None:
    """Given a store that fails once, then the run ends with the error, and the cursor is behind what was dealt with all the same."""

    class Flaky(Kept):
        fails = True

        def store(self, cursor: Cursor) -> None:
            if self.fails:
                self.fails = False
                raise OSError("busy")
            super().store(cursor)

    store = Flaky()
    async with fake.desk() as desk:
        desk.on(SignalRecorded)(lambda _: None)
        with pytest.raises(OSError, match="busy"):
            await desk.run(store, follow=False, at_once=1)
    assert store.load().row >= 1
