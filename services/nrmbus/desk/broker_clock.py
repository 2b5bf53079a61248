"""Difference between this machine's clock and the broker's, as the broker's answers to a desk's sendings show it."""

import time
from typing import Final

CLOSE_SECONDS: Final = 1.0
"""Uncertainty up to which a newer measurement replaces an older one at once."""


_STAMP_SECONDS: Final = 0.001
"""The broker stamps in whole milliseconds."""


class BrokerClock:
    """The newest good measurement of one desk.

    The broker stamps each record as it appends it, at some moment between the sending and the answer. So half of that time
    is the uncertainty of a measurement.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._uncertain = float("inf")

    @property
    def ahead(self) -> float | None:
        """Return by how many seconds this machine's clock is ahead of the broker's (behind: negative); None while unknown.

        What the uncertainty explains is no difference: then it is 0.
        """
        if self._ahead is None:
            return None
        return 0.0 if abs(self._ahead) <= self._uncertain else round(self._ahead, 3)

    def note(self, sent: float, answered: float, appended: float) -> None:
        """Take in a record that the broker stamped *appended*: sent and answered at these times by this machine's clock, all in seconds."""
        uncertain = (answered - sent) / 2 + _STAMP_SECONDS
        if answered >= sent and (uncertain <= CLOSE_SECONDS or uncertain <= self._uncertain):
            self._ahead, self._uncertain = (sent + answered) / 2 - appended, uncertain


def now() -> float:
    """Return the wall clock's time in seconds since 1970."""
    return time.time()
