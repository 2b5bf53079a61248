"""Placement of fields: process metadata in the clear, everything about a person in a letter.

With about ninety persons a year, an age band and a citizenship may identify one of them. So only class DC1 and below is
clear, and no clear field can hold a sentence.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from nrmbus.events.model import PARTS, Data

CLEAR_CLASSES = frozenset({"DC0", "DC1"})
CLEAR_AND_SEALED = frozenset({"answer", "ground"})
"""Names that are harmless in one type and secret in another.

The ground of a hold or an override is process metadata, but the ground of an extension tells of health. The answer whether
data were deleted is process metadata, but an answer about a person is not.
"""

_SENTENCES = ("she is from the north", "Alina Example", "12.05.1996 in a flat")

Schema = dict[str, Any]


def misplaced(types: Iterable[type[Data]]) -> tuple[str, ...]:
    """Return one sentence for each misplaced field of the models *types*.

    The sentences name models and fields. Source: schemas/README.md, "Who can read what" (classes of data).
    """
    published = tuple(types)
    sealed = {field for data in published if data.letter for field in data.letter.model_fields} - CLEAR_AND_SEALED
    found: list[str] = []
    for data in published:
        found += _in_the_clear(data, sealed)
        found += _in_the_letter(data)
    return tuple(found)


def _in_the_clear(data: type[Data], sealed: set[str]) -> Iterator[str]:
    schema = data.model_json_schema()
    for field, described in schema.get("properties", {}).items():
        where = f"{data.__name__}.{field}"
        yield from _undescribed(where, described)
        if described.get("x-class") not in CLEAR_CLASSES:
            yield f"{where} is in the clear and not of class DC0 or DC1"
        if "x-part" in described:
            yield f"{where} is in the clear and names a part of a letter"
        if field in sealed:
            yield f"{where} is in the clear and sealed in another type"
    for where, leaf in _leaves(data.__name__, schema, schema.get("$defs", {})):
        if leaf.get("x-class", "DC1") not in CLEAR_CLASSES:
            yield f"{where} is in the clear and holds something not of class DC0 or DC1"
        if leaf.get("type") == "string" and _holds_a_sentence(leaf):
            yield f"{where} is in the clear and could hold a sentence"
        yield from _unbounded(where, leaf)


def _in_the_letter(data: type[Data]) -> Iterator[str]:
    if data.letter is None:
        return
    schema = data.letter.model_json_schema()
    for field, described in schema["properties"].items():
        where = f"{data.letter.__name__}.{field}"
        yield from _undescribed(where, described)
        if described.get("x-part") not in PARTS:
            yield f"{where} lies in no part"
        if "x-class" not in described:
            yield f"{where} has no class"
        if field in schema.get("required", ()):
            yield f"{where} is required, but a letter may be left out as a whole"
    for where, leaf in _leaves(data.letter.__name__, schema, schema.get("$defs", {})):
        yield from _unbounded(where, leaf)


def _undescribed(where: str, described: Schema) -> Iterator[str]:
    if not described.get("description"):
        yield f"{where} has no description"


def _holds_a_sentence(leaf: Schema) -> bool:
    if "enum" in leaf or "const" in leaf:
        return False
    pattern = leaf.get("pattern", "")
    return any(re.search(pattern, sentence) for sentence in _SENTENCES)


def _unbounded(where: str, leaf: Schema) -> Iterator[str]:
    bounds: dict[str, tuple[set[str], ...]] = {
        "string": ({"enum"}, {"const"}, {"pattern"}, {"maxLength"}),
        "integer": ({"minimum", "maximum"}, {"enum"}, {"const"}),
        "array": ({"maxItems"},),
        "object": ({"properties", "additionalProperties"}, {"additionalProperties"}),
        "number": (),
    }
    kind = leaf.get("type")
    if kind in bounds and not any(bound <= leaf.keys() for bound in bounds[kind]):
        yield f"{where} has no bound"
    if kind == "object" and leaf.get("additionalProperties") is not False:
        yield f"{where} takes members that it does not know"


def _leaves(where: str, schema: Schema, definitions: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """Yield the schema and every schema in it; references are followed."""
    if "$ref" in schema:
        yield from _leaves(where, definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return
    yield where, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _leaves(f"{where}.{name}", inner, definitions)
    if "items" in schema:
        yield from _leaves(f"{where}[]", schema["items"], definitions)
    for inner in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("prefixItems", ())):
        yield from _leaves(where, inner, definitions)
