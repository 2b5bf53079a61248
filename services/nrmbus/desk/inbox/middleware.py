"""Inbox of a desk as a FastStream middleware: one transaction for a record, or for the records that wait with it.

``consume_scope`` opens the transaction, has a handler hear the record if it is a new event, and stores the handler's
answer. ``after_processed`` commits, or undoes everything, waits and at last parks the case.
``AckPolicy.NACK_ON_ERROR`` then acknowledges after that commit, and reads the record again on error.

If more records wait, the first one brings them along: they are handled in shared transactions, past FastStream.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from faststream import BaseMiddleware, ContextRepo, StreamMessage
from faststream.kafka.response import KafkaPublishCommand

from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.acknowledgement import Acknowledgements, OfRecords
from nrmbus.desk.inbox.transaction import AT_ONCE, InboxTransaction, by_case, handle_together
from nrmbus.desk.inbox.verify import Released
from nrmbus.desk.procedure.handlers import HEARING
from nrmbus.desk.state import beginnings


class LedgerMiddleware(BaseMiddleware[KafkaPublishCommand, Any]):
    """Transaction of one record. Made by `functools.partial(LedgerMiddleware, desk, acknowledgements)` for each message."""

    def __init__(self, desk: Desk, acknowledgements: Acknowledgements, msg: Any, /, *, context: ContextRepo) -> None:
        super().__init__(msg, context=context)
        self._desk, self._acknowledgements = desk, acknowledgements
        self._transaction: InboxTransaction | None = None

    @property
    def _is_read(self) -> bool:
        """True of a record from the broker; a released one may be handled at the same time, and is no part of the inbox's end."""
        return not isinstance(self.msg, Released)

    async def on_receive(self) -> None:
        """Note that a record was read: until the record is handled, the inbox is not read to its end."""
        if self._is_read:
            self._desk.working = self.msg is not None

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        """Store the record in a transaction that stays open; pass a new event to a handler."""
        record: Any = msg
        if not isinstance(msg.raw_message, Released):
            record.consumer = read = self._acknowledgements.of(msg.raw_message, record.consumer)
            if await self._brings_along(read):
                return None
        self._transaction = InboxTransaction(self._desk, (msg.raw_message,))
        await self._transaction.begin()
        return await self._heard(self._transaction, call_next, msg)

    async def _brings_along(self, read: OfRecords) -> bool:
        """Handle the record together with those that wait behind it; return False if it is alone."""
        desk = self._desk
        if desk.one_by_one:
            desk.one_by_one -= 1
            return False
        if not beginnings.is_begun(desk.seat.ledger) or not await read.take_more(AT_ONCE - 1):
            return False
        try:
            for records in by_case(read.taken):
                await handle_together(desk, records)
                read.handled(records)
        except Exception:
            desk.one_by_one = len(read.taken)  # so that the failure of one is dealt with alone
            raise
        return True

    async def _heard(
        self,
        transaction: InboxTransaction,
        call_next: Callable[[StreamMessage[Any]], Awaitable[Any]],
        msg: StreamMessage[Any],
    ) -> Any:
        heard = transaction.take()
        if heard is None:
            return None
        hearing = HEARING.set((heard, self._desk.book))
        try:
            answer = await call_next(msg)
        finally:
            HEARING.reset(hearing)
        transaction.answer(answer)
        return answer

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - FastStream's signature
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002 - the same
    ) -> bool:
        """Commit, or undo, wait and at last park; return whether the offset of the record may be committed."""
        try:
            return self._transaction is not None and await self._transaction.end(exc_val)
        finally:
            if self._is_read:
                self._desk.working = False
