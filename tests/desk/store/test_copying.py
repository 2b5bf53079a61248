"""A ledger is copied from a file to a server and back: whole, compared, and with every number as it was."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from agencies import BUS, town
from desk.given import FakeRegistrar, desk_of
from desk.kept import kept_on
from desk.store.given import bed_request, outcome
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import copying, postgres, schema, tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import Place, with_tables
from nrmbus.desk.store.suspending import suspend
from postgres import Server


@pytest.fixture(autouse=True)
async def _suspending() -> None:
    """Have the test's tasks wait inside statements."""
    suspend(asyncio.get_running_loop())


async def filled(home: Path, registrar: FakeRegistrar) -> dict[str, Any]:
    """Fill the ledger of a shelter at *home*; return what a person sees of it."""
    async with desk_of("shelter", home) as given:
        await given.hear(registrar.register(bed_request(registrar), to="shelter"))
        return await outcome(given)


async def rows(place: Place) -> Mapping[str, list[tuple[Any, ...]]]:
    """Return every row at *place*."""

    def read(tx: Connection) -> Mapping[str, list[tuple[Any, ...]]]:
        ordered = ((each, each.primary_key.columns) for each in tables.METADATA.sorted_tables)
        return {each.name: [tuple(row) for row in tx.execute(select(each).order_by(*key))] for each, key in ordered}

    return await with_tables(place, read)


async def copied(source: Place, target: Place) -> Mapping[str, int]:
    """Copy the shelter's ledger."""
    return await copying.copy(source, target, bus=town().bus, agency="shelter")


async def test_a_desk_goes_on_at_the_other_place_and_back(postgresql: Server, tmp_path: Path) -> None:
    """From the file to the server, where one more event comes, and back into another file: no row and no number differs."""
    registrar, file, back = FakeRegistrar(town()), tmp_path / "ledger.sqlite", tmp_path / "back" / "ledger.sqlite"
    place = await postgresql.at(file)
    before = await filled(tmp_path, registrar)

    counts = await copied(file, place)
    assert sum(counts.values()) == sum(map(len, (await rows(file)).values())) > 8
    assert await rows(place) == await rows(file)

    with kept_on(postgresql):
        async with desk_of("shelter", tmp_path) as given:
            assert await outcome(given) == before
            other = bed_request(registrar, case="ef" * 16, ref="01" * 16)
            await given.hear(registrar.register(other, to="shelter"))
            assert [row.position for row in await given.rows("events")] == [1, 2]
            after = await outcome(given)

    await copied(place, back)
    assert await rows(back) == await rows(place)
    async with desk_of("shelter", back.parent) as given:
        assert await outcome(given) == after


async def test_a_server_that_takes_long_for_many_rows_is_not_given_up(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given letters of documents and an ordinary line, then a page of rows takes longer than a desk waits for a statement, and the copy ends all the same."""
    file, place = tmp_path / "ledger.sqlite", await postgresql.at(tmp_path / "slow")
    await filled(tmp_path, FakeRegistrar(town()))

    def slow(tx: Connection) -> None:
        schema.bring_up(tx)
        with tx.begin():
            waits = "BEGIN PERFORM pg_sleep(3); RETURN NEW; END"
            tx.exec_driver_sql(f"CREATE FUNCTION slow_line() RETURNS trigger LANGUAGE plpgsql AS $$ {waits} $$")
            tx.exec_driver_sql("CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION slow_line()")

    await with_tables(place, slow)
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 2.0)

    assert (await copied(file, place))["events"] == 1


async def test_a_filled_target_a_running_desk_and_a_missing_ledger_are_refused(
    postgresql: Server, tmp_path: Path
) -> None:
    """Nothing is written over, and nothing is copied while a desk writes."""
    file, place = tmp_path / "ledger.sqlite", await postgresql.at(tmp_path / "refused")
    with pytest.raises(DeskError, match="ledger_absent"):
        await copied(file, place)
    await filled(tmp_path, FakeRegistrar(town()))
    await copied(file, place)
    for source, target in ((file, place), (place, file)):
        with pytest.raises(DeskError, match="ledger_filled"):
            await copied(source, target)
    running = await Ledger.open(place, bus=town().bus, agency="shelter", patience=0.0)
    with pytest.raises(DeskError, match="ledger_held"):
        await copied(place, tmp_path / "other.sqlite")
    with pytest.raises(DeskError, match="ledger_held"):
        await copied(file, place)
    await running.close()
    with pytest.raises(DeskError, match="ledger_foreign"):
        await copying.copy(file, await postgresql.at(tmp_path / "foreign"), bus=BUS, agency="vac")


def within(tx: Connection, *statements: str) -> None:
    """Do *statements* in a transaction."""
    with tx.begin():
        for each in statements:
            tx.exec_driver_sql(each)


def altering(tx: Connection) -> None:
    """Have the server alter each delivery that is written."""
    body = "BEGIN NEW.digest := ''; RETURN NEW; END"
    within(
        tx,
        f"CREATE FUNCTION altered() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        "CREATE TRIGGER alter BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION altered()",
    )


async def test_a_copy_that_differs_or_is_cut_leaves_nothing(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill before the end, or a column that the server gives back otherwise, and the target is as empty as before."""
    file, place = tmp_path / "ledger.sqlite", await postgresql.at(tmp_path / "cut")
    await filled(tmp_path, FakeRegistrar(town()))

    def cut(table: Any) -> Any:
        if table is tables.outbox:
            raise KeyboardInterrupt
        return insert(table)

    with monkeypatch.context() as patch:
        patch.setattr(copying, "insert", cut)
        with pytest.raises(KeyboardInterrupt):
            await copied(file, place)
    assert not any((await rows(place)).values())

    await with_tables(place, altering)
    with pytest.raises(DeskError, match="ledger_differs"):
        await copied(file, place)
    assert not any((await rows(place)).values())

    await with_tables(place, lambda tx: within(tx, "DROP TRIGGER alter ON inbox"))
    await copied(file, place)
    assert await rows(place) == await rows(file)
