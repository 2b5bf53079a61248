"""An event in another version than it was said in: step by step, and whatever a version cannot carry is named.

Pure functions over JSON types. What was signed stays as it is; a cast is how somebody reads it, never how it is kept.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from nrmbus.events.body import Body
from nrmbus.events.errors import UnknownType, UnknownVersion
from nrmbus.events.model import Data, Event


class Lost(NamedTuple):
    """A field that a lower version could not carry: where it stands in the event as *version* has it (RFC 6901)."""

    version: int
    pointer: str


class Cast(NamedTuple):
    """An event's data and letter in another version, and what got lost on the way down; going up loses nothing."""

    data: Mapping[str, Any]
    letter: Mapping[str, Any]
    lost: tuple[Lost, ...]


_NOTHING: Final[Mapping[str, Any]] = {}


def cast(
    steps: Mapping[int, type[Data]],
    version: int,
    to: int,
    data: Mapping[str, Any],
    letter: Mapping[str, Any] = _NOTHING,
) -> Cast:
    """Read what *version* said as version *to* says it.

    Args:
        steps: the models of the type, by version (`registry.versions`).
        version: the version that *data* and *letter* are valid in.
        to: the version wanted; the same, lower or higher.
        data: the clear part in JSON types, as `Data.to_mapping` has it.
        letter: the letter, flat, as far as it was opened.

    Raises:
        UnknownType: there is no such type.
        UnknownVersion: one of the two is not published.
    """
    if not steps:
        raise UnknownType
    if version not in steps or to not in steps:
        raise UnknownVersion(steps)
    body, lost = Body(data, letter), list[Lost]()
    for step in range(version + 1, to + 1):
        body = steps[step].up(body)
    for step in range(version, to, -1):
        lowered = steps[step].down(body)
        body = lowered.body
        lost += [Lost(step, pointer) for pointer in lowered.lost]
    return Cast(body.data, body.letter, tuple(lost))


def in_version(steps: Mapping[int, type[Data]], event: Event, to: int) -> tuple[Event, tuple[Lost, ...]]:
    """*event* as version *to* of its type says it, its data read by that version's model; all else unchanged.

    Raises:
        UnknownVersion: *to* is not published.
        Invalid: never for a published cast; the gate holds that each gives what its version's model takes.
    """
    if event.version == to:
        return event, ()
    found = cast(steps, event.version, to, event.data.to_mapping())
    read = steps[to].from_mapping(found.data)
    return Event(**{**dict(event), "version": to, "data": read}), found.lost
