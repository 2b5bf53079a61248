"""The files in `schemas/` are those of the models, and an independent validator agrees."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types

from nrmbus.events import schemas as published
from nrmbus.events.errors import Invalid
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES
from nrmbus.published.__main__ import main

ALL = [pytest.param(data, id=f"{data.type}-{data.version}") for data in TYPES.values()]


def _frozen(data: type[Data], name: str) -> Any:
    return json.loads((published.FOLDER / f"nrm.{data.type}" / name.format(data.version)).read_text(encoding="utf-8"))


FULL = {data: _frozen(data, "v{}/full.json") for data in TYPES.values()}


def _validator(data: type[Data], definition: str = "") -> Draft202012Validator:
    schema = published.schema_of(data)
    if definition:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.mark.thorough
@pytest.mark.parametrize("data", ALL)
def test_each_type_has_a_schema_that_is_one(data: type[Data]) -> None:
    """Every published type and version has a frozen JSON Schema (2020-12) under the name that `dataschema` carries."""
    schema = _frozen(data, "v{}.schema.json")

    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:nrmbus:nrm.{data.type}:{data.version}"


@pytest.mark.parametrize("size", ["minimal", "full"])
@pytest.mark.parametrize("data", ALL)
def test_each_type_has_examples_that_fit(data: type[Data], size: str) -> None:
    """The smallest and the fullest example fit the frozen schema and the model, and come out of the model unchanged."""
    example = _frozen(data, f"v{{}}/{size}.json")

    Draft202012Validator(_frozen(data, "v{}.schema.json"), format_checker=FormatChecker()).validate(example)
    assert data.from_mapping(example["event"]["data"]).to_mapping() == example["event"]["data"]
    if "letter" in example:
        assert data.letter is not None
        assert data.letter.from_mapping(example["letter"]).to_mapping() == example["letter"]


@pytest.mark.parametrize("data", ALL)
def test_a_full_example_leaves_nothing_out(data: type[Data]) -> None:
    """The fullest example has every field of the data, of the letter and of the envelope."""
    example = FULL[data]

    assert set(example["event"]["data"]) == set(data.model_fields)
    assert set(example.get("letter", ())) == set(data.letter.model_fields if data.letter else ())
    without = {"version"} | (set() if data.letter else {"sealeddigest"})
    assert set(example["event"]) >= set(Event.model_fields) - without


@pytest.mark.parametrize("data", ALL)
def test_examples_are_of_nobody(data: type[Data]) -> None:
    """Examples are recognisably made up: an example's agency, actor and name, and a citizenship that no state has."""
    example = FULL[data]
    letter = example.get("letter", {})

    assert example["event"]["source"] == "/agency/example-ngo"
    assert example["event"]["actor"].startswith("example-")
    assert "Example" in letter.get("name", "Example")
    assert letter.get("citizenship", "XA") == "XA"
    assert "Example" in letter.get("notes", "Example")


@pytest.mark.thorough
def test_write_never_writes_over_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A published version is not edited by making its files again: only what is missing is written, and named."""
    edited = tmp_path / "nrm.case.closed" / "v1.schema.json"
    edited.parent.mkdir()
    edited.write_text("edited", encoding="utf-8")

    assert main(["write", "--folder", str(tmp_path)]) == 0
    written = capsys.readouterr().out.splitlines()
    assert edited.read_text(encoding="utf-8") == "edited"
    assert len(written) == 3 * len(TYPES) - 1
    assert "wrote nrm.case.closed/v1/full.json" in written
    assert published.write(tmp_path) == ()


def test_every_field_says_what_it_is() -> None:
    """A partner's developer finds description, data class and, in a letter, the part at every field."""
    for data in TYPES.values():
        definitions = published.schema_of(data)["$defs"]
        fields = [*definitions["Event"]["properties"].items(), *definitions["Data"].get("properties", {}).items()]
        for name, field in fields:
            assert name == "data" or (field["description"] and field["x-class"] in {"DC0", "DC1"}), (data.type, name)
        for name, field in definitions.get("Letter", {}).get("properties", {}).items():
            assert field["description"], (data.type, name)
            assert field["x-class"], (data.type, name)
            assert field["x-part"], (data.type, name)


@pytest.mark.parametrize("data", ALL)
def test_an_absent_field_is_not_owed_and_never_null(data: type[Data]) -> None:
    """The schema asks for exactly the fields that have no default, and nowhere allows null."""
    definitions = published.schema_of(data)["$defs"]

    owed = {name for name, field in data.model_fields.items() if field.is_required()}
    assert set(definitions["Data"].get("required", ())) == owed
    assert {"type", "dataschema", "specversion", "data"} <= set(definitions["Event"]["required"])
    assert '"null"' not in json.dumps(definitions)


# Junk without fractions, which are refused before any model, and without newlines: Python's `$` matches before a last one.
_TEXTS = st.text("aZə09 .:-_/@+", max_size=12)
_SCALARS = st.none() | st.booleans() | st.integers(-5, 10_000) | _TEXTS
_JUNK = _SCALARS | st.lists(_SCALARS, max_size=1) | st.dictionaries(_TEXTS, _SCALARS, max_size=2)


@given(st.data())
def test_model_and_schema_accept_the_same(draw: st.DataObject) -> None:
    """Whatever happens to an example (a field gone, another value, a member more), model and schema say the same of it."""
    data = draw.draw(st.sampled_from(list(TYPES.values())))
    definition, model = draw.draw(
        st.sampled_from([("Data", data), *([("Letter", data.letter)] if data.letter else [])])
    )
    example: dict[str, Any] = dict(FULL[data]["event"]["data"] if definition == "Data" else FULL[data]["letter"])
    for field in draw.draw(st.lists(st.sampled_from([*model.model_fields, "another"]), max_size=3)):
        if draw.draw(st.booleans()):
            example.pop(field, None)
        else:
            example[field] = draw.draw(_JUNK)

    try:
        model.from_mapping(example)
        fits = True
    except Invalid:
        fits = False
    assert fits == _validator(data, definition).is_valid(example)
