"""Size of a transaction, by what the line to the broker carried before.

The broker aborts a transaction after 15 seconds. A batch of letters that takes longer on a slow line would be read again
after each start, and would never come to its end.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

FIRST: Final = 1024 * 1024
"""Bytes of submissions in the first transaction of a registrar; with two recipients each, 5 seconds of a line of 5 Mbit/s."""
LEAST: Final = FIRST // 4
"""On a line of 5 Mbit/s a second or two: where so little takes long, it is not for its size, and less would only be slower."""
MOST: Final = 64 * 1024 * 1024
QUICK_SECONDS: Final = 2.0
"""A transaction that took no longer may be followed by one of twice its size."""
SLOW_SECONDS: Final = 6.0
"""After a transaction that took longer they become half as large."""

_Item = TypeVar("_Item")


class TransactionSize:
    """Limit of the next transaction, in bytes of submissions."""

    def __init__(self) -> None:
        self.limit = FIRST

    def parts(self, items: Sequence[_Item], size_of: Callable[[_Item], int]) -> Iterator[tuple[Sequence[_Item], int]]:
        """Yield *items* in order, in parts of at most the limit as it is then, with the bytes of each; one item may be larger."""
        start = 0
        while start < len(items):
            end, size = start + 1, size_of(items[start])
            while end < len(items) and size + (more := size_of(items[end])) <= self.limit:
                end, size = end + 1, size + more
            yield items[start:end], size
            start = end

    def took(self, size: int, seconds: float) -> None:
        """Take note that a transaction with *size* bytes of submissions took so many *seconds*."""
        if seconds > SLOW_SECONDS:
            self.limit = max(min(self.limit, size) // 2, LEAST)
        elif seconds < QUICK_SECONDS and 2 * size >= self.limit:
            self.limit = min(2 * self.limit, MOST)
