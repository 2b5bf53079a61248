"""Published schemas for partner agencies: a JSON Schema and two examples for every type and version.

``python -m nrmbus.published write`` makes the files that ``schemas/nrm.*`` lacks; ``check`` prints what the gate
finds (`nrmbus.published.gate`) and exits 1. They are frozen: what is once published there changes only by a new version.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from nrmbus.events import bulletin
from nrmbus.events.errors import Invalid
from nrmbus.events.examples import example
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parents[3] / "schemas"

_SIGNED = (
    "recordedtime",
    "sequence",
    "actor",
    "approver",
    "policy",
    "legalbasis",
    "consent",
    "referral",
    "incident",
    "correlationid",
    "causationid",
    "expectedversion",
    "dataclassification",
    "sealeddigest",
    "traceparent",
)
"""Extension attributes in the order in which they are signed (wire/README.md, W4)."""
_BULLETIN = {
    "description": "The bulletin of the agency: a fixed prefix, and a digest of its id",
    "pattern": f"^{bulletin.PREFIX}[0-9a-f]{{16}}$",
    "examples": [bulletin.of("example-ngo")],
}
"""Subject of a type that is about no case."""


class AsOnTheWire(GenerateJsonSchema):
    """JSON Schema of the wire: an optional field is absent, never null, and no field has a title."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of the value alone; null never goes on the wire."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema of the value alone, without its default."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        """Return False: no field has a title."""
        return False


def schema_id(data: type[Data]) -> str:
    """Return the name of a type and version for the attribute ``dataschema``."""
    return f"urn:nrmbus:nrm.{data.type}:{data.version}"


def schema_of(data: type[Data]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a type and version: the event as a CloudEvent, and beside it the letter."""
    definitions: dict[str, Any] = {"Event": _event(data), "Data": _model(data)}
    properties: dict[str, Any] = {"event": {"$ref": "#/$defs/Event"}}
    if data.letter:
        definitions["Letter"] = _model(data.letter)
        properties["letter"] = {"$ref": "#/$defs/Letter"}
    for name in ("Data", "Letter"):
        definitions.update(definitions.get(name, {}).pop("$defs", {}))
    return {
        "$schema": DIALECT,
        "$id": schema_id(data),
        "title": f"nrm.{data.type}, version {data.version}",
        "description": _sentence(data),
        "type": "object",
        "properties": properties,
        "required": ["event"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _model(model: type[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(schema_generator=AsOnTheWire, mode="serialization")
    return schema


def _sentence(data: type[Data]) -> str:
    return " ".join((data.__doc__ or "").split())


def _event(data: type[Data]) -> dict[str, Any]:
    own = _model(Event)["properties"]
    properties = {
        "specversion": {"const": "1.0", "description": "CloudEvents 1.0"},
        "id": own["id"],
        "source": own["source"] | {"pattern": r"^/agency/[a-z][a-z0-9-]{1,30}$"},
        "type": {"const": f"nrm.{data.type}", "description": "The type"},
        "subject": own["subject"],
        "time": own["time"],
        "datacontenttype": {"const": "application/json", "description": "How `data` is written"},
        "dataschema": {"const": schema_id(data), "description": "The version of the type: this schema"},
        **{name: own[name] for name in _SIGNED},
        "dssematerial": {
            "type": "string",
            "description": "The signature (CloudEvents verifiability extension); a desk signs for its own system",
            "contentEncoding": "base64",
            "maxLength": 8192,
        },
    }
    for attribute in properties.values():
        attribute["x-class"] = "DC1"
    optional = {name for name, field in Event.model_fields.items() if field.default is None} | {"dssematerial"}
    if data.letter is None:
        del properties["sealeddigest"]
    if data.keyed_by == "agency":
        properties["subject"] = properties["subject"] | _BULLETIN
    return {
        "description": "The envelope: what everybody on the way may read",
        "type": "object",
        "properties": properties | {"data": {"$ref": "#/$defs/Data"}},
        "required": [name for name in (*properties, "data") if name not in optional],
        "additionalProperties": False,
    }


def documents(types: Iterable[type[Data]] = tuple(TYPES.values())) -> Mapping[str, str]:
    """Return the text of every file in ``schemas`` for the models *types*, by path.

    Raises:
        KeyError: a field needs an example, or its example does not fit; the error is a sentence.
    """
    files: dict[str, str] = {}
    for data in types:
        schema, stem = schema_of(data), f"nrm.{data.type}/v{data.version}"
        files[f"{stem}.schema.json"] = _text(schema)
        files[f"{stem}/minimal.json"] = _text(_example(data, schema, full=False))
        files[f"{stem}/full.json"] = _text(_example(data, schema, full=True))
    return files


def _example(data: type[Data], schema: dict[str, Any], *, full: bool) -> dict[str, Any]:
    made = example(schema, full=full)
    try:
        data.from_mapping(made["event"]["data"])
        if data.letter and "letter" in made:
            data.letter.from_mapping(made["letter"])
    except Invalid as error:
        problem = error.problems[0]
    else:
        return made
    raise KeyError(f"the example at {problem.pointer} does not fit ({problem.kind}): write one beside the field")


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> tuple[str, ...]:
    """Write the missing schemas and examples into *folder*, and return their paths. No file is overwritten.

    A version is skipped while an example of it is missing; the gate reports the field.
    """
    written = []
    for data in TYPES.values():
        with suppress(KeyError):
            for path, text in documents((data,)).items():
                if not (folder / path).exists():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_text(text, encoding="utf-8")
                    written.append(path)
    return tuple(written)


def write_or_check(
    prog: str,
    about: str | None,
    write: Callable[[Path], Iterable[str]],
    findings: Callable[[Path], Iterable[str]],
    arguments: list[str] | None,
    folder: Path = FOLDER,
) -> int:
    """Run the command *prog* on *folder*, ``schemas`` or one below it: ``write`` or ``check`` it; return the exit code."""
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("what", choices=("write", "check"))
    parser.add_argument("--folder", type=Path, default=folder, help=f"the folder `{folder}` of a clone")
    chosen = parser.parse_args(arguments)
    if chosen.what == "write":
        sys.stdout.writelines(f"wrote {path}\n" for path in write(chosen.folder))
        return 0
    found = list(findings(chosen.folder))
    sys.stdout.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0
