"""A desk that cannot write its ledger says so on the bus, by its lease, before anybody turns to it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from sqlalchemy.exc import OperationalError

from agencies import BUS
from desk.given import REF, Given, desk_of
from nrmbus.bus.kafka.lease import Begins, Lease, Me, Standing
from nrmbus.desk import holding
from nrmbus.desk.holding import Holding
from nrmbus.desk.state import beginnings
from nrmbus.desk.store import ledger as store
from nrmbus.desk.store.ledger import Beginning
from patience import eventually

INBOX = TopicPartition("nrm.inbox.vac", 0)


class Bus:
    """The consumer's side of the broker: what was committed last, and with which lease."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []

    async def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        """Keep the lease of a commit."""
        lease = Lease.read(offsets[INBOX].metadata, BUS)
        assert lease is not None
        self.leases.append(lease)


def held_by(given: Given) -> Holding:
    """Return the holding of vac's desk in a process that begins as its first holder."""
    begins = Begins(Me(BUS, "vac", "a" * 32, (INBOX,)), Standing(None, lives=False, offsets={}), 0.0)
    return Holding(given.desk, begins, lambda: None)


async def test_a_full_disk_is_said_without_a_record_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an idle desk, when its ledger cannot be written, then its lease says so once, and once more when it can be again."""
    monkeypatch.setattr(holding, "PROBE_SECONDS", 0.01)
    bus = Bus()
    async with desk_of("vac", tmp_path) as given:
        held = held_by(given)
        await held.begin()
        held._held.claimed.set()
        ledger = given.desk.seat.ledger
        begin, full = ledger._engine.begin, False

        async def begins() -> Any:
            if full:
                raise OperationalError("BEGIN", {}, Exception("database or disk is full"))
            return await begin()

        monkeypatch.setattr(ledger._engine, "begin", begins)
        watching = asyncio.create_task(held.watch_ledger(bus))
        try:
            await eventually("the ledger was written", lambda: "written" in ledger._notes)
            assert bus.leases == []
            full = True
            await eventually("it is said", lambda: [each.stuck for each in bus.leases] == [True])
            assert Lease.read(given.desk.lease, BUS) == bus.leases[0]
            full = False
            await eventually("it is taken back", lambda: [each.stuck for each in bus.leases] == [True, False])
        finally:
            watching.cancel()


async def test_an_acknowledgement_that_the_broker_gets_meanwhile_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a full disk that has room again, when a record is acknowledged while the broker answers, then the newest lease on the bus says so."""
    monkeypatch.setattr(holding, "PROBE_SECONDS", 0.01)
    bus, is_written = Bus(), False
    async with desk_of("vac", tmp_path) as given:
        held = held_by(given)
        await held.begin()
        held._held.claimed.set()

        async def answered_late(offsets: Mapping[TopicPartition, Any]) -> None:
            await Bus.commit(bus, offsets)
            await Bus.commit(bus, {INBOX: OffsetAndMetadata(7, given.desk.lease)})

        async def written() -> bool:
            return is_written

        monkeypatch.setattr(bus, "commit", answered_late)
        monkeypatch.setattr(held, "_is_written", written)
        watching = asyncio.create_task(held.watch_ledger(bus))
        try:
            await eventually("it is said", lambda: len(bus.leases) == 2)
            is_written = True
            await eventually("it is taken back", lambda: len(bus.leases) == 4)
        finally:
            watching.cancel()

        assert [each.stuck for each in bus.leases] == [True, True, False, False]


async def test_a_desk_whose_broker_did_not_answer_says_again_what_it_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a broker that did not answer that the ledger cannot be written, when the ledger can be written again, then the bus is told."""
    monkeypatch.setattr(holding, "PROBE_SECONDS", 0.01)
    bus = Bus()
    async with desk_of("vac", tmp_path) as given:
        held = held_by(given)
        await held.begin()
        held._held.claimed.set()

        async def unanswered(offsets: Mapping[TopicPartition, Any]) -> None:
            await Bus.commit(bus, offsets)
            if bus.leases[-1].stuck:
                raise KafkaError

        async def written() -> bool:
            return bool(bus.leases)

        monkeypatch.setattr(held, "_is_written", written)
        monkeypatch.setattr(bus, "commit", unanswered)
        watching = asyncio.create_task(held.watch_ledger(bus))
        try:
            await eventually("it is taken back", lambda: [each.stuck for each in bus.leases] == [True, False])
        finally:
            watching.cancel()

        assert Lease.read(given.desk.lease, BUS) == bus.leases[-1]


async def test_the_task_about_a_lost_ledger_is_opened_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger and has a full disk, when there is room again, then it catches up and a person is told of the loss."""
    monkeypatch.setattr(holding, "_AGAIN_SECONDS", 0.0)
    tries = list[str]()

    def open_task(*args: Any, **more: Any) -> None:
        tries.append("")
        if len(tries) <= 2:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))
        store.open_task(*args, **more)

    monkeypatch.setattr(beginnings, "open_task", open_task)
    async with desk_of("vac", tmp_path) as given:
        ledger, now = given.desk.seat.ledger, given.desk.seat.stamp()
        async with ledger.write() as tx:
            ledger.begin(tx, 0, Beginning(100, 7, "0" * 64, now, now, lost=True))
        await held_by(given).caught_up()

        assert [row.kind for row in await given.rows("tasks")] == [beginnings.TASK]


class Alone:
    """A holder beside whom nobody else can hold the desk."""

    is_sure = True


@pytest.mark.parametrize("code", [None, "agency_suspended"])
async def test_a_desk_that_another_process_ran_catches_up_whatever_the_registrar_answers(
    code: str | None, tmp_path: Path
) -> None:
    """Given a started desk with a registered event, when that event is answered again, also as suspended, then the registrar is past it."""
    async with desk_of("shelter", tmp_path) as given:
        record = await given.said(type="shelter.bed_offered", data={"valid_hours": 24}, ref=REF)
        receipt = given.registrar.register(record, to="shelter")
        await given.hear(receipt)
        before = len(given.sent)
        waiting = asyncio.create_task(given.relay.until_registrar_is_past(Alone()))
        try:
            await eventually("the event is sent again", lambda: given.sent[before:] == [record])
            assert not waiting.done()
            await given.hear(given.registrar.answer(record, code) if code else receipt)
            await eventually("the desk has caught up", waiting.done)
        finally:
            waiting.cancel()

        assert await given.rows("tasks") == []


def test_an_earlier_release_reads_the_lease_of_a_desk_that_is_well() -> None:
    """It does not know the mark, so a lease without it has no such member."""
    well = Lease(BUS, 1, "a" * 32, "host-a", 7, "2026-03-02T09:00:00Z")

    assert "stuck" not in well.written()
    assert Lease.read(well.written(), BUS) == well
