"""The AsyncAPI document: ``frame.yaml``, filled in one pass from the topic files, the published types and the Rules."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final, cast

import yaml

from nrmbus.bus.embedded.jars import KAFKA
from nrmbus.bus.kafka.declarations import Declaration, load_declarations
from nrmbus.desk.procedure.interface import lines_of
from nrmbus.desk.procedure.roles import ROOMS, procedure_of
from nrmbus.directory import SERVICES
from nrmbus.directory.entry import Admitters, Entry, Head
from nrmbus.directory.renewal import Asked, Renewal
from nrmbus.events import schemas
from nrmbus.events.model import Data, Frozen
from nrmbus.events.registry import MODULES, TYPES
from nrmbus.rules import Profile, load_profile, profile_names
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.placed import placed
from nrmbus.wire import ids
from nrmbus.wire import record as wire
from nrmbus.wire.errors import SENTENCES
from nrmbus.wire.registration import Answer, Audience, Delivery, Registration

Node = dict[str, Any]

_MODELS: Final[Mapping[str, type[Frozen]]] = {
    "Registration": Registration, "Delivery": Delivery, "Answer": Answer, "Audience": Audience,
    "DirectoryEntry": Entry, "DirectoryAdmitters": Admitters, "DirectoryHead": Head, "Asked": Asked, "Renewal": Renewal,
}  # fmt: skip
_FORMS: Final = {
    "outbox": ("", "SubmittedHeaders", ""),
    "inbox": (".delivered", "DeliveredHeaders", ", delivered"),
    "cases": (".recorded", "RecordedHeaders", ", recorded"),
}
"""The channels of events: the ends of the names and titles that messages have there, and the schema of their headers."""
_DIGITS: Final = r"^(0|[1-9][0-9]{0,9})$"
_TYPE: Final = r"nrm(\.[a-z][a-z_]{0,40}){2}"
_KIND: Final = {"ce_type": f"^{_TYPE}$", "ce_dataschema": rf"^urn:nrmbus:{_TYPE}:[1-9][0-9]{{0,3}}$"}
"""The two headers of an event whose value is another in each message."""
_AGENCY: Final = "{agency}"
_BINDING: Final = "0.5.0"
"""The version of AsyncAPI's Kafka binding."""


def document() -> Node:
    """Return the AsyncAPI document in JSON types, always in the same order.

    Raises:
        ValueError: two messages, operations or channels have one name.
    """
    reference, others = load_profile(PROFILE), [load_profile(each) for each in profile_names() if each != PROFILE]
    declared = load_declarations()
    frame = _frame(
        {
            "nrmbus": metadata.version("nrmbus"),
            "kafka": KAFKA,
            "tags": _tags(),
            "reserved-names": sorted(ids.RESERVED_NAMES),
            "error-codes": sorted(SENTENCES),
            "letter-limit": wire.LETTER_LIMIT,
            "attribute-limit": wire.ATTRIBUTE_LIMIT,
            "statement-limit": wire.STATEMENT_LIMIT,
            "rules": {PROFILE: _rules(reference)} | {each.name: _unlike(each, reference) for each in others},
        }
    )
    components = frame["components"]
    components["schemas"] = _schemas(components["schemas"])
    components["messages"] = _named((*_events(), *components["messages"].items()))
    frame["operations"] = _named((*_operations(declared, reference), *frame["operations"].items()))
    channels = frame["channels"]
    frame["channels"] = _named((_name(each), _channel(each, channels.get(_name(each), {}))) for each in declared)
    return frame


def _frame(values: Mapping[str, Any]) -> Node:
    """Return ``frame.yaml`` with *values* where it says ``!of NAME``."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!of", lambda _, node: values[node.value])
    text = Path(__file__).with_name("frame.yaml").read_text(encoding="utf-8")
    return cast("Node", yaml.load(text, Loader))  # noqa: S506 - a safe loader, and a file of this package


def _named(pairs: Iterable[tuple[str, Node]]) -> Node:
    """Return *pairs* as an object.

    Raises:
        ValueError: a name comes twice.
    """
    found: Node = {}
    for name, each in pairs:
        if name in found:
            raise ValueError(f"{name} comes twice, and one would hide the other")
        found[name] = each
    return found


def sentence(text: str | None) -> str:
    """Return a docstring as running text of Markdown."""
    return " ".join((text or "").replace("``", "`").split())


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


# -- events ----------------------------------------------------------------------------------------------------------


def _message(data: type[Data]) -> str:
    return f"nrm.{data.type}.v{data.version}"


def _step(data: type[Data]) -> str:
    return data.__module__.rpartition(".")[2]


def _tags() -> list[Node]:
    """Return one tag for each step of the mechanism, in its order."""
    steps = {_step(data) for data in TYPES.values()}
    named = {module.__name__.rpartition(".")[2]: module for module in MODULES}
    return [{"name": name, "description": sentence(named[name].__doc__)} for name in named if name in steps]


def _events() -> Iterator[tuple[str, Node]]:
    """Yield every type and version as a message of the outbox, then of the inbox and of the history."""
    for suffix, form, title in _FORMS.values():
        for data in TYPES.values():
            stem = f"nrm.{data.type}/v{data.version}"
            message: Node = {
                "name": _message(data) + suffix,
                "title": f"nrm.{data.type}, version {data.version}{title}",
                "tags": [{"name": _step(data)}],
                "traits": [{"$ref": "#/components/messageTraits/event"}],
                "headers": {"allOf": [_ref(form), _ref(f"{_message(data)}.headers")]},
                "payload": {"$ref": f"./{stem}.schema.json#/$defs/Data"},
            }
            if not suffix:
                message["summary"] = sentence(data.__doc__)
                message |= {"x-type": data.type, "x-version": data.version, "x-schema": f"{stem}.schema.json"}
                message["x-examples"] = [f"{stem}/minimal.json", f"{stem}/full.json"]
            if not suffix and data.letter is not None:
                message["x-parts"] = list(data.letter.part_names())
                message["x-letter"] = {"$ref": f"./{stem}.schema.json#/$defs/Letter"}
            yield message["name"], message


def _in_channel(channel: str, types: Iterable[str]) -> list[Node]:
    """Return references to the messages of *types* in *channel*, each in every version."""
    wanted = set(types)
    return [
        {"$ref": f"#/channels/{channel}/messages/{_message(data)}"} for data in TYPES.values() if data.type in wanted
    ]


# -- schemas ---------------------------------------------------------------------------------------------------------


def _schemas(named: Mapping[str, Node | None]) -> Node:
    """Return the schemas of the frame, filled in, and for each type and version those of its own headers."""
    attributes, owed = _attributes()
    found: Node = {}
    for name, schema in named.items():
        found |= _of_model(name) if schema is None else {name: schema}
    for _, form, _ in _FORMS.values():
        found[form]["properties"] = attributes | found[form]["properties"]
        found[form]["required"] = owed + found[form]["required"]
    found["Renewal"]["properties"]["asked"]["x-content"] = _ref("SignedAsked")
    for data in TYPES.values():
        kind = {"ce_type": {"const": f"nrm.{data.type}"}, "ce_dataschema": {"const": schemas.schema_id(data)}}
        found[f"{_message(data)}.headers"] = own = {"type": "object", "properties": kind}
        if data.letter is None:
            own["not"] = {"anyOf": [{"required": ["ce_sealeddigest"]}, {"required": [wire.LETTER]}]}
    return found


def _attributes() -> tuple[Node, list[str]]:
    """Return the headers of an envelope, as text, and the names of the required ones."""
    lettered = next(data for data in TYPES.values() if data.letter)  # a type with a letter has all of them
    event = schemas.schema_of(lettered)["$defs"]["Event"]
    names = {name: wire.header_of(name) for name in event["properties"] if name not in ("data", "dssematerial")}
    names["dssematerial"] = wire.MATERIAL  # last, as it is written
    properties: Node = {}
    for name, header in names.items():
        attribute = event["properties"][name]
        properties[header] = {
            "type": "string",
            **{key: value for key, value in attribute.items() if key not in ("type", "minimum", "maximum")},
            **({"pattern": _DIGITS} if attribute.get("type") == "integer" else {}),
        }
        if "const" not in attribute:
            properties[header].setdefault("maxLength", wire.ATTRIBUTE_LIMIT)
        if header in _KIND:
            properties[header] = {
                "type": "string",
                "pattern": _KIND[header],
                "description": attribute["description"],
            }
    return properties, [header for name, header in names.items() if name in {*event["required"], "dssematerial"}]


def _of_model(name: str) -> Node:
    """Return the schema of the statement *name*, and those of the models within it."""
    schema: Node = _MODELS[name].model_json_schema(
        schema_generator=schemas.AsOnTheWire, mode="serialization", ref_template="#/components/schemas/{model}"
    )
    found = {name: schema, **schema.pop("$defs", {})}
    for each in found.values():
        each["description"] = sentence(re.sub(r"(?<=\.)\s*\n\n", " ", each.get("description", "")))
    return found


# -- channels and operations -----------------------------------------------------------------------------------------


def _name(declared: Declaration) -> str:
    """Return the channel's name, as ``inbox`` of ``nrm.inbox.{agency}``."""
    return declared.topic.split(".")[1]


def _channel(declared: Declaration, others: Mapping[str, str]) -> Node:
    """Return the channel of one topic file, with the messages of events, then *others*, by their name in the channel."""
    messages: Node = {}
    if form := _FORMS.get(_name(declared)):
        messages = {_message(data): _message(data) + form[0] for data in TYPES.values()}
    messages = {name: {"$ref": f"#/components/messages/{each}"} for name, each in {**messages, **others}.items()}
    settings: Node = dict(declared.settings())
    settings |= {name: int(value) for name, value in settings.items() if name.endswith((".ms", ".bytes"))}
    settings["cleanup.policy"] = [settings["cleanup.policy"]]
    kafka: Node = {"topic": declared.topic, "topicConfiguration": dict(sorted(settings.items()))}
    if declared.partitions != "P":
        kafka["partitions"] = declared.partitions
    channel: Node = {
        "address": declared.topic,
        "description": declared.description + ("" if messages else " Declared, and not yet written by anybody."),
        "servers": [{"$ref": "#/servers/bus"}],
    }
    if declared.of_each_agency:
        channel["parameters"] = {"agency": {"$ref": "#/components/parameters/agency"}}
    channel |= {
        "messages": messages,
        "bindings": {"kafka": kafka | {"bindingVersion": _BINDING}},
        "x-writers": list(declared.writers),
        "x-readers": list(declared.readers),
        "x-key": declared.key,
        "x-partitions": declared.partitions,
        "x-retention-days": None if declared.retention_ms < 0 else declared.retention_ms // 86_400_000,
    }
    if declared.dead_letter != "none":
        channel["x-dead-letter"] = declared.dead_letter
    if declared.buses != "every":
        channel["x-buses"] = declared.buses
    return channel


def _operations(declared: Iterable[Declaration], profile: Profile) -> Iterator[tuple[str, Node]]:
    """Yield the writers and readers of each channel, then the automatic steps of each agency's desk."""
    for topic in declared:
        for action, verb, agencies in (("send", "writes", topic.writers), ("receive", "reads", topic.readers)):
            for who in (each.strip("{}") for each in agencies):
                operation: Node = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{_name(topic)}"},
                    "title": f"{who} {verb} {topic.topic}",
                }
                if action == "receive" and topic.group:
                    operation["bindings"] = _group(topic.group.replace("{reader}", who))
                yield f"{who}.{verb}.{_name(topic)}", operation
    for service in SERVICES:
        if published := [name for name, row in profile.types.items() if service in row.by]:
            yield (
                f"{service}.writes.outbox",
                {
                    "action": "send",
                    "channel": {"$ref": "#/channels/outbox"},
                    "title": f"{service} writes nrm.outbox.{service}",
                    "summary": "It speaks as an agency of its own, by ids that follow from case and clock.",
                    "messages": _in_channel("outbox", published),
                },
            )
    yield from _lines(next(topic.group for topic in declared if _name(topic) == "inbox"), profile)


def _group(group: str) -> Node:
    pattern = "^" + group.replace(".", "\\.").replace(_AGENCY, "[a-z][a-z0-9-]{1,30}") + "$"
    return {"kafka": {"groupId": {"type": "string", "pattern": pattern}, "bindingVersion": _BINDING}}


def _lines(group: str, profile: Profile) -> Iterator[tuple[str, Node]]:
    """Yield each line of the agencies' procedures under *profile*; a name that an earlier line has gets the line's number."""
    for room in dict.fromkeys(ROOMS.values()):
        roles = [role for role in ROOMS if ROOMS[role] == room]
        procedure, taken = procedure_of(roles[0]), set[str]()
        for line in lines_of(procedure) if procedure else ():
            operation: Node = {
                "action": "receive",
                "channel": {"$ref": "#/channels/inbox"},
                "title": f"{room}: {line.name}",
                "summary": sentence(placed(line.text, profile)),
                "messages": _in_channel("inbox", (each.type for each in line.types)),
                "bindings": _group(group),
                "x-roles": roles,
            }
            name = f"{line.name}_{line.text.partition('.')[0]}" if line.name in taken else line.name
            taken.add(name)
            yield f"{room}.{name}", operation


# -- the Rules -------------------------------------------------------------------------------------------------------


def _rules(profile: Profile) -> Node:
    """Return for each type the publishers, recipients and openers of each part, in the words of *profile*."""
    types = {}
    for name, row in profile.types.items():
        opens = {"opens": {part: list(terms) for part, terms in row.opens.items()}} if row.opens else {}
        types[name] = {"may-publish": list(row.by), "told": list(row.sees), **opens, "basis": row.basis}
    roles = {name: list(roles) for name, roles in profile.roles.items()}
    return {"digest": profile.digest, "roles": roles, "types": types}


def _unlike(profile: Profile, reference: Profile) -> Node:
    """Return the rules of *profile* that are not those of *reference*: its digest, and the roles and types that differ or are gone."""
    own, other = _rules(profile), _rules(reference)
    found: Node = {"digest": profile.digest, "as-in": reference.name}
    for table in ("roles", "types"):
        differing = {name: row for name, row in own[table].items() if other[table].get(name) != row}
        gone = {name: None for name in other[table] if name not in own[table]}
        if differing or gone:
            found[table] = differing | gone
    return found
