"""Keeps the spans of one service on its own disk: lines of JSON, appended off the event loop, and bounded.

Two files, ``spans/spans.jsonl`` and ``spans/spans.1.jsonl``: when the first is full it takes the place of the second,
so the oldest go first. A line that was torn by a kill is passed over.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nrmbus.telemetry.log import said
from nrmbus.telemetry.span import Span

FULL: Final = 4 << 20
"""Bytes of one file; a service keeps twice as many at most, some 50,000 spans."""

EVERY_SECONDS: Final = 0.5
AT_ONCE: Final = 1000
"""Spans written at once; by so many a file may be longer than it should."""
WAITING_AT_MOST: Final = 20_000
"""Spans that wait to be written; beyond that the oldest are lost, since memory is not theirs."""


class Keeper:
    """Writes spans below the folder of one service, from a thread of its own. Losing them is no failure of the service."""

    def __init__(self, home: Path) -> None:
        """Keep spans in ``spans/`` below *home*; the folder is made with the first of them."""
        self._path = home / "spans" / "spans.jsonl"
        self._waiting: deque[Span] = deque(maxlen=WAITING_AT_MOST)
        self._came, self._end = threading.Event(), threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def keep(self, span: Span) -> None:
        """Have *span* written within half a second. Never blocks, never raises."""
        self._waiting.append(span)
        if not self._came.is_set():
            self._came.set()

    def close(self) -> None:
        """Write what waits, and end."""
        self._end.set()
        self._came.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            self._came.wait()
            self._end.wait(EVERY_SECONDS)
            self._came.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        try:
            while self._waiting:
                some = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
                self._append(b"".join([span.line() for span in some]))
        except OSError as error:  # a full disk, a folder that was taken away: spans are lost, the trail is not
            if not self._failed:
                said("spans_not_kept", error=type(error).__name__)
            self._failed = True

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened anew each time: another process of the service may have turned the file meanwhile.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + lines if torn else lines)
        finally:
            os.close(descriptor)
        if size + len(lines) > FULL:
            self._path.replace(self._path.with_name("spans.1.jsonl"))


def kept(home: Path, text: str = "") -> Iterator[Span]:
    """The spans that the service at *home* still has, oldest first; of a *text* those whose line holds it."""
    wanted = text.encode()
    for name in ("spans.1.jsonl", "spans.jsonl"):
        try:
            content = (home / "spans" / name).read_bytes()
        except OSError:
            continue
        if wanted not in content:
            continue
        for line in content.splitlines():
            if wanted in line and (span := Span.read(line)) is not None:
                yield span
