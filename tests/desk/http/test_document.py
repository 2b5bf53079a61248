"""The OpenAPI document says all that the door does, alike for every route; `desk/documented.py` judges real answers by it."""

import json
from pathlib import Path
from typing import Any

import pytest

from desk.documented import operations, the_document, validator
from desk.given import desk_of
from nrmbus.desk.errors import MEANINGS
from nrmbus.desk.http import request
from nrmbus.desk.http.documented import EVERYWHERE
from nrmbus.events.registry import TYPES, data_type
from nrmbus.events.schemas import FOLDER

ROUTES = [pytest.param(operation, path, id=f"{method} {path}") for path, method, operation in operations()]
PARAMETERS: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "maximum": 1000, "minimum": 1, "default": 200},
    "wait": {"type": "number", "maximum": 60, "minimum": 0, "default": 0},
    "case": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "ref": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "type": {"type": "string", "pattern": r"^[a-z][a-z_]{0,40}\.[a-z][a-z_]{0,40}$"},
    "since": {"type": "string", "format": "date-time"},
    "until": {"type": "string", "format": "date-time"},
    "technical": {"type": "boolean", "default": False},
}
"""Parameters that have one form wherever they are."""
CURSORS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "format": "int64", "default": 0},
    {"type": "string", "default": ""},
]
"""Forms of the cursor `after`: rows are numbered, and agencies, cases and names are in the order of their names."""
BESIDE = {
    "/v1/bulletins": "the newest of each type, agency and period",
    "/v1/webhooks": "as many as a page has",
    "/v1/witness": "the newest of each agency",
}
"""Lists without pages: each is bounded by what it lists."""


def codes_of(operation: dict[str, Any]) -> set[str]:
    """Return every code that the document has for *operation*."""
    problems = [each["content"].get("application/problem+json") for each in operation["responses"].values()]
    return {code for each in problems if each for code in each["schema"]["allOf"][1]["properties"]["code"]["enum"]}


@pytest.mark.parametrize(("operation", "path"), ROUTES)
def test_every_route_says_what_it_does_what_it_records_and_how_it_fails(operation: dict[str, Any], path: str) -> None:
    """A developer reads of each route: its subject, one line, what it records, an example, and each error with its code."""
    tags = {each["name"] for each in the_document()["tags"]}

    assert set(operation["tags"]) <= tags
    assert operation["summary"]
    assert "ecord" in operation["description"], "what is recorded, or that nothing is"
    assert operation["operationId"].isidentifier()
    assert codes_of(operation) >= set(EVERYWHERE)
    assert all(each["description"].endswith(".") for each in operation.get("parameters", ()))
    good = operation["responses"]["200"]["content"]
    assert path in {"/openapi.json", "/docs"} or all("example" in each for each in good.values())


@pytest.mark.parametrize(("operation", "path"), ROUTES)
def test_every_example_is_what_the_document_says(operation: dict[str, Any], path: str) -> None:
    """An example that does not fit its own schema would mislead whoever writes a client by it."""
    del path
    for answer in operation["responses"].values():
        for media in answer["content"].values():
            examples = [media["example"]] if "example" in media else []
            for example in [*examples, *(each["value"] for each in media.get("examples", {}).values())]:
                validator(media["schema"]).validate(example)


def test_every_example_of_a_request_is_one_that_the_door_takes() -> None:
    """Whoever copies the example of a body publishes an event: the schema takes it, and so does the door's own reading."""
    bodies = {
        operation["requestBody"]["$ref"]
        for _, _, operation in operations()
        if "$ref" in operation.get("requestBody", {})
    }
    for name, body in the_document()["components"]["requestBodies"].items():
        assert f"#/components/requestBodies/{name}" in bodies
        media = body["content"]["application/json"]
        validator(media["schema"]).validate(media["example"])
        for event in media["example"].get("events", [media["example"]]):
            asked, _ = request.read(json.dumps(event).encode())
            request.parts_of(asked, data_type(asked.type, 1))


def test_the_statuses_of_errors_are_those_of_their_codes() -> None:
    """A code has one status, at every route."""
    for _, _, operation in operations():
        for status, answer in operation["responses"].items():
            for media in answer["content"].values():
                for code in media.get("examples", ()):
                    assert MEANINGS[code].status == int(status)


def test_lists_cursors_and_filters_are_alike() -> None:
    """Every list has its plural and `next`, takes `after` and `limit`, and a parameter has one form wherever it is."""
    document = the_document()
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    for path, method, operation in operations():
        given = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        for name in given.keys() & PARAMETERS.keys():
            form = {key: value for key, value in given[name].items() if key in PARAMETERS[name]}
            assert form == PARAMETERS[name], f"{name} of {path}"
        if "after" in given and path != "/v1/cursors/{name}":
            assert any(each.items() <= given["after"].items() for each in CURSORS), path
        schema = operation["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
        answer = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
        assert ("next" in answer.get("properties", {})) == ("limit" in given), path
        if "limit" in given:
            assert "after" in given, path
            last = path.rpartition("/")[2]
            plural = {"inbox": "events", "timeline": "events", "directory": "agencies"}.get(last, last)
            assert answer["properties"][plural]["type"] == "array"
            assert "next" in answer["required"]
        members = list(answer.get("properties", {}).values())
        if method == "get" and [each.get("type") for each in members] == ["array"]:
            assert path in BESIDE, f"{path} answers a list without pages"


def test_every_member_of_a_request_says_what_it_is_for() -> None:
    """Whoever writes an integration by the document alone knows who makes a reference, which time is meant, and whose number the actor is."""
    members = the_document()["components"]["schemas"]["EventMembers"]["properties"]
    said = [each.get("description", "") for each in members.values()]

    assert all(each.endswith(".") for each in said)
    assert len(set(said)) == len(said), "a member is described by itself, not by its type"


def test_what_a_member_says_of_itself_goes_before_what_its_type_says() -> None:
    """A time that may be left out says which time it is."""
    schemas = the_document()["components"]["schemas"]

    assert schemas["Webhook"]["properties"]["failing"]["description"] == "Since when nothing but failures came."
    assert schemas["ReferralItem"]["properties"]["due"]["description"].startswith("When the earliest duty")
    assert schemas["InboxEvent"]["properties"]["registered"]["description"].startswith(
        "When the registrar registered it"
    )


def test_the_document_has_the_published_schemas() -> None:
    """A generated client has typed events: `data` and letter of every type and version are those of `schemas/`."""
    schemas = the_document()["components"]["schemas"]
    for data in TYPES.values():
        published = json.loads((FOLDER / f"nrm.{data.type}/v{data.version}.schema.json").read_text())["$defs"]
        for name in ("Data", "Letter"):
            if name in published:
                found = schemas[f"nrm.{data.type}.v{data.version}.{name.lower()}"]
                assert list(found.get("properties", {})) == list(published[name].get("properties", {}))
                assert found.get("required") == published[name].get("required")


@pytest.mark.thorough
@pytest.mark.parametrize("example", [pytest.param("minimal", marks=pytest.mark.slow), "full"])
def test_a_published_example_is_a_request(example: str) -> None:
    """The request for every type that a system may publish has the type's own data and letter."""
    judge = validator({"$ref": "#/components/schemas/Event"})
    for data in TYPES.values():
        said = json.loads((FOLDER / f"nrm.{data.type}/v{data.version}/{example}.json").read_text())
        body = {"type": data.type, "version": data.version, "actor": "S-1", "data": said["event"]["data"]}
        body |= {"sealed": said["letter"]} if "letter" in said else {}

        assert judge.is_valid(body) is not data.technical, data.type
        assert not judge.is_valid(body | {"data": {**body["data"], "nonsense": 1}}), data.type


async def test_the_desk_serves_its_document(tmp_path: Path) -> None:
    """`/openapi.json` is the document, as OpenAPI 3.1."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get("/openapi.json")

    assert answer.json() == json.loads(json.dumps(the_document()))
    assert answer.json()["openapi"] == "3.1.0"
