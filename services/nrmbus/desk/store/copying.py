"""Copy of a ledger to another place: from a file to a server or back, whole or not at all.

Both places are locked meanwhile, and every row is read again in the new place before its transaction is committed. The
copy keeps the ledger's name and the numbers of its rows, so that programs which follow the inbox notice nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, Row, Table, func, insert, select

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import Place, engine_of, exists

_AT_A_TIME: Final = 500
_LARGE_AT_A_TIME: Final = 50
"""Rows of a page of a table with letters or pieces of documents, of some hundred KB each: a page is held in memory twice."""


async def copy(source: Place, target: Place, *, bus: str, agency: str) -> Mapping[str, int]:
    """Copy the ledger at *source* to *target*; return the number of rows of each table.

    Raises:
        DeskError: ``ledger_absent`` if there is none at *source*; ``ledger_filled`` if one is at *target* already;
            ``ledger_differs`` if *target* gives other rows back; and as `Ledger.open`.
    """
    if not exists(source):
        raise DeskError("ledger_absent")
    ledger = await Ledger.open(source, bus=bus, agency=agency, patience=0.0, copies=True)
    into = engine_of(target, copies=True)
    try:
        await into.open(agency, 0.0, puts_out=False)
        transaction = await into.begin()
        try:
            if any(_count(transaction.connection, each) for each in tables.METADATA.sorted_tables):
                raise DeskError("ledger_filled")
            with ledger.read() as tx:
                counts = {
                    each.name: _copied(tx, transaction.connection, each) for each in tables.METADATA.sorted_tables
                }
        except BaseException:
            await into.rollback(transaction)
            raise
        await into.commit(transaction)
    finally:
        await into.close()
        await ledger.close()
    return counts


def _count(tx: Connection, table: Table) -> int:
    return tx.scalar(select(func.count()).select_from(table)) or 0


def _copied(source: Connection, target: Connection, table: Table) -> int:
    """Copy the rows of *table*; return how many, once *target* has given the same ones back."""
    digest, count = hashlib.sha256(), 0
    for page in _pages(source, table):
        target.execute(insert(table), [dict(row._mapping) for row in page])  # noqa: SLF001 - SQLAlchemy's public name for it
        count += len(page)
        _add(digest, page)
    again, found = hashlib.sha256(), 0
    for page in _pages(target, table):
        found += len(page)
        _add(again, page)
    if (count, digest.digest()) != (found, again.digest()):
        raise DeskError("ledger_differs")
    _count_on(target, table)
    return count


def _pages(tx: Connection, table: Table) -> Iterator[list[Row[Any]]]:
    at_a_time = _LARGE_AT_A_TIME if any(isinstance(each.type, LargeBinary) for each in table.c) else _AT_A_TIME
    rows = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=at_a_time)
    yield from (list(page) for page in tx.execute(rows).partitions())


def _add(digest: Any, page: Iterable[Row[Any]]) -> None:
    for row in page:
        digest.update(repr(tuple(row)).encode())


def _count_on(tx: Connection, table: Table) -> None:
    """Let a server number the next row after the copied ones, as a file does anyway."""
    column = table.autoincrement_column
    if tx.dialect.name != "postgresql" or column is None:
        return
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    tx.execute(select(func.setval(sequence, func.max(column))))
