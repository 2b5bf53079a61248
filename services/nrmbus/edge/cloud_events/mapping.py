"""CloudEvents in their JSON form, and what the door takes and gives: pure, both ways.

`README.md` has the table of attributes, and what does not fit.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from nrmbus.edge.misfit import Misfit
from nrmbus.events.errors import Problem
from nrmbus.events.registry import versions
from nrmbus.wire import base64, json

Json = dict[str, Any]

MEMBERS: Final[Mapping[str, str]] = {
    "id": "id",
    "time": "time",
    "actor": "actor",
    "approver": "approver",
    "legalbasis": "legal_basis",
    "consent": "consent",
    "referral": "ref",
    "incident": "incident",
    "causationid": "cause",
    "expectedversion": "expected_version",
}
"""Attributes that are one member of the door's request, by their names on both sides; the rest is said in `asked`."""

_MAPPED: Final = ("specversion", "type", "source", "subject", "datacontenttype", "dataschema", "data")
ACCEPTED: Final = tuple(sorted({*MEMBERS, *_MAPPED}))
_IGNORED: Final = frozenset({"traceparent", "tracestate"})
"""Attributes of the distributed tracing extension: the desk begins a trace of its own."""
_JSON: Final = re.compile(r"application/(?:[\w.-]+\+)?json(?:\s*;.*)?", re.IGNORECASE)
_SCHEMA: Final = re.compile(r"urn:nrmbus:nrm\.([a-z_.]{1,90}):([1-9][0-9]{0,3})")
_PREFIX: Final = "nrm."
_HEADER: Final = "ce-"
_SEALED: Final = "sealed"
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_SAFE: Final = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
"""Characters that stand in a header as they are, by section 3.1.3.2 of the HTTP binding."""
_LEFT_OUT: Final = frozenset({"dssematerial", "traceparent"})
"""Signed headers that an outgoing event leaves out: the signature covers bytes that JSON does not preserve."""


def asked(event: Mapping[str, Any], agency: str) -> Json:
    """Return the body for ``POST /v1/events`` of the desk of *agency* that says the same as *event*.

    Raises:
        Misfit: an attribute is unknown or missing, or the bus has no place for its value.
    """
    kind = _kind(event, agency)
    body: Json = {"type": kind}
    if "dataschema" in event:
        body["version"] = _version(event["dataschema"], kind)
    body |= {member: event[name] for name, member in MEMBERS.items() if name in event}
    if "subject" in event:  # of an event about an incident, the subject is the incident
        body["incident" if _is_about(kind, "incident") else "case"] = event["subject"]
    if isinstance(body.get("consent"), str):
        body["consent"] = body["consent"].split(" ")
    if isinstance(body.get("expected_version"), str) and _INTEGER.fullmatch(body["expected_version"]):
        body["expected_version"] = int(body["expected_version"])
    data = event.get("data", {})
    if isinstance(data, Mapping) and _SEALED in data:
        body[_SEALED] = data[_SEALED]
        data = {name: value for name, value in data.items() if name != _SEALED}
    return {**body, "data": data}


def _kind(event: Mapping[str, Any], agency: str) -> str:
    """Return the type of *event* without its prefix, if the attributes of every CloudEvent are as they must be."""
    if any(name not in ACCEPTED and name not in _IGNORED for name in event):
        raise Misfit(Problem("", "unknown_field", ACCEPTED))
    if missing := [name for name in ("specversion", "id", "source", "type") if name not in event]:
        raise Misfit(*(Problem(f"/{name}", "missing") for name in missing))
    fixed = {"specversion": "1.0", "source": f"/agency/{agency}"}
    if wrong := [name for name, value in fixed.items() if event[name] != value]:
        raise Misfit(*(Problem(f"/{name}", "literal_error", (fixed[name],)) for name in wrong))
    if not _JSON.fullmatch(str(event.get("datacontenttype", "application/json"))):
        raise Misfit(Problem("/datacontenttype", "literal_error", ("application/json",)))
    if not str(event["type"]).startswith(_PREFIX):
        raise Misfit(Problem("/type", "string_pattern_mismatch"))
    return str(event["type"]).removeprefix(_PREFIX)


def _version(schema: Any, kind: str) -> int:
    found = _SCHEMA.fullmatch(str(schema))
    if found is None or found[1] != kind:
        raise Misfit(Problem("/dataschema", "string_pattern_mismatch"))
    return int(found[2])


def _is_about(kind: str, keyed_by: str) -> bool:
    return any(each.keyed_by == keyed_by for each in versions(kind).values())


def place(pointer: str) -> str:
    """Return the *pointer* into a request of the door as a pointer into the CloudEvent that it was made from."""
    _, first, *rest = [*pointer.split("/"), ""]
    names = {"version": "dataschema", "case": "subject", _SEALED: f"data/{_SEALED}"}
    names |= {member: name for name, member in MEMBERS.items()}
    return "/".join(["", names.get(first, first), *rest]).rstrip("/") if first else pointer


def cloud_event(row: Mapping[str, Any], ledger: str | None = None) -> Json:
    """Return the event of an inbox *row* as a CloudEvent; an opened letter is the member ``sealed`` of its data.

    The attributes are those that the source signed. If the row was cast to another version, ``dataschema`` names that
    one. An event that this release does not know has its data as published.
    """
    headers = {name: value for name, value in row["original"]["headers"].items() if name.startswith("ce_")}
    event: Json = {name.removeprefix("ce_"): value for name, value in headers.items()}
    event = {name: value for name, value in event.items() if name not in _LEFT_OUT}
    event |= {name: int(event[name]) for name in ("sequence", "expectedversion") if name in event}
    version = row.get("version", row["published"])
    data = row["data"] if "data" in row else _published(row["original"]["value"])
    letter = {name: value for part in row.get("letter", {}).values() for name, value in part.items()}
    event |= {
        "datacontenttype": "application/json",
        "dataschema": f"urn:nrmbus:{event['type']}:{version}",
        "nrmregistered": row["registered"],
        "nrmnumber": row["number"],
        "nrmrow": str(row["row"]),
        "data": {**data, _SEALED: letter} if letter else data,
    }
    return event | ({"nrmledger": ledger} if ledger else {})


def _published(value: str) -> Json:
    raw = base64.decode(value, "json_invalid")
    return json.loads(raw, limit=len(raw))


def from_headers(headers: Iterable[tuple[str, str]], body: bytes) -> Json:
    """Return the CloudEvent of an HTTP message in binary mode: attributes in *headers* (names in lower case), data in *body*.

    Raises:
        Misfit: an attribute stands there twice, or is not UTF-8 once it is decoded.
        WireError: the data are no JSON object.
    """
    event: Json = {}
    for header, value in headers:
        name = "ce-datacontenttype" if header == "content-type" else header
        if name.startswith(_HEADER):
            attribute = name.removeprefix(_HEADER)
            if attribute in event or attribute == "data":
                raise Misfit(Problem("", "twice", ACCEPTED))
            event[attribute] = _decoded(attribute, value)
    return event | ({"data": json.loads(body, limit=len(body))} if body else {})


def _decoded(attribute: str, value: str) -> str:
    """Return the *value* of a header as section 3.1.3.2 of the HTTP binding decodes it; older senders quote it."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        place = f"/{attribute}" if attribute in ACCEPTED else ""
    raise Misfit(Problem(place, "string_pattern_mismatch"))  # outside: the error above carries the input


def without_unset(event: dict[str, Any]) -> None:
    """Take the attributes out of *event* that are null: they are unset (section 2.2 of the JSON format). Null data stay."""
    for name in [name for name, value in event.items() if value is None and name != "data"]:
        del event[name]


def to_headers(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of *event* in binary mode."""
    attributes = {name: value for name, value in event.items() if name not in {"data", "datacontenttype"}}
    headers = {f"{_HEADER}{name}": quote(str(value), safe=_SAFE) for name, value in attributes.items()}
    return {**headers, "content-type": event["datacontenttype"]}, json.dumps(event["data"])
