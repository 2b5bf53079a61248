"""The broker refuses a batch that is small on the wire and large when decompressed, survives, and uses little processor time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import pytest

from bad_input.bombs import MEBIBYTE, answered, batch, records, varint
from bad_input.given import PARTITIONS, Post, posted
from brokers import Broker
from nrmbus.play.trail import check
from patience import busy, lives

pytestmark = [pytest.mark.broker, pytest.mark.slow]

UNPACKED: Final = 200 * MEBIBYTE
LIMIT: Final = 384 * 1024
"""Limit of an outbox: a bomb below the limit is refused for its decompressed size alone."""
SECONDS: Final = 5.0
"""Limit on the broker's processor time for a bomb, and so on the wait of others."""
MESSAGE_TOO_LARGE: Final = 10
REFUSED: Final = (-1, MESSAGE_TOO_LARGE)
"""-1 is Kafka's code for lack of memory; both codes tell a producer not to retry."""
BOMBERS: Final = ("ngo-l", "vac")


@pytest.fixture(scope="module", name="post")
def _post(kafka: Broker) -> Iterator[Post]:
    with posted(kafka) as (post, _):
        yield post


@cache
def bomb(codec: str, count: int) -> bytes:
    """200 MiB of zeros in *count* records."""
    made = batch(codec, count, records(count, UNPACKED // count))
    assert len(made) < LIMIT
    return made


def codes(post: Post, sent: bytes, *, at_once: int = 1) -> set[int]:
    """The broker's answers to *sent*, *at_once* on partitions of other agencies; meanwhile and afterwards a good event passes."""
    places = [(f"nrm.outbox.{name}", number) for name in BOMBERS for number in range(PARTITIONS)][:at_once]
    with ThreadPoolExecutor(at_once) as bombers:
        answers = [bombers.submit(answered, post.folder.bootstrap, *place, sent) for place in places]
        post.goes_on("ngo-a")
        found = {each.result() for each in answers}
    for name in ("ngo-a", "ngo-l"):
        post.goes_on(name)
    return found


@pytest.mark.parametrize("count", [1, 64], ids=["one record", "64 records"])
@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("at_once", [1, 3], ids=["one", "three at once"])
def test_a_bomb_of_200_mib_is_refused_and_the_same_broker_goes_on(
    post: Post, kafka: Broker, codec: str, count: int, at_once: int
) -> None:
    """Below every limit on the wire (W2), and refused for its size by a broker that neither ends nor runs out of memory."""
    before = kafka.kafka.pid
    assert before is not None

    used = busy(before)

    assert codes(post, bomb(codec, count), at_once=at_once) == {MESSAGE_TOO_LARGE}
    assert lives(before)
    assert busy(before) - used < SECONDS * at_once


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda: batch("gzip", 1, [varint(2**31 - 1)]), id="89 bytes that speak of 2 GiB"),
        pytest.param(lambda: batch("zstd", 1, records(1, 1500 * MEBIBYTE)), id="1.5 GiB"),
    ],
)  # fmt: skip
def test_a_batch_larger_than_any_memory_is_refused_too(post: Post, kafka: Broker, sent: object) -> None:
    """A sender who means harm need not stop at 200 MiB: his batch fails, and he alone hears of it."""
    before = kafka.kafka.pid
    assert before is not None
    assert callable(sent)

    assert codes(post, sent()) <= set(REFUSED)
    assert lives(before)


def test_a_batch_made_by_hand_is_taken(post: Post) -> None:
    """The refusals above are for size: the same batch with little content is registered."""
    assert codes(post, batch("zstd", 2, records(2, 10))) == {0}
    assert codes(post, batch("gzip", 2, records(2, 10))) == {0}


def test_after_the_bombs_the_history_is_whole(post: Post) -> None:
    """P1: nothing that was acknowledged before, during or after them is lost or doubled."""
    found = check(post.folder.bootstrap, post.good)

    assert not found.any, found
    assert found.registered >= len(post.good)
