"""State of a consumer group, as anybody with a right to the group reads it without joining."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where, reach

_AGAIN_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 15.0
"""Patience for a coordinator that loads its groups or moves to another broker."""


class Group(NamedTuple):
    """Consumer group: whether a member is in it, and its committed offsets with their metadata."""

    has_members: bool
    committed: Mapping[TopicPartition, OffsetAndMetadata]


class Standing(NamedTuple):
    """Consumer group at one look."""

    has_members: bool
    reached: Mapping[TopicPartition, int]
    """By partition the next offset that the group has not acknowledged, of those that the broker still keeps."""
    ends: Mapping[TopicPartition, int]
    """By partition the end of the committed records."""
    metadata: frozenset[str]
    """Metadata of the acknowledged offsets."""


Ask = Callable[[str, Iterable[TopicPartition]], Awaitable[Group]]


@asynccontextmanager
async def asking(where: Where) -> AsyncIterator[Ask]:
    """Yield a function that returns the state of a group, with what is committed for the given partitions.

    Raises:
        KafkaError: no broker answers, or denies access to the group.
    """
    client = AIOKafkaAdminClient(client_id="nrm-groups", **reach(where).settings(), **clients.settings())
    try:
        await client.start()
        yield lambda group, partitions: _patiently(client, group, list(partitions))
    finally:
        await client.close()


async def commit(where: Where, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
    """Commit *offsets* with their metadata for *group*, which has no members; librdkafka adds bytes to the metadata.

    Raises:
        KafkaError: no broker answers, or denies access to the group.
    """
    reads = clients.settings("reader")
    client = AIOKafkaConsumer(client_id="nrm-groups", group_id=group, **reach(where).settings(), **reads)
    await client.start()
    try:
        client.assign(list(offsets))
        await client.commit(dict(offsets))
    finally:
        await client.stop()


async def _patiently(client: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]) -> Group:
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            return await _asked(client, group, partitions)
        except KafkaError as error:
            if not error.retriable or loop.time() > until:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)


async def _asked(client: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]) -> Group:
    coordinator = await client.find_coordinator(group)
    (answer,) = await client.describe_consumer_groups([group], coordinator)
    ((code, _, _, _, _, members, *_),) = answer.groups
    if code:
        raise for_code(code)
    return Group(bool(members), await client.list_consumer_group_offsets(group, coordinator, partitions))


async def standings(where: Where, asked: Mapping[str, list[TopicPartition]]) -> dict[str, Standing]:
    """Return by group, of those *asked* about with the partitions that each reads, how the group stands.

    Raises:
        KafkaError: no broker answers, or denies a look at one of the groups or topics.
    """
    client = AIOKafkaAdminClient(client_id="nrm-groups", **reach(where).settings(), **clients.settings())
    reads = clients.settings("reader")
    reader = AIOKafkaConsumer(client_id="nrm-groups", group_id=None, **reach(where).settings(), **reads)
    partitions = [each for some in asked.values() for each in some]
    try:
        await client.start()
        groups = {name: await _patiently(client, name, some) for name, some in asked.items()}
        await reader.start()
        await asyncio.sleep(0)  # a consumer that is stopped before its tasks have begun raises CancelledError
        # Once: a look that is not answered says so at once, and another follows it.
        first = await clients.begins(reader, partitions, patience=0)
        ends = await clients.ends(reader, partitions, patience=0)
    finally:
        await reader.stop()
        await client.close()
    return {
        name: Standing(
            group.has_members,
            {each: max(first[each], _committed(group, each)) for each in asked[name]},
            {each: ends[each] for each in asked[name]},
            frozenset(each.metadata for each in group.committed.values()),
        )
        for name, group in groups.items()
    }


def _committed(group: Group, partition: TopicPartition) -> int:
    found = group.committed.get(partition)
    return found.offset if found is not None else 0
