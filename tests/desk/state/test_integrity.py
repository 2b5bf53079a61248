"""A hand-edited ledger opens no letter of the touched cases, and a person is told."""

import asyncio
import json
import sqlite3
from contextlib import closing
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from agencies import CASE, NOW, SIGNAL, town
from desk.access.test_opening import CONSENT, consented, readings, supplied, withdrawn
from desk.given import CANARY, FakeRegistrar, Given, desk_of
from desk.store.given import put_rows, steps
from nrmbus.desk.state import integrity
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Beginning, Position
from nrmbus.wire import times
from patience import eventually

OTHER = "ef" * 16
GONE = 56
"""Deliveries to a desk that lost its ledger, which its inbox no longer has."""
FULL = OperationalError("INSERT", {}, Exception("database or disk is full"))
EDITED = {
    "the withdrawal is taken out": "DELETE FROM events WHERE type = 'consent.withdrawn'",
    "the withdrawal and its delivery are taken out": (
        "DELETE FROM events WHERE type = 'consent.withdrawn';"
        "DELETE FROM inbox WHERE inbox_number = (SELECT inbox_number FROM positions)"
    ),
    "the same, and as if nothing had come since": (
        "DELETE FROM events WHERE type = 'consent.withdrawn';"
        "DELETE FROM inbox WHERE inbox_number = (SELECT inbox_number FROM positions);"
        "UPDATE positions SET inbox_number = inbox_number - 1"
    ),
    "the withdrawal is taken out, and how far was read": (
        "DELETE FROM events WHERE type = 'consent.withdrawn'; DELETE FROM positions"
    ),
    "the withdrawal is another case's": (
        "UPDATE events SET subject = replace(subject, 'ab', 'ef') WHERE type = 'consent.withdrawn';"
        "UPDATE inbox SET subject = replace(subject, 'ab', 'ef') WHERE inbox_number = (SELECT inbox_number FROM positions)"
    ),
    "the withdrawal is another word": (
        "UPDATE events SET type = 'consent.given', headers = replace(headers, 'withdrawn', 'given')"
        " WHERE type = 'consent.withdrawn'"
    ),
    "a registration is none": (
        "UPDATE inbox SET registration = x'7b7d' WHERE inbox_number = (SELECT inbox_number FROM positions)"
    ),
    "the withdrawal was registered before the consent": (
        "UPDATE events SET registered = '2020-01-01T00:00:00Z' WHERE type = 'consent.withdrawn'"
    ),
}
"""Edits by somebody who wants to read withdrawn data, by their effect on the file."""

EDITED_BESIDE = {
    "one letter is in another's place": (
        "UPDATE events SET (headers, value, letter) = (SELECT headers, value, letter FROM events WHERE position = 3)"
        " WHERE position = 2"
    ),
    "a letter is in another case": "UPDATE events SET subject = replace(subject, 'ab', 'ef') WHERE position = 2",
    "an event is put in": (
        "INSERT INTO events (subject, source, id, type, technical, time, registered, partition, inbox_number, number,"
        " recipients, headers, value, parts) SELECT subject, source, 'put-in', type, technical, time, registered, partition,"
        " inbox_number, number, recipients, headers, value, parts FROM events WHERE position = 1"
    ),
}
"""The same without a withdrawal."""


async def told(given: Given, *, taken_back: bool) -> None:
    """Send vac two letters by consent and one of another case; then withdraw the consent if *taken_back*."""
    for record in (consented(given.registrar), supplied(given.registrar), supplied(given.registrar)):
        await given.hear(record)
    await given.hear(supplied(given.registrar, case=OTHER))
    await given.settle()
    if taken_back:
        await given.hear(withdrawn(given.registrar))


def registrar_after_a_loss() -> FakeRegistrar:
    """Return the registrar of a bus on which vac had `GONE` deliveries."""
    registrar = FakeRegistrar(town())
    registrar._chains["vac"] = GONE, "ab" * 32
    registrar._offsets["vac"] = GONE
    return registrar


async def lost(given: Given) -> None:
    """Begin the ledger of a desk that lost the one before, and whose inbox has no earlier delivery."""
    ledger = given.desk.seat.ledger
    async with ledger.write() as tx:
        ledger.begin(tx, 0, Beginning(until=GONE, noticed=times.write(NOW), lost=True))


def edit(home: Path, statements: str) -> None:
    """Edit the ledger at *home* by hand, the desk being off."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger:
        ledger.executescript(f"PRAGMA foreign_keys=OFF; BEGIN; {statements}; COMMIT")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("statements", "taken_back"),
    [(each, True) for each in EDITED.values()] + [(each, False) for each in EDITED_BESIDE.values()],
    ids=[*EDITED, *EDITED_BESIDE],
)
async def test_nothing_that_it_is_about_is_opened_and_a_person_hears_of_it(
    tmp_path: Path, statements: str, *, taken_back: bool
) -> None:
    """No withdrawn letter opens, no letter is recorded as another, and no reading is recorded."""
    async with desk_of("vac", tmp_path) as given:
        await told(given, taken_back=taken_back)
        registrar, before = given.registrar, await readings(given)
    edit(tmp_path, statements)
    for _ in ("a first time", "after another start"):
        async with desk_of("vac", tmp_path, registrar=registrar) as given:
            shown = await given.read(actor="S-17", case=CASE)

            assert CANARY not in str(shown)
            assert {each["shut"] for each in shown if each["parts"]} == {"ledger_altered"}
            assert await readings(given) == before
            assert [row for row in await given.rows("outbox") if row.type == "access.granted"] == []
            tasks = [row.subject for row in await given.rows("tasks") if row.kind == integrity.TASK]
            assert tasks[0] in ("", CASE)
            assert len(tasks) == len(set(tasks)) <= 2


@pytest.mark.parametrize("error", [OSError(ENOSPC, "No space left on device"), FULL])
async def test_a_person_hears_of_it_once_the_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Given a full disk at the first look, nothing opens, and the next look opens the task, once."""
    async with desk_of("vac", tmp_path) as given:
        await told(given, taken_back=True)
        registrar = given.registrar
    edit(tmp_path, EDITED["the withdrawal is taken out"])
    async with desk_of("vac", tmp_path, registrar=registrar) as given:
        unaltered = given.desk.unaltered
        with monkeypatch.context() as full:

            def fail(*_: object, **__: object) -> None:
                raise error

            full.setattr(integrity, "open_task", fail)
            with pytest.raises(type(error)):
                await unaltered.is_altered(CASE)
            assert [row for row in await given.rows("tasks") if row.kind == integrity.TASK] == []
        for _ in range(2):
            assert await unaltered.is_altered(CASE)

        assert [row.subject for row in await given.rows("tasks") if row.kind == integrity.TASK] == [CASE]


async def test_of_another_case_letters_open_as_before(tmp_path: Path) -> None:
    """A complete set of deliveries shows which case was altered."""
    async with desk_of("vac", tmp_path) as given:
        await told(given, taken_back=True)
        registrar = given.registrar
    edit(tmp_path, EDITED["the withdrawal is taken out"])
    async with desk_of("vac", tmp_path, registrar=registrar) as given:
        (shown,) = await given.read(actor="S-17", case=OTHER)

        assert shown["letter"] == {"story": {"answer": CANARY}}


async def test_looked_at_piece_by_piece_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is independent of the number of deliveries per look, and of new deliveries in between."""
    for at_a_time in (1, 2, 3):
        monkeypatch.setattr(integrity, "_AT_A_TIME", at_a_time)
        async with desk_of("vac", tmp_path / str(at_a_time)) as given:
            await told(given, taken_back=False)
            assert not await given.desk.unaltered.is_altered(CASE)
            looking = asyncio.ensure_future(integrity.Unaltered(given.desk.seat.ledger, given.desk.seat.stamp).look())
            await given.hear(withdrawn(given.registrar))
            await looking
            assert not await given.desk.unaltered.is_altered(CASE)
            assert [row for row in await given.rows("tasks") if row.kind == integrity.TASK] == []


async def test_a_ledger_that_nobody_edited_is_found_whole(tmp_path: Path) -> None:
    """Refusals, repeated and forged deliveries, and the desk's own events raise no alarm, over more than one look."""
    async with desk_of("vac", tmp_path) as given:
        await told(given, taken_back=False)
        refused = await given.said(type="consent.given", data=CONSENT)
        await given.hear(given.registrar.refuse(refused, "wrong_state"))
        due = given.registrar.event("migration", "access.erasure_due", {"ground": "decision"})
        await given.hear(given.registrar.register(due, to="vac"))
        twice = given.registrar.event("ngo-a", "consent.given", CONSENT)
        for _ in range(2):
            await given.hear(given.registrar.register(twice, to="vac"))
        first = await given.read(actor="S-17", case=CASE)
        await given.registered(type="consent.given", data=CONSENT | {"receivers": ["fund"]})
        second = await given.read(actor="S-17", case=CASE)

        assert "forged" in [row.kind for row in await given.rows("tasks")]
        assert [CANARY in str(each) for each in (first, second)] == [True, True]
        assert [row for row in await given.rows("tasks") if row.kind == integrity.TASK] == []


@pytest.mark.usefixtures("kept")
async def test_a_ledger_that_was_lost_is_found_whole_though_it_was_looked_at_before_its_first_delivery(
    tmp_path: Path,
) -> None:
    """Given a lost ledger and an answer without a number, when it is looked at before the first delivery, then the deliveries after it raise no alarm."""
    registrar = registrar_after_a_loss()
    async with desk_of("vac", tmp_path, registrar=registrar) as given:
        await lost(given)
        sent = await given.said(type="case.signal_recorded", data=SIGNAL, case=OTHER)
        await given.hear(registrar.answer(sent, "sequence_gap", expected_sequence=1))
        looks = [await given.desk.unaltered.is_altered(CASE)]
        for _ in range(2):
            await given.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
            looks.append(await given.desk.unaltered.is_altered(CASE))

        assert [row.inbox_number for row in await given.rows("inbox")] == [GONE + 1, GONE + 2]
        assert looks == [False] * 3
        assert integrity.TASK not in [row.kind for row in await given.rows("tasks")]


async def test_the_task_about_an_altered_ledger_says_how_its_backup_comes_back(kept: str, tmp_path: Path) -> None:
    """Given an altered ledger, then the task names the command for a file, and the server's own means for a ledger on a server."""
    means = {"sqlite": "nrmbus restore DIR --part ledger", "postgresql": "by the server's own means"}
    async with desk_of("vac", tmp_path) as given:
        record = given.registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
        await given.hear(given.registrar.register(record, to="vac"))
        async with given.desk.seat.ledger.write() as tx:
            tx.execute(update(tables.events).values(registered="earlier"))
        assert await given.desk.unaltered.is_altered(CASE)
        (task,) = [row for row in await given.rows("tasks") if row.kind == integrity.TASK]

    assert [each for each, words in means.items() if words in json.loads(task.about)["sentence"]] == [kept]


@pytest.mark.usefixtures("kept")
async def test_a_ledger_that_was_lost_is_found_whole_while_its_first_delivery_is_being_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a lost ledger, when a look sees its first delivery before the desk has heard of the commit, then there is no alarm."""
    registrar = registrar_after_a_loss()
    async with desk_of("vac", tmp_path, registrar=registrar) as given:
        await lost(given)
        ledger = given.desk.seat.ledger
        commit, is_stored, is_heard = ledger._engine.commit, asyncio.Event(), asyncio.Event()

        async def late(transaction: Any) -> bool:
            is_cancelled = await commit(transaction)
            is_stored.set()
            await is_heard.wait()
            return is_cancelled

        first = registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
        monkeypatch.setattr(ledger._engine, "commit", late)
        hearing = asyncio.create_task(given.hear(first))
        await is_stored.wait()
        looking = asyncio.create_task(given.desk.unaltered.is_altered(CASE))
        await eventually("the look has ended, or opens a task", lambda: looking.done() or ledger._turn._waiters)
        is_heard.set()
        await hearing

        assert [row.inbox_number for row in await given.rows("inbox")] == [GONE + 1]
        assert not await looking


@pytest.mark.usefixtures("kept")
async def test_partitions_with_deliveries_are_found_without_reading_each_delivery(tmp_path: Path) -> None:
    """Given a hundred times as many deliveries, the look before each opening of a letter takes as many steps, and finds a partition whose position was taken out."""
    async with desk_of("vac", tmp_path) as given:
        ledger, taken = given.desk.seat.ledger, list[int]()
        for numbers in (range(1, 31), range(31, 3_001)):
            async with ledger.write() as tx:
                for partition in (2, 5):
                    put_rows(tx, numbers, partition=partition)
                ledger.advance(5, Position(numbers[-1]))
            with ledger.read() as tx, steps(tx) as those:
                found = [(partition, position.inbox_number) for partition, position in integrity._positions(tx)]
            taken.append(len(those))
            assert found == [(2, -1), (5, numbers[-1])]
    assert taken[0] == taken[1]
