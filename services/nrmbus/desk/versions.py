"""In which version an event is said and handed on: what an agency's system speaks, and the casts between.

A type that is not named is spoken in its first version, so nobody is changed by somebody else's upgrade. What was signed
stays as it is: casting is how a system reads it. What the version wanted cannot carry is listed, never dropped unseen.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nrmbus.desk.errors import DeskError, of_unknown
from nrmbus.events.casting import Cast, Lost, cast
from nrmbus.events.errors import Problem, UnknownType, UnknownVersion
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type, versions
from nrmbus.rules import read

Speaks = Mapping[str, int]
"""Type, without ``nrm.``, to the version that a system speaks of it."""

FIRST: Final = 1
"""The version of a type that a system speaks if it does not say."""


def version_of(speaks: Speaks, name: str) -> int:
    """The version in which a system that *speaks* these is told of the type *name*, and says it."""
    return speaks.get(name, FIRST)


def declared(speaks: object) -> Speaks:
    """What an agency's ``agency.json`` declares under ``speaks``.

    Raises:
        DeskError: ``speaks_unpublished``, with a pointer for each type that is known and whose version is not.
    """
    found, problems = dict[str, int](), list[Problem]()
    pairs: Iterable[tuple[Any, Any]] = speaks.items() if isinstance(speaks, dict) else [("", speaks)]
    for name, version in pairs:
        known = versions(name)
        if known and type(version) is int and version in known:
            found[name] = version
        else:
            problems.append(
                Problem(f"/speaks/{name}", "unknown_version") if known else Problem("/speaks", "unknown_type")
            )
    if problems:
        raise DeskError("speaks_unpublished", problems)
    return found


def asked(words: Iterable[str], own: Speaks) -> Speaks:
    """What the asking system speaks: *words* as ``referral.submitted:2`` say it of a type, and *own* is the desk's.

    Raises:
        DeskError: ``unknown_type``, ``unknown_version``, or ``unknown_field`` where a type stands twice.
    """
    found = dict[str, int]()
    for word in words:
        name, _, version = word.rpartition(":")
        unknown: UnknownType | UnknownVersion | None = None
        try:
            data_type(name, int(version))
        except (UnknownType, UnknownVersion) as error:
            unknown = error
        if unknown is not None:
            raise of_unknown(unknown)
        if name in found:
            raise DeskError("unknown_field", [Problem("/speaks", "twice")])
        found[name] = int(version)
    return {**own, **found}


def told(event: Event, letter: Mapping[str, Any], to: int) -> Cast:
    """What *event* and its *letter* (flat, as far as it opened) say in version *to* of its type, cast together."""
    return cast(versions(event.type), event.version, to, event.data.to_mapping(), letter)


def by_part(name: str, version: int, letter: Mapping[str, Any], opened: Iterable[Part]) -> dict[Part, dict[str, Any]]:
    """A flat *letter* by the parts that *version* of the type *name* lays its fields in; each *opened* one is there."""
    model = data_type(name, version).letter
    if model is None:
        return {}
    split: dict[Part, dict[str, Any]] = {part: {} for part in opened if part in model.part_names()}
    for field, value in letter.items():
        split.setdefault(model.part_of(field), {})[field] = value
    return split


def heard(event: Event, letter: Mapping[str, Any]) -> tuple[Event, Mapping[str, Any]]:
    """*event* and its *letter* in the version that the Rules and the procedures read."""
    now = read(event)
    if now is event:
        return event, letter
    return now, told(event, letter, now.version).letter


def listed(lost: Iterable[Lost]) -> list[dict[str, Any]]:
    """What got lost, in plain JSON types: the version that had it, and where it stands there."""
    return [{"version": each.version, "pointer": each.pointer} for each in lost]
