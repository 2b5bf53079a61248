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


class ShardProducer(AIOKafkaProducer):  # type: ignore[misc]  # the library has no types
    """Producer that must not begin another transaction once a request is `unanswered`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.unanswered = False
        """True after a time-out or a lost connection between a request of a transaction and its answer."""
        self._ask, self.client.send = self.client.send, self._asked

    async def _asked(self, node: int, request: Any, **how: Any) -> Any:
        try:
            return await self._ask(node, request, **how)
        except KafkaError:
            self.unanswered |= isinstance(request, _OF_A_TRANSACTION)
            raise
