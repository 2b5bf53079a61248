"""Statements of each request and each commit take as many steps in a ledger of years as in one of a day."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from desk.given import desk_of
from desk.store.given import put_rows, steps
from nrmbus.desk.state.bulletins import announcements
from nrmbus.desk.state.cases import NEWEST, Cases
from nrmbus.desk.store import tables
from nrmbus.desk.store.different import different
from nrmbus.desk.web.work import known

pytestmark = pytest.mark.usefixtures("kept")

PARTITIONS = different(tables.inbox.c.partition)


@pytest.mark.parametrize("held", [(), (0,), (7,), (0, 3, 63)])
async def test_the_values_are_those_that_distinct_finds(held: tuple[int, ...], tmp_path: Path) -> None:
    """Given none, one or several values, each is found once and in order."""
    async with desk_of("vac", tmp_path) as given:
        async with given.desk.seat.ledger.write() as tx:
            for each in reversed(held):
                put_rows(tx, range(1, 4), partition=each)
        with given.desk.seat.ledger.read() as tx:
            found = tx.scalars(PARTITIONS).all()
            some = tx.scalars(different(tables.inbox.c.partition, tables.inbox.c.partition.between(1, 10))).all()
            by_reading_all = sorted(tx.scalars(select(tables.inbox.c.partition).distinct()))

    assert found == by_reading_all == list(held)
    assert some == [each for each in held if 1 <= each <= 10]


def _partitions(tx: Connection, _: Cases) -> None:
    assert len(tx.scalars(PARTITIONS).all()) == 1


def _bulletins(tx: Connection, cases: Cases) -> None:
    assert list(announcements(tx, cases)) == []


def _changed_cases(tx: Connection, _: Cases) -> None:
    newest = tx.scalar(select(tables.events.c.position).order_by(tables.events.c.position.desc()).limit(1))
    assert newest
    assert len(tx.execute(known._CHANGED, {"seen": newest - 2, "until": NEWEST}).all()) == 2


def _unsent(tx: Connection, _: Cases) -> None:
    assert known._unsent(tx) == {}


@pytest.mark.parametrize("ask", [_partitions, _bulletins, _changed_cases, _unsent])
async def test_a_larger_ledger_costs_no_step_more(ask: object, tmp_path: Path) -> None:
    """Given a hundred times as many events, what each form, opening of a letter or list asks takes as many steps as before."""
    assert callable(ask)
    taken = list[int]()
    async with desk_of("vac", tmp_path) as given:
        for numbers in (range(1, 31), range(31, 3_001)):
            async with given.desk.seat.ledger.write() as tx:
                put_rows(tx, numbers, subjects=numbers[-1])
            with given.desk.seat.ledger.read() as tx, steps(tx) as those:
                ask(tx, given.desk.cases)
            taken.append(len(those))
    assert taken[0] == taken[1]
