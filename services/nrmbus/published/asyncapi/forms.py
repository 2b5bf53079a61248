"""Schemas of what a record has beside its data: the headers of each topic, keys, and what the bus itself states.

Headers are text, so an attribute that is a number elsewhere is its decimal digits here. Each form is closed: a header
that is not in it is refused.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from nrmbus.directory.entry import Admitters, Entry, Head
from nrmbus.directory.renewal import Asked, Renewal
from nrmbus.directory.requests import Request
from nrmbus.events import TYPES, schemas
from nrmbus.events.model import Data, Frozen
from nrmbus.wire import record as wire
from nrmbus.wire.errors import SENTENCES
from nrmbus.wire.registration import Answer, Audience, Delivery, Registration

Schema = dict[str, Any]

DIGITS: Final = r"^(0|[1-9][0-9]{0,9})$"
_STATEMENTS: Final[Mapping[str, type[Frozen]]] = {
    each.__name__: each for each in (Registration, Delivery, Answer, Audience, Entry, Admitters, Head)
}
_OWN: Final = {
    "ce_type": r"^nrm(\.[a-z][a-z_]{0,40}){2}$",
    "ce_dataschema": r"^urn:nrmbus:nrm(\.[a-z][a-z_]{0,40}){2}:[1-9][0-9]{0,3}$",
}
_NAMES: Final = {"Entry": "DirectoryEntry", "Admitters": "DirectoryAdmitters", "Head": "DirectoryHead"}


def ref(name: str) -> Schema:
    """A reference to the schema *name* of this document."""
    return {"$ref": f"#/components/schemas/{name}"}


def sentence(text: str | None) -> str:
    """A docstring as running text of Markdown."""
    return " ".join((text or "").replace("``", "`").split())


CASE_KEY: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{32}$",
    "description": "The case or the incident, as `ce_subject` has it; the partition follows from it by murmur2, as in Kafka's Java client.",
}
AGENCY_KEY: Final[Schema] = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9-]{1,30}$",
    "description": "The agency's id in the directory.",
}


def schemas_of_forms() -> dict[str, Schema]:
    """The headers of every topic, and the statements, by name."""
    found = _headers()
    found["Nothing"] = {"type": "string", "maxLength": 0, "description": "The value is empty."}
    for name, model in _STATEMENTS.items():
        found |= _statement(_NAMES.get(name, name), model)
    found["SignedDirectoryEntry"] = _dsse("directory", "DirectoryEntry")
    found["SignedDirectoryAdmitters"] = _dsse("directory", "DirectoryAdmitters")
    found["SignedDirectoryHead"] = _dsse("directory-head", "DirectoryHead")
    found["Quarantined"] = _quarantined()
    found["Tick"] = _tick()
    found |= _checkpoints()
    found |= _requests()
    return found


def own_headers(data: type[Data]) -> Schema:
    """What of the headers is *data*'s own: its type, its version, and no letter where it has none."""
    properties = {
        "ce_type": {"const": f"nrm.{data.type}"},
        "ce_dataschema": {"const": schemas.schema_id(data)},
    }
    if data.letter is not None:
        return {"type": "object", "properties": properties}
    letterless = {"anyOf": [{"required": ["ce_sealeddigest"]}, {"required": [wire.LETTER]}]}
    return {"type": "object", "properties": properties, "not": letterless}


# -- headers ---------------------------------------------------------------------------------------------------------


def _headers() -> dict[str, Schema]:
    envelope, owed = _attributes()
    registered, told = _stated("registration", "Registration"), _stated("delivery", "Delivery")
    letter = {
        "type": "string",
        "maxLength": wire.LETTER_LIMIT,
        "contentMediaType": "application/json",
        "description": "The letter, sealed part by part; what is inside is at `x-letter` of the message.",
    }
    copy = letter | {"description": "This reader's copy: its own parts of the letter, and of the others their digests."}
    correlation = {
        "type": "string",
        "maxLength": wire.ATTRIBUTE_LIMIT,
        "description": "A library may add it; nobody signs it and nobody reads it.",
    }
    audience = {
        "type": "string",
        "maxLength": wire.STATEMENT_LIMIT,
        "contentMediaType": "application/json",
        "description": "Who was told; unsigned, the registration's `audience` is its digest.",
        "x-content": ref("Audience"),
    }
    submitted = {
        "type": "string",
        "pattern": "^nrm\\.outbox\\.[a-z][a-z0-9-]{1,30}:(0|[1-9][0-9]*)$",
        "description": "Where the registrar read the submission, `topic:offset`: for its own restart, signed by nobody.",
    }
    delivering = {wire.REGISTRATION: registered, wire.DELIVERY: told}
    recording = {wire.REGISTRATION: registered, wire.AUDIENCE: audience, wire.SUBMITTED: submitted}
    return {
        "SubmittedHeaders": _closed(
            "What an agency's desk writes into its outbox.",
            envelope | {wire.LETTER: letter, wire.CORRELATION: correlation},
            owed,
        ),
        "DeliveredHeaders": _closed(
            "What the registrar writes into an inbox: the envelope, bytes unchanged, and its own word on it.",
            envelope | {wire.LETTER: copy} | delivering,
            [*owed, *delivering],
        ),
        "RecordedHeaders": _closed(
            "What the registrar writes into the history: the envelope, bytes unchanged, and its own word on it.",
            envelope | recording,
            [*owed, *recording],
        ),
        "RefusalHeaders": _closed(
            "A refusal, for the sender alone: the registration says code, rule and article; the envelope is not repeated.",
            delivering,
            list(delivering),
        ),
        "RecordedRefusalHeaders": _closed("A refusal in the history.", recording, list(recording)),
        "AnswerHeaders": _closed(
            "What the registrar answers to a submission that gets no number.",
            {wire.ANSWER: _stated("answer", "Answer")},
            [wire.ANSWER],
        ),
    }


def _attributes() -> tuple[dict[str, Schema], list[str]]:
    """The headers that carry the envelope, and which of them are owed; those of a type that has a letter are all."""
    lettered = next(data for data in TYPES.values() if data.letter)
    event = schemas.schema_of(lettered)["$defs"]["Event"]
    properties = {
        wire.header_of(name): _as_text(attribute)
        for name, attribute in event["properties"].items()
        if name not in ("data", "dssematerial")
    }
    for name, pattern in _OWN.items():  # which it is, each message says by itself
        properties[name] = {"type": "string", "pattern": pattern, "description": properties[name]["description"]}
    properties[wire.MATERIAL] = _as_text(event["properties"]["dssematerial"])
    owed = [wire.header_of(name) for name in event["required"] if name != "data"]
    return properties, [*owed, wire.MATERIAL]


def _as_text(attribute: Mapping[str, Any]) -> Schema:
    kept = {name: value for name, value in attribute.items() if name not in ("type", "minimum", "maximum")}
    if attribute.get("type") == "integer":
        kept["pattern"] = DIGITS
    if "const" not in kept:
        kept.setdefault("maxLength", wire.ATTRIBUTE_LIMIT)
    return {"type": "string", **kept}


def _closed(description: str, properties: Mapping[str, Schema], required: list[str]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


# -- what the bus states ---------------------------------------------------------------------------------------------


def _stated(thing: str, name: str) -> Schema:
    return {
        "type": "string",
        "maxLength": wire.STATEMENT_LIMIT,
        "contentMediaType": "application/json",
        "description": f"A DSSE envelope of payload type `{_payload_type(thing)}`, signed by the registrar; its payload is {name} in canonical JSON.",
        "x-content": ref(name),
    }


def _payload_type(thing: str) -> str:
    return f"application/vnd.nrmbus.{thing}.v1+json"


def _dsse(thing: str, name: str) -> Schema:
    signature = {
        "type": "object",
        "properties": {
            "keyid": {"type": "string", "pattern": "^ed25519:[0-9a-f]{32}$"},
            "sig": {"type": "string", "contentEncoding": "base64"},
        },
        "required": ["keyid", "sig"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "description": "A DSSE envelope with one Ed25519 signature.",
        "properties": {
            "payload": {"type": "string", "contentEncoding": "base64", "x-content": ref(name)},
            "payloadType": {"const": _payload_type(thing)},
            "signatures": {"type": "array", "items": signature, "minItems": 1, "maxItems": 1},
        },
        "required": ["payload", "payloadType", "signatures"],
        "additionalProperties": False,
    }


def _statement(name: str, model: type[Frozen]) -> dict[str, Schema]:
    schema: Schema = model.model_json_schema(
        schema_generator=schemas.AsOnTheWire, mode="serialization", ref_template="#/components/schemas/{model}"
    )
    inner = schema.pop("$defs", {})
    found = {name: schema, **inner}
    for each in found.values():
        each["description"] = sentence(re.sub(r"(?<=\.)\s*\n\n", " ", each.get("description", "")))
    return found


def _quarantined() -> Schema:
    return {
        "type": "object",
        "description": "Where a record lies that could not be decoded, and what was wrong with it; never the record itself.",
        "properties": {
            "topic": {"type": "string", "description": "The outbox that it lies in"},
            "partition": {"type": "integer", "minimum": 0},
            "offset": {"type": "integer", "minimum": 0},
            "size": {"type": "integer", "minimum": 0, "description": "Key, value and headers, in bytes"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The digest of the whole record"},
            "code": {"type": "string", "enum": sorted(SENTENCES), "description": "What was wrong with it"},
        },
        "required": ["topic", "partition", "offset", "size", "sha256", "code"],
        "additionalProperties": False,
    }


_CHECKPOINT: Final = r"nrmbus/(play-)?[0-9a-f]{16}/p(0|[1-9][0-9]*)\n(0|[1-9][0-9]*)\n[A-Za-z0-9+/]{43}=\n"
_SIGNED: Final = r"\n(\u2014 [^ +\n]+ [A-Za-z0-9+/]+={0,2}\n)+"


def _checkpoints() -> dict[str, Schema]:
    return {
        "SubmittedCheckpoint": {
            "type": "string",
            "description": (
                "The body of an add-checkpoint request of C2SP tlog-witness v1.0.0: `old N`, the consistency proof from the "
                "tree of N leaves, an empty line, the checkpoint, signed with the log's Ed25519 and ML-DSA-44 keys. "
                "N is the size of the record before it of the same log."
            ),
            "pattern": rf"^old (0|[1-9][0-9]*)\n([A-Za-z0-9+/]{{43}}=\n){{0,63}}\n{_CHECKPOINT}{_SIGNED}$",
        },
        "CosignedCheckpoint": {
            "type": "string",
            "description": (
                "The checkpoint as a C2SP signed note, with the signatures of C2SP tlog-cosignature that this agency's "
                "witness key made; others in it are passed over."
            ),
            "pattern": f"^{_CHECKPOINT}{_SIGNED}$",
        },
    }


def _requests() -> dict[str, Schema]:
    found = _statement("Asked", Asked) | _statement("Renewal", Renewal)
    found["Renewal"]["properties"]["asked"]["x-content"] = ref("SignedAsked")
    found["SignedAsked"] = _dsse("request", "Asked")
    change = Request.model_json_schema(schema_generator=schemas.AsOnTheWire, mode="serialization")
    found["ChangeOfKeys"] = {
        "type": "object",
        "description": "An entry of the directory, as far as it is signed: by the agency, by one admitter, or by two.",
        "properties": {"form": change["properties"]["form"], "entry": ref("DirectoryEntry")},
        "required": ["form", "entry"],
        "additionalProperties": False,
    }
    return found


def _tick() -> Schema:
    return {
        "type": "object",
        "description": "The clock of a bus for playing was moved.",
        "properties": {
            "tick": {"type": "integer", "minimum": 1, "description": "The number of the tick, without gaps"},
            "time": {
                "type": "string",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
                "description": "What every service shows from then on, UTC",
            },
        },
        "required": ["tick", "time"],
        "additionalProperties": False,
    }
