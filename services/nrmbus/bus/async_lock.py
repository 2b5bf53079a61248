"""Lock on a file for services whose other tasks go on while one waits."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nrmbus.bus.private_files import lock_file


@asynccontextmanager
async def locked_meanwhile(path: Path) -> AsyncIterator[None]:
    """Hold the lock on the file *path* until the end of the block; other tasks run while this one waits."""
    with lock_file(path) as descriptor:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
