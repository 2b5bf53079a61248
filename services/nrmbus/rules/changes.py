"""Small things that every fold of an event needs: parts that begin and end, records put in place of others."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from nrmbus.rules.event_context import EventContext
from nrmbus.rules.mark import Mark

Changes = dict[str, Any]
"""Fields of a view, and what they become."""
Folder = Callable[[EventContext, Mark], Changes]
Parts = Mapping[str, frozenset[str]]
Value = TypeVar("Value")


def parts_with(parts: Parts, agencies: Iterable[str], part: str) -> Parts:
    """Return *parts* with *part* added for each of *agencies*."""
    new = {agency: parts.get(agency, frozenset()) | {part} for agency in agencies}
    return {**parts, **new} if new else parts


def parts_without(parts: Parts, agencies: Iterable[str], part: str) -> Parts:
    """Return *parts* without *part* for *agencies*; an agency without any part is no longer on the case."""
    left = dict(parts)
    for agency in agencies:
        rest = left.get(agency, frozenset()) - {part}
        if rest:
            left[agency] = rest
        else:
            left.pop(agency, None)
    return left


def put(records: Mapping[str, Value], key: str, record: Value) -> Mapping[str, Value]:
    """Return *records* with *record* at *key*; an existing key keeps its place in the order."""
    return {**records, key: record}


def put_last(records: Mapping[str, Value], key: str, record: Value) -> Mapping[str, Value]:
    """Return *records* with *record* at *key* as the latest, even if an ended record had the same reference."""
    return {**{other: kept for other, kept in records.items() if other != key}, key: record}


def heard_by(context: EventContext) -> frozenset[str]:
    """Return the agencies that know what this event opens: its sender, ``to``, and its recipients in this history."""
    return frozenset((context.source, *context.to, *context.recipients))
