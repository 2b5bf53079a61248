"""Periodic task: the loop of everything that a service looks at again after some seconds."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

LONGEST_PAUSE: Final = 20.0
"""Seconds between two attempts to reach a broker on another machine, at most."""
_MOST_DOUBLED: Final = 30
"""A pause doubled so often is longer than any limit; a float doubled 1,024 times is an error."""


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


def doubled(first: float, times: int, longest: float) -> float:
    """Return *first*, doubled so many *times*, at most *longest*: a pause that grows with each attempt, however many there are."""
    return min(first * 2.0 ** min(times, _MOST_DOUBLED), longest)


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after so many *attempts* that failed: longer each time, and different on each machine."""
    return doubled(1.0, attempts - 1, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads the machines
