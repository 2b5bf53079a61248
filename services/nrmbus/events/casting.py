"""Conversion of an event to another version of its type, one version at a time, with a list of the losses.

Pure functions over JSON types. The signed event never changes; a cast is made for reading and is not stored.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from nrmbus.events.body import Body
from nrmbus.events.errors import UnknownType, UnknownVersion
from nrmbus.events.model import Data, Event


class Lost(NamedTuple):
    """Field that a lower version cannot hold: its pointer (RFC 6901) in *version* of the event."""

    version: int
    pointer: str


class Cast(NamedTuple):
    """Data and letter of an event in another version, and the losses on the way down; the way up loses nothing."""

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
    """Return data and letter of an event of *version*, converted to version *to*.

    Args:
        steps: the models of the type, by version (`registry.versions`).
        version: the version of *data* and *letter*.
        to: the wanted version; the same, lower or higher.
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
    """Return *event* in version *to* of its type, with data of that version's model, and the losses.

    Raises:
        UnknownVersion: *to* is not published.
        Invalid: never for a published cast; the gate checks that each result fits its model.
    """
    if event.version == to:
        return event, ()
    found = cast(steps, event.version, to, event.data.to_mapping())
    read = steps[to].from_mapping(found.data)
    return Event(**{**dict(event), "version": to, "data": read}), found.lost
