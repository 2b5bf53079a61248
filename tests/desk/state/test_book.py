"""A procedure's state over all cases contains data from letters, so it is sealed at rest."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from agencies import NOW
from desk.given import REF, Given, desk_of
from desk.letters.test_case_keys import DAY, desk_with_keys
from desk.store.given import bed_request
from nrmbus.desk.erasure import rounds
from nrmbus.desk.procedure.interface import Settings
from nrmbus.desk.state import book
from nrmbus.desk.store import tables
from nrmbus.events import bulletin
from nrmbus.shelter.state import Bed, State

HELD = '"category": "women"'


def in_the_clear(home: Path) -> list[str]:
    """Return the ledger files that contain a held bed's category in clear text."""
    written = (HELD.encode(), HELD.replace(" ", "").encode())
    return [
        path.name for path in home.rglob("*") if path.is_file() and any(each in path.read_bytes() for each in written)
    ]


async def a_bed_is_held(given: Given) -> Bed:
    """Have the unit ask the shelter for a bed for a woman, under seal; return the held bed."""
    await given.hear(given.registrar.register(bed_request(given.registrar), to="shelter"))
    found: tuple[Bed, ...] = getattr(given.desk.book, "beds", ())
    (bed,) = found
    assert (bed.ref, bed.category) == (REF, "women")
    return bed


async def test_for_whom_a_bed_is_held_stands_in_no_file_of_the_ledger(tmp_path: Path) -> None:
    """Only the letter says woman, man or child; the desk still knows it after a restart."""
    async with desk_of("shelter", tmp_path) as given:
        bed = await a_bed_is_held(given)
        assert in_the_clear(tmp_path) == []
    assert in_the_clear(tmp_path) == []
    async with desk_of("shelter", tmp_path) as given:
        assert given.desk.book == State(places={"women": 1}, beds=(bed,))


async def test_it_is_handed_over_before_its_key_is_destroyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk reads its own book after the key's destruction; an earlier copy of the ledger opens no more."""
    async with desk_with_keys(tmp_path, monkeypatch) as desk:
        seat, state = desk.given.desk.seat, b'{"beds": []}'
        async with seat.ledger.write() as tx:
            book.store(seat, tx, "some.procedure", state)
        (before,) = await desk.given.rows("book")
        desk.rotate(NOW + DAY)
        desk.given.clock.time = NOW + 2 * DAY
        await rounds.end_epochs(seat, tmp_path)
        (handed,) = await desk.given.rows("book")
        desk.given.clock.time = NOW + 32 * DAY
        assert len(await rounds.end_epochs(seat, tmp_path)) == 1

        assert json.loads(handed.state)["kid"] == seat.identity.sealing.kid != json.loads(before.state)["kid"]
        assert book.load(seat, "some.procedure") == (state, False)
        async with seat.ledger.write() as tx:
            tx.execute(update(tables.book).values(state=before.state))
        assert book.load(seat, "some.procedure") == (None, True)


async def test_beds_are_counted_by_the_settings_of_now(tmp_path: Path) -> None:
    """Given a house whose only bed is held, when it gets four more, then it offers them after a restart, and tells all senders once."""
    async with desk_of("shelter", tmp_path) as given:
        await a_bed_is_held(given)
        before = {row.id for row in await given.rows("outbox")}
    async with desk_of("shelter", tmp_path) as given:
        for _ in range(2):
            await given.desk.load(Settings(capacity={"women": 5, "children": 2}))

        assert isinstance(given.desk.book, State)
        assert (given.desk.book.free("women"), given.desk.book.free("children")) == (4, 2)
        (told,) = [row for row in await given.rows("outbox") if row.id not in before]
        assert (told.type, told.subject) == ("provider.capacity_changed", bulletin.of("shelter"))
        assert json.loads(told.clear)["data"] == {"women": "free", "children": "free"}


async def test_one_that_opens_no_more_is_for_a_person(tmp_path: Path) -> None:
    """With a ledger from an old backup, the desk begins with an empty book, and says so."""
    async with desk_of("shelter", tmp_path) as given:
        await a_bed_is_held(given)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE book SET state = replace(CAST(state AS TEXT), 'xwing:', 'xwing:0')")
    async with desk_of("shelter", tmp_path) as given:
        await given.desk.load(Settings(capacity={"women": 1}))

        assert given.desk.book == State(places={"women": 1})
        assert [row.kind for row in await given.rows("tasks")].count(book.TASK) == 1
