"""Loop of a task that looks at each commit of the ledger for something to do: webhooks, and notices by mail."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from nrmbus import telemetry
from nrmbus.desk.store.ledger import Ledger

LOOK_SECONDS: Final = 60.0
"""Longest time between two looks: a clock that was set back delays nothing for longer."""
AGAIN_SECONDS: Final = 5.0
"""Pause after a look that failed because of the ledger."""


async def keep_looking(ledger: Ledger, once: Callable[[], Awaitable[float]]) -> None:
    """Await *once*, then again after the next commit or after the pause that it returned, until cancelled."""
    while True:
        count, pause = ledger.count, AGAIN_SECONDS
        try:
            pause = await once()
        except Exception as error:  # noqa: BLE001 - a full disk, a held file: tried again; a desk ends by neither
            telemetry.handled("not_available", error=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause), ledger.commits:
                await ledger.commits.wait_for(partial(ledger.passed, count))
