"""Reading a record whose header has a name that is not UTF-8: aiokafka raises on it, and would for ever.

Whoever may write to a topic may write such a record. When one was met, this process reads by aiokafka's parser in
Python, with such names replaced, so that the record reaches us and can be set aside; the quick parser is back after a
restart.
"""

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Lenient(bytearray):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        """Decode, with the replacement character for what is not *encoding*."""
        return super().decode(encoding, errors)


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final to its makers; nothing of it is replaced
    _buffer: Any

    def _read_msg(self, *how: Any) -> Any:
        if not isinstance(self._buffer, _Lenient):
            self._buffer = _Lenient(self._buffer)
        return super()._read_msg(*how)


def read_any_header_name() -> None:
    """Have every consumer of this process read records with any header name from now on; slower, and for good."""
    memory_records.DefaultRecordBatch = _TolerantBatch
    fetcher.MemoryRecords = _MemoryRecordsPy
