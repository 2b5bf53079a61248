"""A ledger on a PostgreSQL server: one desk at a time, and a connection that may go at any moment."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import LargeBinary, delete, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from agencies import BUS, CASE, SIGNAL
from desk.documents.test_sharing import uploaded
from desk.given import CANARY, desk_of
from desk.kept import kept_on
from desk.store.on_servers import DUE, advanced, opened, opened_again
from nrmbus.bus import machine
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.private_files import write_json
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import drafts
from nrmbus.desk.state import labels
from nrmbus.desk.store import postgres, tables
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.ledger import Ledger, open_task
from nrmbus.desk.store.place import place_of
from nrmbus.desk.store.suspending import suspend
from patience import eventually
from postgres import Server


@pytest.fixture(autouse=True)
async def _suspending() -> None:
    """Have the test's tasks wait inside statements."""
    suspend(asyncio.get_running_loop())


async def close_of(server: Server, driver: Any) -> None:
    """Have *server* end the connection *driver*, as after a time without a statement, and wait until that is known here."""
    other = await server.connect()
    await other.execute("SELECT pg_terminate_backend($1)", driver.get_server_pid())
    await other.close()
    await eventually("the end of the connection is known here", driver.is_closed)


def through_a_pooler(connect: Any) -> Any:
    """Return *connect* as if a pooler stood in between, which refuses parameters that it does not know."""

    async def refusing(*args: Any, server_settings: Mapping[str, str], **more: Any) -> Any:
        if unknown := server_settings.keys() - {"application_name"}:
            raise asyncpg.ProtocolViolationError(f"unsupported startup parameter: {', '.join(sorted(unknown))}")
        return await connect(*args, server_settings=server_settings, **more)

    return refusing


async def positions(ledger: Ledger) -> int:
    """Return the number of positions that are stored."""
    with ledger.read() as tx:
        return len(tx.execute(select(tables.positions)).all())


async def test_a_server_that_only_reads_counts_as_away(own_server: Server, tmp_path: Path) -> None:
    """Given a standby, or a server that lets nobody write since its disk is full, then the desk waits for a server that takes what it writes."""
    await (await opened(own_server, tmp_path)).close()
    place = Address.parse(f"{own_server.address(tmp_path).url}&default_transaction_read_only=on")
    with pytest.raises(DeskError) as refused:
        await Ledger.open(place, bus=BUS, agency="vac", patience=0.0)

    assert (refused.value.code, refused.value.safe) == ("ledger_away", {"error": "ReadOnlySQLTransactionError"})


async def test_a_user_without_a_schema_is_refused_at_once(own_server: Server, tmp_path: Path) -> None:
    """Given an administrator who has taken the schema away from everybody, then the desk says so, and does not ask for a lock that has no name."""
    with pytest.raises(DeskError) as refused:
        await Ledger.open(own_server.address(tmp_path), bus=BUS, agency="vac", patience=0.0)

    assert (refused.value.code, refused.value.safe) == ("ledger_away", {"error": "InvalidSchemaNameError"})


async def test_a_holder_that_nobody_may_see_is_not_waited_for_without_end(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a server that does not name who has the lock, then the second desk is refused all the same."""
    first = await opened(own_server, tmp_path)
    monkeypatch.setattr(postgres, "_HOLDER", text("SELECT 1 AS pid WHERE false"))
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 1.0)
    with pytest.raises(DeskError, match="ledger_held"):
        await opened_again(first)
    await first.close()


async def test_a_pooler_that_keeps_sessions_gets_every_setting_to_the_server(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a pooler that takes few parameters of a connection, as PgBouncer does, then the desk's commits wait for the server's disk all the same."""
    place = Address.parse(f"{(await own_server.at(tmp_path)).url}&synchronous_commit=off")
    monkeypatch.setattr(asyncpg, "connect", through_a_pooler(asyncpg.connect))
    ledger = await Ledger.open(place, bus=BUS, agency="vac", patience=0.0)
    async with ledger.write() as tx:
        names = ("synchronous_commit", "idle_in_transaction_session_timeout", "application_name")
        found = [tx.exec_driver_sql(f"SHOW {each}").scalar() for each in names]
    await ledger.close()

    assert found[:2] == ["on", "1min"]
    assert str(found[2]).startswith("nrmbus vac ")


async def test_a_second_desk_is_refused_and_told_who_and_where(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two desks of one agency, each in a process of its own, would sign different events under one number."""
    other = os.getpid() + 1
    monkeypatch.setattr(socket, "gethostname", lambda: "CANARY-macbook")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "getpid", lambda: other)
        first = await opened(own_server, tmp_path)
    with pytest.raises(DeskError) as refused:
        await opened(own_server, tmp_path)
    with first.read() as tx:
        name = tx.exec_driver_sql("SHOW application_name").scalar()
    await first.close()

    assert "CANARY" not in str(name), "P9: a machine may have a worker's name"
    assert refused.value.code == "ledger_held"
    assert f"The desk on this machine, process {other}, " in refused.value.detail
    second = await opened(own_server, tmp_path)
    assert second.id == first.id
    await second.close()


async def test_a_second_container_of_the_machine_is_told_of_the_first(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two containers of one machine, in each of which the desk is process 1, then the second is told how to take over, and of no second address."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(postgres, "_OWN", "0123ab")
        first = await opened(own_server, tmp_path)
    with pytest.raises(DeskError) as refused:
        await opened(own_server, tmp_path)
    await first.close()

    assert refused.value.code == "ledger_held"
    assert "The desk on this machine, process 1, has the ledger open." in refused.value.detail


@pytest.mark.parametrize("left", [3, 0], ids=["cut within", "cut before"])
async def test_a_holder_s_process_is_not_named_if_its_number_may_be_cut(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Given the long name of a host that an earlier release gave the server, then nobody is told to end another program's process."""
    host = "h" * (63 - len("nrmbus vac  ") - left)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(machine, "mark", lambda: host)
        elsewhere.setattr(os, "getpid", lambda: 1234567)
        first = await opened(own_server, tmp_path)
    with pytest.raises(DeskError) as refused:
        await opened(own_server, tmp_path)
    await first.close()

    assert f"The desk on host {host} has the ledger open." in refused.value.detail


async def test_a_desk_that_is_put_out_is_not_back_before_the_one_that_takes_over(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a busy machine, on which a desk that takes over looks seldom, then it has the lock first all the same, and the other stands by."""
    monkeypatch.setattr(postgres, "_HELD_LOOK", 3.0)
    first = await opened(own_server, tmp_path)
    refusals = []

    async def stands_by_again() -> None:
        await first.lost.wait()
        await first.close()
        while True:
            try:
                ledger = await opened(own_server, tmp_path)
            except DeskError as error:
                refusals.append(error.code)
                await asyncio.sleep(0.01)
            else:
                await ledger.close()
                return

    back = asyncio.create_task(stands_by_again())
    second = await Ledger.open(first.place, bus=BUS, agency="vac", patience=60.0, puts_out=True)
    await eventually("the one that was put out has asked again", lambda: refusals or back.done())
    has_returned = back.done()
    await advanced(second)
    await second.close()
    await back

    assert not has_returned
    assert set(refusals) == {"ledger_held"}


async def test_a_desk_that_is_put_out_loses_its_ledger_at_once(own_server: Server, tmp_path: Path) -> None:
    """A person decides which of two machines runs the desk: the other one can write nothing more."""
    first = await opened(own_server, tmp_path)
    second = await Ledger.open(first.place, bus=BUS, agency="vac", patience=0.0, puts_out=True)
    await first.lost.wait()
    with pytest.raises(DeskError, match="not_available"):
        await advanced(first)
    await advanced(second)
    await first.close()
    await second.close()


async def test_a_reader_s_idle_connection_that_was_closed_fails_no_reading(own_server: Server, tmp_path: Path) -> None:
    """Given a server or a proxy that closes idle connections, then the first page after a quiet time is shown all the same."""
    ledger = await opened(own_server, tmp_path)
    await advanced(ledger)
    with ledger.read() as one, ledger.read() as other:
        drivers: list[Any] = [each.connection.driver_connection for each in (one, other)]
    for driver in drivers:
        await close_of(own_server, driver)

    assert await positions(ledger) == 1
    assert await positions(ledger) == 1
    assert not ledger.lost.is_set()
    await ledger.close()


async def test_a_killed_server_loses_the_ledger_and_not_what_it_has(own_server: Server, tmp_path: Path) -> None:
    """An idle desk notices at once, writes no more, and finds what was committed when it opens the ledger again."""
    ledger = await opened(own_server, tmp_path)
    await advanced(ledger)
    own_server.kill()
    await ledger.lost.wait()
    with pytest.raises(DeskError, match="not_available"):
        await advanced(ledger)
    with pytest.raises(SQLAlchemyError):
        await positions(ledger)
    with pytest.raises(DeskError, match="ledger_away"):
        await opened_again(ledger)
    await ledger.close()
    own_server.start()

    again = await opened(own_server, tmp_path)
    assert again.positions[0] == DUE
    await again.close()


async def test_a_server_that_does_not_answer_is_given_up_and_the_loop_goes_on(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen server holds up its own statements alone, and counts as away after some seconds."""
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 0.5)
    ledger = await opened(own_server, tmp_path)
    own_server.signal(signal.SIGSTOP)
    try:
        writing = asyncio.create_task(advanced(ledger))
        await asyncio.sleep(0)
        assert not writing.done()
        with pytest.raises(SQLAlchemyError):
            await writing
        await ledger.lost.wait()
    finally:
        own_server.signal(signal.SIGCONT)
    await ledger.close()


async def test_a_cancelled_task_keeps_the_connection(own_server: Server, tmp_path: Path) -> None:
    """A client that hangs up during a statement must not cost the desk its ledger: the statement is answered first."""
    ledger = await opened(own_server, tmp_path)
    began = asyncio.Event()

    async def slow() -> None:
        async with ledger.write() as tx:
            ledger.advance(0, DUE)
            began.set()
            tx.exec_driver_sql("SELECT pg_sleep(0.2)")
            await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ledger.lost.is_set()
    assert await positions(ledger) == 0

    await advanced(ledger)
    assert await positions(ledger) == 1
    await ledger.close()


async def test_a_statement_lets_other_tasks_run(own_server: Server, tmp_path: Path) -> None:
    """The event loop goes on while the server works."""
    ledger = await opened(own_server, tmp_path)

    async def slow() -> None:
        with ledger.read() as tx:
            tx.exec_driver_sql("SELECT pg_sleep(0.3)")

    task, turns = asyncio.create_task(slow()), 0
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    await task

    assert turns > 20
    await ledger.close()


async def test_a_server_that_cannot_clean_ends_no_desk(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk is full, or it allows a statement too little time: the desk works on, and tries again at its next look."""
    ledger = await opened(own_server, tmp_path)
    with monkeypatch.context() as failing:
        failing.setattr(postgres, "_CLEANING", ("SELECT 1 / 0",))
        await ledger.off_the_disk()
        held = ledger.holds_deleted
    await ledger.off_the_disk()

    assert (held, ledger.holds_deleted) == (True, False)
    await ledger.close()


async def test_deleted_rows_are_rewritten_unless_a_backup_reads_them(own_server: Server, tmp_path: Path) -> None:
    """A reader of the keys' table is not waited for: the desk tries again at its next look."""
    ledger = await opened(own_server, tmp_path)
    backup = await own_server.connect()
    reading = backup.transaction()
    await reading.start()
    await backup.execute(f"SET LOCAL search_path = {own_server.schema_of(ledger)}")
    await backup.fetch("SELECT * FROM case_keys")
    await ledger.off_the_disk()
    held = ledger.holds_deleted
    await reading.rollback()
    await ledger.off_the_disk()

    assert (held, ledger.holds_deleted) == (True, False)
    await backup.close()
    await ledger.close()


async def files_of(server: Server, ledger: Ledger) -> dict[str, int]:
    """Return the number of the file of each table that an erasure rewrites: a rewriting changes it."""
    connection = await server.connect()
    names = {name: f"{server.schema_of(ledger)}.{name}" for name in postgres.REWRITTEN}
    found = {
        n: await connection.fetchval("SELECT pg_relation_filenode($1::text::regclass)", at) for n, at in names.items()
    }
    await connection.close()
    return found


async def test_no_table_is_rewritten_while_a_snapshot_sees_a_deleted_row(own_server: Server, tmp_path: Path) -> None:
    """Given a report that reads no table of the ledger and runs for an hour, when the desk looks again and again, then it copies no table, and cleans all of them after the report's end."""
    ledger = await opened(own_server, tmp_path)
    report = await own_server.connect()
    async with ledger.write() as tx:
        tx.execute(insert(tables.case_keys), {"subject": CASE, "kid": "1", "sealed": b"key"})
    before = await files_of(own_server, ledger)
    held = list[bool]()
    async with report.transaction(isolation="repeatable_read"):
        await report.fetch("SELECT 1")
        async with ledger.write() as tx:
            tx.execute(delete(tables.case_keys))
        for _ in range(3):
            await ledger.off_the_disk()
            held.append(ledger.holds_deleted)
        meanwhile = await files_of(own_server, ledger)
    while ledger.holds_deleted:  # the server itself may have a snapshot for a moment, for its statistics
        await ledger.off_the_disk()
    after = await files_of(own_server, ledger)

    assert held == [True, True, True]
    assert meanwhile == before
    assert not set(after.values()) & set(before.values())
    await report.close()
    await ledger.close()


async def test_p6_deleted_keys_and_tasks_are_in_the_files_while_an_open_snapshot_sees_them(
    own_server: Server, tmp_path: Path
) -> None:
    """Given a report, or a page of the desk, that has read another table, when a case's keys and tasks are destroyed, then this counts as done only once their bytes are gone."""
    ledger = await opened(own_server, tmp_path)
    report = await own_server.connect()
    key, words = b"CANARY sealed key of a case", "CANARY words of a letter"

    async def kept() -> None:
        about = json.dumps({"alternatives": [words]})
        async with ledger.write() as tx:
            tx.execute(delete(tables.tasks))
            tx.execute(insert(tables.case_keys), {"subject": CASE, "kid": "1", "sealed": key})
            open_task(tx, opened="1", subject=CASE, event_id="1", kind="any", about=about)

    async def erased() -> tuple[bool, bool]:
        async with ledger.write() as tx:
            rounds.erase(tx, [CASE])
            rounds.close_tasks(tx, tables.tasks.c.subject == CASE, at="later")
        await ledger.off_the_disk()
        return ledger.holds_deleted, any([await own_server.holds(each) for each in (key, words.encode())])

    async def is_left_at_the_end() -> bool:
        is_left = True
        while ledger.holds_deleted:  # the server itself may have a snapshot for a moment, for its statistics
            _, is_left = await erased()
        return is_left

    await kept()
    async with report.transaction(isolation="repeatable_read"):
        await report.fetch("SELECT count(*) FROM pg_class")
        with_report = await erased()
    after_report = await is_left_at_the_end()
    await kept()
    with ledger.read() as tx:
        tx.execute(select(tables.meta)).all()
        with_page = await erased()
    after_page = await is_left_at_the_end()

    assert (with_report, after_report) == ((True, True), False)
    assert (with_page, after_page) == ((True, True), False)
    await report.close()
    await ledger.close()


async def test_p6_an_erasure_leaves_nothing_typed_uploaded_or_noted_in_the_files(
    own_server: Server, tmp_path: Path
) -> None:
    """Given a label, a draft and an upload of a case, when the case is erased, then no file of the server has their sealed bytes."""
    with kept_on(own_server):
        async with desk_of("ngo-a", tmp_path) as given:
            seat = given.desk.seat
            await given.registered(type="case.signal_recorded", data=SIGNAL)
            async with seat.ledger.write() as tx:
                labels.keep(seat, tx, CASE, CANARY)
                drafts.begin(
                    seat, tx, owner="S-1", type="case.closed", subject=CASE, ref=None, page="what", typed={"notes": (CANARY,)}
                )  # fmt: skip
            await uploaded(given, b"%PDF-" + bytes(300))
            of = (tables.case_labels, tables.drafts, tables.documents, tables.document_pieces)
            with seat.ledger.read() as tx:
                sealed = {str(table): tx.scalars(select(table.c.sealed)).one()[-200:] for table in of}
            before = {name: await own_server.holds(part) for name, part in sealed.items()}
            due = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
            await given.hear(given.registrar.register(due, to="ngo-a"))
            assert await rounds.erase_due(given.desk) == (CASE,)
            after = {name: await own_server.holds(part) for name, part in sealed.items()}

    assert before == dict.fromkeys(sealed, True)
    assert after == dict.fromkeys(sealed, False)


def test_each_table_of_cases_and_each_with_bytes_is_cleaned_or_has_a_reason() -> None:
    """Given a new table with a case or with bytes in it, then an erasure cleans the table's files, or this list gives a reason not to."""
    reasons = {
        "inbox": "statements of the registrar, which stay",
        "sequences": "numbers, which stay",
        "reads": "the record of readings, which stays",
        "parked": "error codes; a row ends when its record is handled",
        "erasures": "the orders themselves, which stay",
        "deliveries": "ids, which stay",
        "witnessed": "checkpoints of logs, about no case",
        "witness_alarms": "checkpoints of logs, about no case",
        "passkeys": "public keys of the agency's people, about no case",
    }
    found = {
        table.name
        for table in tables.METADATA.tables.values()
        if "subject" in table.c or any(isinstance(each.type, LargeBinary) for each in table.c)
    }

    assert found == {*postgres.REWRITTEN, *postgres.CLEANED, *reasons}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://vac:CANARY-secret@db/ledgers", "postgresql://vac@db/ledgers?password=CANARY-secret",
        "postgresql://vac@db/ledgers?sslpassword=CANARY-secret",
        "postgresql://vac@db", "sqlite:///ledger.sqlite", 5, "postgresql://[CANARY/ledgers",
    ],
)  # fmt: skip
def test_an_address_is_of_a_postgresql_database_and_has_no_password(url: object, tmp_path: Path) -> None:
    """A password in `agency.json` would get into backups and process lists: it is refused, and not repeated."""
    home = AgencyFolder(tmp_path)
    write_json(home.agency_json, {"ledger": url})
    with pytest.raises(DeskError) as refused:
        place_of(home)

    assert refused.value.code == "ledger_unfit"
    assert "CANARY" not in str(refused.value)


def test_without_a_word_the_ledger_is_a_file(tmp_path: Path) -> None:
    """An agency that sets nothing keeps its file."""
    assert place_of(AgencyFolder(tmp_path)) == tmp_path / "ledger.sqlite"


async def test_memory_stays_as_it_was_if_nothing_could_be_begun(own_server: Server, tmp_path: Path) -> None:
    """A lost ledger answers every writer, and holds up none."""
    ledger = await opened(own_server, tmp_path)
    ledger.lost.set()
    writers = [asyncio.create_task(advanced(ledger)) for _ in range(3)]
    found = await asyncio.gather(*writers, return_exceptions=True)

    assert [type(each) for each in found] == [DeskError] * 3
    assert not ledger.positions
    await eventually("nobody waits", lambda: all(each.done() for each in writers))
    await ledger.close()


async def test_a_full_disk_undoes_a_transaction_and_costs_no_connection(own_server: Server, tmp_path: Path) -> None:
    """What the server has no room for is refused; as soon as there is room, the same is taken."""
    ledger = await opened(own_server, tmp_path)
    async with ledger.write() as tx:
        full = "BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END"
        tx.exec_driver_sql(f"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ {full} $$")
        tx.exec_driver_sql("CREATE TRIGGER full_disk BEFORE INSERT ON positions EXECUTE FUNCTION full_disk()")
    with pytest.raises(SQLAlchemyError):
        await advanced(ledger)
    assert (dict(ledger.positions), ledger.lost.is_set()) == ({}, False)
    async with ledger.write() as tx:
        tx.exec_driver_sql("DROP TRIGGER full_disk ON positions")

    await advanced(ledger)
    assert await positions(ledger) == 1
    await ledger.close()
