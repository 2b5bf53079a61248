"""Judges of an AsyncAPI document: AsyncAPI's own JSON Schema and its own parser; and the resolution of references."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it ships no types

import plain_yaml
from nrmbus.events.schemas import FOLDER
from nrmbus.published import asyncapi
from patience import PATIENCE

HERE = Path(__file__).parent / "asyncapi_oracle"
FROZEN: dict[str, Any] = plain_yaml.read((FOLDER / asyncapi.DOCUMENT).read_text(encoding="utf-8"))
OFFICIAL = json.loads((HERE / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))

Faults = list[str]
"""Faults of a document, each by its place; empty for valid AsyncAPI."""


def by_the_schema(document: Mapping[str, Any]) -> Faults:
    """By AsyncAPI's own JSON Schema, with every reference followed."""
    faults = ["/".join(map(str, error.absolute_path)) for error in Draft7Validator(OFFICIAL).iter_errors(document)]
    for place, reference in references(document):
        try:
            resolved(document, reference)
        except (LookupError, OSError):
            faults.append(place)
    return faults


def by_the_parser(home: Path, folder: Path, documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Faults]:
    """By AsyncAPI's own parser, installed in *home*; *folder* is where documents find the schema files beside them."""
    for path in FOLDER.glob("nrm.*"):
        (folder / path.name).symlink_to(path)
    files = [folder / f"{number}.yaml" for number, _ in enumerate(documents)]
    for file, document in zip(files, documents.values(), strict=True):
        file.write_text(json.dumps(document), encoding="utf-8")  # which is YAML, and quicker
    shutil.copy(HERE / "validate.mjs", home)  # Node looks for the parser from where the script lies
    command = ["node", "validate.mjs", *map(str, files)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=True, timeout=PATIENCE)
    found: dict[str, Faults] = {}
    for (name, document), said in zip(documents.items(), json.loads(done.stdout), strict=True):
        # A document of AsyncAPI 3.0 has no fault because a later version exists.
        faults = [fault for fault in said["faults"] if fault["code"] != "asyncapi-latest-version"]
        found[name] = ["/".join(map(str, fault["path"])) for fault in faults]
        if not faults:
            assert said["operations"] == sorted(document["operations"])
            assert said["messages"] == sorted(
                {name for each in document["channels"].values() for name in each["messages"]}
            )
    return found


def references(node: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every ``$ref`` below *node*, with its place."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield place, node["$ref"]
        for key, value in node.items():
            yield from references(value, f"{place}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from references(value, f"{place}/{index}")


@cache
def schema_file(name: str) -> Any:
    """A file of the folder ``schemas``."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def resolved(document: Mapping[str, Any], reference: str) -> Any:
    """Return the target of *reference*, in the document or in a file beside it."""
    file, _, pointer = reference.partition("#")
    node = schema_file(file) if file else document
    for key in pointer.lstrip("/").split("/"):
        node = node[key]
    return node


def inlined(node: Any, document: Mapping[str, Any] = FROZEN, base: str = "") -> Any:
    """Return *node* with every reference replaced by its target."""
    if isinstance(node, list):
        return [inlined(each, document, base) for each in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        reference = node["$ref"] if not node["$ref"].startswith("#") else base + node["$ref"]
        return inlined(resolved(document, reference), document, reference.partition("#")[0])
    return {key: inlined(value, document, base) for key, value in node.items() if not key.startswith("x-")}
