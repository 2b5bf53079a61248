"""Kafka clients of the bus, made from ONE table of settings, so that all services read and write by the same rules.

The values were chosen under broker and process faults (decision 0002). A client that differs is a mistake: an automatic
commit loses records, `read_uncommitted` shows records of an aborted transaction, and a 40-second request time-out stops
the bus for half a minute when one host freezes.
Every factory returns a client that is not started yet; the caller starts and stops the client. *where* names the broker
and the certificate to reach the broker with.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

from nrmbus.bus.aiokafka_patches.fast_close import without_farewell
from nrmbus.bus.aiokafka_patches.late_requests import TransactionalProducer
from nrmbus.bus.aiokafka_patches.private import denied
from nrmbus.bus.aiokafka_patches.tolerant import whatever_was_written
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.reach import Where, reach

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

without_farewell()
whatever_was_written()

ANSWER_SECONDS: Final = 10.0
"""Patience for one answer of the broker to an administration client, or to a command."""
PATIENCE_SECONDS: Final = 60.0
"""Patience for a cluster of which a broker has just gone away: a change of the controller, on a busy machine."""
UNHEARD_SECONDS: Final = 60.0
"""Silence of a broker after which a service is not ready; three brokers need less than ten seconds for another leader."""
AT_REST_MS: Final = 1_000
"""How long a fetch waits at the broker once a service has read what was there: a record ends the wait at once.

Until then a service asks for the ends of its topics on the same connection, and would wait as long for each answer.
"""
_NOTICE_SECONDS: Final = 2.0
_UNANSWERED: Final = frozenset(
    {
        "no answer",
        "_TIMED_OUT",
        "_TIMED_OUT_QUEUE",
        "_TRANSPORT",
        "_ALL_BROKERS_DOWN",
        "NOT_CONTROLLER",
        "REQUEST_TIMED_OUT",
    }
)
"""Reasons after which another broker, or the next controller, may answer."""

Kind = Literal["every", "reader", "watcher", "registrar", "turn", "patient", "desk", "producer", "command", "shard"]

MAX_RECORD: Final = 384 * 1024
"""The largest record on any topic, in bytes: 256 KiB of submission (wire W2), and the registrar's headers.

As `max.message.bytes` in ``deploy/topics/``.
"""

SETTINGS: Final[Mapping[Kind, Mapping[str, Any]]] = MappingProxyType(
    {
        "every": {
            "request_timeout_ms": 3_000,  # a frozen host answers nothing; each freeze costs two to four of these in series
            "metadata_max_age_ms": 5_000,  # a new agency's topics are noticed, leaders known
        },
        "reader": {
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "isolation_level": "read_committed",
            "max_partition_fetch_bytes": 1024 * 1024,
        },
        # For a topic in which hardly anything happens. A record still arrives at once, but every other request on the
        # same connection waits so long, so a watcher sends no other request.
        "watcher": {"fetch_max_wait_ms": 2_000},
        "registrar": {
            # A registrar that stands by takes over when this is over. Being taken for away by mistake costs a rebalance: a
            # member may be held up for 1.2 s, the session less the interval. It also hears of a rebalance by a heartbeat.
            "session_timeout_ms": 1_350,
            "heartbeat_interval_ms": 150,
            "rebalance_timeout_ms": 6_000,
            "max_poll_interval_ms": 300_000,
            # Only one request to a broker is open at a time: an outbox that was just read to its end waits until the
            # request for the other outboxes is answered, which takes this long while they are silent. While records
            # come, the registrar shortens it (`private.wait_for_silent`).
            "fetch_max_wait_ms": 50,
            # Letters for two transactions of an outbox in each answer, so that no transaction waits for the next.
            "max_partition_fetch_bytes": 8 * 1024 * 1024,
        },
        "turn": {
            "session_timeout_ms": 1_500,
            "heartbeat_interval_ms": 300,
            "rebalance_timeout_ms": 6_000,
            "max_poll_interval_ms": 2_147_483_647,  # it never polls
        },
        # On a cluster that allows no shorter session (group.min.session.timeout.ms).
        "patient": {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000},
        "desk": {
            # Longer than a broker's fail-over; so long another host waits for a desk that is silent (decision 0045).
            "session_timeout_ms": 10_000,
            "heartbeat_interval_ms": 2_000,
            "max_poll_interval_ms": 300_000,
            "fetch_max_wait_ms": 100,  # until it has read its inbox (`AT_REST_MS`)
        },
        "producer": {"acks": "all", "enable_idempotence": True, "linger_ms": 0, "max_request_size": MAX_RECORD},
        # Of a command or a start, for which one person waits and no record: a slow broker is no reason to give it up.
        "command": {"request_timeout_ms": 1000 * int(ANSWER_SECONDS)},
        "shard": {
            # Shorter than for all: its requests are small (`AT_ONCE`), and a frozen broker holds up each of a transaction's.
            "request_timeout_ms": 1_500,
            "acks": "all",
            "linger_ms": 0,
            "max_request_size": 1024 * 1024,
            "max_batch_size": 1024 * 1024,
            "transaction_timeout_ms": 15_000,  # longer than a broker's fail-over, shorter than readers' patience
        },
    }
)
"""Settings by kind of client. `every` holds for all clients, `reader` for all readers."""


def settings(*kinds: Kind) -> dict[str, Any]:
    """Return the merged settings of *kinds* and `every`, for factories that are not aiokafka's own."""
    merged: dict[str, Any] = {}
    for kind in ("every", *kinds):
        merged.update(SETTINGS[kind])
    return merged


def reader(where: Where, *, client_id: str = "nrm-reader", watcher: bool = False) -> AIOKafkaConsumer:
    """Return a consumer outside any group: the caller assigns partitions and keeps positions. A *watcher* only waits for records."""
    kinds: tuple[Kind, ...] = ("reader", "watcher") if watcher else ("reader",)
    return AIOKafkaConsumer(client_id=client_id, group_id=None, **reach(where).settings(), **settings(*kinds))


def group_consumer(
    where: Where,
    *,
    group: str,
    instance: str,
    kind: Literal["registrar", "desk", "turn"],
    patient: bool = False,
    assignor: type[AbstractPartitionAssignor] = RangePartitionAssignor,
) -> AIOKafkaConsumer:
    """Return a member of *group* with the stable name *instance*; after a kill and a restart the member has its partitions in 0.6 s.

    Without a stable name the group waits out the dead member's session. Range is the one assignor that gives equal
    partition numbers of all topics to one member.
    """
    return AIOKafkaConsumer(
        client_id=instance,
        group_id=group,
        group_instance_id=instance,
        partition_assignment_strategy=(assignor,),
        **reach(where).settings(),
        **settings("reader", kind, *(("patient",) if patient else ())),
    )


def silence(consumer: AIOKafkaConsumer, partition: TopicPartition, *, since: float | None = None) -> float | None:
    """Return for how many seconds the leader of *partition* has not answered *consumer*.

    Before the first answer this counts from *since*, when the partition was assigned, in seconds of the wall clock; without *since* it is None.
    A consumer that waits for records has an answer every two seconds or more often. One that still has records to hand out asks for no others.
    """
    answered = consumer.last_poll_timestamp(partition)
    heard = since if answered is None else answered / 1000
    return None if heard is None else max(0.0, time.time() - heard)


def is_cut_off(consumer: AIOKafkaConsumer) -> bool:
    """Return whether no leader of any partition of *consumer* has answered for a minute; false while it has no partition.

    One partition may be silent because its reader takes nothing of it for a while (`silence`).
    """
    assigned = consumer.assignment()
    return bool(assigned) and all((silence(consumer, each) or 0.0) > UNHEARD_SECONDS for each in assigned)


def producer(where: Where, *, client_id: str = "nrm-producer", command: bool = False) -> AIOKafkaProducer:
    """Return an idempotent producer that waits for all replicas; that of a *command* is more patient with the broker."""
    kinds: tuple[Kind, ...] = ("producer", "command") if command else ("producer",)
    return AIOKafkaProducer(client_id=client_id, **reach(where).settings(), **settings(*kinds))


def transactional_producer(where: Where, transactional_id: str) -> TransactionalProducer:
    """Return the producer of one shard. *transactional_id* names the shard, never the process: a start fences the previous owner.

    Await every send's future before the commit: a failed send does not fail aiokafka's transaction.
    After a transaction with an `unanswered` request, start another producer before the next transaction.
    """
    return TransactionalProducer(
        client_id=transactional_id,
        transactional_id=transactional_id,
        **reach(where).settings(),
        **settings("shard"),
    )


async def ends(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], *, patience: float = PATIENCE_SECONDS
) -> dict[TopicPartition, int]:
    """Return the offsets at which *partitions* end now for *consumer*, which is started.

    A broker that is slow to answer, or has no leader yet, is asked again for *patience* seconds: aiokafka gives up after
    one `request_timeout_ms`, and with it a whole start or command would end. A caller that holds others up meanwhile, or looks again by itself, gives less.

    Raises:
        TopicAuthorizationFailedError: the broker denied a topic for a whole `request_timeout_ms`: rights that were just given would have come.
        KafkaError: no leader answered in that time.
    """
    return await _patiently(consumer, consumer.end_offsets, partitions, patience)


async def begins(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], *, patience: float = PATIENCE_SECONDS
) -> dict[TopicPartition, int]:
    """Return the first offsets of *partitions* for *consumer*, as patiently as `ends`."""
    return await _patiently(consumer, consumer.beginning_offsets, partitions, patience)


async def _patiently(
    consumer: AIOKafkaConsumer,
    ask: Callable[[list[TopicPartition]], Awaitable[dict[TopicPartition, int]]],
    partitions: Iterable[TopicPartition],
    seconds: float,
) -> dict[TopicPartition, int]:
    asked, until = list(partitions), time.monotonic() + seconds
    while True:
        try:
            return dict(await ask(asked))
        except KafkaTimeoutError as error:
            if refused := denied(consumer).intersection(each.topic for each in asked):
                raise TopicAuthorizationFailedError(*sorted(refused)) from error
            if time.monotonic() >= until:
                raise


@asynccontextmanager
async def reading(
    where: Where,
    partition: TopicPartition,
    *,
    offset: int = 0,
    watcher: bool = False,
    patience: float = PATIENCE_SECONDS,
) -> AsyncIterator[tuple[AIOKafkaConsumer, int]]:
    """Yield a started reader of *partition* at *offset*, and the current end of the committed records (`ends`)."""
    consumer = reader(where, watcher=watcher)
    await consumer.start()
    try:
        # Before the first fetch, since a broker answers requests one by one.
        end = (await ends(consumer, [partition], patience=patience))[partition]
        consumer.assign([partition])
        consumer.seek(partition, offset)
        yield consumer, end
    finally:
        await consumer.stop()


@asynccontextmanager
async def reading_past(
    where: Where, offsets: Mapping[TopicPartition, int]
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """Yield a started reader of committed records at *offsets*, and the current ends of all acknowledged records.

    The ends include open transactions: the reader reaches them when the transactions have ended, either way.
    """
    asking = AIOKafkaConsumer(
        client_id="nrm-ends",
        group_id=None,
        **reach(where).settings(),
        **{**settings("reader"), "isolation_level": "read_uncommitted"},  # it reads no record
    )
    await asking.start()
    try:
        found = await ends(asking, offsets)
    finally:
        await asking.stop()
    consumer = reader(where)
    await consumer.start()
    try:
        consumer.assign(list(offsets))
        for each, offset in offsets.items():
            consumer.seek(each, offset)
        await asyncio.sleep(0)  # a consumer that is stopped before its tasks have begun raises CancelledError
        yield consumer, found
    finally:
        await consumer.stop()


async def anybody_answers(where: Where) -> bool:
    """Return whether a broker answers a new client at one of the addresses of *where*, with the certificate there."""
    client = AIOKafkaClient(client_id="nrm-looking", **settings(), **reach(where).settings())
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.bootstrap()
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()
    return True


class Administration:
    """An administrator's requests to the brokers at *where*: topics, settings, rights. Blocking; never in a service's data path."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self.client: AdminClient = admin(where)
        """The client of the moment; another one after a request without an answer."""

    def answers(
        self, call: "Callable[[AdminClient], Iterable[Future[Any]]]", *, unless: frozenset[str] = frozenset()
    ) -> list[Any]:
        """Return the brokers' answers to *call*, which makes idempotent requests with the client that it is given.

        The answer to a request that failed for one of the Kafka errors named in *unless* is None.

        A broker that has just gone away is still named by the others, and a client waits for it in vain. So unanswered
        requests are made again with a new client, as long as any broker answers, for up to `PATIENCE_SECONDS`.

        Raises:
            KafkaFailed: no broker answered in time, or one refused.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self.attempt(call)
            reason = next((why for _, why in found if why and why not in unless), "")
            if not reason:
                return [answer for answer, _ in found]
            if reason not in _UNANSWERED or time.monotonic() > until or not self._any_broker_answers():
                raise KafkaFailed(
                    f"Kafka did not do what was asked ({reason}): nrmbus check says where the way to it ends"
                )

    def attempt(self, call: "Callable[[AdminClient], Iterable[Future[Any]]]") -> list[tuple[Any, str]]:
        """Return each answer to *call* with ``""``, or None with the name of Kafka's error; a failure has a new client made.

        A client that once heard "no such topic", or which broker is the controller, goes on saying so from memory.
        """
        found = [_answer(future) for future in call(self.client)]
        if any(reason for _, reason in found):
            self.client = admin(self._where)
        return found

    def _any_broker_answers(self) -> bool:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see `admin`

        try:
            return bool(self.client.list_topics(timeout=_NOTICE_SECONDS).brokers)
        except KafkaException:
            return False


def _answer(future: "Future[Any]") -> tuple[Any, str]:
    """Return the answer, or None and the name of what Kafka or its client said instead."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - see `admin`

    try:
        # Not raised: its traceback would keep this future, and with it the client, which goes on looking for a broker.
        error = future.exception(ANSWER_SECONDS)
    except TimeoutError:
        return None, "no answer"
    if error is None:
        return future.result(), ""
    if isinstance(error, KafkaException):
        return None, str(error.args[0].name())
    raise error


def admin(where: Where) -> "AdminClient":
    """Return the administration client: topics, settings, offsets. Blocking; never in a service's data path."""
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - a second client library: services never load it

    return AdminClient(
        {
            **reach(where).confluent(),
            "client.id": "nrm-admin",
            "socket.timeout.ms": 5_000,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            # The library would write to standard error while a broker is away; the caller gets an exception anyway.
            "log_level": 0,
        }
    )
