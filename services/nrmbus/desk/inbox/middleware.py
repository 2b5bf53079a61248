"""Inbox of a desk as a FastStream middleware: one transaction for each record.

``consume_scope`` opens the transaction, has a handler hear the record if it is a new event, and stores the handler's
answer. ``after_processed`` commits, or undoes everything, waits and at last parks the case.
``AckPolicy.NACK_ON_ERROR`` then acknowledges after that commit, and reads the record again on error.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from faststream import BaseMiddleware, ContextRepo, StreamMessage
from faststream.kafka.response import KafkaPublishCommand

from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.acknowledgement import Acknowledgements
from nrmbus.desk.inbox.transaction import InboxTransaction
from nrmbus.desk.inbox.verify import Released
from nrmbus.desk.procedure.handlers import HEARING


class LedgerMiddleware(BaseMiddleware[KafkaPublishCommand, Any]):
    """Transaction of one record. Made by `functools.partial(LedgerMiddleware, desk, acknowledgements)` for each message."""

    def __init__(self, desk: Desk, acknowledgements: Acknowledgements, msg: Any, /, *, context: ContextRepo) -> None:
        super().__init__(msg, context=context)
        self._desk, self._acknowledgements = desk, acknowledgements
        self._transaction: InboxTransaction | None = None

    async def on_receive(self) -> None:
        """Note that a record was read: until the record is handled, the inbox is not read to its end."""
        self._desk.working = self.msg is not None

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        """Store the record in a transaction that stays open; pass a new event to a handler."""
        record: Any = msg
        if not isinstance(msg.raw_message, Released):
            record.consumer = self._acknowledgements.of(msg.raw_message, record.consumer)
        self._transaction = InboxTransaction(self._desk, msg.raw_message)
        await self._transaction.begin()
        if self._transaction.heard is None:
            return None
        hearing = HEARING.set((self._transaction.heard, self._desk.book))
        try:
            answer = await call_next(msg)
        finally:
            HEARING.reset(hearing)
        if answer is not None:
            self._transaction.answer(answer)
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
            self._desk.working = False
