"""A ledger's tables on a server are upgraded by one desk, however long it takes and whoever takes over meanwhile."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from agencies import BUS
from desk.store.on_servers import advanced, opened, opened_again
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import postgres, schema
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.suspending import suspend
from patience import eventually
from postgres import Server


@pytest.fixture(autouse=True)
async def _suspending() -> None:
    """Have the test's tasks wait inside statements."""
    suspend(asyncio.get_running_loop())


async def test_an_upgrade_of_the_tables_may_take_longer_than_any_other_statement(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a large ledger, then a change of its tables that takes a minute is not undone and begun again for ever."""
    make = schema.make

    def slow(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_sleep(3)")
        make(connection)

    monkeypatch.setattr(schema, "make", slow)
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 2.0)
    ledger = await opened(own_server, tmp_path)

    assert ledger.id
    await ledger.close()


async def is_waited_for(server: Server, lock: int) -> bool:
    """Return whether a session of the server waits for an advisory lock of the class *lock*."""
    connection = await server.connect()
    try:
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = $1::bigint::oid)"
        return bool(await connection.fetchval(waits, lock))
    finally:
        await connection.close()


@pytest.mark.parametrize("ends_upgrades", [True, False], ids=["ends the upgrade", "ends the writer only"])
async def test_a_desk_that_takes_over_during_an_upgrade_finds_the_tables_as_they_were(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends_upgrades: bool
) -> None:
    """Given the long upgrade of a newer release, when a person has another desk take over, then the upgrade is undone, and changes no table under the one that works; an earlier release ends only the connection that writes."""
    await (await opened(own_server, tmp_path)).close()
    other, gate, now = await own_server.connect(), 7, schema.REVISION
    await other.execute("SELECT pg_advisory_lock($1, 0)", gate)

    def upgraded(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({gate}, 0)")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'newer'")

    monkeypatch.setattr(schema, "migrate", upgraded)
    monkeypatch.setattr(schema, "REVISION", "newer")
    newer = asyncio.create_task(opened(own_server, tmp_path))
    await eventually("the upgrade is under way", lambda: is_waited_for(own_server, gate))
    monkeypatch.setattr(schema, "REVISION", now)
    if not ends_upgrades:
        of_writer = f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE granted AND classid = {postgres._LEDGER}"  # noqa: S608 - a constant
        monkeypatch.setattr(postgres, "_PUT_OUT", text(of_writer))
    place = await own_server.at(tmp_path)
    taking = asyncio.create_task(Ledger.open(place, bus=BUS, agency="vac", patience=0.0, puts_out=True))

    async def waits_or_works() -> bool:
        return taking.done() or (not ends_upgrades and await is_waited_for(own_server, postgres._LEDGER + 1))

    await eventually("the other desk has the lock", waits_or_works)
    await other.execute("SELECT pg_advisory_unlock($1, 0)", gate)
    with pytest.raises(DeskError) as refused:
        await newer
    ledger = await taking
    await advanced(ledger)

    with ledger.read() as tx:
        assert schema.revision_of(tx) == now
    assert refused.value.code == "ledger_away"
    await ledger.close()
    await other.close()


async def test_a_desk_that_waited_for_an_upgrade_s_end_sees_the_newer_tables(
    own_server: Server, tmp_path: Path
) -> None:
    """Given an upgrade that commits although its desk was put out just then, then a desk of this release that took over says that it does not know the tables, and works on none."""
    first = await opened(own_server, tmp_path)
    await first.close()
    upgrade = await own_server.connect()
    await upgrade.execute(f"SET search_path = {own_server.schema_of(first)}")
    async with upgrade.transaction():
        await upgrade.execute(postgres._UPGRADE.text)
        await upgrade.execute("UPDATE alembic_version SET version_num = 'newer'")
        taking = asyncio.create_task(opened_again(first))

        async def waits_or_works() -> bool:
            return taking.done() or await is_waited_for(own_server, postgres._LEDGER + 1)

        await eventually("the desk waits", waits_or_works)
    with pytest.raises(DeskError, match="ledger_unknown"):
        await taking
    await upgrade.close()
