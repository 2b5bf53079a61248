"""Count of the open streams of a desk, and the pages that they share."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from nrmbus.desk.errors import DeskError

MOST: Final = 200
"""Streams of one desk at once; each holds one of the door's connections."""

KEPT: Final = 16
"""Pages kept at a time: those that streams used last."""

_Page = TypeVar("_Page")


class Streams:
    """Open streams of one desk."""

    def __init__(self) -> None:
        self._open = 0
        self._pages: dict[Hashable, Any] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a stream while the block runs.

        Raises:
            DeskError: ``streams_used_up``.
        """
        if self._open >= MOST:
            raise DeskError("streams_used_up")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def shared(self, count: int, key: Hashable, read: Callable[[], _Page]) -> _Page:
        """Return what *read* returns, once for each *key* while the ledger's commits are *count* and the page is kept."""
        place = (count, key)
        found = self._pages.pop(place, None)
        page = read() if found is None else found  # a reading may wait, and other streams take pages meanwhile
        self._pages[place] = page
        while len(self._pages) > KEPT:
            del self._pages[next(iter(self._pages))]
        return cast("_Page", page)
