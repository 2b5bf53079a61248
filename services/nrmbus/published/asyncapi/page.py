"""The page of the document for people: one HTML file that loads nothing, from ``templates/page.html.j2``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from nrmbus.desk.http.page import environment_of

_STATEMENTS: Final = (
    "Registration", "Delivery", "Answer", "Audience", "DirectoryEntry", "DirectoryAdmitters", "DirectoryHead",
    "Quarantined", "Tick",
)  # fmt: skip
_FORMS: Final = {"outbox": "SubmittedHeaders", "inbox": "DeliveredHeaders", "cases": "RecordedHeaders"}


def page(document: Mapping[str, Any]) -> str:
    """Return the HTML page of an AsyncAPI *document* of `nrmbus.published.asyncapi.document`. Equal documents give equal pages."""
    environment = environment_of(Path(__file__).parent / "templates")
    environment.filters |= {"words": _words, "name": _name}
    schemas = document["components"]["schemas"]
    profile, rules = next((name, each) for name, each in document["x-rules"].items() if "as-in" not in each)
    return environment.get_template("page.html.j2").render(
        document=document,
        info=document["info"],
        channels=_channels(document),
        headers=_headers(schemas),
        statements={name: schemas[name] for name in _STATEMENTS},
        steps=_steps(document, rules["types"]),
        rooms=_rooms(document),
        profile=profile,
        roles=rules["roles"],
    )


# -- what the template is given --------------------------------------------------------------------------------------


def _channels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the channels; an agency's own outbox and inbox come first."""
    found = []
    for name, channel in sorted(document["channels"].items(), key=lambda each: "parameters" not in each[1]):
        refs = [each["$ref"] for each in channel["messages"].values()]
        others = [document["components"]["messages"][_name(each)] for each in refs if "/nrm." not in each]
        events = len(refs) - len(others)
        found.append({"name": name, **channel, "events": events, "others": others})
    return found


def _headers(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every header of an event, with its channels; it is owed if each of them requires it."""
    found: dict[str, dict[str, Any]] = {}
    for channel, form in _FORMS.items():
        for name, schema in schemas[form]["properties"].items():
            row = found.setdefault(name, {"name": name, "schema": schema, "on": [], "owed": True})
            row["on"].append(channel)
            row["owed"] &= name in schemas[form]["required"]
    return list(found.values())


def _steps(document: Mapping[str, Any], rules: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of the mechanism with their types, each with its versions, newest first."""
    types: dict[str, dict[str, Any]] = {}
    for message in document["components"]["messages"].values():
        if "x-type" not in message:
            continue
        row = types.setdefault(
            message["x-type"],
            {"name": message["x-type"], "step": message["tags"][0]["name"], "says": message["summary"], "versions": []},
        )
        row["versions"].insert(0, message)
        row["rules"] = rules.get(message["x-type"])
    return [
        {**tag, "types": [row for row in types.values() if row["step"] == tag["name"]]}
        for tag in document["info"]["tags"]
    ]


def _rooms(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the automatic steps of desks: the operations of procedures, by room."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, operation in document["operations"].items():
        room, _, line = name.partition(".")
        if "summary" in operation and operation["action"] == "receive":
            names = [_name(each["$ref"]) for each in operation.get("messages", ())]
            found.setdefault(room, []).append({"line": line, "hears": names, **operation})
    return found


# -- filters ---------------------------------------------------------------------------------------------------------


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _words(term: str) -> str:
    return term.replace("_", " ")
