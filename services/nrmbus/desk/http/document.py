"""The door's OpenAPI document, made from the routes and from the published events, and the route that serves it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from nrmbus.desk.http.documented import Problem, guarded, subject
from nrmbus.desk.http.request import MOST_EVENTS, MOST_RECEIVERS, Asked
from nrmbus.desk.http.webhooks import WebhookRequest
from nrmbus.events.model import Data
from nrmbus.events.registry import TYPES
from nrmbus.events.schemas import AsOnTheWire, schema_of

Node = dict[str, Any]

routes: Final = subject("document")

_DESCRIPTION: Final = """\
The door of an agency's desk: the agency's own system publishes events here, reads what other agencies published, and \
looks at its cases.

Every request needs `Authorization: Bearer <token>`, but for `/docs` on the desk's own machine; `door.json` in the agency's folder has address and token. \
An error is `application/problem+json` (RFC 9457) with a `code` of a closed list, and never repeats what was sent. \
Every route may also answer 421 with the code `other_host`, if a request over plain HTTP names another host than 127.0.0.1 or localhost. \
Times are UTC, to the second.

A list has its entries under their plural and `next`: the cursor `after` of the next page, null on the last one. \
The lists of webhooks and of announcements are always whole, and have no `next`. \
A filter is a parameter with the name of the member, and means equality. `since` and `until` select by the time of an entry, \
at every list of what happened: `since` is included, `until` is not. The time is `registered` of events, referrals, beds, \
payments and bulletins, `last` of cases, `closed` of receipts, `at` of reads, `opened` of tasks, and `time` of deliveries. \
The lists of what is there now have neither: agencies, tokens, staff, webhooks and cursors. A parameter that a route does not have, or that stands there \
twice, is refused: a misspelt filter would filter nothing.

A later release may add routes, parameters, members, event types and codes. It takes none away, and never changes what \
a request of today means."""
_TAGS: Final = {
    "events": "Publish events, and learn the registrar's verdict.",
    "inbox": "Read the events that other agencies published for this one.",
    "documents": "Upload documents, and read those that were shared.",
    "cases": "Look at cases; record readings; let parked records through.",
    "tasks": "What a person at this agency has to look at.",
    "webhooks": "Have the desk tell the agency's own system that something happened.",
    "records": "Verdicts, openings of letters, the agencies of the bus and what they say about no case.",
    "state": "The desk itself: health, metrics, co-signatures.",
    "staff": "The agency's people, who sign in at the desk's pages: add, reset, remove.",
    "tokens": "Tokens for the agency's own systems, each with its scopes and its end.",
    "document": "This document.",
}
_SHORT: Final = {
    "type": "case.signal_recorded", "actor": "S-1",
    "data": {"detector": "ngo_outreach", "child": False, "urgency": "urgent", "detected_abroad": False, "basis": ["indicators"]},
    "sealed": {"age_band": "25-34", "sex": "F"},
}  # fmt: skip
_EVENTS: Final = {
    "type": "object",
    "properties": {
        "events": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_EVENTS,
            "items": {"$ref": "#/components/schemas/Event"},
        }
    },
    "required": ["events"],
    "additionalProperties": False,
}
_BESIDE: Final = ("type", "version", "data", "sealed", "to", "decision")
"""Members of a request that its type describes, or that are documented as members of its ``data``."""
_INT32: Final = 2**31 - 1
_LARGEST: Final = 2**63 - 1
_NAMED: Final = "#/components/schemas/"


def document(app: FastAPI) -> Node:
    """Return the OpenAPI document of the routes of *app*, always in the same order."""
    found: Node = get_openapi(
        title="nrmbus desk",
        version=metadata.version("nrmbus"),
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": said} for name, said in _TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        separate_input_output_schemas=False,
    )
    for operation in (each for path in found["paths"].values() for each in path.values()):
        operation["description"] = "\n\n".join(
            " ".join(each.split()) for each in operation["description"].split("\n\n")
        )
        for each in operation.get("parameters", ()):
            kinds = [kind for kind in each["schema"].pop("anyOf", ()) if kind != {"type": "null"}]
            each["schema"] = {**(kinds[0] if kinds else {}), **each["schema"]}
            each["schema"].pop("title", None)
    parts = found["components"]
    answers = {name: each for name, each in parts["schemas"].items() if not name.endswith("ValidationError")}
    parts["schemas"] = dict(sorted((answers | _of_model(Problem) | _of_model(WebhookRequest)).items())) | dict(
        _events()
    )
    parts["requestBodies"] = {
        "Events": {
            "required": True,
            "description": "The events, in their order; each as for `POST /v1/events`.",
            "content": {"application/json": {"schema": _EVENTS, "example": {"events": [_SHORT]}}},
        },
        "Event": {
            "required": True,
            "description": "The event, by its type.",
            "content": {"application/json": {"schema": {"$ref": f"{_NAMED}Event"}, "example": _SHORT}},
        },
    }
    _size(found)
    return found


def _size(node: Any) -> None:
    """Say of each integer below *node* that may not fit into 32 bits that it has 64: a generated client else has 32."""
    if isinstance(node, dict):
        if node.get("type") == "integer" and node.get("maximum", _LARGEST) > _INT32 and "enum" not in node:
            node["format"] = "int64"
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        _size(each)


def _of_model(model: type[Any]) -> Node:
    schema = model.model_json_schema(mode="serialization", ref_template=_NAMED + "{model}")
    return {model.__name__: schema, **schema.pop("$defs", {})}


def _events() -> Iterator[tuple[str, Node]]:
    """Yield the request of each type that an agency's system may publish, then the published schemas of every type and version."""
    by_type: dict[str, list[type[Data]]] = {}
    for data in TYPES.values():
        by_type.setdefault(data.type, []).append(data)
    asked = {name: steps for name, steps in by_type.items() if not steps[0].technical}
    yield (
        "Event",
        {
            "description": "An event to publish. The members of its `data` and of its letter `sealed` are the type's own.",
            "oneOf": [{"$ref": f"{_NAMED}nrm.{name}"} for name in asked],
            "discriminator": {"propertyName": "type", "mapping": {name: f"{_NAMED}nrm.{name}" for name in asked}},
        },
    )
    yield "EventMembers", _members()
    for name, steps in asked.items():
        yield f"nrm.{name}", _request(name, steps)
    for data in TYPES.values():
        yield from _published(data)


def _members() -> Node:
    """Return the members that a request of every type may have."""
    schema: Node = Asked.model_json_schema(schema_generator=AsOnTheWire, mode="serialization")
    members = {name: member for name, member in schema["properties"].items() if name not in _BESIDE}
    return {
        "type": "object",
        "description": "Members of every request. `to` and `decision` of `data` may stand here instead of there.",
        "properties": members,
        "required": ["actor"],
    }


def _request(name: str, steps: list[type[Data]]) -> Node:
    """Return the request of the type *name*, in every version."""
    newest = steps[-1]
    own: Node = {
        "type": {"type": "string", "const": name},
        "version": {
            "type": "integer",
            "enum": [data.version for data in steps],
            "description": "Left out: the version that the program, or else its agency, speaks.",
        },
        "data": _either([f"{_stem(data)}.{'asked' if _is_for_many(data) else 'data'}" for data in steps]),
    }
    if newest.letter is not None:
        own["sealed"] = _either([f"{_stem(data)}.letter" for data in steps if data.letter])
    required = ["type", *(["data"] if any(field.is_required() for field in newest.model_fields.values()) else [])]
    return {
        "description": " ".join((newest.__doc__ or "").split()),
        "allOf": [
            {"$ref": f"{_NAMED}EventMembers"},
            {"type": "object", "properties": own, "required": required},
        ],
    }


def _stem(data: type[Data]) -> str:
    return f"nrm.{data.type}.v{data.version}"


def _either(names: list[str]) -> Node:
    refs = [{"$ref": f"{_NAMED}{name}"} for name in names]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def _is_for_many(data: type[Data]) -> bool:
    """Return whether a request may name several receivers, each of which gets an event of its own."""
    return "receivers" in data.model_fields


def _published(data: type[Data]) -> Iterator[tuple[str, Node]]:
    """Yield the schemas of one type and version: ``data``, ``letter``, and the definitions that they refer to."""
    stem, definitions = _stem(data), schema_of(data)["$defs"]
    names = {name: f"{stem}.{name.lower() if name in ('Data', 'Letter') else name}" for name in definitions}
    for name, schema in definitions.items():
        if name == "Event":
            continue
        placed = _placed(schema, names)
        if name == "Data":
            placed["description"] = (
                f"`data` of `nrm.{data.type}`, version {data.version}: as the published schema has it."
            )
        yield names[name], placed
        if name == "Data" and _is_for_many(data):
            many = placed["properties"]["receivers"] | {"maxItems": MOST_RECEIVERS}
            yield (
                f"{stem}.asked",
                {
                    **placed,
                    "description": "The same, for several receivers: each becomes an event, and learns of no other.",
                    "properties": placed["properties"] | {"receivers": many},
                },
            )


def _placed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return *schema* with its references led to the components of the document."""
    if isinstance(schema, dict):
        return {
            key: f"{_NAMED}{names[value.rpartition('/')[2]]}" if key == "$ref" else _placed(value, names)
            for key, value in schema.items()
        }
    return [_placed(each, names) for each in schema] if isinstance(schema, list) else schema


@cache
def _text(app: FastAPI) -> bytes:
    return json.dumps(document(app), ensure_ascii=False, separators=(",", ":")).encode()


@cache
def _page(app: FastAPI) -> tuple[bytes, str]:
    from nrmbus.desk.http.page import page, policy  # noqa: PLC0415 - loads Jinja, which a desk that nobody reads does not need

    return page(document(app)).encode(), policy()


@routes.get(
    "/docs",
    summary="Read this document as a page",
    response_class=HTMLResponse,
    **guarded(
        {200: {"description": "A page that loads nothing.", "content": {"text/html": {"schema": {"type": "string"}}}}}
    ),
)
async def get_page(request: Request) -> Response:
    """Return the document of this door as a page for people, without scripts. On this machine it needs no token. Records nothing."""
    content, policy = await asyncio.to_thread(_page, request.app)
    return HTMLResponse(content, headers={"content-security-policy": policy, "x-content-type-options": "nosniff"})


@routes.get(
    "/openapi.json",
    summary="Read this document",
    response_model=None,
    **guarded({200: {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": {"type": "object"}}}}}),
)
async def get_document(request: Request) -> Response:
    """Return the document of this door. Records nothing."""
    return Response(await asyncio.to_thread(_text, request.app), media_type="application/json")
