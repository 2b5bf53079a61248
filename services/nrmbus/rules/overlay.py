"""Profiles that are "like another profile, but …": what such a file says, read strictly, and the whole that results.

The file names the other profile in ``extends`` and has up to four tables:

- ``changes``: values in place of the other profile's. Each place must exist there, and each value must differ.
- ``adds``: new rows. No place may exist there.
- ``without``: rows to leave out, as lists of keys. Each must exist there. A type that is left out goes from every list
  that names it, and a row of ``transitions`` that keeps no type goes too.
- ``cites``: a basis, or a part of one, and what to cite instead; each must be cited there. With ``[u]`` in the new
  citation, its row becomes ``unverified: true``.

So a difference that no longer is one, and a row that was renamed in the other profile, are errors and not silence.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

EXTENDS: Final = "extends"
TABLES: Final = ("cites", "without", "changes", "adds")
"""The tables of such a file, in the order in which they are applied."""
UNREAD: Final = "[u]"
PARTS: Final = "; "

Values = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place of such a file that does not fit the extended profile; ``path`` leads there from the top of the file."""

    path: tuple[str, ...]
    says: str
    do: str


class OverlayError(ValueError):
    """Raised for a file that does not fit the profile that it extends. The message names the places."""

    def __init__(self, misfits: Iterable[Misfit]) -> None:
        self.misfits = tuple(misfits)
        super().__init__("; ".join(f"{'.'.join(each.path)}: {each.says}; {each.do}" for each in self.misfits))


def whole(loaded: Mapping[str, Any], base_of: Callable[[str], Mapping[str, Any]]) -> Values:
    """Return the values of the profile that *loaded* describes; *base_of* returns the whole values of a named profile.

    Raises:
        OverlayError: a place of the file is not there in the other profile, or is there already, or changes nothing.
    """
    found = [
        Misfit((str(name),), "no table of a profile that extends another", f"write it below one of {', '.join(TABLES)}")
        for name in loaded
        if name not in ("name", EXTENDS, *TABLES)
    ]
    if not isinstance(loaded.get(EXTENDS), str):
        found.append(Misfit((EXTENDS,), "not the name of a profile", "name the profile that this one extends"))
    if found:
        raise OverlayError(found)
    values: Values = _copy(base_of(loaded[EXTENDS]))
    for table in TABLES:
        given = loaded.get(table, {})
        if not isinstance(given, dict):
            found.append(Misfit((table,), "no table", "write keys and values below it"))
        elif table == "changes" and "name" in given:
            found.append(Misfit((table, "name"), "the name is no value to change", "write it at the top of the file"))
        else:
            found += _APPLY[table](values, given, (table,))
    if found:
        raise OverlayError(found)
    return {**values, "name": loaded.get("name")}


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(each) for name, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


def _changes(values: Values, given: Values, place: Path) -> Iterator[Misfit]:
    for name, new in given.items():
        where = (*place, str(name))
        if name not in values:
            yield Misfit(where, "not in the profile that is extended", "correct the key; a new row belongs to `adds`")
        elif isinstance(new, dict) and isinstance(values[name], dict) and new:
            yield from _changes(values[name], new, where)
        elif values[name] == new:
            yield Misfit(where, "the same value as in the profile that is extended", "leave it out")
        else:
            values[name] = _copy(new)


def _adds(values: Values, given: Values, place: Path) -> Iterator[Misfit]:
    for name, new in given.items():
        where = (*place, str(name))
        if name not in values:
            values[name] = _copy(new)
        elif isinstance(new, dict) and isinstance(values[name], dict):
            yield from _adds(values[name], new, where)
        else:
            yield Misfit(where, "in the profile that is extended already", "a new value belongs to `changes`")


def _without(values: Values, given: Values, place: Path) -> Iterator[Misfit]:
    yield from _left_out(values, given, place)
    types = given.get("types")
    if isinstance(types, list):
        gone = frozenset(each for each in types if isinstance(each, str))
        left = tuple(values["types"])
        named = set(_strings([values.get(table) for table in ("statuses", "retention")]))
        # A pattern that matched only what is gone would match nothing.
        gone |= {
            each
            for each in named
            if each.endswith("*")
            and any(name.startswith(each[:-1]) for name in gone)
            and not any(name.startswith(each[:-1]) for name in left)
        }
        for table in ("statuses", "clocks", "retention"):
            if table in values:
                values[table] = _without_types(values[table], gone)


def _left_out(values: Values, given: Values, place: Path) -> Iterator[Misfit]:
    for name, keys in given.items():
        where, table = (*place, str(name)), values.get(name)
        if isinstance(keys, dict) and isinstance(table, dict):
            yield from _left_out(table, keys, where)
        elif isinstance(keys, list) and isinstance(table, dict):
            missing = [key for key in keys if not isinstance(key, str) or key not in table]
            yield from (
                Misfit(where, f"{_named(key)} is not in the profile that is extended", "correct the key")
                for key in missing
            )
            values[name] = {key: value for key, value in table.items() if key not in keys}
        else:
            yield Misfit(
                where, "no table of the profile that is extended", "name a table, and below it the keys as a list"
            )


def _named(key: Any) -> str:
    return key if isinstance(key, str) else "a value"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _without_types(value: Any, gone: frozenset[str]) -> Any:
    """Return *value* without the types of *gone* in any list, and without rows whose list of events is empty then."""
    if isinstance(value, dict):
        return {name: _without_types(each, gone) for name, each in value.items()}
    if not isinstance(value, list):
        return value
    kept = [_without_types(each, gone) for each in value if not (isinstance(each, str) and each in gone)]
    return [each for each in kept if not (isinstance(each, dict) and each.get("events") == [])]


def _cites(values: Values, given: Values, place: Path) -> Iterator[Misfit]:
    wrong = [part for part, new in given.items() if not isinstance(new, str)]
    if wrong:
        yield from (
            Misfit(
                (*place, str(part)), "no citation and its successor", "write two texts: what is cited, and what instead"
            )
            for part in wrong
        )
        return
    cited: set[str] = set()
    for row in _rows(values):
        parts = row["basis"].split(PARTS)
        found = [part for part in parts if part in given]
        if found:
            cited.update(found)
            row["basis"] = PARTS.join(dict.fromkeys(given.get(part, part) for part in parts))
            if any(UNREAD in given[part] for part in found):
                row["unverified"] = True
    unused = [part for part in given if part not in cited]
    yield from (
        Misfit((*place, str(part)), "cited nowhere in the profile that is extended", "correct the citation")
        for part in unused
    )


def _rows(value: Any) -> Iterator[Values]:
    """Yield every row with a basis, however deep."""
    if isinstance(value, dict):
        if isinstance(value.get("basis"), str):
            yield value
        for each in value.values():
            yield from _rows(each)
    elif isinstance(value, list):
        for each in value:
            yield from _rows(each)


_APPLY: Final[Mapping[str, Callable[[Values, Values, Path], Iterator[Misfit]]]] = {
    "cites": _cites,
    "without": _without,
    "changes": _changes,
    "adds": _adds,
}
