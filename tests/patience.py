"""Waiting for conditions, with an end to it: no test fails because the machine is busy."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import isawaitable
from pathlib import Path
from typing import Final, Protocol

PATIENCE: Final = 300.0
"""Seconds after which a wait is given up, since something hangs. No promise: `make bench` measures those."""
LONGEST_WAIT: Final = 30.0
"""Seconds for which a desk is asked to wait for a verdict; its client hangs up after 35."""


def _pause(began: float) -> float:
    """Return the seconds until the next look: a fiftieth of what was waited, since a look takes time from what is waited for."""
    return min(max(0.01, (time.monotonic() - began) / 50), 0.1)


def until(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until *holds*; fail after *seconds*, saying *what* did not come about."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + seconds, f"not within {seconds} s: {what}"
        time.sleep(_pause(began))


async def eventually(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until *holds*, while the tasks of the event loop go on; fail after *seconds*, saying *what* did not come about.

    What *holds* answers may be awaitable.
    """
    began = time.monotonic()
    while not (await found if isawaitable(found := holds()) else found):
        assert time.monotonic() < began + seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(_pause(began))


def busy(pid: int) -> float:
    """Return the seconds of a processor that the process has had, whatever else the machine does; 0 if not on Linux."""
    if sys.platform != "linux":
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C reach the processes that are started in the block: tests in the background ignore it, and so would those."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def lives(pid: int) -> bool:
    """Whether the process is there, a zombie not counted."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    try:
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it went while we looked
        return False


class Told(Protocol):
    """A process that can be told to end."""

    @property
    def pid(self) -> int:
        """Its number in the system."""

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""


def ended(process: Told, number: int, seconds: float = PATIENCE) -> tuple[float, int]:
    """Send the signal *number*, wait until the process has ended, and return the seconds that took and the exit status.

    A service whose broker is away may have ended by itself, to be started again.

    The time in which the process or this one waited for a processor is not counted, so a promise can be measured on a busy
    machine; *seconds* only ends our own patience. On a system without /proc all time counts.
    """
    theirs = their_first = _late(process.pid)
    our_first, began = _late(os.getpid()), time.monotonic()
    process.send_signal(number)
    while process.poll() is None:
        theirs = max(theirs, _late(process.pid))  # nothing once it has ended
        assert time.monotonic() - began < seconds, f"not within {seconds} s: the process ends"
        time.sleep(0.01)
    status = process.poll()
    assert status is not None
    # Our own time counts to the end: what we wait for a processor after the process has ended is no time of the process.
    return time.monotonic() - began - (theirs - their_first) - (_late(os.getpid()) - our_first), status


def _late(pid: int) -> float:
    """Return the seconds in which threads of a process were ready to run and had no processor; 0 if it ended, or not on Linux."""
    late = 0
    with suppress(OSError):  # the process ended while we looked, or before
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # a thread went
                late += int(thread.read_text().split()[1])
    return late / 1e9
