"""Changes between two schemas, and the agencies that they break: each kind is found, and none is understated."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types

from events.given import CHAIN, objects
from nrmbus.events.registry import TYPES, versions
from nrmbus.events.schemas import schema_of
from nrmbus.published.compatibility import PRIVACY, READERS, WRITERS, changes

Schema = dict[str, Any]

CODES: Schema = {"type": "string", "enum": ["bed", "meal"]}
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 20}
NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 9}
CODED: Schema = {"type": "string", "pattern": "^[a-z]{3}$"}
LIST: Schema = {"type": "array", "items": CODED, "minItems": 1, "maxItems": 2, "uniqueItems": True}


def closed(
    fields: Mapping[str, Schema], more: Mapping[str, Any] | None = None, *, owed: tuple[str, ...] = ()
) -> Schema:
    """An object that takes these fields and no other."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(owed),
        "additionalProperties": False,
        **(more or {}),
    }


def whole(field: Schema, **definitions: Schema) -> Schema:
    """A schema whose one field `x` is *field*."""
    return closed({"x": field}, {"$defs": definitions})


def other(schema: Schema, *without: str, **altered: Any) -> Schema:
    """*schema* altered, and without some of its keywords."""
    return {word: value for word, value in schema.items() if word not in without} | altered


BOTH = {READERS, WRITERS}
ONE = closed({"x": CODES}, owed=("x",))
MADE: dict[str, tuple[Schema, Schema, list[tuple[str, str, set[str]]]]] = {
    "optional field added": (
        closed({"x": CODES}), closed({"x": CODES, "y": TEXT}), [("/y", "field_added", {WRITERS})],
    ),
    "required field added": (
        closed({"x": CODES}), closed({"x": CODES, "y": TEXT}, owed=("y",)), [("/y", "field_added", BOTH)],
    ),
    "optional field removed": (
        closed({"x": CODES, "y": TEXT}), closed({"x": CODES}), [("/y", "field_removed", {READERS})],
    ),
    "required field removed": (
        closed({"x": CODES, "y": TEXT}, owed=("y",)), closed({"x": CODES}), [("/y", "field_removed", BOTH)],
    ),
    "field renamed": (
        closed({"x": CODES}), closed({"y": CODES}),
        [("/x", "field_removed", {READERS}), ("/y", "field_added", {WRITERS})],
    ),
    "now required": (closed({"x": CODES}), ONE, [("/x", "required", {READERS})]),
    "now optional": (ONE, closed({"x": CODES}), [("/x", "optional", {WRITERS})]),
    "other type": (whole(CODES), whole(NUMBER), [("/x", "type", BOTH)]),
    "text to list": (whole(CODED), whole(LIST), [("/x", "type", BOTH)]),
    "code added": (whole(CODES), whole(other(CODES, enum=["bed", "meal", "tea"])), [("/x", "enum_widened", {WRITERS})]),
    "code removed": (whole(CODES), whole(other(CODES, enum=["bed"])), [("/x", "enum_narrowed", {READERS})]),
    "code replaced": (
        whole(CODES), whole(other(CODES, enum=["bed", "tea"])),
        [("/x", "enum_widened", {WRITERS}), ("/x", "enum_narrowed", {READERS})],
    ),
    "codes no longer listed": (whole(CODES), whole(other(CODES, "enum")), [("/x", "enum_widened", {WRITERS})]),
    "codes now listed": (whole(other(CODES, "enum")), whole(CODES), [("/x", "enum_narrowed", {READERS})]),
    "other constant": (whole({"const": "a"}), whole({"const": "b"}), [("/x", "const", BOTH)]),
    "constant becomes a code": (
        whole({"const": "bed"}), whole(other(CODES, "type")), [("/x", "enum_widened", {WRITERS})],
    ),
    "other pattern": (whole(CODED), whole(other(CODED, pattern="^[a-z]{2}$")), [("/x", "pattern", BOTH)]),
    "pattern asked for": (whole(other(CODED, "pattern")), whole(CODED), [("/x", "pattern", {READERS})]),
    "pattern dropped": (whole(CODED), whole(other(CODED, "pattern")), [("/x", "pattern", {WRITERS})]),
    "other format": (
        whole({"type": "string", "format": "date"}), whole({"type": "string", "format": "date-time"}),
        [("/x", "format", BOTH)],
    ),
    "longer": (whole(TEXT), whole(other(TEXT, maxLength=30)), [("/x", "widened", {WRITERS})]),
    "shorter": (whole(TEXT), whole(other(TEXT, maxLength=10)), [("/x", "narrowed", {READERS})]),
    "boundless": (whole(TEXT), whole(other(TEXT, "maxLength")), [("/x", "widened", {WRITERS})]),
    "bounded": (whole(other(TEXT, "maxLength")), whole(TEXT), [("/x", "narrowed", {READERS})]),
    "empty allowed": (whole(TEXT), whole(other(TEXT, "minLength")), [("/x", "widened", {WRITERS})]),
    "higher minimum": (whole(NUMBER), whole(other(NUMBER, minimum=2)), [("/x", "narrowed", {READERS})]),
    "lower minimum": (whole(NUMBER), whole(other(NUMBER, minimum=0)), [("/x", "widened", {WRITERS})]),
    "higher maximum": (whole(NUMBER), whole(other(NUMBER, maximum=10)), [("/x", "widened", {WRITERS})]),
    "lower maximum": (whole(NUMBER), whole(other(NUMBER, maximum=8)), [("/x", "narrowed", {READERS})]),
    "more items": (whole(LIST), whole(other(LIST, maxItems=3)), [("/x", "widened", {WRITERS})]),
    "fewer items": (whole(LIST), whole(other(LIST, maxItems=1)), [("/x", "narrowed", {READERS})]),
    "more items owed": (whole(LIST), whole(other(LIST, minItems=2)), [("/x", "narrowed", {READERS})]),
    "twice allowed": (whole(LIST), whole(other(LIST, "uniqueItems")), [("/x", "widened", {WRITERS})]),
    "once only": (whole(other(LIST, "uniqueItems")), whole(LIST), [("/x", "narrowed", {READERS})]),
    "items with one code more": (
        whole(other(LIST, items=CODES)), whole(other(LIST, items=other(CODES, enum=["bed", "meal", "tea"]))),
        [("/x/*", "enum_widened", {WRITERS})],
    ),
    "items of another type": (whole(LIST), whole(other(LIST, items=NUMBER)), [("/x/*", "type", BOTH)]),
    "items of any kind": (whole(LIST), whole(other(LIST, "items")), [("/x/*", "widened", {WRITERS})]),
    "opened": (ONE, other(ONE, "additionalProperties"), [("", "widened", {WRITERS})]),
    "closed": (other(ONE, "additionalProperties"), ONE, [("", "narrowed", {READERS})]),
    "below a reference": (
        whole({"$ref": "#/$defs/A"}, A=closed({"y": NUMBER})),
        whole({"$ref": "#/$defs/B"}, B=closed({"y": other(NUMBER, maximum=10)})),
        [("/x/y", "widened", {WRITERS})],
    ),
    "inline to a reference": (whole(CODES), whole({"$ref": "#/$defs/Codes"}, Codes=CODES), []),
    "definition renamed": (
        whole({"$ref": "#/$defs/A"}, A=closed({"y": NUMBER})), whole({"$ref": "#/$defs/B"}, B=closed({"y": NUMBER})), [],
    ),
    "words only": (whole(TEXT), whole(other(TEXT, description="It", title="T", examples=["a"])), []),
}  # fmt: skip
EACH = [pytest.param(*made, id=name) for name, made in MADE.items()]


@pytest.mark.parametrize(("old", "new", "due"), EACH)
def test_every_kind_of_change_is_reported(old: Schema, new: Schema, due: list[tuple[str, str, set[str]]]) -> None:
    """Each kind of change is reported with the place and the affected agencies."""
    found = changes(old, new)

    assert [(each.pointer, each.kind, set(each.breaks)) for each in found] == due
    assert all(each.sentence for each in found)


@pytest.mark.thorough
@pytest.mark.parametrize(("old", "new", "due"), EACH)
@given(st.data())
def test_an_agency_that_is_not_named_is_not_broken(
    old: Schema, new: Schema, due: list[tuple[str, str, set[str]]], draw: st.DataObject
) -> None:
    """Another validator takes every old document where no reader is broken, and every new one where no writer is."""
    broken = {whom for _, _, breaks in due for whom in breaks}
    for whom, said, read in ((READERS, old, new), (WRITERS, new, old)):
        if whom not in broken:
            document = draw.draw(documents(said))
            Draft202012Validator(read, format_checker=FormatChecker()).validate(document)


def documents(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents that *schema* accepts, by another validator too."""
    return objects(schema, schema.get("$defs", {})).filter(Draft202012Validator(schema).is_valid)


FIELD = {"type": "string", "maxLength": 9}


def event(data: Mapping[str, Schema], letter: Mapping[str, Schema]) -> Schema:
    """A schema as the bus has them, with these clear fields (DC1) and these sealed ones."""
    fields = {name: field | {"x-class": field.get("x-class", "DC1")} for name, field in data.items()}
    return closed({"event": closed({"data": closed(fields)}), "letter": closed(letter)})


def sealed(part: str, data_class: str, **more: Any) -> Schema:
    """A sealed field."""
    return FIELD | {"x-class": data_class, "x-part": part} | more


INNER = closed({"value": FIELD}, {"x-class": "DC3", "x-part": "contact"})


@pytest.mark.parametrize(
    ("old", "new", "pointer", "kind"),
    [
        (event({}, {"a": sealed("story", "DC4")}), event({"a": FIELD}, {}), "/event/data/a", "part"),
        (event({}, {"a": sealed("story", "DC4")}), event({"a": FIELD}, {"a": sealed("story", "DC4")}), "/event/data/a", "part"),
        (event({}, {"a": sealed("story", "DC4")}), event({"b": closed({"a": FIELD})}, {}), "/event/data/b/a", "part"),
        (event({"b": CODES}, {"a": sealed("story", "DC4")}), event({"b": closed({"a": FIELD})}, {}), "/event/data/b/a", "part"),
        (event({}, {"b": INNER}), event({"value": FIELD}, {}), "/event/data/value", "part"),
        (event({}, {"a": sealed("story", "DC4")}), event({}, {"a": sealed("coded", "DC4")}), "/letter/a", "part"),
        (event({}, {"a": sealed("story", "DC4")}), event({}, {"a": sealed("story", "DC2")}), "/letter/a", "class"),
        (event({}, {"a": sealed("story", "DC4")}), event({}, {"a": FIELD | {"x-part": "story"}}), "/letter/a", "class"),
        (event({}, {"a": sealed("story", "DC4")}), event({}, {"b": closed({"a": FIELD}, {"x-class": "DC4", "x-part": "coded"})}), "/letter/b/a", "part"),
        (event({}, {"b": INNER}), event({}, {"c": closed({"value": FIELD}, {"x-class": "DC2", "x-part": "contact"})}), "/letter/c/value", "part"),
        (event({"a": FIELD}, {}), event({"a": FIELD | {"x-class": "DC0"}}, {}), "/event/data/a", "class"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_field_that_more_may_read_breaks_privacy(old: Schema, new: Schema, pointer: str, kind: str) -> None:
    """Out of the letter, into another part, a lower class: under the same name, wherever it comes to stand."""
    found = {(each.pointer, each.kind) for each in changes(old, new) if PRIVACY in each.breaks}

    assert (pointer, kind) in found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (event({}, {"a": sealed("story", "DC4")}), event({"b": FIELD}, {})),
        (event({"a": FIELD}, {}), event({}, {"a": sealed("story", "DC4")})),
        (event({}, {"a": sealed("story", "DC2")}), event({}, {"a": sealed("story", "DC4")})),
        (event({}, {"b": INNER}), event({}, {"c": closed({"value": FIELD}, {"x-class": "DC3", "x-part": "contact"})})),
        (
            event({}, {"b": INNER}),
            event({}, {"b": INNER, "c": closed({"value": FIELD}, {"x-class": "DC4", "x-part": "money"})}),
        ),
    ],
    ids=["another name", "into the letter", "a higher class", "the same part", "a namesake"],
)  # fmt: skip
def test_a_field_that_fewer_may_read_breaks_no_privacy(old: Schema, new: Schema) -> None:
    """A better sealed field, and a different field, may be published."""
    assert [each for each in changes(old, new) if PRIVACY in each.breaks] == []


@pytest.mark.parametrize(
    "field",
    [
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": ["string", "null"]},
        {"type": "number"},
        {"type": "string", "not": {"const": "a"}},
        {"type": "integer", "multipleOf": 5},
        {"type": "array", "items": True, "prefixItems": [CODES]},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "patternProperties": {"^a": CODES}},
        {"type": "object", "properties": {"y": {"if": CODES}}},
        {"type": "array", "items": {"x-secret": True}},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/$defs/A", "minLength": 2},
        {"type": "string", "x-class": "DC9"},
        {"enum": ["a", 1]},
        True,
    ],
    ids=str,
)
def test_an_unknown_keyword_breaks_everybody(field: Any) -> None:
    """A keyword that the checker does not know is never passed over: unchanged, new, or where the type changed."""
    odd = whole(field, A=TEXT)

    for old, new in ((odd, odd), (whole(CODES), odd), (odd, whole(CODES)), (closed({}), odd)):
        unknown = [each for each in changes(old, new) if each.kind == "unknown"]
        assert unknown
        assert all(each.breaks == BOTH and each.pointer.startswith("/x") for each in unknown)


@pytest.mark.thorough
@pytest.mark.parametrize("data", [pytest.param(data, id=f"{data.type}-{data.version}") for data in TYPES.values()])
def test_every_published_schema_is_understood_and_equals_itself(data: Any) -> None:
    """The checker knows all that the models make of themselves."""
    assert changes(schema_of(data), schema_of(data)) == ()


def test_the_second_versions_changed_what_the_changelog_says() -> None:
    """Only the fields of the amendment; the version's own name is none, and nobody reads more."""
    for name, pointers in (
        ("referral.submitted", {"/event/data/services", "/event/data/services/*", "/letter/interpreter"}),
        (
            "identification.status_decided",
            {"/event/data/deciding_body", "/event/data/reasons", "/event/data/reasons/*"},
        ),
    ):
        found = changes(schema_of(versions(name)[1]), schema_of(versions(name)[2]))
        assert {each.pointer for each in found} == pointers
        assert not any(PRIVACY in each.breaks for each in found)


def test_a_schema_under_anothers_name_is_reported() -> None:
    """Only a schema's own name may differ without being a change."""
    old, new = schema_of(CHAIN[1]), schema_of(CHAIN[1])
    new["$defs"]["Event"]["properties"]["dataschema"]["const"] = "urn:nrmbus:nrm.case.closed:1"

    assert [(each.pointer, each.kind) for each in changes(old, new)] == [("/event/dataschema", "const")]


NOT_TOLD_BY_IT = {"other format"}
"""To jsoncompat a format is a word; our models hold dates to it."""


def test_another_checker_agrees() -> None:
    """jsoncompat agrees where we call a change safe; where we say that it breaks, jsoncompat finds a document or is not sure."""
    jsoncompat = pytest.importorskip("jsoncompat", reason="it needs Python 3.12")
    for name, (old, new, due) in MADE.items():
        broken = {whom for _, _, breaks in due for whom in breaks}
        for whom, role in ((READERS, "deserializer"), (WRITERS, "serializer")):
            verdict = jsoncompat.analyze_compat(json.dumps(old), json.dumps(new), role)["status"]
            assert (verdict != "compatible") == (whom in broken and name not in NOT_TOLD_BY_IT), (name, whom, verdict)
