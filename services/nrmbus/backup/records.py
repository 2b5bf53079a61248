"""Records of a topic as lines of a file, byte for byte: offset, timestamp, key, value and headers.

A line is a JSON object, with bytes in base64; a key or value that is null is left out.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Partition, Segment, Store
from nrmbus.wire import base64
from nrmbus.wire.record import Record

SEGMENT: Final = 1 << 20
"""Bytes from which a segment is full. The last segment of a partition is written again, with what came, until it is."""


class Kept(NamedTuple):
    """A record as it stood in its partition."""

    offset: int
    timestamp: int
    """Milliseconds since 1970, as the broker set it."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def record(self) -> Record:
        """The record as the wire reads it."""
        return Record(self.key, self.value, self.headers)  # type: ignore[arg-type]  # a null header is the reader's to refuse

    def line(self) -> bytes:
        """Return the record as a line."""
        said: dict[str, Any] = {"offset": self.offset, "timestamp": self.timestamp}
        if self.key is not None:
            said["key"] = base64.encode(self.key)
        if self.value is not None:
            said["value"] = base64.encode(self.value)
        said["headers"] = [
            [name] if value is None else [name, base64.encode(value)] for name, value in self.headers
        ]  # fmt: skip
        return json.dumps(said, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Kept":
        """Read a line. Raises ValueError, TypeError, LookupError or AttributeError for another form."""
        said = json.loads(line)
        headers = tuple((name, _bytes(value[0]) if value else None) for name, *value in said["headers"])
        key, value = (_bytes(said[name]) if name in said else None for name in ("key", "value"))
        return cls(int(said["offset"]), int(said["timestamp"]), key, value, headers)


def _bytes(text: str) -> bytes:
    raw = base64.read(text)
    if raw is None:
        raise ValueError
    return raw


def records(store: Store, name: str, segments: Iterable[Segment]) -> Iterator[Kept]:
    """Yield the records of *segments*, each file compared with its digest first; *name* says of which partition.

    Raises:
        BackupError: as `Store.check`, or ``record_unreadable``.
    """
    for segment in segments:
        offset, count = segment.first - 1, 0
        for line in store.read(segment, name).splitlines():
            kept = None
            with suppress(ValueError, TypeError, LookupError, AttributeError, RecursionError):
                kept = Kept.read(line)
            if kept is None or kept.offset <= offset:
                raise BackupError("record_unreadable", f"{name}, after {offset}")
            yield kept
            offset, count = kept.offset, count + 1
        if (offset, count) != (segment.last, segment.count):
            raise BackupError("record_unreadable", f"{name}, after {offset}")


class Writer:
    """Writer of the records of one partition behind those that an earlier backup has."""

    def __init__(self, store: Store, name: str, begin: int, end: int, before: Partition | None) -> None:
        """Go on from *before*, of which records below *begin* are left out; *end* is where reading starts."""
        self._store, self._name = store, name
        self.begin, self.end = begin, end
        self.number = before.number if before else 0
        self.digest = before.digest if before else ""
        self._segments = [each for each in (before.segments if before else ()) if each.last >= begin]
        self._lines: list[bytes] = []
        self._size = self._first = self._last = 0

    def add(self, kept: Kept) -> None:
        """Add the next record."""
        if not self._lines:
            self._reopen()
        line = kept.line()
        if not self._lines:
            self._first = kept.offset
        self._lines.append(line)
        self._size += len(line)
        self._last = kept.offset
        self.end = kept.offset + 1
        if self._size >= SEGMENT:
            self._flush()

    def _reopen(self) -> None:
        """Take the last segment back, unless it is full."""
        if self._segments and self._segments[-1].length < SEGMENT:
            last = self._segments.pop()
            self._lines = [each.line() for each in records(self._store, self._name, (last,))]
            self._size, self._first, self._last = last.length, last.first, last.last

    def _flush(self) -> None:
        if self._lines:
            stored = self._store.put(self._lines)
            about = {"first": self._first, "last": self._last, "count": len(self._lines)}
            self._segments.append(Segment(sha256=stored.sha256, length=stored.length, **about))
            self._lines, self._size = [], 0

    def done(self) -> Partition:
        """Write what is left; return what the backup has of the partition now."""
        self._flush()
        return Partition(
            begin=self.begin, end=self.end, segments=tuple(self._segments), number=self.number, digest=self.digest
        )
