"""Every mistake of a profile in one run, each with its line, its column and the thing to do."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ValidationError

from nrmbus.events.policy import PROFILE_NAME
from nrmbus.rules import overlay
from nrmbus.rules import profile as models
from nrmbus.rules import profile_files as profiles
from nrmbus.rules.handbook.places import LOADER, Path, Place, Places, places
from nrmbus.rules.handbook.soundness import Draft, problems
from nrmbus.rules.handbook.wording import nearest
from nrmbus.rules.judge.judge import CHECKS

_QUOTED: Final = "write texts, numbers, lists or tables; put days in quotation marks"
_DAY: Final = re.compile(r"""(?<!["'\d])(\d{4}-\d{2}-\d{2})(?!["'\d])""")
_ROUNDS: Final = 8
_WANTED: Final = {
    "int_type": ("whole number", ""), "int_from_float": ("whole number", ""), "string_type": ("text", ""),
    "bool_type": ("truth value", ": true or false"), "tuple_type": ("list", ": [first, second]"),
    "dict_type": ("table", ": keys and values"), "model_type": ("table", ": keys and values"),
    "model_attributes_type": ("table", ": keys and values"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake (``error``), or one thing to know about a profile that works (``note``)."""

    kind: Literal["error", "note"]
    line: int
    column: int
    path: str
    says: str
    do: str


def findings(text: str, beside: Mapping[str, str] = MappingProxyType({})) -> tuple[Finding, ...]:
    """Return everything that is wrong with the profile in YAML *text*, in the order of its lines, then the notes.

    What is wrong with values of a profile that *text* extends comes after the lines of *text*. *beside* has texts of
    profiles by name that it may extend although nobody has added them.
    """
    try:
        profiles.see_that_it_is_small(text)
        where = places(text)
        loaded = yaml.load(text, LOADER)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        return (_finding(place, (), f"this is no YAML: {error.problem or 'it cannot be read'}", "correct the line"),)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        if unreal := _unreal_day(text):
            do = "write a day of the calendar, in quotation marks"
            return (_finding(unreal, (), "the calendar has no such day", do),)
        do = "write it as text in UTF-8, shorter and without control characters, and each day in quotation marks"
        return (_finding(Place(1, 1), (), "this is no YAML of a profile", do),)
    if isinstance(loaded, dict) and overlay.EXTENDS in loaded:
        return _of_overlay(loaded, where, beside)
    if not isinstance(loaded, dict) or not set(loaded) & set(Draft.model_fields):
        # Nothing of it is repeated: another file may be anything, a person's data too.
        return (_finding(Place(1, 1), (), "this is no profile", "copy a profile that works, and change it"),)
    found = [_finding(place, path, "a key is there twice", "remove one of the two") for path, place in where.twice]
    found += _of_values(loaded, where)
    return _in_order(found, loaded)


def _unreal_day(text: str) -> Place | None:
    """Return the place of the first day that no calendar has and that stands without quotation marks, or None."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in _DAY.finditer(line):
            try:
                date.fromisoformat(found[1])
            except ValueError:
                return Place(number, found.start(1) + 1)
    return None


def _in_order(found: list[Finding], loaded: dict[str, Any], last: Place | None = None) -> tuple[Finding, ...]:
    found = sorted(dict.fromkeys(found), key=lambda each: (each.kind, _place_of(each) == last, each.line, each.column))
    return (*found, *(() if any(each.kind == "error" for each in found) else _notes(loaded)))


def _of_overlay(loaded: dict[str, Any], where: Places, beside: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return what is wrong with a profile that extends another: first what does not fit there, then the whole of both."""
    if where.twice:
        return tuple(
            _finding(place, path, "a key is there twice", "remove one of the two") for path, place in where.twice
        )
    try:
        whole = profiles.values_below(loaded, beside)
    except overlay.OverlayError as error:
        return tuple(_finding(where.of(each.path), each.path, each.says, each.do) for each in error.misfits)
    except (models.ProfileError, models.UnknownProfileError) as error:
        path = (overlay.EXTENDS,)
        says = str(error).removeprefix("the profile does not read: ")
        return (_finding(where.of(path), path, says, "name a profile that is there and does not extend this one"),)
    own = {path[1:]: place for path, place in where.known.items() if path[0] in overlay.TABLES and path[1:]}
    own[("name",)] = where.of(("name",))
    base = Places(own, elsewhere=where.of((overlay.EXTENDS,)))
    found = [each for each in _of_values(whole, base) if each.kind == "error" or _place_of(each) != base.elsewhere]
    return _in_order(found, whole, last=base.elsewhere)


def _place_of(found: Finding) -> Place:
    return Place(found.line, found.column)


def _finding(place: Place, path: Path, says: str, do: str, kind: Literal["error", "note"] = "error") -> Finding:
    return Finding(kind, place.line, place.column, ".".join(map(str, path)), says, do)


def _of_values(loaded: dict[str, Any], where: Places) -> Iterator[Finding]:
    """Yield the mistakes of shape, and those of the draft that remains when the wrong values are taken out."""
    try:
        values = json.loads(json.dumps(loaded))
    except TypeError:
        yield from (
            _finding(where.of(path), path, "this is a day without quotation marks", _QUOTED)
            for path in _strange(loaded)
        )
        return
    gone: set[Path] = set()
    for _ in range(_ROUNDS):
        try:
            draft = Draft.model_validate_json(json.dumps(values))
        except ValidationError as error:
            wrong = _by_path(error, values)
            for path, errors in wrong.items():
                if not (errors[0]["type"] == "missing" and path in gone):
                    yield _shape(errors, path, where)
            gone |= set(wrong)
            # Later items first, so that the numbers of earlier ones stay right.
            for path in sorted(wrong, key=_order, reverse=True):
                _mend(values, path, wrong[path])
            if () in wrong:
                return
        else:
            names = {str(key) for path in gone for key in path}
            for problem in problems(draft):
                is_unknown = problem.says.startswith("there is no ") and problem.says.rpartition(" ")[2] in names
                is_around = any(path[: len(problem.path)] == problem.path for path in gone)
                if not is_unknown and not is_around:
                    kind: Literal["error", "note"] = "note" if problem.is_note else "error"
                    yield _finding(where.of(problem.path), problem.path, problem.says, problem.do, kind)
            return


def _by_path(error: ValidationError, values: Any) -> dict[Path, list[Any]]:
    """Return the errors by the path of the value; a value of several kinds has one error for each."""
    found: dict[Path, list[Any]] = {}
    for each in error.errors(include_url=False):
        path = _path(each["loc"], values)
        found.setdefault((*path, each["loc"][-1]) if each["type"] == "missing" else path, []).append(each)
    return found


def _order(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple((key, "") if isinstance(key, int) else (0, key) for key in path)


def _strange(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each value that YAML reads as none of JSON's, such as a day."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _strange(below, (*path, str(key)))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _strange(below, (*path, number))
    elif not isinstance(value, str | int | float | bool | None):
        yield path


def _path(location: tuple[str | int, ...], values: Any) -> Path:
    """Return *location* as a path of *values*: without the names that pydantic adds for keys and choices."""
    path: list[str | int] = []
    for key in location:
        if _has(values, key):
            path.append(key)
            values = values[key]
    return tuple(path)


def _has(values: Any, key: str | int) -> bool:
    if isinstance(values, list):
        return isinstance(key, int) and key < len(values)
    return isinstance(values, dict) and key in values


def _mend(values: Any, path: Path, errors: list[Any]) -> None:
    """Take the wrong value out, so that the rest can be read: a word becomes another word, a table that lacks a value goes."""
    kind = errors[0]["type"]
    path = path[:-1] if kind == "missing" else path
    for key in path[:-1]:
        if not _has(values, key):
            return
        values = values[key]
    if not path or not _has(values, path[-1]):
        return
    if kind == "literal_error" and isinstance(values, dict) and isinstance(values[path[-1]], str):
        values[path[-1]] = _words(errors)[0]
    else:
        del values[path[-1]]


def _words(errors: list[Any]) -> list[str]:
    """Return the words that a place takes, from the errors about it."""
    expected = (str(each["ctx"]["expected"]) for each in errors if each["type"] == "literal_error")
    return [word.strip("'") for each in expected for word in each.replace(" or ", ", ").split(", ")]


def _shape(errors: list[Any], path: Path, where: Places) -> Finding:
    error, place, name = errors[0], where.of(path), str(path[-1]) if path else ""
    match error["type"]:
        case "extra_forbidden":
            return _finding(place, path, f"{name} is no key of this place", f"{nearest(name, _keys())}, or remove it")
        case "missing":
            return _finding(place, path, f"{name} is missing", f"add `{name}`")
        case "literal_error":
            words = [each.strip("'") for each in str(error["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
            return _finding(
                place, path, f"{error['input']} is no word of this place", nearest(str(error["input"]), words)
            )
        case "string_pattern_mismatch" if error["ctx"]["pattern"] == PROFILE_NAME:
            return _finding(place, path, "this is no name of a profile", "write a country and a day: az@2022-04-29")
        case "string_pattern_mismatch":
            return _finding(
                place, path, "the text does not have the form of this place", f"write it as {error['ctx']['pattern']}"
            )
        case "greater_than_equal":
            return _finding(place, path, "the number is too small", f"write {error['ctx']['ge']} or more")
        case "less_than_equal":
            return _finding(place, path, "the number is too large", f"write {error['ctx']['le']} or less")
        case kind if kind in _WANTED:
            what, such_as = _WANTED[kind]
            return _finding(place, path, f"this is no {what}", f"write a {what}{such_as}")
        case _:
            return _finding(place, path, str(error["msg"]).removeprefix("Value error, "), "correct the value")


def _keys() -> frozenset[str]:
    """Return every key that some table of a profile may have."""
    tables = [each for each in vars(models).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    return frozenset(field.alias or name for model in tables for name, field in model.model_fields.items())


def _notes(loaded: dict[str, Any]) -> Iterator[Finding]:
    """Yield what a reader of a sound profile should know."""
    left_out = sorted(set(CHECKS) - set(loaded.get("refusals", {})))
    if left_out:
        says = f"the profile leaves out {', '.join(left_out)}: nothing is refused by these rules"
        yield _finding(Place(1, 1), ("refusals",), says, "add them if the law has them", "note")
    name = str(loaded.get("name"))
    if name in profiles.profile_names():
        bundled = profiles.load_profile(name)
        if profiles.read_profile(yaml.safe_dump(loaded, sort_keys=False)).digest != bundled.digest:
            says = f"{name} is bundled with other values"
            do = "give the profile another date: a profile in force is never edited"
            yield _finding(Place(1, 1), ("name",), says, do, "note")
