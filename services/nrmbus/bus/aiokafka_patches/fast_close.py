"""Ending a connection: aiokafka says TLS's farewell and waits for the broker's, which is busy with a fetch until that is over.

A reader in a long fetch took two seconds to stop, and whoever opens one to look something up stops one. Nothing is lost
by leaving without a word: producers are flushed before their connections end, and whoever reads keeps its place itself.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection

_close = AIOKafkaConnection.close


def _part(connection: Any, reason: Any = None, exc: Any = None) -> Any:
    writer = connection._writer  # noqa: SLF001 - there is no setting for it
    if writer is not None:
        writer.transport.abort()
    return _close(connection, reason, exc)


def without_farewell() -> None:
    """Have every aiokafka client of this process end its connections at once."""
    AIOKafkaConnection.close = _part
