"""Sending of one transaction's records, in requests of a size that broker and line can take."""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from nrmbus.bus.kafka.cluster import MAX_REQUEST
from nrmbus.registrar.records import Out

AT_ONCE: Final = MAX_REQUEST // 4
"""How many bytes wait for the broker's answer, before the next are sent.

Few enough for a line of 5 Mbit/s to carry them, with one record more, within the time that a shard's producer waits (decision 0083).
"""
AROUND: Final = 200
"""Upper bound of a record's bytes beside value and headers: key, varints and its share of the batch header."""


async def send_all(producer: AIOKafkaProducer, outs: Iterable[Out]) -> None:
    """Have the broker take *outs*, in order, of which few enough wait for its answer: they may all go in one request.

    The batches are made here, one for each topic: a look at the metadata and a future for each record are two thirds of
    what a record costs by `send`. A failed batch does not fail aiokafka's transaction: every one is awaited.
    """
    batches: dict[tuple[str, int], BatchBuilder] = {}
    size = 0
    for out in outs:
        headers = out.all_headers()
        if not _added(producer, batches, out, headers):  # the batch of its topic is full
            await _taken(producer, batches)
            _added(producer, batches, out, headers)
            size = 0
        size += len(out.value) + AROUND + sum([len(name) + len(value) for name, value in headers])
        if size > AT_ONCE:
            await _taken(producer, batches)
            size = 0
    await _taken(producer, batches)


def _added(
    producer: AIOKafkaProducer,
    batches: dict[tuple[str, int], BatchBuilder],
    out: Out,
    headers: list[tuple[str, bytes]],
) -> bool:
    """Put *out* into the batch of its topic and partition; return False if that is full. An empty batch takes any record."""
    place = out.topic, out.partition
    batch = batches.get(place)
    if batch is None:
        batch = batches[place] = producer.create_batch()
    return batch.append(timestamp=None, key=out.key, value=out.value, headers=headers) is not None


async def _taken(producer: AIOKafkaProducer, batches: dict[tuple[str, int], BatchBuilder]) -> None:
    """Have the broker take all *batches*, and leave none."""
    waiting = [await producer.send_batch(batch, topic, partition=number) for (topic, number), batch in batches.items()]
    batches.clear()
    await asyncio.gather(*waiting)
