"""Two profiles compared: what the second has more, less or otherwise, value by value."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from nrmbus.rules.handbook.places import Path
from nrmbus.rules.profile import Profile

_ORDERED: Final = ("refusals",)


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: its path, and the text in each profile; None where a profile does not have the value."""

    path: Path
    kind: Literal["added", "removed", "changed", "order"]
    before: str | None
    after: str | None

    @property
    def table(self) -> str:
        """Return the table of the profile that the value belongs to."""
        return str(self.path[0])

    @property
    def place(self) -> str:
        """Return the path below the table."""
        return ".".join(map(str, self.path[1:]))


def differences(before: Profile, after: Profile) -> tuple[Difference, ...]:
    """Return what differs from *before* to *after*, in the order of the tables; empty if the digests are equal."""
    old, new = (each.model_dump(mode="json", by_alias=True) for each in (before, after))
    for each in (old, new):
        each["statuses"]["transitions"] = _by_row(each["statuses"]["transitions"])
    found = list(_compared(old, new, ()))
    for table in _ORDERED:
        known = [[name for name in each[table] if name in old[table] and name in new[table]] for each in (old, new)]
        if known[0] != known[1]:
            found.append(Difference((table,), "order", ", ".join(known[0]), ", ".join(known[1])))
    return tuple(found)


def _by_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rows of section 2 by id and condition, so that a row more does not move all others."""
    found: dict[str, Any] = {}
    for row in rows:
        name = f"{row['id']}{' if ' + row['when'] if row['when'] else ''}"
        while name in found:
            name += " (another)"
        found[name] = row
    return found


def _compared(old: Any, new: Any, path: Path) -> Iterator[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            below = (*path, name)
            if name not in new or (new[name] is None and old.get(name) is not None):
                yield Difference(below, "removed", _text(old[name]), None)
            elif name not in old or (old[name] is None and new[name] is not None):
                yield Difference(below, "added", None, _text(new[name]))
            else:
                yield from _compared(old[name], new[name], below)
    elif old != new:
        yield Difference(path, "changed", _text(old), _text(new))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value) or "nothing"
    return json.dumps(_stripped(value), ensure_ascii=False)


def _stripped(value: Any) -> Any:
    """Return *value* without members that say nothing: null, false, and empty lists and tables."""
    if isinstance(value, Mapping):
        return {name: _stripped(below) for name, below in value.items() if below not in (None, False, [], {})}
    return value
