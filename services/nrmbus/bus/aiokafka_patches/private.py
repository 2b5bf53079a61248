"""Private attributes of aiokafka that registrar and desks need, each behind a public function."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

LOOK_SECONDS: Final = 0.2
"""Seconds between two looks for an error of a group."""


async def coordination_ended(consumer: AIOKafkaConsumer) -> None:
    """Wait until *consumer* no longer takes part in its group; only an error ends that, and only this function shows the error.

    aiokafka shows a refusal by the group, such as a session that is too short, to a consumer that reads; a member that waits reads nothing.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka has no public way to learn it
    while not (await asyncio.wait([coordinator._coordination_task], timeout=LOOK_SECONDS))[0]:  # noqa: SLF001 - likewise
        coordinator.check_errors()
    await coordinator._coordination_task  # noqa: SLF001 - likewise


def refresh_metadata(consumer: AIOKafkaConsumer) -> None:
    """Make *consumer* look for new topics now, not at its next refresh."""
    consumer._client.force_metadata_update()  # noqa: SLF001 - aiokafka has no public way to ask


def denied(consumer: AIOKafkaConsumer) -> frozenset[str]:
    """Return the topics that the broker denied to *consumer* when it was last asked about them."""
    return frozenset(consumer._client.cluster.unauthorized_topics)  # noqa: SLF001 - aiokafka waits for their partitions instead


def rejoin(consumer: AIOKafkaConsumer) -> None:
    """Have the group of *consumer* share out its partitions again."""
    consumer._coordinator.request_rejoin()  # noqa: SLF001 - aiokafka has no public way to ask


def generation(consumer: AIOKafkaConsumer) -> int:
    """Return the generation of the group of *consumer*: it rises whenever the work is given out."""
    found: int = consumer._coordinator.generation  # noqa: SLF001 - aiokafka has no public name for it
    return found


async def committed(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Return what is committed for *partitions*, with its metadata."""
    found: Mapping[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001 - `committed` drops the metadata
        list(partitions)
    )
    return found


def wait_for_silent(consumer: AIOKafkaConsumer, milliseconds: int) -> None:
    """Have the next fetches of *consumer* wait at most so long at the broker, if none of their partitions has a record."""
    consumer._fetcher._fetch_max_wait_ms = milliseconds  # noqa: SLF001 - aiokafka takes it only once, at the start


def on_heartbeat(consumer: AIOKafkaConsumer, now: Callable[[], float], confirmed: Callable[[float], None]) -> None:
    """Call *confirmed* after each heartbeat of *consumer* that the broker confirms, with the time *now* of its asking."""
    coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka does not tell of its heartbeats
    ask = coordinator._do_heartbeat  # noqa: SLF001 - the same

    async def asked() -> bool:
        at = now()
        answered: bool = await ask()
        if answered:
            confirmed(at)
        return answered

    coordinator._do_heartbeat = asked  # noqa: SLF001 - the same
