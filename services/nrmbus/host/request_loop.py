"""Thread of a running bus that answers the agencies' requests to its operator."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from nrmbus.bus.folder import BusFolder
from nrmbus.directory.operator_inbox import answer

REQUESTS_SECONDS: Final = 15.0
"""Seconds between two looks for requests."""
ANSWER_SECONDS: Final = 600.0
"""Seconds that one pass may take: more than the requests of all agencies need, since a pass that is cut begins again."""
ANSWERED_SECONDS: Final = 1.0
"""Seconds that a running answer may take when the bus ends."""


class Answering:
    """Loop that answers requests until it is stopped, and prints each result once."""

    def __init__(self, folder: BusFolder, notify: Callable[[str], None]) -> None:
        self._folder, self._notify = folder, notify
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer, name="answering", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the loop; the next start completes an interrupted answer."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(ANSWERED_SECONDS)

    def _answer(self) -> None:
        reported: set[str] = set()
        while not self._ended.wait(REQUESTS_SECONDS):
            try:
                outcomes = asyncio.run(asyncio.wait_for(answer(self._folder), ANSWER_SECONDS))
            except Exception as error:  # noqa: BLE001 - whatever stands in a topic, and wherever the broker is, a bus goes on
                lines = {f"Requests of agencies could not be answered ({type(error).__name__}); it is tried again."}
                outcomes = ()
            else:
                lines = {str(each) for each in outcomes if each.code is not None}
            for line in [*(str(each) for each in outcomes if each.code is None), *sorted(lines - reported)]:
                self._notify(line)
            reported |= lines  # what goes on for days is said once
