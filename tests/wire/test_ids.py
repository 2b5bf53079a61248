"""Ids and partitions."""

import uuid

from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.wire import ids


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7(milliseconds: int, random_bytes: bytes) -> None:
    """An event id is a UUIDv7 that says when, and nothing of where."""
    made = uuid.UUID(text := ids.uuid7(milliseconds, random_bytes))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == milliseconds
    assert ids.EVENT_ID.fullmatch(text)


def test_fresh_ids_differ() -> None:
    """Two events never get the same id, even within one millisecond; a given clock is used."""
    assert ids.new_event_id(0) != ids.new_event_id(0)
    assert ids.new_event_id(0).startswith("00000000-0000-7")
    assert ids.new_ref() != ids.new_ref()
    assert ids.REF.fullmatch(ids.new_ref())


@given(st.text("abc", max_size=3), st.text("abc", max_size=3), st.text("abc", max_size=3))
def test_said_once(agency: str, cause: str, rule: str) -> None:
    """An automatic event has the same id after a restart, and another id for another cause or rule."""
    once = ids.said_by_itself(agency, cause, rule)

    assert once == ids.said_by_itself(agency, cause, rule)
    assert uuid.UUID(once).version == 8
    assert once != ids.said_by_itself(agency + "a", cause, rule)
    # The lengths are hashed too, so text moved over a border is another cause.
    assert not cause or once != ids.said_by_itself(agency + cause[0], cause[1:], rule)


def test_what_an_agency_says_by_itself_bears_its_mark() -> None:
    """A reader with the list of agencies sees whose id it is; an id of another kind has no mark."""
    said = ids.said_by_itself("ngo-a", "cause", "rule")

    assert ids.EVENT_ID.fullmatch(said)
    assert ids.mark_in(said) == ids.mark_of("ngo-a") != ids.mark_of("ngo-ab")
    assert ids.mark_in(ids.new_event_id()) is None


@given(st.binary(max_size=70))
def test_hash_is_kafkas(key: bytes) -> None:
    """Our hash is that of another client's port of Kafka's, for every length of the last word."""
    assert ids.murmur2(key) == theirs(key) % 2**32


@given(st.text(max_size=40), st.integers(1, 50))
def test_partition_exists(key: str, partitions: int) -> None:
    """Every key has a partition, always the same."""
    assert ids.partition_of(key, partitions) in range(partitions)
    assert ids.partition_of(key, partitions) == ids.partition_of.__wrapped__(key, partitions)


def test_reserved_names() -> None:
    """Nobody speaks in the name of a part of the bus."""
    assert ids.is_agency("ngo-a")
    assert not ids.is_agency("operator")
    assert not any(ids.is_agency(name) for name in ("", "a", "A-b", "1a", "a b", "a" * 32, "a\n", "ngo-a\n", "ngö"))
