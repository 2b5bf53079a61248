"""Batches that the broker takes and no client would make: every field of every record is chosen."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from aiokafka.record.util import calc_crc32c

from bad_input.bombs import varint

Coded = Callable[[int], bytes]
NOTHING: Final = -1


def beyond(number: int) -> bytes:
    """*number* in five bytes, with one bit beyond Kafka's 32: a 64-bit parser reads another number."""
    rest = ((number << 1) ^ (number >> 31)) & 0xFFFFFFFF
    return bytes([rest >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)]) + bytes([rest >> 28 | 0x10])


@dataclass(frozen=True)
class Forged:
    """One record; *coded* names the numbers with another encoding, *delta* the offset that the record claims."""

    value: bytes = b"x"
    key: bytes = b"k"
    headers: Sequence[tuple[bytes, bytes]] = ((b"a", b"b"),)
    delta: int = 0
    attributes: bytes = b"\0"
    coded: Mapping[str, Coded] = field(default_factory=lambda: MappingProxyType({}))

    def raw(self) -> bytes:
        """As it lies in a batch."""

        def said(name: str, number: int) -> bytes:
            return self.coded.get(name, varint)(number)

        body = self.attributes + varint(0) + said("delta", self.delta)
        body += said("key", len(self.key)) + self.key + said("value", len(self.value)) + self.value
        body += said("headers", len(self.headers))
        for name, value in self.headers:
            body += said("name", len(name)) + name + said("content", len(value)) + value
        return said("length", len(body)) + body


def batch(records: Sequence[Forged]) -> bytes:
    """A batch (Kafka's format 2) of *records*, uncompressed, which the broker keeps byte by byte."""
    body = b"".join([each.raw() for each in records])
    count = len(records)
    tail = struct.pack(">hiqqqhii", 0, count - 1, 0, 0, NOTHING, NOTHING, NOTHING, count) + body
    return struct.pack(">qiibI", 0, 9 + len(tail), NOTHING, 2, calc_crc32c(tail)) + tail


FORGED: Final = {
    **{f"a number beyond 32 bits: {name}": Forged(coded={name: beyond})
       for name in ("length", "delta", "key", "value", "headers", "name", "content")},
    "attributes that are none": Forged(attributes=b"\xff"),
    "far behind its place": Forged(delta=1 << 30),
    "before its place": Forged(delta=-5),
    "a header's name that is not UTF-8": Forged(headers=[(b"x-\xff\xfe-", b"1")]),
    "more headers than anybody reads": Forged(headers=[(b"", b"")] * 150_000),
}  # fmt: skip
"""Records that the broker takes, by their oddity."""
