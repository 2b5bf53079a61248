"""Comparison of two published schemas: each change, and the agencies that it would break.

The checker knows the part of JSON Schema (2020-12) that the models use. It reports an unknown keyword as a change that
breaks everybody, so that nothing passes unread.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

Schema = Mapping[str, Any]

READERS: Final = "readers"
WRITERS: Final = "writers"
PRIVACY: Final = "privacy"
BOTH: Final = frozenset({READERS, WRITERS})


class Change(NamedTuple):
    """One change.

    Attributes:
        pointer: the place in a document of the schema (RFC 6901); ``*`` stands for each item of a list.
        kind: a code: ``field_added``, ``field_removed``, ``required``, ``optional``, ``type``, ``enum_widened``,
            ``enum_narrowed``, ``const``, ``pattern``, ``format``, ``encoding``, ``widened``, ``narrowed``, ``class``,
            ``part`` or ``unknown``.
        breaks: the agencies that it breaks; empty for none. ``readers``: the new schema refuses a document that the old one
            accepts, so an upgraded agency cannot read older documents (jsoncompat's role ``deserializer``). ``writers``:
            the old schema refuses a document that the new one accepts, so an agency without the upgrade cannot read
            newer documents (role ``serializer``). ``privacy``: more agencies may read a field under its name. All three
            are about bare documents; a cast removes the first two.
        sentence: the change in words, with names and codes of the schemas.
    """

    pointer: str
    kind: str
    breaks: frozenset[str]
    sentence: str


class _Field(NamedTuple):
    """Named field in a schema, at any depth; an inner field inherits part and class from the outer one."""

    pointer: str
    name: str
    data_class: str | None
    part: str | None


class _Side(NamedTuple):
    """Schema at one place: its keywords with references followed, and the inherited part and class."""

    whole: Schema
    here: Schema
    data_class: str | None
    part: str | None
    within: tuple[str, ...]


_ANNOTATIONS: Final = {"$schema", "$id", "$defs", "title", "description", "examples"}
_LOWER: Final = {"minimum": None, "exclusiveMinimum": None, "minLength": 0, "minItems": 0}
_UPPER: Final = {"maximum": None, "exclusiveMaximum": None, "maxLength": None, "maxItems": None}
_TEXTUAL: Final = {"pattern": "pattern", "format": "format", "contentEncoding": "encoding"}
_TYPES: Final = {"object", "array", "string", "integer", "boolean"}
_KNOWN: Final = (
    _ANNOTATIONS
    | _LOWER.keys()
    | _UPPER.keys()
    | _TEXTUAL.keys()
    | {"type", "enum", "const", "uniqueItems", "items", "properties", "required", "additionalProperties"}
    | {"x-class", "x-part"}
)
_BESIDE_A_REFERENCE: Final = _ANNOTATIONS | {"x-class", "x-part"}
_CLASSES: Final = ("DC0", "DC1", "DC2", "DC3", "DC4")
_DEFINITION: Final = "#/$defs/"


def changes(old: Schema, new: Schema) -> tuple[Change, ...]:
    """Return the changes from *old* to *new* in their order; both are schemas of `nrmbus.events.schemas.schema_of`.

    The schema's own name (``$id``, also in ``dataschema``), texts for people and names of definitions do not count.
    """
    found: list[Change] = []
    sides = tuple(_side(whole, whole, None, None, ()) for whole in (old, new))
    _compare("", sides[0], sides[1], found)
    found += _moved(old, new)
    return tuple(dict.fromkeys(found))


def _side(whole: Schema, here: Any, data_class: str | None, part: str | None, within: tuple[str, ...]) -> _Side:
    """Return *here* with its references followed; a broken reference stays, and then counts as an unknown keyword."""
    while isinstance(here, Mapping) and isinstance(here.get("$ref"), str):
        name = here["$ref"].removeprefix(_DEFINITION)
        beside = {word: value for word, value in here.items() if word != "$ref"}
        followed = whole.get("$defs", {}).get(name)
        if not isinstance(followed, Mapping) or name in within or not beside.keys() <= _BESIDE_A_REFERENCE:
            break
        here, within = {**followed, **beside}, (*within, name)
    if not isinstance(here, Mapping):
        here = {"true or false": here}
    return _Side(whole, here, here.get("x-class", data_class), here.get("x-part", part), within)


def _inner(side: _Side, here: Any) -> _Side:
    return _side(side.whole, here, side.data_class, side.part, side.within)


def _compare(pointer: str, old: _Side, new: _Side, found: list[Change]) -> None:
    _unknown(pointer, old, new, found)
    _access(pointer, old, new, found)
    if _own_name(pointer, old, new):
        return
    was, became = _type(old.here), _type(new.here)
    if was != became:
        found.append(Change(pointer, "type", BOTH, f"from {was} to {became}"))
        for side in (old, new):
            _compare(pointer, side, side, found)  # the two cannot be compared, but each keyword must be known
        return
    _values(pointer, old.here, new.here, found)
    _texts(pointer, old.here, new.here, found)
    _bounds(pointer, old.here, new.here, found)
    _fields(pointer, old, new, found)
    _items(pointer, old, new, found)


def _unknown(pointer: str, old: _Side, new: _Side, found: list[Change]) -> None:
    for side in (old, new):
        words = [word for word in side.here if word not in _KNOWN]
        if side.here.get("additionalProperties", False) not in (True, False):
            words.append("additionalProperties")
        if _type(side.here) not in _TYPES:
            words.append("type")
        if side.data_class not in (*_CLASSES, None):
            words.append("x-class")
        found += [Change(pointer, "unknown", BOTH, f"`{word}` is not understood here") for word in words]


def _type(schema: Schema) -> str:
    if "type" in schema:
        return str(schema["type"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    named = {bool: "boolean", int: "integer", str: "string"}
    kinds = {named.get(type(value), "?") for value in values}
    return kinds.pop() if len(kinds) == 1 else "anything"


def _own_name(pointer: str, old: _Side, new: _Side) -> bool:
    return pointer == "/event/dataschema" and all(
        "const" in side.here and side.here["const"] == side.whole.get("$id") for side in (old, new)
    )


def _access(pointer: str, old: _Side, new: _Side, found: list[Change]) -> None:
    if old.part != new.part:
        found.append(Change(pointer, "part", frozenset({PRIVACY}), f"from {_place(old.part)} to {_place(new.part)}"))
    if old.data_class != new.data_class:
        breaks = frozenset({PRIVACY}) if _lower(old.data_class, new.data_class) else frozenset[str]()
        found.append(Change(pointer, "class", breaks, f"from {old.data_class} to {new.data_class}"))


def _place(part: str | None) -> str:
    return f"the letter's part {part}" if part else "the clear"


def _lower(old: str | None, new: str | None) -> bool:
    if old not in _CLASSES:
        return False
    return new not in _CLASSES or _CLASSES.index(new) < _CLASSES.index(old)


def _values(pointer: str, old: Schema, new: Schema, found: list[Change]) -> None:
    if "const" in old and "const" in new:
        if _spelled(old["const"]) != _spelled(new["const"]):
            found.append(Change(pointer, "const", BOTH, "another constant"))
        return
    was, became = _allowed(old), _allowed(new)
    if became is None:
        more, fewer = was is not None, False
    elif was is None:
        more, fewer = False, True
    else:
        more, fewer = bool(became - was), bool(was - became)
    if more:
        named = _listed((became or set()) - (was or set())) or "any"
        found.append(Change(pointer, "enum_widened", frozenset({WRITERS}), f"more codes: {named}"))
    if fewer:
        named = _listed((was or set()) - (became or set())) or "no longer any"
        found.append(Change(pointer, "enum_narrowed", frozenset({READERS}), f"fewer codes: {named}"))


def _allowed(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {_spelled(schema["const"])}
    return {_spelled(value) for value in schema["enum"]} if "enum" in schema else None


def _spelled(value: object) -> str:
    return json.dumps(value, sort_keys=True)  # `True == 1` in Python, and not in JSON


def _listed(values: set[str]) -> str:
    return ", ".join(sorted(value.strip('"') for value in values))


def _texts(pointer: str, old: Schema, new: Schema, found: list[Change]) -> None:
    for word, kind in _TEXTUAL.items():
        was, became = old.get(word), new.get(word)
        if was == became:
            continue
        if was is None:
            found.append(Change(pointer, kind, frozenset({READERS}), f"`{word}` now asked for"))
        elif became is None:
            found.append(Change(pointer, kind, frozenset({WRITERS}), f"`{word}` no longer asked for"))
        else:  # no rule tells which of two expressions accepts more
            found.append(Change(pointer, kind, BOTH, f"another `{word}`"))


def _bounds(pointer: str, old: Schema, new: Schema, found: list[Change]) -> None:
    for words, sign in ((_LOWER, 1), (_UPPER, -1)):
        for word, default in words.items():
            was, became = old.get(word, default), new.get(word, default)
            if was == became:
                continue
            narrower = was is None or (became is not None and sign * (became - was) > 0)
            said = f"`{word}` from {'none' if was is None else was} to {'none' if became is None else became}"
            found.append(_wider_or_narrower(pointer, said, narrower=narrower))
    for word, strict in (("uniqueItems", True), ("additionalProperties", False)):
        was, became = old.get(word, not strict), new.get(word, not strict)
        if was != became:
            found.append(_wider_or_narrower(pointer, f"`{word}` now {_spelled(became)}", narrower=became is strict))


def _wider_or_narrower(pointer: str, sentence: str, *, narrower: bool) -> Change:
    if narrower:
        return Change(pointer, "narrowed", frozenset({READERS}), sentence)
    return Change(pointer, "widened", frozenset({WRITERS}), sentence)


def _fields(pointer: str, old: _Side, new: _Side, found: list[Change]) -> None:
    was, became = old.here.get("properties", {}), new.here.get("properties", {})
    owed, owed_now = set(old.here.get("required", ())), set(new.here.get("required", ()))
    for name in dict.fromkeys((*was, *became)):
        at, before, now = f"{pointer}/{_escaped(name)}", name in owed, name in owed_now
        if name not in became:
            # A closed new schema refuses old documents with the field; an old schema that requires it refuses new ones.
            breaks = {READERS} if _closed(new.here) else set()
            breaks |= {WRITERS} if before else set()
            found.append(Change(at, "field_removed", frozenset(breaks), f"field removed, it was {_owed(before)}"))
        elif name not in was:
            breaks = {WRITERS} if _closed(old.here) else {READERS}  # under an open one, the name may hold anything
            breaks |= {READERS} if now else set()
            found.append(Change(at, "field_added", frozenset(breaks), f"field added, {_owed(now)}"))
            alone = _inner(new, became[name])
            _compare(at, alone, alone, found)  # compared with itself, to find unknown keywords
        else:
            _compare(at, _inner(old, was[name]), _inner(new, became[name]), found)
    for name in sorted((owed ^ owed_now) - (was.keys() ^ became.keys())):
        at = f"{pointer}/{_escaped(name)}"
        if name in owed_now:
            found.append(Change(at, "required", frozenset({READERS}), "now required"))
        else:
            found.append(Change(at, "optional", frozenset({WRITERS}), "now optional"))


def _closed(schema: Schema) -> bool:
    return schema.get("additionalProperties", True) is False


def _owed(owed: bool) -> str:  # noqa: FBT001  # a word for a truth
    return "required" if owed else "optional"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _items(pointer: str, old: _Side, new: _Side, found: list[Change]) -> None:
    at = f"{pointer}/*"
    match "items" in old.here, "items" in new.here:
        case True, True:
            _compare(at, _inner(old, old.here["items"]), _inner(new, new.here["items"]), found)
        case True, False:
            found.append(_wider_or_narrower(at, "items may be anything", narrower=False))
        case False, True:
            found.append(_wider_or_narrower(at, "items may no longer be anything", narrower=True))


def _moved(old: Schema, new: Schema) -> Iterator[Change]:
    """Yield the fields that moved to where more agencies may read them: out of the letter, or into another part.

    Two schemas share only names, so the check goes by name: a sealed name must not appear in the clear, and a field of the
    letter must not reappear in another part or a lower class.
    """
    before = {field.pointer: field for field in _all("", _side(old, old, None, None, ()))}
    now = {field.pointer: field for field in _all("", _side(new, new, None, None, ()))}
    for field in now.values():
        for was in before.values() if field.pointer not in before else ():
            if was.name != field.name or was.part is None:
                continue
            if field.part and was.pointer in now and was.pointer.count("/") > _LETTERS_FIELD:
                continue  # `value` of one thing in a letter, and `value` of another
            if field.part != was.part or _lower(was.data_class, field.data_class):
                said = f"the name was sealed as {was.data_class} in {_place(was.part)} (at {was.pointer})"
                yield Change(field.pointer, "part", frozenset({PRIVACY}), said)
                break


_LETTERS_FIELD: Final = 2
"""Steps of a pointer to a field of the letter: ``/letter/<field>``."""


def _all(pointer: str, side: _Side) -> Iterator[_Field]:
    """Yield every named field in a schema, at any depth; a recursive definition is visited once."""
    for name, schema in side.here.get("properties", {}).items():
        inner, at = _inner(side, schema), f"{pointer}/{_escaped(name)}"
        yield _Field(at, name, inner.data_class, inner.part)
        yield from _all(at, inner)
    if "items" in side.here:
        yield from _all(f"{pointer}/*", _inner(side, side.here["items"]))
