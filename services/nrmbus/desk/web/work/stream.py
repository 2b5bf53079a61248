"""Live counts of the lists as server-sent events; a page fetches itself again after a change."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from starlette.responses import StreamingResponse

from nrmbus.desk.errors import DeskError
from nrmbus.desk.web.shell import Visit
from nrmbus.desk.web.work.known import Known, Snapshot, known_of
from nrmbus.desk.web.work.queues import general

MOST: Final = 200
"""Streams of one desk at once."""
BEAT: Final = 15.0
"""Seconds between two events without a change: the page is still true."""
LIFE: Final = 300.0
"""Seconds of one stream: then the browser connects again, and its session is looked at again."""
_RETRY: Final = 2000


def counts(snapshot: Snapshot, now: datetime) -> dict[str, tuple[int, bool]]:
    """Return of each counted list how many rows it has, and whether one of them is overdue."""
    return snapshot.once(now, "counts", lambda: _counts(snapshot, now))


def _counts(snapshot: Snapshot, now: datetime) -> dict[str, tuple[int, bool]]:
    found = {}
    for queue in general().queues:
        if queue.is_counted:
            rows = snapshot.rows(queue, now)
            found[queue.id] = len(rows), any(row.is_late(now) for row in rows)
    return found


async def told(visit: Visit, known: Known, *, beat: float = BEAT, life: float = LIFE) -> AsyncIterator[str]:
    """Yield the lines of a stream: at once, after each change, and every *beat* seconds, for *life* seconds."""
    until, clock = time.monotonic() + life, visit.door.seat.now
    yield f"retry: {_RETRY}\n\n"
    snapshot = await known.fresh()
    while True:
        yield _event({"at": visit.t.clock(clock()), "version": snapshot.version, "counts": counts(snapshot, clock())})
        left = until - time.monotonic()
        if left <= 0 or not visit.goes_on():
            return
        snapshot = await known.after(snapshot.version, min(beat, left))


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def stream(visit: Visit) -> StreamingResponse:
    """Return the stream for *visit*. Raises DeskError ``streams_used_up``."""
    known = known_of(visit.door)
    if known.streams >= MOST:
        raise DeskError("streams_used_up")
    return StreamingResponse(_counted(known, told(visit, known)), media_type="text/event-stream")


async def _counted(known: Known, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    known.streams += 1
    try:
        async for line in lines:
            yield line
    finally:
        known.streams -= 1
        if not known.streams:
            known.rest()
