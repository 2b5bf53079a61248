"""Reading whatever the broker took: a record that aiokafka raises on, or takes for another place, would stop its reader for ever.

Whoever may write to a topic may write such a record, by hand. The broker takes 32 bits of each number in it, aiokafka 64; it
asks nothing of a header's name or of a record's attributes; and where a record says that it lies in its batch, it believes.
So a batch on which the quick parser raises, or that is not in its order, is read once more as the broker reads it, each
record where the broker put it. What cannot be read even so is there all the same, as a record that nobody can take for an
event: it is set aside by its coordinates, and what lies behind it is read.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy

_COUNT: Final = struct.Struct(">i")
_COUNT_AT: Final = _DefaultRecordBatchPy.HEADER_STRUCT.size - _COUNT.size
HEADERS_AT_MOST: Final = 1000
"""A record with more is not read further: none of ours has fifty, and here each costs a hundred times what it did."""
UNREADABLE: Final[list[tuple[str, bytes | None]]] = [("\ufffd", b"")]
"""The headers of a record that cannot be read: no submission may have one of this name."""


class _Batch:
    """A batch that has each of its records, in its place, or more of them than it was taken for."""

    def __init__(self, quick: Any, raw: memoryview) -> None:
        self._quick, self._raw = quick, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __iter__(self) -> Iterator[Any]:
        first, end = self._quick.base_offset, self._quick.next_offset
        (count,) = _COUNT.unpack_from(self._raw, _COUNT_AT)
        # The broker takes no batch from a client that has not as many records as places. Compaction leaves fewer.
        whole = count == end - first
        try:
            found = list(self._quick)
        except Exception:  # noqa: BLE001 - it depends on what somebody wrote
            return _Slowly(self._raw).records()
        if whole and [each.offset for each in found] != list(range(first, end)):
            return _Slowly(self._raw).records()
        return iter(found)


class _Slowly(_DefaultRecordBatchPy):  # type: ignore[misc]  # final to its makers; nothing of it is replaced
    """The same batch, read as the broker does."""

    def records(self) -> Iterator[_DefaultRecordPy]:
        with suppress(Exception):  # its records are there all the same
            self._maybe_uncompress()
        at, count = self._pos, self._num_records
        for turn in range(count):
            record, at = self._record(at, self.base_offset + turn)
            yield record

    def _record(self, at: int, offset: int) -> tuple[_DefaultRecordPy, int]:
        key = value = None
        headers, end = UNREADABLE, len(self._buffer)
        stamp = self.max_timestamp  # the broker's, on all of our topics
        with suppress(IndexError, ValueError):
            length, at = _number(self._buffer, at)
            if not 0 < length <= end - at:
                raise ValueError
            end = at + length
            _, at = _number(self._buffer, at + 1)  # when it was written; one byte of attributes stands before it
            _, at = _number(self._buffer, at)  # where it says that it lies
            key, at = self._bytes(at, end)
            value, at = self._bytes(at, end)
            headers = self._headers(at, end)
        return _DefaultRecordPy(offset, stamp, self.timestamp_type, key, value, headers), end

    def _bytes(self, at: int, end: int) -> tuple[bytes | None, int]:
        length, at = _number(self._buffer, at)
        if length < 0:
            return None, at
        if length > end - at:
            raise ValueError
        return bytes(self._buffer[at : at + length]), at + length

    def _headers(self, at: int, end: int) -> list[tuple[str, bytes | None]]:
        count, at = _number(self._buffer, at)
        if not 0 <= count <= HEADERS_AT_MOST:
            return UNREADABLE
        found: list[tuple[str, bytes | None]] = []
        for _ in range(count):
            name, at = self._bytes(at, end)
            value, at = self._bytes(at, end)
            found.append(((name or b"").decode("utf-8", "replace"), value))
        return found if at == end else UNREADABLE


def _number(buffer: bytearray, at: int) -> tuple[int, int]:
    """The signed number at *at*, of as many bytes as it has and 32 bits, and where the next thing begins."""
    found = shift = 0
    while True:
        byte = buffer[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            found &= 0xFFFFFFFF
            return (found >> 1) ^ -(found & 1), at


class Records(_MemoryRecordsPy):  # type: ignore[misc]  # final to its makers; nothing of it is replaced
    """What a fetch brought, batch by batch."""

    def next_batch(self, *how: Any) -> Any:
        """The next one, of which every record will be there."""
        raw = self._next_slice
        quick = super().next_batch(*how)
        if raw is None or quick is None or quick.is_control_batch or raw[self.MAGIC_OFFSET] < 2:
            return quick  # of which the broker takes none from a client
        return _Batch(quick, raw)


def whatever_was_written() -> None:
    """Have every aiokafka consumer of this process read so."""
    fetcher.MemoryRecords = Records
