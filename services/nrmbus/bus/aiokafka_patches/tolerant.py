"""Tolerant reading of batches: a hand-made record that aiokafka cannot parse would stop its reader for ever.

Every writer of a topic could send such a record. The broker takes 32 bits of each number, aiokafka 64. The broker checks
neither a header's name nor a record's attributes, and believes the offset that a record claims within its batch.
A batch on which the fast parser raises, or whose records are out of order, is therefore parsed again as the broker parses
it, with every record at the offset that the broker gave. A record that still cannot be parsed is returned with headers
that no event can have: the reader quarantines the record by its coordinates and reads on.
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
"""Headers beyond this number are not parsed: no record of the bus has fifty, and each costs a hundred times more here."""
UNREADABLE: Final[list[tuple[str, bytes | None]]] = [("\ufffd", b"")]
"""The headers of a record that cannot be parsed; no submission may have a header of this name."""


class _Batch:
    """A batch that yields every record at the broker's offset, parsed slowly if the fast parser fails."""

    def __init__(self, quick: Any, raw: memoryview) -> None:
        self._quick, self._raw = quick, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __iter__(self) -> Iterator[Any]:
        first, end = self._quick.base_offset, self._quick.next_offset
        (count,) = _COUNT.unpack_from(self._raw, _COUNT_AT)
        # The broker takes a client's batch only with as many records as offsets. Compaction leaves fewer.
        whole = count == end - first
        try:
            found = list(self._quick)
        except Exception:  # noqa: BLE001 - the error depends on the bytes
            return _Slowly(self._raw).records()
        if whole and [each.offset for each in found] != list(range(first, end)):
            return _Slowly(self._raw).records()
        return iter(found)


class _Slowly(_DefaultRecordBatchPy):  # type: ignore[misc]  # final to its makers; nothing of it is replaced
    """The same batch, parsed as the broker parses it."""

    def records(self) -> Iterator[_DefaultRecordPy]:
        with suppress(Exception):  # the records are returned all the same
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
            _, at = _number(self._buffer, at + 1)  # the time stamp, behind one byte of attributes
            _, at = _number(self._buffer, at)  # the offset that the record claims
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
    """Return the signed 32-bit varint at *at*, and the position behind it."""
    found = shift = 0
    while True:
        byte = buffer[at]
        found |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            found &= 0xFFFFFFFF
            return (found >> 1) ^ -(found & 1), at


class Records(_MemoryRecordsPy):  # type: ignore[misc]  # final to its makers; nothing of it is replaced
    """The batches of one fetch."""

    def next_batch(self, *how: Any) -> Any:
        """Return the next batch, which will yield every record."""
        raw = self._next_slice
        quick = super().next_batch(*how)
        if raw is None or quick is None or quick.is_control_batch or raw[self.MAGIC_OFFSET] < 2:
            return quick  # the broker takes no such batch from a client
        return _Batch(quick, raw)


def whatever_was_written() -> None:
    """Make every aiokafka consumer of this process read in this way."""
    fetcher.MemoryRecords = Records
