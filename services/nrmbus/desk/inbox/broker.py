"""Factory of a desk's FastStream broker and subscriber, and the check that their settings lose nothing.

FastStream only receives: the relay sends through a producer of `bus.kafka.clients`. Nothing else in a desk makes a
subscriber. FastStream's defaults acknowledge before the work is done, start at the end of the topic, read records of
aborted transactions, and let any producer name where answers go.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.middlewares import AckPolicy
from faststream.security import BaseSecurity

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where, reach
from nrmbus.bus.vitals import BEFORE_RELEASE, RELEASE
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox.acknowledgement import Acknowledgements
from nrmbus.desk.inbox.middleware import LedgerMiddleware
from nrmbus.desk.procedure.handlers import Inbox, data_of, join
from nrmbus.wire.names import inbox_of

_READING: Final = clients.settings("reader", "desk")
_EVERY: Final = clients.settings("every")
_GRACE_SECONDS: Final = 1.0
"""Seconds for a record in work after SIGTERM; an interrupted record is undone and read again."""


class FromTheLedger(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Listener that seeks to the ledger's position, not Kafka's: a restored ledger reads its missing records again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._inbox: Inbox | None = None

    def follow(self, inbox: Inbox) -> None:
        """Steer the consumer of *inbox*."""
        self._inbox = inbox

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Before this desk joins its group again, make sure that nobody else runs it. Each record is committed already."""
        if revoked:
            await self._desk.before_joining_again()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Seek before anything is awaited, or aiokafka takes the committed offset first."""
        consumer = self._inbox.consumer if self._inbox else None
        for partition in assigned:
            position = self._desk.seat.ledger.positions.get(partition.partition)
            if consumer is not None:
                consumer.seek(partition, position.next_offset if position is not None else 0)
        if assigned:
            self._desk.assigned.set()
            self._desk.joined.set()


async def tolerant(record: Any, original: Callable[[Any], Awaitable[KafkaAckableMessage]]) -> KafkaAckableMessage:
    """Parse *record* with FastStream, but with text headers only, each name once, and without ``reply_to``.

    FastStream's parser raises on a header that is null or not UTF-8, and such a record is lost under every policy.
    The raw record is passed on whole, so the wire reports faults, not the parser.
    """
    headers: dict[str, bytes] = {}
    for name, value in record.headers:
        if isinstance(value, bytes) and value.isascii() and name != "reply_to":
            headers.setdefault(name, value)
    message = await original(replace(record, headers=tuple(headers.items())))
    message.raw_message = record
    return message


def make_broker(where: Where, service: str, desk: Desk | None = None) -> KafkaBroker:
    """Return a broker without a producer; with *desk*, each received record is one transaction."""
    place = reach(where)
    context = place.context()
    return KafkaBroker(
        place.servers,
        security=BaseSecurity(ssl_context=context) if context else None,
        client_id=f"{service}{BEFORE_RELEASE}{RELEASE}",  # tells the operator who is on which release
        consumer_only=True,
        apply_types=False,  # it would validate the event again, and ask for its context in another thread
        serializer=None,  # nothing is validated, so no model of each handler's types is built at each start
        request_timeout_ms=_EVERY["request_timeout_ms"],
        metadata_max_age_ms=_EVERY["metadata_max_age_ms"],
        allow_auto_create_topics=False,
        graceful_timeout=_GRACE_SECONDS,
        middlewares=() if desk is None else (partial(LedgerMiddleware, desk, Acknowledgements(lambda: desk.lease)),),
        logger=None,  # FastStream's own logger prints the texts of exceptions
    )


def make_inbox(broker: KafkaBroker, desk: Desk) -> Inbox:
    """Return the subscriber to the desk's inbox, with the handlers of its role."""
    me = desk.seat.me
    listener = FromTheLedger(desk)
    inbox = broker.subscriber(
        inbox_of(me),
        group_id=f"{me}.desk",
        group_instance_id=me,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        no_reply=True,
        auto_offset_reset=_READING["auto_offset_reset"],
        isolation_level=_READING["isolation_level"],
        session_timeout_ms=_READING["session_timeout_ms"],
        heartbeat_interval_ms=_READING["heartbeat_interval_ms"],
        max_poll_interval_ms=_READING["max_poll_interval_ms"],
        max_partition_fetch_bytes=_READING["max_partition_fetch_bytes"],
        fetch_max_wait_ms=_READING["fetch_max_wait_ms"],
        partition_assignment_strategy=(RangePartitionAssignor,),
        listener=listener,
        parser=tolerant,
        decoder=data_of,
    )
    listener.follow(inbox)
    join(desk.seat.role, inbox)
    return inbox


_MUST: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "session_timeout_ms": _READING["session_timeout_ms"],
}


def check_settings(broker: KafkaBroker, service: str) -> None:
    """Check the actual settings of every subscriber, and that nothing sends.

    Raises:
        DeskError: ``settings_drift`` if a setting would lose, repeat or misdirect records.
    """
    settings = broker.config.broker_config
    right = (
        bool(broker.subscribers)
        and not broker.publishers
        and settings.consumer_only
        and not settings.allow_auto_create_topics
        and settings.logger.params_storage.get_logger(context=settings.fd_config.context) is None
    )
    for subscriber in broker.subscribers:
        if not isinstance(subscriber, Inbox):
            raise DeskError("settings_drift")
        reads = subscriber._connection_args  # noqa: SLF001 - no public name for it
        right = (
            right
            and subscriber.ack_policy is AckPolicy.NACK_ON_ERROR
            and subscriber._no_reply  # noqa: SLF001 - the same
            and subscriber._call_options.parser is tolerant  # noqa: SLF001 - the same
            and reads.get("group_instance_id") == service
            and all(reads.get(name) == value for name, value in _MUST.items())
        )
    if not right:
        raise DeskError("settings_drift")
