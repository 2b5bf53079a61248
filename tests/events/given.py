"""Shared material of the events' tests: documents generated from a schema, and an invented type in three versions."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from hypothesis import strategies as st
from pydantic import Field

from nrmbus.events.body import Body, Lowered
from nrmbus.events.errors import Invalid
from nrmbus.events.model import Data, Frozen, Letter, Line, clear, sealed
from nrmbus.events.schemas import schema_of

Schema = Mapping[str, Any]
_AGENCY = r"^[a-z][a-z0-9-]{1,30}$"


def values(schema: Schema, definitions: Schema) -> st.SearchStrategy[Any]:
    """Values that *schema* takes, of the part of JSON Schema that the models make; lists and texts are short."""
    if "$ref" in schema:
        return values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"], schema.get("format"):
        case "boolean", _:
            return st.booleans()
        case "integer", _:
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "string", "date":
            return st.dates().map(str)
        case "string", "date-time":
            return st.datetimes().map(lambda when: f"{when:%Y-%m-%dT%H:%M:%S}Z".rjust(20, "0"))
        case "string", _:
            return _texts(schema)
        case "array", _:
            return _lists(schema, definitions)
        case "object", _:
            return objects(schema, definitions)
    raise AssertionError(schema)


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 64)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z").filter(
            lambda text: least <= len(text) <= most
        )
    return st.text('aZəğ 09-\\"', min_size=least, max_size=min(most, least + 8))


def _lists(schema: Schema, definitions: Schema) -> st.SearchStrategy[list[Any]]:
    least = schema.get("minItems", 0)
    items = values(schema["items"], definitions)
    made = st.lists(items, min_size=least, max_size=min(schema["maxItems"], least + 3), unique_by=_once)
    agencies = schema["items"].get("pattern") == _AGENCY
    return made.map(sorted) if agencies else made


def _once(item: Any) -> str:
    """Return the key by which a list holds an item once: its code, or the whole item."""
    return json.dumps(item.get("code", item) if isinstance(item, dict) else item, sort_keys=True)


def objects(schema: Schema, definitions: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of *schema*: what is required, and any of the rest."""
    fields = {name: values(field, definitions) for name, field in schema.get("properties", {}).items()}
    owed = {name: fields[name] for name in schema.get("required", ())}
    return st.fixed_dictionaries(owed, optional={name: field for name, field in fields.items() if name not in owed})


@cache
def bodies(data: type[Data]) -> st.SearchStrategy[Body]:
    """Return bodies of *data*'s type and version, with any fields of the letter, because readers open some parts only."""
    definitions = schema_of(data)["$defs"]
    letter = objects(definitions["Letter"], definitions) if data.letter else st.just({})
    made = st.builds(Body, objects(definitions["Data"], definitions), letter)
    return made.filter(lambda body: fits(data, body))


def fits(data: type[Data], body: Body) -> bool:
    """Return True if the model accepts *body* too: a schema cannot express all of its checks."""
    try:
        data.from_mapping(body.data)
        if data.letter:
            data.letter.from_mapping(body.letter)
    except Invalid:
        return False
    return True


SomeLetter: TypeAlias = type[Letter] | None  # `Data.type` hides the builtin in a class


class Asked(Letter):
    """What the asked agency may know, in versions 1 and 2."""

    name: Annotated[Line | None, sealed("identity", "DC3", "A name", example="Example")] = None


class First(Data):
    """An example of a type, in its first version."""

    type = "case.example"
    letter: ClassVar[SomeLetter] = Asked

    what: Annotated[Literal["bed", "meal", "other"], clear("What is asked for")]


class Second(Data):
    """As version 1; several things, each so many times."""

    type = "case.example"
    version = 2
    letter: ClassVar[SomeLetter] = Asked

    what: Annotated[Literal["bed", "meal", "other"], clear("What is asked for")]
    times: Annotated[int | None, clear("How many", ge=1, le=9, example=3)] = None

    @classmethod
    def up(cls, said: Body) -> Body:
        """Version 1 does not say how many."""
        return said

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """Version 1 has no room for how many."""
        data = {name: value for name, value in said.data.items() if name != "times"}
        return Lowered(Body(data, said.letter), ("/data/times",) if "times" in said.data else ())


class Part(Frozen):
    """One of the names of a person."""

    text: Annotated[Line, Field(description="It", examples=["Example"])]
    script: Annotated[Literal["latin", "arabic"] | None, Field(description="How it is written")] = None


class Called(Letter):
    """What the asked agency may know, in version 3."""

    name: Annotated[
        tuple[Part, ...] | None,
        Field(min_length=1, max_length=4),
        sealed("identity", "DC3", "Names, the best first", example=[{"text": "Example"}]),
    ] = None


class Third(Data):
    """As version 2; a thing may be a visit, and a person may have several names."""

    type = "case.example"
    version = 3
    letter: ClassVar[SomeLetter] = Called

    what: Annotated[Literal["bed", "meal", "visit", "other"], clear("What is asked for")]
    times: Annotated[int | None, clear("How many", ge=1, le=9, example=3)] = None

    @classmethod
    def up(cls, said: Body) -> Body:
        """Return the one name of version 2 as a list of one, without a script."""
        letter = dict(said.letter)
        if "name" in letter:
            letter["name"] = [{"text": letter["name"]}]
        return Body(said.data, letter)

    @classmethod
    def down(cls, said: Body) -> Lowered:
        """Return the body for version 2: a visit is `other`, and one name without its script stays."""
        lost, data, letter = [], dict(said.data), dict(said.letter)
        if data["what"] == "visit":
            data["what"] = "other"
            lost.append("/data/what")
        if "name" in letter:
            best, *others = letter["name"]
            letter["name"] = best["text"]
            lost += ["/letter/name/0/script"] if "script" in best else []
            lost += [f"/letter/name/{at}" for at, _ in enumerate(others, 1)]
        return Lowered(Body(data, letter), tuple(lost))


CHAIN: Mapping[int, type[Data]] = {1: First, 2: Second, 3: Third}
"""A type in three versions: a field more, a code more, a text that becomes a list of objects."""
