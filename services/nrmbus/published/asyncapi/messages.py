"""Messages: every type and version of event as it lies in an outbox, an inbox and the history, and what is no event."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nrmbus.events import MODULES, TYPES
from nrmbus.events.model import Data
from nrmbus.published.asyncapi.forms import AGENCY_KEY, CASE_KEY, Schema, own_headers, ref, sentence

Message = dict[str, Any]

BINDING: Final = "0.5.0"
"""The version of AsyncAPI's Kafka binding."""

_FORMS: Final = {"outbox": ("", "Submitted"), "inbox": (".delivered", "Delivered"), "cases": (".recorded", "Recorded")}
"""Channel -> what a message's name ends in there, and whose headers it has."""


def name_of(data: type[Data]) -> str:
    """The message of *data*'s type and version in a channel, as ``nrm.referral.submitted.v1``."""
    return f"nrm.{data.type}.v{data.version}"


def step_of(data: type[Data]) -> str:
    """The step of the mechanism that *data* belongs to: the name of its module."""
    return data.__module__.rpartition(".")[2]


def tags() -> list[dict[str, str]]:
    """One tag for each step of the mechanism, in its order."""
    steps = {step_of(data) for data in TYPES.values()}
    named = ((module.__name__.rpartition(".")[2], sentence(module.__doc__)) for module in MODULES)
    return [{"name": name, "description": text} for name, text in named if name in steps]


def traits() -> dict[str, Any]:
    """What all events have in common, whatever their type."""
    return {
        "event": {
            "contentType": "application/json",
            "correlationId": {
                "location": "$message.header#/ce_correlationid",
                "description": "The event that began the exchange.",
            },
            "bindings": _keyed(CASE_KEY),
        }
    }


def _keyed(key: Schema) -> dict[str, Any]:
    # Not by reference: to AsyncAPI's own schema a reference there is one of two things, and so neither.
    return {"kafka": {"key": key, "bindingVersion": BINDING}}


def own_schemas() -> dict[str, Any]:
    """What of its headers is each type and version's own, by message."""
    return {f"{name_of(data)}.headers": own_headers(data) for data in TYPES.values()}


def messages() -> dict[str, Message]:
    """Every message, by the name that it has among the components."""
    found = {
        name_of(data) + suffix: _event(data, channel)
        for channel, (suffix, _) in _FORMS.items()
        for data in TYPES.values()
    }
    return found | _others()


def _event(data: type[Data], channel: str) -> Message:
    suffix, form = _FORMS[channel]
    stem = f"nrm.{data.type}/v{data.version}"
    message: Message = {
        "name": name_of(data) + suffix,
        "title": f"nrm.{data.type}, version {data.version}" + (f", {form.lower()}" if suffix else ""),
        "tags": [{"name": step_of(data)}],
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "headers": {"allOf": [ref(f"{form}Headers"), ref(f"{name_of(data)}.headers")]},
        "payload": {"$ref": f"./{stem}.schema.json#/$defs/Data"},
    }
    if not suffix:
        message["summary"] = sentence(data.__doc__)
        message |= {"x-type": data.type, "x-version": data.version, "x-schema": f"{stem}.schema.json"}
        message["x-examples"] = [f"{stem}/minimal.json", f"{stem}/full.json"]
        if data.letter is not None:
            message["x-parts"] = list(data.letter.part_names())
            message["x-letter"] = {"$ref": f"./{stem}.schema.json#/$defs/Letter"}
    return message


def _others() -> dict[str, Message]:
    refusal = {"contentType": "application/json", "bindings": _keyed(CASE_KEY), "payload": ref("Nothing")}
    return {
        "refusal.delivered": {
            "name": "refusal.delivered",
            "title": "A refusal, delivered",
            "summary": "The registrar's receipt of what it refused: numbered, to the sender alone, without the envelope.",
            "headers": ref("RefusalHeaders"),
            **refusal,
        },
        "refusal.recorded": {
            "name": "refusal.recorded",
            "title": "A refusal, recorded",
            "summary": "What was refused, and by which rule; its envelope is not kept.",
            "headers": ref("RecordedRefusalHeaders"),
            **refusal,
        },
        "answer": {
            "name": "answer",
            "title": "An answer without a number",
            "summary": "To a submission that could not be read, or that came before the one due; its key is the case, or none where none could be read.",
            "headers": ref("AnswerHeaders"),
            "contentType": "application/json",
            "payload": ref("Nothing"),
        },
        "quarantined": {
            "name": "quarantined",
            "title": "A record that could not be decoded",
            "summary": "Its coordinates, and never the record.",
            "contentType": "application/json",
            "payload": ref("Quarantined"),
        },
        "entry": {
            "name": "entry",
            "title": "An entry of the directory",
            "summary": "From when on an agency has which role and which public keys.",
            "contentType": "application/json",
            "bindings": _keyed(AGENCY_KEY),
            "payload": ref("SignedDirectoryEntry"),
        },
        "admitters": {
            "name": "admitters",
            "title": "Who admits agencies",
            "summary": "The people whose signatures an entry needs, two of them, and the key that signs heads.",
            "contentType": "application/json",
            "payload": ref("SignedDirectoryAdmitters"),
        },
        "head": {
            "name": "head",
            "title": "A head of the directory",
            "summary": "How far the directory goes, every hour.",
            "contentType": "application/json",
            "payload": ref("SignedDirectoryHead"),
        },
        "checkpoint": {
            "name": "checkpoint",
            "title": "A signed checkpoint",
            "summary": "How large the log of a partition is, and its root; with the proof that it grew by appending only.",
            "contentType": "text/plain",
            "payload": ref("SubmittedCheckpoint"),
        },
        "cosigned": {
            "name": "cosigned",
            "title": "A co-signed checkpoint",
            "summary": "An agency's desk has seen this log grow by appending only up to here.",
            "contentType": "text/plain",
            "payload": ref("CosignedCheckpoint"),
        },
        "renewal": {
            "name": "renewal",
            "title": "A request for another certificate",
            "summary": "Signed with the agency's signing key, over its TLS key; the authority writes the name.",
            "contentType": "application/json",
            "payload": ref("Renewal"),
        },
        "renewed": {
            "name": "renewed",
            "title": "A request, answered with a certificate",
            "summary": "The agency believes it when it is for its own key, and signed by whoever signed the one before.",
            "contentType": "application/json",
            "bindings": _keyed(AGENCY_KEY),
            "payload": ref("Renewal"),
        },
        "change": {
            "name": "change",
            "title": "A change of keys, as far as it is signed",
            "summary": "By the agency alone, or by admitters as well; or its confirmation.",
            "contentType": "application/json",
            "payload": ref("ChangeOfKeys"),
        },
        "waiting": {
            "name": "waiting",
            "title": "A change of keys that waits for an admitter",
            "summary": "In order as far as it is signed.",
            "contentType": "application/json",
            "bindings": _keyed(AGENCY_KEY),
            "payload": ref("ChangeOfKeys"),
        },
        "tick": {
            "name": "tick",
            "title": "A tick of the clock",
            "summary": "On a bus for playing only.",
            "contentType": "application/json",
            "payload": ref("Tick"),
        },
    }


def in_channel(channel: str) -> dict[str, Any]:
    """The messages of *channel*, by the name that they have there. A topic that nobody writes yet has none."""
    found: dict[str, str] = {}
    if channel in _FORMS:
        suffix, _ = _FORMS[channel]
        found = {name_of(data): name_of(data) + suffix for data in TYPES.values()}
    found |= _BESIDE.get(channel, {})
    return {name: {"$ref": f"#/components/messages/{component}"} for name, component in found.items()}


_BESIDE: Final[Mapping[str, Mapping[str, str]]] = {
    "inbox": {"refusal": "refusal.delivered", "answer": "answer"},
    "cases": {"refusal": "refusal.recorded"},
    "quarantine": {"quarantined": "quarantined"},
    "directory": {"entry": "entry", "admitters": "admitters", "head": "head"},
    "checkpoints": {"checkpoint": "checkpoint"},
    "clock": {"tick": "tick"},
    "witness": {"cosigned": "cosigned"},
    "requests": {"renewal": "renewal", "change": "change"},
    "answers": {"renewed": "renewed", "waiting": "waiting"},
}


def in_all_versions(channel: str, types: Iterable[str]) -> list[dict[str, str]]:
    """References to the messages of *types* in *channel*, each in every version, in the order of the mechanism."""
    wanted = set(types)
    return [
        {"$ref": f"#/channels/{channel}/messages/{name_of(data)}"} for data in TYPES.values() if data.type in wanted
    ]
