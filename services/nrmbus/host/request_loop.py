"""The thread of a running bus that answers what agencies ask of its operator, beside whatever else happens."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from nrmbus.bus.folder import BusFolder
from nrmbus.directory.operator_inbox import answer

REQUESTS_SECONDS: Final = 15.0
"""How often we look whether agencies have asked for something."""
ANSWERED_SECONDS: Final = 1.0
"""How long an answer that is being made may take at the end."""


class Answering:
    """Answers until it is stopped, and says each thing once."""

    def __init__(self, folder: BusFolder, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer, name="answering", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what is cut there, the next start finishes."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(ANSWERED_SECONDS)

    def _answer(self) -> None:
        said: set[str] = set()
        while not self._ended.wait(REQUESTS_SECONDS):
            try:
                outcomes = asyncio.run(answer(self._folder))
            except Exception as error:  # noqa: BLE001 - whatever stands in a topic, and wherever the broker is, a bus goes on
                lines = {f"Requests of agencies could not be answered ({type(error).__name__}); it is tried again."}
                outcomes = ()
            else:
                lines = {str(each) for each in outcomes if each.code is not None}
            for line in [*(str(each) for each in outcomes if each.code is None), *sorted(lines - said)]:
                self._say(line)
            said |= lines  # what goes on for days is said once
