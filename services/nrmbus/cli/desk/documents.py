"""An event in a file, in the form of ``schemas/`` or of a desk's door; checked against the schema, and cast."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.errors import BusError
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.request import BODY_LIMIT, Asked, parts_of
from nrmbus.events.casting import Cast, Lost, cast
from nrmbus.events.errors import EventError, Invalid, Problem
from nrmbus.events.model import Data, Event
from nrmbus.events.registry import data_type, versions
from nrmbus.wire import base64
from nrmbus.wire import json as strict
from nrmbus.wire.errors import WireError

_SOURCE: Final = "/agency/"
_BESIDE: Final = ("to", "decision")
"""Data that may stand beside them at the door."""
_OVER_THE_BYTES: Final = ("dssematerial", "sealeddigest")
"""Attributes that hold for the bytes which were signed, and for no others."""
_LONGEST_MATERIAL: Final = 8192
"""Characters of ``dssematerial`` in the frozen schemas."""
_CONSTANT: Final = {"specversion": "1.0", "datacontenttype": "application/json"}


@dataclass(frozen=True, slots=True)
class Document:
    """One event in a file; *name* is its type without ``nrm.``."""

    name: str
    version: int
    model: type[Data]
    body: Mapping[str, Any]

    @property
    def posted(self) -> bool:
        """Whether the document has the form of the door, rather than the form of ``schemas/``."""
        return "event" not in self.body

    def problems(self) -> list[Problem]:
        """Return the problems of the document: pointers and kinds of the schema; empty if it fits."""
        return _posted(self.body, self.model) if self.posted else _published(self.body, self.model)

    def cast(self, to: int) -> tuple[dict[str, Any], tuple[Lost, ...]]:
        """Return the document in version *to*, and the lost fields; only for a document without problems."""
        return self._cast_posted(to) if self.posted else self._cast_published(to)

    def _cast_posted(self, to: int) -> tuple[dict[str, Any], tuple[Lost, ...]]:
        beside = {name: self.body[name] for name in _BESIDE if name in self.body}
        found = self._found({**self.body.get("data", {}), **beside}, self.body.get("sealed"), to)
        data = {name: value for name, value in found.data.items() if name not in beside}
        said = {**self.body, "version": to, "data": data}
        return said | ({"sealed": dict(found.letter)} if "sealed" in self.body else {}), found.lost

    def _cast_published(self, to: int) -> tuple[dict[str, Any], tuple[Lost, ...]]:
        event = self.body["event"]
        found = self._found(event["data"], self.body.get("letter"), to)
        said = {name: value for name, value in event.items() if name not in _OVER_THE_BYTES}
        said |= {"dataschema": f"urn:nrmbus:nrm.{self.name}:{to}", "data": dict(found.data)}
        return {"event": said} | ({"letter": dict(found.letter)} if "letter" in self.body else {}), found.lost

    def _found(self, data: Mapping[str, Any], letter: Mapping[str, Any] | None, to: int) -> Cast:
        return cast(versions(self.name), self.version, to, data, letter or {})


def read(file: str) -> Document:
    """Read the document in *file*, ``-`` for standard input.

    Raises:
        BusError: the file cannot be read, is not JSON that the wire accepts, or has no published type and version.
    """
    body = object_in(file, BODY_LIMIT)
    event = body.get("event", body)
    if not isinstance(event, dict):
        raise BusError("`event` is an object in schemas/nrm.*/v1/full.json: see there for the form.")
    name, version = event.get("type"), event.get("version", 1)
    if "event" in body:
        version = str(event.get("dataschema", "")).rpartition(":")[2]
        version = int(version) if version.isdecimal() and len(version) < 5 else 0
    if not isinstance(name, str) or not isinstance(version, int):
        raise BusError(
            "The event has no type, or its version is no number: give `type` and `version`, or `dataschema`."
        )
    message = ""
    try:
        name = name.removeprefix("nrm.")
        return Document(name, version, data_type(name, version), body)
    except EventError as error:
        message = str(error)
    raise BusError(f"{message[:1].upper()}{message[1:]}: nrmbus schema list")


def object_in(file: str, limit: int, instead: str = "name another, or use - for standard input") -> dict[str, Any]:
    """Return the JSON object in *file*, ``-`` for standard input; an error repeats nothing of it, and says what to do *instead*.

    Raises:
        BusError: the file cannot be read, is larger than *limit* bytes, or is not JSON that the wire accepts.
    """
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
            raw = stream.read(limit + 1)
        return strict.loads(raw, limit=limit)
    except OSError as error:
        message = f"The file cannot be read ({error.strerror}): {instead}"
    except WireError as error:
        message = f"The event is not a JSON object that the wire accepts: {error}"
    raise BusError(message)


def _posted(body: Mapping[str, Any], model: type[Data]) -> list[Problem]:
    try:
        parts_of(Asked.from_mapping(body), model)
    except Invalid as error:
        return list(error.problems)
    except DeskError as error:
        return list(error.problems) or [Problem("", error.code)]
    return []


def _published(body: Mapping[str, Any], model: type[Data]) -> list[Problem]:
    event = body["event"]
    found = [Problem("", "unknown_field") for name in body if name not in ("event", "letter")]
    attributes = {name: value for name, value in event.items() if name not in ("data", "dssematerial")}
    name_of_type = f"nrm.{model.type}"
    constant = _CONSTANT | {"type": name_of_type, "dataschema": f"urn:nrmbus:{name_of_type}:{model.version}"}
    for name, value in constant.items():
        if attributes.pop(name, None) != value:
            found.append(Problem(f"/event/{name}", "literal_error"))
    data = _at("/event/data", model, event.get("data"), found)
    if "letter" in body and model.letter is None:
        found.append(Problem("/letter", "no_letter"))
    elif model.letter is not None and "letter" in body:
        _at("/letter", model.letter, body["letter"], found)
    if "sealeddigest" in attributes and model.letter is None:
        found.append(Problem("/event/sealeddigest", "no_letter"))
    source = attributes.get("source")
    attributes["source"] = (
        source.removeprefix(_SOURCE) if isinstance(source, str) and source.startswith(_SOURCE) else ""
    )
    attributes |= {"type": model.type, "version": model.version}
    if "dataclassification" not in attributes:  # the model has a default, and the wire has none
        found.append(Problem("/event/dataclassification", "missing"))
    material = event.get("dssematerial", "")
    if not isinstance(material, str) or len(material) > _LONGEST_MATERIAL or base64.read(material) is None:
        found.append(Problem("/event/dssematerial", "string_pattern_mismatch"))
    if data is not None:
        _at("/event", Event, {**attributes, "data": {}}, found)
    return found


def _at(pointer: str, model: type[Any], value: object, found: list[Problem]) -> Any:
    if not isinstance(value, dict):
        found.append(Problem(pointer, "missing" if value is None else "object_type"))
        return None
    try:
        return model.from_mapping(value)
    except Invalid as error:
        found += [each.below(pointer) for each in error.problems]
    return None
