"""A ledger that is older than what its desk did is found by what the bus remembers, and says what does not come back."""

from pathlib import Path
from typing import Any

import pytest

from agencies import SIGNAL, town
from desk.given import BED, FakeRegistrar, Given, desk_of
from nrmbus.bus.kafka.lease import Lease, Standing
from nrmbus.desk.state import older_copy
from nrmbus.desk.store import tables
from nrmbus.directory.own_entry_watch import Own

NOBODY = Standing(lease=None, lives=False, offsets={})


def ran(generation: int, **offsets: int) -> Standing:
    """Return the standing after a run of that generation, with acknowledged offsets by partition."""
    lease = Lease("0123456789abcdef", generation, "b" * 32, "host-b", 7, "2026-03-02T09:00:00Z")
    return Standing(lease=lease, lives=False, offsets={int(name[1:]): at for name, at in offsets.items()})


async def heard(given: Given, registrar: FakeRegistrar, number: int = 0) -> Any:
    """Have the shelter hear of a bed that is asked for; return the record."""
    bed = registrar.event("special-unit", "shelter.bed_requested", BED, case=f"{number:02x}" * 16)
    record = registrar.register(bed, to="shelter")
    await given.hear(record)
    return record


def shown(given: Given) -> Any:
    """Return the entry of `/health`."""
    return older_copy.shown(given.desk.seat)


async def test_a_ledger_that_ran_last_is_no_copy(tmp_path: Path) -> None:
    """Starts are numbered upwards; neither a new ledger, nor one of an earlier release, nor the newest one is a copy."""
    async with desk_of("shelter", tmp_path) as given:
        seat, registrar = given.desk.seat, given.registrar
        numbers = [await older_copy.look(seat, ran(4, p0=9))]  # lost, or moved: state/beginnings tells of it
        record = await heard(given, registrar)
        numbers.append(await older_copy.look(seat, NOBODY))
        numbers.append(await older_copy.look(seat, ran(6, p0=record.offset + 1, p1=-1)))

        assert numbers == [5, 6, 7]
        assert shown(given) is None
    async with desk_of("shelter", tmp_path) as given:
        assert await older_copy.look(given.desk.seat, ran(7)) == 8
        assert shown(given) is None


@pytest.mark.parametrize("standing", [ran(9), ran(1, p0=99)], ids=["a later start", "a later acknowledgement"])
async def test_a_copy_is_found_by_what_the_bus_remembers(tmp_path: Path, standing: Standing) -> None:
    """The copy is noted before the inbox is read, and stays noted over a restart, until the desk has caught up."""
    async with desk_of("shelter", tmp_path) as given:
        await older_copy.look(given.desk.seat, NOBODY)
        await heard(given, given.registrar)
        before = given.desk.seat.ledger.id
        await older_copy.look(given.desk.seat, standing)
        assert given.desk.seat.ledger.id != before, "programs that follow its rows begin again"
        registrar = given.registrar
    async with desk_of("shelter", tmp_path, registrar=registrar) as given:
        seat = given.desk.seat
        assert older_copy.is_behind(seat.ledger)
        since = older_copy.read_to(seat.ledger)
        await heard(given, registrar, 1)
        await older_copy.tell(seat, since)
        await older_copy.tell(seat, since)

        assert not older_copy.is_behind(seat.ledger)
        assert (shown(given)["again"], shown(given)["own"]) == (1, 0)
        assert [row.kind for row in await given.rows("tasks")].count(older_copy.TASK) == 1


async def test_a_copy_is_found_by_a_receipt_for_what_it_never_made(tmp_path: Path) -> None:
    """The bus may have forgotten lease and offsets: the registrar's receipts still show what the ledger does not know."""
    registrar = FakeRegistrar(town())
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        first = registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
        await given.hear(registrar.register(first, to="ngo-a"))
        since = older_copy.read_to(seat.ledger)
        await older_copy.tell(seat, since)
        assert shown(given) is None, "nothing was read since the start"
        lost = registrar.event("ngo-a", "case.signal_recorded", SIGNAL, case="ef" * 16)
        await given.hear(registrar.register(lost, to="ngo-a"))
        await older_copy.tell(seat, since)

        assert (shown(given)["caught_up"], shown(given)["again"], shown(given)["own"]) == (True, 1, 1)


async def test_what_stays_closed_or_missing_is_said_with_what_to_do(kept: str, tmp_path: Path) -> None:
    """Kafka has forgotten what follows the copy; the folder's private keys, or those that open its letters, are too old.

    A ledger on a server has no file that could be moved: the desk begins in an empty database.
    """
    away = {
        "sqlite": "move ledger.sqlite and the files beside it",
        "postgresql": "name an empty database in `ledger` of agency.json",
    }
    async with desk_of("shelter", tmp_path) as given:
        seat = given.desk.seat
        await heard(given, given.registrar)
        await older_copy.look(seat, ran(9))
        seat.troubles[0] = "inbox_gap"
        assert [each for each, words in away.items() if words in shown(given)["sentence"]] == [kept]
        del seat.troubles[0]
        seat.own = Own(seat.me, frozenset(), frozenset)
        seat.own.read_to_the_end(7)
        assert "nrmbus agency lost" in shown(given)["sentence"]
        seat.own = None
        async with seat.ledger.write() as tx:
            row = {"subject": "ab" * 16, "kid": "x-wing:" + "0" * 32, "sealed": b""}
            tx.execute(tables.case_keys.insert(), row)
        await older_copy.tell(seat, older_copy.read_to(seat.ledger))

        assert "Letters of some cases (1) do not open any more" in shown(given)["sentence"]
        (task,) = [row for row in await given.rows("tasks") if row.kind == older_copy.TASK]
        assert shown(given)["sentence"] in task.about
