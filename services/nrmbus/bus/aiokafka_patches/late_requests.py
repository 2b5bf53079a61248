"""Transactional producer that remembers an unanswered request, which may still reach the broker.

aiokafka sends an unanswered request of a transaction again, under the same epoch, and says nothing of it. Its requests are
older than KIP-890: the broker cannot tell a late ``EndTxn`` from the end of the next transaction, and ends the next
transaction half-way. Only another producer with the same transactional id has a newer epoch, by which the broker refuses the late one.
"""

from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

_OF_A_TRANSACTION: Final = (
    ProduceRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)


class TransactionalProducer(AIOKafkaProducer):  # type: ignore[misc]  # the library has no types
    """Producer that must not begin another transaction once a request is `unanswered`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.unanswered = False
        """True after a time-out or a lost connection between a request of a transaction and its answer."""
        self._ask, self.client.send = self.client.send, self._asked

    def follows(self, other: "TransactionalProducer") -> bool:
        """Return whether no producer of another process had the transactional id between *other* and this one.

        Each start raises the epoch. Kafka raises it by more where it also ended a transaction, or begins again under another
        producer id; both are taken for another process.
        """
        mine, before = self._txn_manager, other._txn_manager  # noqa: SLF001 - aiokafka has no public name for the epoch
        return (mine.producer_id, mine.producer_epoch) == (before.producer_id, before.producer_epoch + 1)

    async def _asked(self, node: int, request: Any, **how: Any) -> Any:
        try:
            return await self._ask(node, request, **how)
        except KafkaError:
            self.unanswered |= isinstance(request, _OF_A_TRANSACTION)
            raise
