"""Every record of a topic is returned at the broker's offset, and no malformed record stops a reader."""

import random
import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from bad_input.forged import FORGED, Forged, batch
from nrmbus.bus.aiokafka_patches.tolerant import UNREADABLE, Records

PLAIN = Forged(b"v", b"k", [(b"ce_id", b"1")])


def read(raw: bytes, base: int = 40) -> list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    """Offset, key, value and headers of each record of *raw*, which the broker has put at *base*."""
    fetched, found = Records(struct.pack(">q", base) + raw[8:]), []
    while fetched.has_next():
        found += [(each.offset, each.key, each.value, list(each.headers)) for each in fetched.next_batch()]
    return found


def test_records_of_a_client_are_read_as_written() -> None:
    """Several records, with and without key, value and headers."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, 7, b"k", b"v", [("a", b"1"), ("b", None)])
    builder.append(1, 7, None, None, [])

    assert read(bytes(builder.build())) == [(40, b"k", b"v", [("a", b"1"), ("b", None)]), (41, None, None, [])]


@pytest.mark.thorough
@pytest.mark.parametrize("what", FORGED)
def test_a_handmade_record_is_read_in_its_place(what: str) -> None:
    """Between two records of the ordinary kind, which are read as they are: no byte of one is taken for another's."""
    before, (place, *_), after = read(batch([PLAIN, FORGED[what], Forged(b"w", b"k", [], delta=2)]))

    assert (before, after) == ((40, b"k", b"v", [("ce_id", b"1")]), (42, b"k", b"w", []))
    assert place == 41


def test_the_offset_that_a_record_claims_is_ignored() -> None:
    """Twice in one place, in another order, far ahead: each is where the broker counted it."""
    for deltas in ((1, 1, -1), (2, 1, 0), (0, 1, 1 << 30), (0, 0, 0)):
        assert [each[0] for each in read(batch([Forged(delta=each) for each in deltas]))] == [40, 41, 42]


def test_records_left_by_compaction_keep_their_offsets() -> None:
    """Fewer records than places: then each says where it lies, since the broker wrote it so."""
    raw = bytearray(batch([Forged(delta=0), Forged(delta=2)]))
    struct.pack_into(">i", raw, 23, 2)  # the place of the last one

    assert [each[0] for each in read(bytes(raw))] == [40, 42]


def test_no_byte_stops_it() -> None:
    """P1: whatever stands in a batch of three, three records come of it."""
    chance = random.Random(0)  # the same bytes in each run
    whole = batch([PLAIN, PLAIN, Forged(headers=[(b"n", b"c" * 300)])])
    for _ in range(3000):
        spoilt = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            spoilt[chance.randrange(61, len(spoilt))] = chance.randrange(256)
        assert [each[0] for each in read(bytes(spoilt))] == [40, 41, 42]


def test_an_unreadable_record_is_no_event() -> None:
    """Its headers have a name that no submission may have."""
    raw = bytearray(batch([PLAIN, PLAIN]))
    raw[61] = 0xFE  # the first one's length: beyond the batch

    assert [each[3] for each in read(bytes(raw))] == [UNREADABLE, UNREADABLE]
