"""Server-sent events of a desk's inbox, as WHATWG's HTML standard has them (section 9.2)."""

import json
import operator
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from nrmbus.client.errors import NOT_A_DESK, Unreachable, refused, understood
from nrmbus.client.received import Cursor

MEDIA_TYPE: Final = "text/event-stream"
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes of one event; a desk's largest is below half a megabyte."""

Rows = list[dict[str, Any]]


def rows(events: Any) -> Rows:
    """Return *events* if each is an object with the number of its row.

    Raises:
        TypeError, KeyError: one is not.
    """
    if not isinstance(events, list):
        raise TypeError
    return [{**each, "row": operator.index(each["row"])} for each in events]


async def pages(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[Rows, str | None]]:
    """Yield the rows that arrived together, and the ledger that numbers them.

    Raises:
        DoorError: ``inbox_restarted``, as the desk says it; ``not_a_desk`` for anything but its events.
    """
    left = b""
    async for chunk in chunks:
        *blocks, left = (left + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(left) > _LARGEST:
            raise Unreachable("not_a_desk", NOT_A_DESK)
        found: Rows = []
        ledger: str | None = None
        for fields in map(_fields, blocks):
            if fields.get("event") == "inbox_restarted":
                if found:
                    yield understood(rows, found), ledger
                raise refused(_object(fields.get("data", "")), HTTPStatus.CONFLICT)
            if "data" in fields:
                ledger = _cursor(fields.get("id", "")).ledger
                found.append(_object(fields["data"]))
        if found:
            yield understood(rows, found), ledger


def _fields(block: bytes) -> dict[str, str]:
    """Return the fields of one event; the lines of its data are joined."""
    found: dict[str, str] = {}
    for name, value in _lines(block.decode("utf-8", "replace")):
        found[name] = f"{found[name]}\n{value}" if name == "data" and name in found else value
    return found


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if name:  # a comment has none
            yield name, value.removeprefix(" ")


def _object(text: str) -> dict[str, Any]:
    found: Any = None
    with suppress(ValueError, RecursionError):  # its text would show what came
        found = json.loads(text)
    if not isinstance(found, dict):
        raise Unreachable("not_a_desk", NOT_A_DESK)
    return found


def _cursor(text: str) -> Cursor:
    with suppress(ValueError):
        return Cursor.parse(text)
    raise Unreachable("not_a_desk", NOT_A_DESK)
