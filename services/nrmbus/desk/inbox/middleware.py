"""Inbox and outbox of a desk as one FastStream middleware.

``consume_scope`` opens the transaction and drops what is known; ``publish_scope`` writes what a handler returns into the
outbox table instead of Kafka; ``after_processed`` commits, or undoes everything, waits and at last parks the case.
``AckPolicy.NACK_ON_ERROR`` then acknowledges after that commit, and reads again on error.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from faststream import BaseMiddleware, ContextRepo, StreamMessage
from faststream.kafka.response import KafkaPublishCommand

from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.transaction import InboxTransaction


class LedgerMiddleware(BaseMiddleware[KafkaPublishCommand, Any]):
    """One record's transaction. Made by `functools.partial(LedgerMiddleware, desk)` for each message."""

    def __init__(self, desk: Desk, msg: Any, /, *, context: ContextRepo) -> None:
        super().__init__(msg, context=context)
        self._desk = desk
        self._transaction: InboxTransaction | None = None

    async def on_receive(self) -> None:
        """A record was read: until it is dealt with, the inbox is not read to where it ends."""
        self._desk.working = self.msg is not None

    async def consume_scope(
        self, call_next: Callable[[StreamMessage[Any]], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        """Store the record in a transaction that stays open; let a handler hear it if it is a new event."""
        self._transaction = InboxTransaction(self._desk, msg.raw_message)
        await self._transaction.begin()
        if self._transaction.heard is None:
            return None
        with self.context.scope("heard", self._transaction.heard), self.context.scope("book", self._desk.book):
            return await call_next(msg)

    async def publish_scope(
        self, call_next: Callable[[KafkaPublishCommand], Awaitable[Any]], cmd: KafkaPublishCommand
    ) -> Any:
        """Put what a handler said into the outbox table; what the relay sends goes on to Kafka."""
        if self._transaction is None:
            return await call_next(cmd)
        if cmd.body is not None:
            await self._transaction.answer(cmd.body)
        return None

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - FastStream's signature
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002 - the same
    ) -> bool:
        """Commit, or undo, wait and at last park. True: the record is dealt with, and its offset may be committed."""
        try:
            return self._transaction is not None and await self._transaction.end(exc_val)
        finally:
            self._desk.working = False
