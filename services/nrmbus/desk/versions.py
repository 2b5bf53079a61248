"""Versions in which events are published and delivered: the version that an agency speaks, and the casts.

A type without a declared version is spoken in its first version, so an upgrade elsewhere changes nothing. Signed
events stay unchanged: only the reading is cast. Fields without a place in the wanted version are listed, never
dropped silently.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nrmbus.desk.errors import DeskError, of_unknown
from nrmbus.events.casting import Cast, Lost, cast
from nrmbus.events.errors import Problem, UnknownType, UnknownVersion
from nrmbus.events.model import Event, Part
from nrmbus.events.registry import data_type, versions

Speaks = Mapping[str, int]
"""Type, without ``nrm.`` -> version that a system speaks."""

FIRST: Final = 1
"""Version of a type that a system speaks without a declaration."""


def version_of(speaks: Speaks, name: str) -> int:
    """Return the version in which a system that *speaks* these receives and publishes the type *name*."""
    return speaks.get(name, FIRST)


def declared(speaks: object) -> Speaks:
    """Return the versions that an ``agency.json`` declares under ``speaks``.

    Raises:
        DeskError: ``speaks_unpublished``, with a pointer for each known type with an unknown version.
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
    """Return the versions that the requesting system speaks: *words* like ``referral.submitted:2``, else the desk's *own*.

    Raises:
        DeskError: ``unknown_type``, ``unknown_version``, or ``unknown_field`` if a type is given twice.
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
    """Return *event* and its *letter* (flat, the opened fields) cast together to version *to* of the type."""
    return cast(versions(event.type), event.version, to, event.data.to_mapping(), letter)


def by_part(name: str, version: int, letter: Mapping[str, Any], opened: Iterable[Part]) -> dict[Part, dict[str, Any]]:
    """Return a flat *letter* grouped by the parts of *version* of the type *name*; every *opened* part is present."""
    model = data_type(name, version).letter
    if model is None:
        return {}
    split: dict[Part, dict[str, Any]] = {part: {} for part in opened if part in model.part_names()}
    for field, value in letter.items():
        split.setdefault(model.part_of(field), {})[field] = value
    return split


def heard(event: Event, letter: Mapping[str, Any]) -> tuple[Event, Mapping[str, Any]]:
    """Return *event* and its *letter* in the version that the Rules and the procedures read."""
    from nrmbus.rules import read  # noqa: PLC0415 - nrmbus publish and schema use this module where no Rules are installed

    now = read(event)
    if now is event:
        return event, letter
    return now, told(event, letter, now.version).letter


def listed(lost: Iterable[Lost]) -> list[dict[str, Any]]:
    """Return the lost fields in plain JSON types: the version that had the field, and the pointer there."""
    return [{"version": each.version, "pointer": each.pointer} for each in lost]
