"""Transaction of the inbox: verify, store, hear, settle; of one record, or of several cases' records together.

Each stage is a module and hands a frozen value to the next one. FastStream calls a handler for a single record, so the
transaction stays open between the calls: `begin` verifies all records, `take` stores the next one and finds what the
procedure hears, `answer` takes what the procedure says, `end` commits, or undoes everything. No record is half done:
after a kill it is read again.

Records that share a transaction belong to different cases (`handle_together`), so that what the desk remembers of a case
is always what is on disk. If one of them fails, all are undone, and each is read again in a transaction of its own.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from nrmbus import telemetry
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox import hear, settle, store, verify
from nrmbus.desk.inbox.hear import Hearing
from nrmbus.desk.inbox.verify import Consumed, Delivered, Verified
from nrmbus.desk.procedure.interface import Heard, Result, answered
from nrmbus.desk.state import parking

AT_ONCE: Final = 16
"""Largest number of records that share a transaction. Their commit is cheap for each then, and the door still waits for
milliseconds only."""


class State(StrEnum):
    """Stage that a record has reached; after an error, the state says whose fault the error is."""

    VERIFYING = "verifying"
    """Nothing is stored. An error stops the inbox: the directory, the ledger, a gap."""
    STORING = "storing"
    """The transaction is open. An error stops the inbox: other records would fare no better."""
    HEARING = "hearing"
    """An error is the record's own fault, also one that kept its letter closed; after a few tries its case is parked."""
    SETTLED = "settled"
    """The transaction is committed."""


class InboxTransaction:
    """Transaction of records, from FastStream's first call for them to its last."""

    def __init__(self, desk: Desk, records: Sequence[Consumed], *, park_as: str | None = None) -> None:
        """Handle *records*; with *park_as* (an error's class) store them unheard, and park their cases."""
        self.state = State.VERIFYING
        self._desk, self._records, self._park_as = desk, records, park_as
        self._started = time.monotonic()
        self._stack, self._spans = AsyncExitStack(), ExitStack()
        self._span: telemetry.Open | None = None
        self._tx: Connection | None = None
        self._due: Iterator[Verified] = iter(())
        self._record: Verified | None = None
        self._hearing: Hearing | None = None
        self._done: list[tuple[Verified, Hearing]] = []

    async def begin(self) -> None:
        """Verify the records, and open the transaction in which they are stored; it stays open until the end.

        Raises:
            DeskError: ``inbox_gap``, ``inbox_forked``: the inbox stops until a person has looked.
        """
        found = await verify.verify(self._desk, self._records)
        self._due, self._record = iter(found), found[0]
        self._tx = await self._stack.enter_async_context(self._desk.seat.ledger.write())
        self._stack.enter_context(self._spans)

    def take(self) -> Heard | None:
        """Store the next record; return what a handler hears, or None if the record is no event, or must wait."""
        desk, tx, record = self._desk, self._open, next(self._due)
        self.state, self._record, self._span = State.STORING, record, None
        arrived = record.arrived
        if record.is_due and isinstance(arrived, Delivered) and (signed := arrived.signed) is not None:
            span = telemetry.consumed(event_type=signed.type, event_id=signed.id, traceparent=signed.traceparent)
            self._span = self._spans.enter_context(span)
        stored = store.store(desk, tx, record)
        if stored.is_heard:
            self.state = State.HEARING
        self._hearing = hear.hear(desk, tx, record, stored, park_as=self._park_as)
        if self._hearing.heard is None:
            self._finish(record, self._hearing)
        return self._hearing.heard

    def answer(self, answer: Result | None) -> None:
        """Store what the procedure answers to the record that was taken last: drafts in the outbox, tasks for people."""
        record, hearing = self._record, self._hearing
        if record is None or hearing is None or hearing.heard is None:
            raise RuntimeError("a handler answers a record that it heard")
        hear.finish(self._desk, self._open, record, hearing.heard, answer)
        self._finish(record, hearing)

    @property
    def _open(self) -> Connection:
        if self._tx is None:
            raise RuntimeError("a record is handled between begin and end only")
        return self._tx

    def _finish(self, record: Verified, hearing: Hearing) -> None:
        desk = self._desk
        if record.released is not None:
            parking.let_go(self._open, record.released, desk.seat.stamp())
        desk.seat.ledger.then(lambda: settle.remember(desk, record, hearing))
        self._done.append((record, hearing))
        if self._span is not None:
            self._span.result(hearing.outcome, hearing.code)
        self._spans.close()

    async def commit(self) -> None:
        """Commit all that was taken. After an error nothing is stored, and the error is raised."""
        try:
            await self._stack.aclose()
        except BaseException as error:
            await self.undo(error)
            raise
        self.state = State.SETTLED
        for record, hearing in self._done:
            settle.log(self._desk, record, hearing, self._started)

    async def undo(self, error: BaseException) -> None:
        """Undo everything because of *error*."""
        await self._stack.__aexit__(type(error), error, error.__traceback__)

    async def end(self, error: BaseException | None) -> bool:
        """Commit the only record; or undo, wait, and let it be read again; or, after enough tries, park its case.

        Returns whether *error* is dealt with, so that the record counts as handled. Raises the error that prevented the
        commit: otherwise FastStream would acknowledge the record.
        """
        if error is not None:
            await self.undo(error)
            return isinstance(error, Exception) and await self._failed(error)
        try:
            await self.commit()
        except Exception as failure:  # whatever it is, nothing was committed: the record is read again
            if not await self._failed(failure):
                raise
        return True

    async def _failed(self, error: Exception) -> bool:
        """Deal with *error*, after which nothing of the record is stored; return whether the record counts as handled."""
        desk, consumed = self._desk, self._records[0]
        where = (consumed.partition, consumed.offset)
        is_own_fault = self.state is State.HEARING
        attempt = desk.attempts[where] = desk.attempts.get(where, 0) + 1
        if isinstance(consumed, verify.Released):
            desk.attempts.pop(where)
            await settle.keep_parked(desk, self._record, error, is_own_fault=is_own_fault)
            return False
        if is_own_fault and attempt >= settle.TRIES and self._park_as is None and await self._park(error):
            return True
        if not is_own_fault:
            await settle.stop_inbox(desk, where, error)
        desk.put_off = consumed.partition
        try:
            await settle.wait(attempt, consumed.offset, error)
        finally:
            desk.put_off = None
        return False

    async def _park(self, error: Exception) -> bool:
        parked = InboxTransaction(self._desk, self._records, park_as=type(error).__name__)
        failed: Exception | None = None
        try:
            await parked.begin()
            parked.take()
        except Exception as another:  # noqa: BLE001 - undone in `end`; the record is read again
            failed = another
        return await parked.end(failed)


async def handle_together(desk: Desk, records: Sequence[Consumed]) -> None:
    """Handle *records*, each of another case, in one transaction. After an error all of them are undone, and the error is raised.

    The procedure hears them without FastStream's handlers, which would run the same lines: a handler costs as much as the
    storing of a receipt.
    """
    transaction = InboxTransaction(desk, records)
    try:
        await transaction.begin()
        for _ in records:
            heard = transaction.take()
            if heard is not None:
                transaction.answer(answered(desk.lines, desk.book, heard))
        await transaction.commit()
    except BaseException as error:
        await transaction.undo(error)
        raise


def by_case(records: Iterable[Consumed]) -> list[list[Consumed]]:
    """Return *records* in order, in runs that have each case at most once."""
    runs: list[list[Consumed]] = [[]]
    cases = set[bytes | None]()
    for each in records:
        if each.key in cases:
            runs.append([])
            cases.clear()
        runs[-1].append(each)
        cases.add(each.key)
    return runs
