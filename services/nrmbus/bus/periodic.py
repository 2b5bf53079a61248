"""Periodic task: the loop of everything that a service looks at again after some seconds."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

LONGEST_PAUSE: Final = 20.0
"""Seconds between two attempts to reach a broker on another machine, at most."""


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


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after so many *attempts* that failed: longer each time, and different on each machine."""
    return min(LONGEST_PAUSE, 2.0 ** (attempts - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the machines
