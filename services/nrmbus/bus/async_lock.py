"""Lock on a file for services whose other tasks go on while one waits."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nrmbus.bus.private_files import lock_file

AGAIN_SECONDS: Final = 0.1
"""Seconds between two attempts to take a lock that another process holds."""


@asynccontextmanager
async def locked_meanwhile(path: Path) -> AsyncIterator[None]:
    """Hold the lock on the file *path* until the end of the block; other tasks run while this one waits, and the wait can be cancelled."""
    with lock_file(path) as descriptor:
        while True:
            try:
                # Not in a thread: a thread that waits for the lock cannot be cancelled, and the loop's end would wait for it.
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(AGAIN_SECONDS)
        yield
