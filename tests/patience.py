"""Waiting for what other processes do, with an end to it."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def until(what: str, holds: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait until *holds*; answers how long it took. Fails, saying *what* did not come about, after *seconds*."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - start


def busy(pid: int) -> float:
    """Seconds of a processor that the process has had: what else the machine does is not in it. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
