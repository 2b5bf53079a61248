"""A program gets a letter that waits for the end of the inbox once it is open, and no other case waits for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from agencies import CASE
from desk.access.test_opening import OTHER, consented, supplied, withdrawn
from desk.given import CANARY, TOKEN, FakeRegistrar, Given, desk_of
from generations import before_type
from nrmbus.client import AsyncDesk, CursorFile, Received
from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox import settle, store
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.inbox.verify import Verified
from nrmbus.desk.state import parking
from nrmbus.events.referral import ReferralInfoSupplied
from patience import PATIENCE

LETTER = {"story": {"answer": CANARY}}
WITH_LETTERS: dict[str, Any] = {"open": True, "actor": "S-17"}


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a request answered at once, except where a test says how long it waits."""
    monkeypatch.setattr(opening, "READ_ON_SECONDS", 0.0, raising=False)


async def ask(given: Given, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return status and body of the door's answer to a program that wants letters."""
    answer = await given.during(given.door.get("/v1/inbox", params=WITH_LETTERS | more))
    return answer.status_code, answer.json()


def told(page: dict[str, Any]) -> list[tuple[int, Any]]:
    """Return row and letter of each event of a page."""
    return [(each["row"], each.get("letter")) for each in page["events"]]


async def read_on(given: Given) -> None:
    """Have the desk read the record behind the letter, and let through what waited for it."""
    await given.hear(consented(given.registrar))
    await release_by_itself(given.desk, given.inbox)


async def test_a_page_ends_before_a_letter_that_is_not_open_yet(tmp_path: Path) -> None:
    """Given a letter before an unread record, then the page ends before it, and the next one has it once it is open: once each."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(supplied(given.registrar, case=OTHER))
        given.desk.end_of = lambda partition: 4
        letter = supplied(given.registrar)
        await given.hear(letter)
        status, first = await ask(given)
        ledger, cursor = first["ledger"], first["next"]
        unread = await ask(given, after=cursor, ledger=ledger)
        plain = (await given.door.get("/v1/inbox")).json()
        await read_on(given)
        _, second = await ask(given, after=cursor, ledger=ledger)

    assert (status, told(first), cursor) == (200, [(1, LETTER)], 1)
    assert (unread[0], unread[1]["code"]) == (503, "inbox_unread")
    assert (told(second)[0], second["next"]) == ((2, LETTER), None)
    assert [(each["row"], each.get("parked")) for each in plain["events"]] == [(1, None), (2, True)]


async def test_a_program_that_asks_for_a_letter_gets_it_as_soon_as_the_desk_has_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a busy minute, then the request waits for the records behind the letter, and the program notices nothing."""
    async with desk_of("vac", tmp_path) as given:
        given.desk.end_of = lambda partition: 3
        await given.hear(supplied(given.registrar))
        monkeypatch.setattr(opening, "READ_ON_SECONDS", PATIENCE, raising=False)
        until, waits = given.behind.until, asyncio.Event()

        async def watched(*args: Any) -> dict[str, Any]:
            waits.set()
            return await until(*args)

        monkeypatch.setattr(given.behind, "until", watched)
        asking = asyncio.ensure_future(ask(given, limit=1))
        waiting = asyncio.ensure_future(waits.wait())
        await asyncio.wait({asking, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert await given.rows("reads") == []
        await read_on(given)
        waiting.cancel()

        assert told((await asking)[1]) == [(1, LETTER)]


async def test_a_letter_that_the_desk_keeps_closed_comes_closed(tmp_path: Path) -> None:
    """Given a withdrawal behind the letter, then the program hears why the letter is closed, and goes on."""
    async with desk_of("vac", tmp_path) as given:
        given.desk.end_of = lambda partition: 3
        await given.hear(supplied(given.registrar))
        early = await ask(given)
        await given.hear(withdrawn(given.registrar))
        await release_by_itself(given.desk, given.inbox)
        _, page = await ask(given)

    assert early[1]["code"] == "inbox_unread"
    assert page["events"][0]["shut"] == "consent_withdrawn"
    assert page["events"][0]["row"] == 1
    assert CANARY not in str(page)


async def test_a_case_that_waits_for_an_upgrade_holds_up_no_other(tmp_path: Path) -> None:
    """Given a letter behind an event that this release does not know, then its row comes without the letter, and the others follow.

    Started again in a release that knows the event, the desk hands the row out with its letter.
    """
    async with desk_of("vac", tmp_path) as given:
        unknown, letter, other = (
            withdrawn(given.registrar, "refused", receivers=["shelter"]), supplied(given.registrar), supplied(given.registrar, case=OTHER),
        )  # fmt: skip
        with before_type("consent.refused"):
            await given.hear(unknown)
            given.desk.end_of = lambda partition: 4
            await given.hear(letter)
            given.desk.end_of = lambda partition: None
            await given.hear(other)
            _, page = await ask(given)
            errors = [row.error for row in await given.rows("parked")]
        after_upgrade = await ask(given, after=1)
        await release_by_itself(given.desk, given.inbox)
        _, again = await ask(given, after=1, limit=1)

    assert errors == ["UnknownType", parking.AHEAD]
    assert told(page) == [(1, None), (2, None), (3, LETTER)]
    assert page["events"][1]["parked"] is True
    assert after_upgrade[1]["code"] == "inbox_unread"
    assert told(again) == [(2, LETTER)]


@pytest.mark.parametrize("error", [parking.STUCK, "ValueError"])
async def test_a_case_that_waits_for_a_repair_or_a_person_holds_up_no_other(error: str, tmp_path: Path) -> None:
    """Given a letter whose case meets a fault, then its row comes as parked, without the letter, and the others follow."""
    async with desk_of("vac", tmp_path) as given:
        given.desk.end_of = lambda partition: 3
        await given.hear(supplied(given.registrar))
        async with given.desk.seat.ledger.write() as tx:
            parking.keep(tx, 1, error, "Mend it.")
        await given.hear(supplied(given.registrar, case=OTHER))
        _, page = await ask(given)

    assert told(page) == [(1, None), (2, LETTER)]
    assert page["events"][0]["parked"] is True


async def test_a_partition_that_has_stopped_holds_up_no_other(tmp_path: Path) -> None:
    """Given a gap behind the letter, for which a person asks the bus's operator, then the row comes as parked; a full disk is waited for."""
    async with desk_of("vac", tmp_path) as given:
        given.desk.end_of = lambda partition: 4
        await given.hear(supplied(given.registrar))
        given.desk.seat.troubles[0] = "not_available"
        passing = await ask(given)
        given.desk.seat.troubles[0] = "inbox_gap"
        _, page = await ask(given)

    assert passing[1]["code"] == "inbox_unread"
    assert told(page) == [(1, None)]
    assert page["events"][0]["parked"] is True


async def test_a_record_that_fails_alone_at_every_try_holds_up_no_other_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a record behind the letter that the ledger refuses, then its row comes as parked once the ledger takes other writes; a full disk is waited for.

    After the repair the desk hands the row out with its letter.
    """
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    store_record = store.store

    def refuses_partition_1(desk: Desk, tx: Connection, record: Verified) -> store.Stored:
        if record.where[0] == 1:
            raise OperationalError("INSERT", {}, Exception("disk I/O error"))
        return store_record(desk, tx, record)

    async with desk_of("vac", tmp_path) as given:
        sick = FakeRegistrar(given.town, partition=1)
        given.desk.end_of = lambda partition: 4
        await given.hear(supplied(sick))
        given.desk.end_of = lambda partition: None
        refused = consented(sick)
        with monkeypatch.context() as broken:
            broken.setattr(store, "store", refuses_partition_1)
            for _ in range(settle.TRIES + 1):
                with pytest.raises(OperationalError):
                    await given.hear(refused)
            full = await ask(given)
            await given.hear(supplied(given.registrar, case=OTHER))
            early = await ask(given)
            with pytest.raises(OperationalError):
                await given.hear(refused)
            _, page = await ask(given)
        await given.hear(refused)
        await release_by_itself(given.desk, given.inbox)
        _, again = await ask(given, limit=1)

    assert [answer["code"] for _, answer in (full, early)] == ["inbox_unread", "inbox_unread"]
    assert told(page) == [(1, None), (2, LETTER)]
    assert page["events"][0]["parked"] is True
    assert told(again) == [(1, LETTER)]


async def test_an_event_without_a_letter_for_this_agency_waits_for_nothing(tmp_path: Path) -> None:
    """Given an event that waits for the end of the inbox and has no letter, as an emergency to answer, then its row comes at once."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(consented(given.registrar))
        async with given.desk.seat.ledger.write() as tx:
            parking.park(tx, subject=CASE, position=1, error=parking.AHEAD, since="2026-03-02T05:00:00Z")
        _, page = await ask(given)

    assert told(page) == [(1, None)]


async def test_a_handler_of_a_program_gets_the_letter(tmp_path: Path) -> None:
    """Given a program that opens letters in its handler, then the handler is called again until the letter is open, and only then goes on."""
    handed = list[Any]()
    async with desk_of("vac", tmp_path) as given:
        given.desk.end_of = lambda partition: 3
        await given.hear(supplied(given.registrar))
        tried = asyncio.Event()

        async def program() -> None:
            transport = given.door._transport  # httpx has no public name for it
            async with AsyncDesk("http://desk", TOKEN, transport=transport) as desk:

                @desk.on(ReferralInfoSupplied)
                async def take(event: Received[ReferralInfoSupplied]) -> None:
                    try:
                        handed.append((await desk.open(event, actor="a-17")).letter)
                    finally:
                        tried.set()

                await desk.run(CursorFile(tmp_path / "cursor"), follow=False, pauses=[0.01] * 1000, signals=())

        running = asyncio.ensure_future(program())
        await asyncio.wait_for(tried.wait(), PATIENCE)
        assert handed == []
        await read_on(given)
        while not running.done():
            await asyncio.wait([running], timeout=0.01)
            await given.settle()
        await running

    assert [each.parts() for each in handed] == [LETTER]
    assert (tmp_path / "cursor").read_text().startswith("1-")
