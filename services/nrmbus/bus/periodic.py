"""Periodic task: the loop of everything that a service looks at again after some seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn


async def every(
    seconds: float,
    look: Callable[[], Awaitable[object]],
    *,
    first: float = 0.0,
    failed: Callable[[Exception], None] | None = None,
) -> NoReturn:
    """Await *look* until cancelled: after *first* seconds, then *seconds* after each look has ended.

    An error of *look* goes to *failed*, and the next look comes as usual. Without *failed* the error ends the task.
    """
    await asyncio.sleep(first)
    while True:
        try:
            await look()
        except Exception as error:
            if failed is None:
                raise
            failed(error)
        await asyncio.sleep(seconds)
