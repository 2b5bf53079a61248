"""The ledger keeps its promise: one record, one transaction, and nothing half done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect
from sqlalchemy.engine.interfaces import ReflectedIndex

from agencies import BUS, CASE, SIGNAL, town
from desk.given import CANARY, FakeRegistrar, Read, desk_of, killed_at_call
from desk.kept import place_at
from desk.store.given import bed_request, outcome
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import hear, settle
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.store import schema
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import with_tables
from nrmbus.shelter import procedure
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

WITHDRAWN = {"stage": "referral", "requested_by": "person"}


pytestmark = pytest.mark.usefixtures("kept")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the desk may catch it."""


def after(times: int, target: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let *name* of *target* be called so many times, and kill the desk instead of the next call."""
    monkeypatch.setattr(target, name, killed_at_call(getattr(target, name), times, Killed))


def cut_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the desk before the opening of the letter is recorded."""
    after(0, letters, "record_reads", monkeypatch)


def cut_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the desk after the opening is recorded, before any of the event is."""

    def never(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(letters, "_open", never)


def cut_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the desk when the event is stored and the procedure answers."""

    def never(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(procedure, "_asked", never)


def cut_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the desk when the first of two drafts is in the outbox."""
    after(1, queue, "put", monkeypatch)


def cut_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the desk when all is written and nothing committed."""
    whole = hear.finish

    def cut(*args: Any, **kwargs: Any) -> None:
        whole(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(hear, "finish", cut)


@pytest.mark.thorough
@pytest.mark.parametrize("cut", [cut_reads, cut_opening, cut_handler, cut_draft, cut_commit])
async def test_a_desk_killed_anywhere_hears_the_record_once(
    cut: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk killed between any two steps and restarted ends as an unharmed one does: one offer, one bed held."""
    registrar = FakeRegistrar(town())
    record = registrar.register(bed_request(registrar), to="shelter")
    async with desk_of("shelter", tmp_path / "unharmed") as given:
        await given.hear(record)
        whole = await outcome(given)
    async with desk_of("shelter", tmp_path / "killed") as given:
        with monkeypatch.context() as patch:
            cut(patch)
            with pytest.raises(Killed):
                await given.hear(record)
        assert await given.rows("events") == []
        assert record.consumer.committed == 1, "only the unharmed desk has acknowledged"

    async with desk_of("shelter", tmp_path / "killed") as given:
        await given.hear(record)

        assert await outcome(given) == whole
        assert record.consumer.committed == 2


async def test_a_desk_killed_after_its_commit_drops_the_record_that_comes_again(tmp_path: Path) -> None:
    """Kafka delivers the unacknowledged record again: nothing is sent or reserved twice."""
    registrar = FakeRegistrar(town())
    record = registrar.register(bed_request(registrar), to="shelter")
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(record)
        whole = await outcome(given)
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(record)

        assert await outcome(given) == whole


async def test_a_procedure_never_promises_one_bed_twice_over_a_restart(tmp_path: Path) -> None:
    """The only bed is held for the first request; the second, after a restart, is refused."""
    registrar = FakeRegistrar(town())
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(registrar.register(bed_request(registrar), to="shelter"))
    async with desk_of("shelter", tmp_path) as given:
        other = bed_request(registrar, case="ef" * 16, ref="01" * 16)
        await given.hear(registrar.register(other, to="shelter"))

        said = [row.type for row in await given.rows("outbox") if row.origin == "procedure"]
        assert said == ["shelter.bed_offered", "shelter.bed_refused"]


async def test_a_partition_that_stands_still_is_shown_while_another_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health, doctor and the page of administration say so until the missing delivery has come, whatever else comes."""
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    first, second = (FakeRegistrar(town(), partition) for partition in (0, 1))
    missing = first.register(bed_request(first), to="shelter")
    async with desk_of("shelter", tmp_path) as given:
        with pytest.raises(DeskError, match="inbox_gap"):
            await given.hear(first.register(bed_request(first, case="ef" * 16), to="shelter"))
        await given.hear(second.register(bed_request(second, case="ab" * 16), to="shelter"))
        assert (await given.door.get("/health")).json()["trouble"] == "inbox_gap"

        await given.hear(missing)
        assert (await given.door.get("/health")).json()["trouble"] is None


async def test_a_missing_delivery_stops_the_inbox_until_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery two is not shown without delivery one; the desk says why, and continues when delivery one comes."""
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    registrar = FakeRegistrar(town())
    first = registrar.register(bed_request(registrar), to="shelter")
    second = registrar.register(bed_request(registrar, case="ef" * 16), to="shelter")
    async with desk_of("shelter", tmp_path) as given:
        for _ in range(settle.TRIES + 1):  # the record is never parked, since another record is missing
            with pytest.raises(DeskError, match="inbox_gap"):
                await given.hear(second)
        assert await given.rows("events") == []
        assert (await given.door.get("/health")).json()["trouble"] == "inbox_gap"
        assert [row.kind for row in await given.rows("tasks")] == ["inbox_gap"], "reported once, not at each try"
        assert second.consumer.again == [second.offset] * (settle.TRIES + 1)

        await given.hear(first)
        await given.hear(second)

        assert len(await given.rows("events")) == 2
        assert (await given.door.get("/health")).json()["trouble"] is None


async def test_a_delivery_that_contradicts_an_earlier_one_is_kept_as_evidence(tmp_path: Path) -> None:
    """A desk notices a registrar that delivers two different records under one number."""
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(given.registrar.register(bed_request(given.registrar), to="shelter"))
        twin = FakeRegistrar(town())
        await given.hear(twin.register(bed_request(twin, case="ef" * 16), to="shelter"))

        assert [row.subject for row in await given.rows("events")] == [CASE]
        assert [row.kind for row in await given.rows("tasks")] == ["inbox_forked"]


async def test_a_delivery_that_does_not_follow_the_last_one_stops_the_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right number with another predecessor is a fork of the inbox."""
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(given.registrar.register(bed_request(given.registrar), to="shelter"))
        twin = FakeRegistrar(town())
        twin.register(bed_request(twin, case="01" * 16), to="shelter")
        with pytest.raises(DeskError, match="inbox_forked"):
            await given.hear(twin.register(bed_request(twin, case="ef" * 16), to="shelter"))


async def test_what_the_registrar_did_not_deliver_here_is_set_aside(tmp_path: Path) -> None:
    """Junk, another agency's delivery, answer or refusal, and an event without the registrar's signature are set apart.

    It is noted, never shown, and stops nothing.
    """
    registrar = FakeRegistrar(town())
    theirs = registrar.register(bed_request(registrar), to="vac")
    bare = bed_request(registrar)
    good = registrar.register(bed_request(registrar, case="ef" * 16), to="shelter")
    answered = registrar.answer(bare, "sequence_gap")
    other = FakeRegistrar(town())
    refused = other._registration(bed_request(other), verdict="refused", code="wrong_state", rule="G-40", article="[D]")
    of_others = other._deliver("shelter", refused, Record(CASE.encode(), b"", ()))
    async with desk_of("shelter", tmp_path) as given:
        junk_headers = (("nrm_registration", b"\xff"), ("nrm_delivery", b"\xff"), ("x", CANARY.encode()))
        set_aside = [theirs.headers, bare.headers, junk_headers, answered.headers, of_others.headers]
        for offset, headers in enumerate(set_aside):
            junk = Read(**{**vars(theirs), "headers": headers, "offset": 100 + offset})
            await given.hear(junk)
            assert junk.consumer.committed >= 1
        await given.hear(good)

        assert [row.code for row in await given.rows("set_aside")] == [
            "not_a_delivery",
            "not_a_delivery",
            "signature_profile",
            "not_a_delivery",
            "not_a_delivery",
        ]
        assert len(await given.rows("events")) == 1
        assert (await given.door.get("/health")).json()["set_aside"] == 5


async def test_an_event_that_its_source_did_not_sign_is_never_shown(tmp_path: Path) -> None:
    """Even the registrar cannot forge an agency's event: the desk checks the source's own signature."""
    registrar = FakeRegistrar(town())
    said = bed_request(registrar)
    forger = FakeRegistrar(town())
    forger.town.identities["special-unit"], kept = forger.town.identities["vac"], forger.town.identities["special-unit"]
    try:
        forged = bed_request(forger)
    finally:
        forger.town.identities["special-unit"] = kept
    async with desk_of("shelter", tmp_path) as given:
        await given.hear(registrar.register(forged, to="shelter"))
        await given.hear(registrar.register(said, to="shelter"))

        assert len(await given.rows("events")) == 1
        assert [row.kind for row in await given.rows("tasks")] == ["forged"]


async def test_a_desk_refuses_the_ledger_of_another(tmp_path: Path) -> None:
    """A ledger copied into another agency's folder is not opened, so no agency continues another's numbers."""
    async with desk_of("shelter", tmp_path):
        pass
    with pytest.raises(DeskError, match="ledger_foreign"):
        await Ledger.open(await place_at(tmp_path / "ledger.sqlite"), bus=BUS, agency="vac")


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """The ledger has one writer: a page that only looks cannot change the record."""
    async with desk_of("shelter", tmp_path) as given:
        with given.desk.seat.ledger.read() as tx, pytest.raises(Exception, match=r"read-?only"):
            tx.exec_driver_sql("DELETE FROM meta")


def _index(index: ReflectedIndex) -> str:
    """Return an index in words, with the condition of its rows."""
    only = {name: str(condition) for name, condition in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": only})


def described(connection: Connection) -> dict[str, Any]:
    """Return the tables of a ledger, with columns, keys and indexes."""
    found = inspect(connection)
    columns, keys, unique = (
        found.get_multi_columns(),
        found.get_multi_pk_constraint(),
        found.get_multi_unique_constraints(),
    )
    indexes, foreign = found.get_multi_indexes(), found.get_multi_foreign_keys()
    return {
        str(name): (
            [(each["name"], _type(each["type"]), each["nullable"], each["default"]) for each in of_table],
            keys[name],
            sorted(map(str, unique.get(name, ()))),
            sorted(map(_index, indexes.get(name, ()))),
            sorted(map(str, foreign.get(name, ()))),
        )
        for name, of_table in columns.items()
    }


def _type(of_column: Any) -> str:
    return f"{of_column} {getattr(of_column, 'collation', None)}"


def within(make: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Return work that does *make* in a transaction."""

    def work(connection: Connection) -> None:
        with connection.begin():
            make(connection)

    return work


async def test_a_new_ledger_and_a_migrated_one_have_the_same_tables(tmp_path: Path) -> None:
    """A desk made today and one made by the first release and renewed since are the same desk."""
    fresh, migrated = await place_at(tmp_path / "fresh.sqlite"), await place_at(tmp_path / "migrated.sqlite")
    await with_tables(fresh, within(schema.make))
    await with_tables(migrated, within(schema.migrate))

    found = await with_tables(fresh, described)
    assert len(found) > 15
    assert found == await with_tables(migrated, described)
    assert await with_tables(migrated, schema.revision_of) == schema.REVISION


async def test_every_revision_can_be_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken back to the baseline and upgraded again, a ledger has the same tables."""
    place = await place_at(tmp_path / "ledger.sqlite")
    await with_tables(place, schema.bring_up)
    before = await with_tables(place, described)
    later = {revision: "99.0.0" if revision > "0001" else "0.1.0" for revision in schema.releases()}
    monkeypatch.setattr(schema, "releases", lambda: later)

    assert await with_tables(place, lambda tables: schema.take_back(tables, "0.1.0")) == "0001"
    assert len(await with_tables(place, described)) < len(before)

    await with_tables(place, schema.bring_up)
    assert await with_tables(place, described) == before


@pytest.mark.parametrize("make", [schema.make, schema.migrate])
async def test_a_desk_killed_while_it_makes_its_tables_makes_them_next_time(
    make: Callable[[Connection], None], tmp_path: Path
) -> None:
    """Half a schema is never left behind."""
    place = await place_at(tmp_path / "ledger.sqlite")

    def cut(connection: Connection) -> None:
        @event.listens_for(connection, "before_cursor_execute")
        def kill(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "outbox" in statement:
                raise Killed

        within(make)(connection)

    with pytest.raises(Killed):
        await with_tables(place, cut)
    assert not await with_tables(place, described)

    await with_tables(place, schema.bring_up)

    assert await with_tables(place, schema.revision_of) == schema.REVISION


async def test_a_restored_ledger_learns_from_receipts_what_it_had_said(tmp_path: Path) -> None:
    """The receipt of an own event that the ledger no longer knows enters the case, and the next number follows it."""
    registrar = FakeRegistrar(town())
    lost = [
        registrar.event("ngo-a", "case.signal_recorded", SIGNAL),
        registrar.event("ngo-a", "case.withdrawn", WITHDRAWN),
    ]
    async with desk_of("ngo-a", tmp_path) as given:
        for said in lost:
            await given.hear(registrar.register(said, to="ngo-a"))
        following = await given.said(type="case.closed", data={"reason": "withdrawn", "follow_up": False})

        assert [row.source for row in await given.rows("events")] == ["ngo-a", "ngo-a"]
        assert decode(following).sequence == 3
