"""Transaction of one record of the inbox: verify, store, hear, settle.

Each stage is a module and hands a frozen value to the next one. FastStream calls in three places, so the transaction
stays open between them: `begin` verifies, stores and finds what the procedure hears, `answer` takes a handler's result,
`end` commits, or undoes everything. No record is half done: after a kill it is read again.
"""

import time
from contextlib import AsyncExitStack
from enum import StrEnum

from sqlalchemy import Connection

from nrmbus import telemetry
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox import hear, settle, store, verify
from nrmbus.desk.inbox.hear import Hearing
from nrmbus.desk.inbox.verify import Consumed, Delivered, Verified
from nrmbus.desk.procedure.interface import Heard, Result
from nrmbus.desk.state import parking


class State(StrEnum):
    """Stage that a record has reached; after an error, the state says whose fault the error is."""

    VERIFYING = "verifying"
    """Nothing is stored. An error stops the inbox: the directory, the ledger, a gap."""
    STORING = "storing"
    """The transaction is open. An error stops the inbox: other records would fare no better."""
    HEARING = "hearing"
    """An error is the record's own fault, and after a few tries its case is parked."""
    SETTLED = "settled"
    """The transaction is committed."""


class InboxTransaction:
    """Transaction of one record, from FastStream's first call to its last."""

    def __init__(self, desk: Desk, consumed: Consumed, *, park_as: str | None = None) -> None:
        """Handle *consumed*; with *park_as* (an error's class) store it unheard, and park its case."""
        self.state = State.VERIFYING
        self._desk, self._consumed, self._park_as = desk, consumed, park_as
        self._started = time.monotonic()
        self._stack = AsyncExitStack()
        self._span: telemetry.Open | None = None
        self._tx: Connection | None = None
        self._record: Verified | None = None
        self._hearing: Hearing | None = None
        self._answer: Result | None = None

    @property
    def heard(self) -> Heard | None:
        """Return what a handler hears; None if the record is no event, or must wait."""
        return self._hearing.heard if self._hearing else None

    async def begin(self) -> None:
        """Verify and store the record in a transaction that stays open until `end`.

        Raises:
            DeskError: ``inbox_gap``, ``inbox_forked``: the inbox stops until a person has looked.
        """
        record = self._record = await verify.verify(self._desk, self._consumed)
        tx = self._tx = await self._stack.enter_async_context(self._desk.seat.ledger.write())
        self.state = State.STORING
        arrived = record.arrived
        if record.is_due and isinstance(arrived, Delivered) and (signed := arrived.signed) is not None:
            span = telemetry.consumed(event_type=signed.type, event_id=signed.id, traceparent=signed.traceparent)
            self._span = self._stack.enter_context(span)
        stored = store.store(self._desk, tx, record)
        if stored.is_heard:
            self.state = State.HEARING
        self._hearing = hear.hear(self._desk, tx, record, stored, park_as=self._park_as)

    def answer(self, answer: Result) -> None:
        """Store what a handler answers: drafts in the outbox, tasks for people."""
        if self._tx is None:
            raise RuntimeError("a record is handled between begin and end only")
        self._answer = answer
        self._desk.say(self._tx, answer, self.heard.event if self.heard else None)

    async def end(self, error: BaseException | None) -> bool:
        """Commit; or undo, wait, and let the record be read again; or, after enough tries, park its case.

        Returns whether *error* is dealt with, so that the record counts as handled. Raises the error that prevented the
        commit: otherwise FastStream would acknowledge the record.
        """
        if error is not None:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            return isinstance(error, Exception) and await self._failed(error)
        failure = await self._commit()
        if failure is not None and not await self._failed(failure):
            raise failure
        return True

    async def _commit(self) -> Exception | None:
        try:
            self._finish()
            await self._stack.aclose()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            if isinstance(error, Exception):  # whatever it is, nothing was committed: the record is read again
                return error
            raise
        self.state = State.SETTLED
        if self._record is not None and self._hearing is not None:
            settle.log(self._record, self._hearing, self._started)
        return None

    def _finish(self) -> None:
        desk, tx, record = self._desk, self._tx, self._record
        if tx is None or record is None or self._hearing is None:
            return
        hearing = self._hearing = hear.finish(desk, tx, record, self._hearing, self._answer)
        if record.released is not None:
            parking.let_go(tx, record.released, desk.seat.stamp())
        desk.seat.ledger.then(lambda: settle.remember(desk, record, hearing))
        if self._span is not None:
            self._span.result(hearing.outcome, hearing.code)

    async def _failed(self, error: Exception) -> bool:
        """Deal with *error*, after which nothing of the record is stored; return whether the record counts as handled."""
        desk, where = self._desk, (self._consumed.partition, self._consumed.offset)
        is_own_fault = self.state is State.HEARING
        attempt = desk.attempts[where] = desk.attempts.get(where, 0) + 1
        if isinstance(self._consumed, verify.Released):
            desk.attempts.pop(where)
            await settle.keep_parked(desk, self._record, error, is_own_fault=is_own_fault)
            return False
        if is_own_fault and attempt >= settle.TRIES and self._park_as is None and await self._park(error):
            return True
        if not is_own_fault:
            await settle.stop_inbox(desk, where, error)
        await settle.wait(attempt, self._consumed.offset, error)
        return False

    async def _park(self, error: Exception) -> bool:
        parked = InboxTransaction(self._desk, self._consumed, park_as=type(error).__name__)
        failed: Exception | None = None
        try:
            await parked.begin()
        except Exception as another:  # noqa: BLE001 - undone in `end`; the record is read again
            failed = another
        return await parked.end(failed)
