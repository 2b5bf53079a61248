"""Events and subscriptions in the form of GovStack's PubSub API, and what the door takes and gives: pure, both ways.

`README.md` has the operations, and what does not fit.
"""

from collections.abc import Mapping
from typing import Any, Final

from nrmbus.edge.misfit import Misfit
from nrmbus.events.errors import Problem
from nrmbus.events.registry import TYPES, versions
from nrmbus.events.schemas import schema_of

Json = dict[str, Any]

ROOM: Final = "nrm"
"""The one room of a desk: its ``applicationCode``."""
MEMBER_CLASS: Final = "NRM"
_PREFIX: Final = "govstack."
_SHOWN: Final = ("case", "source", "time", "registered", "ref", "version", "published", "data", "lost", "parts", "shut")
"""Members of an inbox row that an event has here."""


def types() -> list[str]:
    """Return the types of event of the room."""
    return sorted({name for (name, _), model in TYPES.items() if not model.technical})


def event_type(name: str) -> Json | None:
    """Return the type *name* with the JSON Schema of its first version; None if there is none."""
    known = versions(name)
    if not known or any(model.technical for model in known.values()):
        return None
    first = known[min(known)]
    return {"eventType": name, "schema": schema_of(first)}


def asked(name: str, body: Mapping[str, Any]) -> Json:
    """Return the door's request for a ``PublishEvent`` *body* of the type *name*: the event is the request without its type.

    Raises:
        Misfit: the body names another type, or has no event.
    """
    event = body.get("event")
    if set(body) - {"eventType", "event"}:
        raise Misfit(Problem("", "unknown_field", ("event", "eventType")))
    if body.get("eventType") != name:
        raise Misfit(Problem("/eventType", "missing" if "eventType" not in body else "literal_error", (name,)))
    if not isinstance(event, Mapping) or "type" in event:
        raise Misfit(Problem("/event", "missing" if event is None else "object_type"))
    return {**event, "type": name}


def place(pointer: str) -> str:
    """Return the *pointer* into a request of the door as a pointer into the ``PublishEvent``."""
    return "/eventType" if pointer == "/type" else f"/event{pointer}"


def item(row: Mapping[str, Any], instance: str) -> Json:
    """Return an inbox *row* as an ``EventItem`` of the mediator *instance*."""
    return {
        "id": row["id"],
        "sequence": row["row"],
        "publisherId": _member(instance, row["source"]),
        "eventType": row["type"],
        "event": {name: row[name] for name in _SHOWN if name in row},
    }


def published(state: Mapping[str, Any], agency: str, instance: str) -> Json:
    """Return the *state* of an own event as an ``EventItem``: the event is its verdict."""
    names = ("case", "verdict", "code", "sentence", "rule", "article", "time", "ref")
    return {
        "id": state["id"],
        **({"sequence": state["number"]} if "number" in state else {}),
        "publisherId": _member(instance, agency),
        "eventType": state["type"],
        "event": {name: state[name] for name in names if name in state},
    }


def _member(instance: str, agency: str) -> Json:
    return {"instanceId": instance, "memberClass": MEMBER_CLASS, "memberCode": agency, "applicationCode": ROOM}


def cursor_of(name: str) -> str:
    """Return the name of the door's cursor that is the subscription to the type *name*."""
    return _PREFIX + name


def subscription(cursor: str, agency: str, instance: str) -> Json | None:
    """Return the subscription that a *cursor* of the door is; None for another program's cursor."""
    if not cursor.startswith(_PREFIX):
        return None
    return {
        "subscriberId": _member(instance, agency),
        "eventType": cursor.removeprefix(_PREFIX),
        "delivery": "PULL",
        "options": {"FIFO": True},
    }


def subscribed(name: str, body: Mapping[str, Any]) -> None:
    """Return if *body* asks for a subscription that a desk can keep: by pull, to the type *name*.

    Raises:
        Misfit: it asks for a push, which is the default of the API, or for another type.
    """
    if body.get("eventType") != name:
        raise Misfit(Problem("/eventType", "missing" if "eventType" not in body else "literal_error", (name,)))
    if body.get("delivery") != "PULL":
        raise Misfit(Problem("/delivery", "missing" if "delivery" not in body else "literal_error", ("PULL",)))
