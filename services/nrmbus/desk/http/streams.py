"""Count of the open streams of a desk, and the pages that they share."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from nrmbus.desk.errors import DeskError

MOST: Final = 200
"""Streams of one desk at once; each holds one of the door's connections."""

_Page = TypeVar("_Page")


class Streams:
    """Open streams of one desk."""

    def __init__(self) -> None:
        self._open = 0
        self._count = -1
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
        """Return what *read* returns, once for each *key* until the ledger's commits are no longer *count*."""
        if count != self._count:
            self._count, self._pages = count, {}
        if key not in self._pages:
            self._pages[key] = read()
        return cast("_Page", self._pages[key])
