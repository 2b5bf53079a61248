"""aiokafka as it is without our workarounds. A test that fails here says that one of them may go."""

import inspect
import struct

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.record.memory_records import MemoryRecords

from bad_input.forged import FORGED, Forged, batch
from nrmbus.bus.aiokafka_patches import fast_close

PLAIN = Forged(b"v", b"k", [(b"ce_id", b"1")])


def places(raw: bytes) -> list[int]:
    """Return the offset of each record that aiokafka itself reads in *raw*, which the broker has put at 40."""
    fetched = MemoryRecords(struct.pack(">q", 40) + raw[8:])
    return [each.offset for each in fetched.next_batch()]


def as_the_broker_reads(what: str) -> bool:
    """Return whether aiokafka itself reads the forged record *what*, between two plain ones, in its place."""
    try:
        return places(batch([PLAIN, FORGED[what], Forged(b"w", b"k", [], delta=2)])) == [40, 41, 42]
    except Exception:  # noqa: BLE001 - which one depends on what was forged
        return False


def test_aiokafka_still_stops_at_records_that_the_broker_takes() -> None:
    """`tolerant` may go when aiokafka reads every one of them, each in its place."""
    assert places(batch([PLAIN, Forged(b"w", b"k", [], delta=1)])) == [40, 41]
    assert not all(as_the_broker_reads(what) for what in FORGED)


def test_aiokafka_still_waits_for_the_brokers_farewell() -> None:
    """`fast_close` may go when aiokafka aborts the transport itself."""
    assert "_writer.close()" in inspect.getsource(fast_close._close)
    assert "abort" not in inspect.getsource(fast_close._close)


@pytest.mark.parametrize(
    "name",
    [
        "coordination_ended",
        "force_metadata_update",
        "request_rejoin",
        "enforce_rebalance",
        "committed_offsets",
        "set_fetch_max_wait_ms",
        "unauthorized_topics",
    ],
)
def test_aiokafka_still_has_no_public_name_for_it(name: str) -> None:
    """A function of `private` may go when a consumer has a method for what it does."""
    assert not hasattr(AIOKafkaConsumer, name)


def test_aiokafka_still_takes_the_wait_of_a_fetch_from_one_attribute() -> None:
    """`private.wait_for_silent` has an effect as long as each request takes the attribute that it sets."""
    assert "self._fetch_max_wait_ms," in inspect.getsource(Fetcher._get_actions_per_node)


def test_aiokafka_still_drops_the_metadata_of_what_is_committed() -> None:
    """`private.committed` may go when the public method answers with more than a number."""
    assert "].offset" in inspect.getsource(AIOKafkaConsumer.committed)


def test_aiokafka_still_ends_a_transaction_without_a_newer_epoch() -> None:
    """`late_requests` may go when aiokafka sends ``EndTxn`` of version 5 (KIP-890), after which the epoch is newer."""
    assert max(each.API_VERSION for each in EndTxnRequest._CLASSES) < 5
