"""Channels and operations: what the topic files declare, and what the desks' brokers subscribe to and publish."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

from faststream.specification import AsyncAPI

from nrmbus.bus.kafka.declarations import Declaration, load_declarations
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.broker import make_broker, make_endpoints
from nrmbus.desk.procedure.handlers import Inbox
from nrmbus.desk.procedure.roles import ROOMS
from nrmbus.directory import SERVICES
from nrmbus.events import TYPES
from nrmbus.published.asyncapi.forms import sentence
from nrmbus.published.asyncapi.messages import BINDING, in_all_versions, in_channel
from nrmbus.registrar.owner import GROUP
from nrmbus.rules import Profile
from nrmbus.wire import ids

Operation = dict[str, Any]

AGENCY: Final = "{agency}"
_NUMBERS: Final = ("retention.ms", "segment.ms", "max.message.bytes")


def channel_of(topic: str) -> str:
    """The name of the channel of *topic*, as ``inbox`` of ``nrm.inbox.{agency}``."""
    return topic.split(".")[1]


def channels() -> dict[str, Any]:
    """One channel for each topic file."""
    return {channel_of(each.topic): _channel(each) for each in load_declarations()}


def _channel(declared: Declaration) -> dict[str, Any]:
    messages = in_channel(channel_of(declared.topic))
    settings: dict[str, Any] = declared.settings()
    settings |= {name: int(settings[name]) for name in _NUMBERS if name in settings}
    settings["cleanup.policy"] = [settings["cleanup.policy"]]
    kafka: dict[str, Any] = {"topic": declared.topic, "topicConfiguration": dict(sorted(settings.items()))}
    if declared.partitions != "P":
        kafka["partitions"] = declared.partitions
    channel: dict[str, Any] = {
        "address": declared.topic,
        "description": declared.description + ("" if messages else " Declared, and not yet written by anybody."),
        "servers": [{"$ref": "#/servers/bus"}],
    }
    if declared.of_each_agency:
        channel["parameters"] = {"agency": {"$ref": "#/components/parameters/agency"}}
    channel["messages"] = messages
    channel["bindings"] = {"kafka": kafka | {"bindingVersion": BINDING}}
    channel["x-writers"], channel["x-readers"] = list(declared.writers), list(declared.readers)
    channel["x-key"] = declared.key
    channel["x-partitions"] = declared.partitions
    channel["x-retention-days"] = None if declared.retention_ms < 0 else declared.retention_ms // 86_400_000
    if declared.dead_letter != "none":
        channel["x-dead-letter"] = declared.dead_letter
    if declared.buses != "every":
        channel["x-buses"] = declared.buses
    return channel


def parameters() -> dict[str, Any]:
    """The one part of a topic's name that differs by agency."""
    return {
        "agency": {
            "description": "The agency's id in the directory: a lower-case letter, then 1 to 30 letters, digits or dashes.",
            "examples": ["ngo-a", "special-unit"],
            "x-pattern": "^[a-z][a-z0-9-]{1,30}$",
            "x-reserved": sorted(ids.RESERVED_NAMES),
        }
    }


# -- operations ------------------------------------------------------------------------------------------------------


def operations(profile: Profile) -> dict[str, Operation]:
    """Who writes and who reads each channel, then what each agency's desk does by itself with what it hears."""
    found: dict[str, Operation] = {}
    for declared in load_declarations():
        found |= {
            f"{_who(each)}.writes.{channel_of(declared.topic)}": _writes(each, declared) for each in declared.writers
        }
        found |= {
            f"{_who(each)}.reads.{channel_of(declared.topic)}": _reads(each, declared) for each in declared.readers
        }
    for service in SERVICES:
        said = [name for name, row in profile.types.items() if service in row.by]
        if said:
            found[f"{service}.writes.outbox"] = {
                "action": "send",
                "channel": {"$ref": "#/channels/outbox"},
                "title": f"{service} writes {_topic_of(service)}",
                "summary": "It speaks as an agency of its own, by ids that follow from case and clock.",
                "messages": in_all_versions("outbox", said),
            }
    return found | dict(_by_itself())


def _topic_of(agency: str) -> str:
    return f"nrm.outbox.{agency}"


def _who(name: str) -> str:
    return "agency" if name == AGENCY else name


def _writes(who: str, declared: Declaration) -> Operation:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel_of(declared.topic)}"},
        "title": f"{_who(who)} writes {declared.topic}",
    }


def _reads(who: str, declared: Declaration) -> Operation:
    channel = channel_of(declared.topic)
    operation: Operation = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "title": f"{_who(who)} reads {declared.topic}",
    }
    group = {("agency", "inbox"): _inbox(None).group_id, ("registrar", "outbox"): GROUP}.get((_who(who), channel))
    if group:
        operation["bindings"] = _group(group)
    return operation


def _group(group: str) -> dict[str, Any]:
    pattern = "^" + group.replace(".", "\\.").replace(AGENCY, "[a-z][a-z0-9-]{1,30}") + "$"
    return {"kafka": {"groupId": {"type": "string", "pattern": pattern}, "bindingVersion": BINDING}}


def _by_itself() -> Iterator[tuple[str, Operation]]:
    """What each room's desk does by itself, one operation a handler; then what every desk leaves to a person."""
    roles_of: dict[str, list[str]] = {}
    for role, room in ROOMS.items():
        roles_of.setdefault(room, []).append(role)
    for room, roles in roles_of.items():
        for name, summary, types in _handlers(roles[0]):
            if types:
                yield f"{room}.{name}", _line(f"{room}: {name}", summary, types) | {"x-roles": roles}
    for name, summary, _ in _handlers(None):
        yield f"desk.{name}", _line(f"every desk: {name.replace('_', ' ')}", summary, None)


def _line(title: str, summary: str, types: list[str] | None) -> Operation:
    operation: Operation = {
        "action": "receive",
        "channel": {"$ref": "#/channels/inbox"},
        "title": title,
        "summary": summary,
    }
    if types is not None:
        operation["messages"] = in_all_versions("inbox", types)
    return operation | {"bindings": _group(_inbox(None).group_id or "")}


def _handlers(role: str | None) -> Iterator[tuple[str, str, list[str]]]:
    """Name, line and types of each handler that a desk of *role* subscribes, as FastStream has them."""
    inbox = _inbox(role)
    published: Mapping[str, str] = {data.__name__: data.type for data in TYPES.values()}
    payloads = inbox.specification.get_payloads()
    for call, (payload, _) in zip(inbox.calls, payloads, strict=True):
        named = payload.get("$defs", {payload.get("title"): payload})
        yield call.name, sentence(call.description), sorted(published[name] for name in named if name in published)


def _inbox(role: str | None) -> Inbox:
    """The subscriber of a desk of *role*, with its handlers, described and never started."""
    broker = make_broker("localhost", AGENCY)
    seat = SimpleNamespace(me=AGENCY, role=role)
    inbox, _ = make_endpoints(broker, cast("Desk", SimpleNamespace(seat=seat)))
    AsyncAPI(broker, schema_version="3.0.0").to_specification()  # has every handler say what it takes
    return inbox
