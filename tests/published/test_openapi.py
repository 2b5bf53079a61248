"""The door as OpenAPI says it: frozen from the code, and no change may break a client of the frozen document."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import go_tools
import plain_yaml
from nrmbus.events.schemas import FOLDER
from nrmbus.published import openapi
from nrmbus.published.openapi.breaks import breaks
from patience import PATIENCE

FROZEN: dict[str, Any] = plain_yaml.read((FOLDER / openapi.DOCUMENT).read_text(encoding="utf-8"))


def parameter(document: Any, route: tuple[str, str], name: str) -> Any:
    """Return a parameter of a route."""
    method, path = route
    return next(each for each in document["paths"][path][method]["parameters"] if each["name"] == name)


def schema(document: Any, name: str) -> Any:
    """Return a component."""
    return document["components"]["schemas"][name]


PUBLISH, INBOX, CASES, LOOK, STEPS = (
    ("post", "/v1/events"),
    ("get", "/v1/inbox"),
    ("get", "/v1/cases"),
    ("get", "/v1/cases/{ref}"),
    ("get", "/v1/steps"),
)
NEW = {"name": "shift", "in": "query", "schema": {"type": "string"}}
ALONE: Final = "nrm.access.erasure_due.v1"
"""Type that no system publishes; clients only read its name."""
BED: Final = "nrm.shelter.bed_requested.v1.data"

BREAKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "a route is gone": (lambda it: it["paths"].pop("/v1/witness"), "GET /v1/witness is gone"),
    "a method is gone": (lambda it: it["paths"]["/v1/cases/{ref}/reads"].pop("get"), "GET /v1/cases/{ref}/reads is gone"),
    "a function has another name": (
        lambda it: it["paths"]["/v1/cases"]["get"].update(operationId="cases"), "GET /v1/cases has another operationId",
    ),
    "a class has another name": (
        lambda it: it["components"]["schemas"].pop(f"{ALONE}.data"), f"the schema {ALONE}.data is gone",
    ),
    "another scope is needed": (
        lambda it: it["paths"]["/v1/cases"]["get"]["security"][0]["token"].append("administer"),
        "GET /v1/cases needs the scope administer too",
    ),
    "a parameter is gone": (
        lambda it: it["paths"]["/v1/cases"]["get"]["parameters"].remove(parameter(it, CASES, "limit")),
        "the parameter limit of GET /v1/cases is gone",
    ),
    "a parameter is now required": (
        lambda it: parameter(it, INBOX, "case").update(required=True), "the parameter case of GET /v1/inbox is now required",
    ),
    "a new parameter is required": (
        lambda it: it["paths"]["/v1/cases"]["get"]["parameters"].append(NEW | {"required": True}),
        "the parameter shift of GET /v1/cases is new and required",
    ),
    "a default means something else": (
        lambda it: parameter(it, INBOX, "technical")["schema"].update(default=True),
        "the parameter technical of GET /v1/inbox has another default",
    ),
    "a parameter has another type": (
        lambda it: parameter(it, PUBLISH, "wait")["schema"].update(type="integer"),
        "the parameter wait of POST /v1/events has another type",
    ),
    "a parameter takes less": (
        lambda it: parameter(it, CASES, "limit")["schema"].update(maximum=100),
        "the parameter limit of GET /v1/cases takes less than before (`maximum`)",
    ),
    "a parameter takes another form": (
        lambda it: parameter(it, INBOX, "case")["schema"].update(pattern="^[0-9A-F]{32}$"),
        "the parameter case of GET /v1/inbox takes another form than before (`pattern`)",
    ),
    "a parameter takes fewer values": (
        lambda it: parameter(it, INBOX, "purpose")["schema"]["enum"].remove("court"),
        "the parameter purpose of GET /v1/inbox takes fewer values (court is gone)",
    ),
    "a member of a request is gone": (
        lambda it: schema(it, "EventMembers")["properties"].pop("approver"), "approver in the body of POST /v1/events is gone",
    ),
    "a member of a request is now required": (
        lambda it: schema(it, "EventMembers")["required"].append("time"),
        "time in the body of POST /v1/events is now required",
    ),
    "a member of a request takes less": (
        lambda it: schema(it, BED)["properties"]["urgency"]["enum"].remove("emergency"),
        "urgency in data in the body of POST /v1/events takes fewer values (emergency is gone)",
    ),
    "a type of event is gone": (
        lambda it: schema(it, "Event")["oneOf"].remove({"$ref": "#/components/schemas/nrm.case.closed"}),
        "the body of POST /v1/events no longer takes nrm.case.closed",
    ),
    "a form of body is gone": (
        lambda it: it["components"]["requestBodies"]["Event"]["content"].update(
            {"text/json": it["components"]["requestBodies"]["Event"]["content"].pop("application/json")}
        ),
        "POST /v1/events no longer takes application/json",
    ),
    "an answer is gone": (
        lambda it: it["paths"]["/v1/events"]["post"]["responses"].pop("202"),
        "the answer 202 of POST /v1/events is no longer application/json",
    ),
    "a code is gone": (
        lambda it: [
            it["paths"]["/v1/events"]["post"]["responses"]["409"]["content"]["application/problem+json"][word].clear()
            for word in ("examples",)
        ],
        "POST /v1/events no longer answers id_reused",
    ),
    "a member of an answer is gone": (
        lambda it: schema(it, "Case")["properties"].pop("status"), "status in the answer 200 of GET /v1/cases/{ref} is gone",
    ),
    "a member of an answer may be left out": (
        lambda it: schema(it, "Inbox")["required"].remove("ledger"),
        "ledger in the answer 200 of GET /v1/inbox may now be left out",
    ),
    "a member of an answer has another type": (
        lambda it: schema(it, "CaseRow")["properties"]["events"].update(type="string"),
        "events in each item of cases in the answer 200 of GET /v1/cases has another type",
    ),
    "a member of an answer may be null": (
        lambda it: schema(it, "CaseRow")["properties"].update(events={"anyOf": [{"type": "integer", "format": "int64"}, {"type": "null"}]}),
        "events in each item of cases in the answer 200 of GET /v1/cases may now be null",
    ),
    "a parameter gets a default": (
        lambda it: parameter(it, INBOX, "since")["schema"].update(default="2026-01-01T00:00:00Z"),
        "the parameter since of GET /v1/inbox has another default",
    ),
    "a member of an error is gone": (
        lambda it: schema(it, "Problem")["properties"].pop("problems"), "problems in an error is gone",
    ),
    "a member of an error may be left out": (
        lambda it: schema(it, "Problem")["required"].remove("sentence"), "sentence in an error may now be left out",
    ),
    "a member of an error has another type": (
        lambda it: schema(it, "Problem")["properties"].update(status={"type": "string"}), "status in an error has another type",
    ),
    "the code of an error has another type": (
        lambda it: schema(it, "Problem")["properties"].update(code={"type": "integer"}), "code in an error has another type",
    ),
    "a header of an answer is gone": (
        lambda it: it["paths"]["/v1/inbox"]["get"]["responses"]["429"].pop("headers"),
        "the header Retry-After of the answer 429 of GET /v1/inbox is gone",
    ),
}  # fmt: skip

ADDITIONS: dict[str, Callable[[Any], object]] = {
    "a route": lambda it: it["paths"].update({"/v1/shifts": it["paths"]["/v1/tasks"]}),
    "a parameter that may be left out": lambda it: it["paths"]["/v1/cases"]["get"]["parameters"].append(NEW),
    "a parameter takes more": lambda it: parameter(it, CASES, "limit")["schema"].update(maximum=2000),
    "a value more": lambda it: parameter(it, INBOX, "purpose")["schema"]["enum"].append("research"),
    "a member of a request": lambda it: schema(it, "EventMembers")["properties"].update(shift={"type": "string"}),
    "a type of event": lambda it: (
        schema(it, "Event")["oneOf"].append({"$ref": "#/components/schemas/nrm.case.closed2"})
        or it["components"]["schemas"].update({"nrm.case.closed2": schema(it, "nrm.case.closed")})
    ),
    "a version of an event": lambda it: schema(it, "nrm.case.closed")["allOf"][1]["properties"].update(
        data={
            "anyOf": [{"$ref": "#/components/schemas/nrm.case.closed.v1.data"}, {"$ref": f"#/components/schemas/{BED}"}]
        }
    ),
    "a member of an answer": lambda it: schema(it, "Case")["properties"].update(shift={"type": "string"}),
    "a code": lambda it: it["paths"]["/v1/cases"]["get"]["responses"]["422"]["content"]["application/problem+json"][
        "examples"
    ].update(id_reused={}),
    "a required parameter gets a default": lambda it: (
        parameter(it, STEPS, "case").update(required=False)
        or parameter(it, STEPS, "case")["schema"].update(default="0" * 32)
    ),
    "words": lambda it: it["info"].update(description="Other words."),
}


OURS_ALONE: Final = {
    "a class has another name", "a function has another name", "a default means something else", "a member of an answer is gone",
    "a code is gone", "a parameter gets a default", "a member of an error is gone", "a header of an answer is gone",
}  # fmt: skip
"""Breaks that oasdiff does not call so: names that only generated clients have, defaults, optional members and headers, examples."""


def changed(change: Callable[[Any], object]) -> dict[str, Any]:
    """Return the frozen document with one change."""
    document: dict[str, Any] = json.loads(json.dumps(FROZEN))
    change(document)
    return document


@pytest.mark.thorough
@pytest.mark.parametrize("what", BREAKS)
def test_what_breaks_a_client_is_refused(what: str) -> None:
    """If a change breaks a program written for the frozen document, one sentence says where, and what to do."""
    change, sentence = BREAKS[what]

    found = breaks(FROZEN, changed(change))

    others = ("POST /v1/checks", "POST /v1/batches")  # which take the same events
    (first,) = (each for each in found if not any(other in each for other in others))
    assert first.startswith(sentence)
    assert all(": " in each for each in found), "what to do"


@pytest.mark.thorough
@pytest.mark.parametrize("what", ADDITIONS)
def test_adding_is_allowed(what: str) -> None:
    """A client of the frozen document goes on working."""
    document = changed(ADDITIONS[what])

    assert document != FROZEN
    assert breaks(FROZEN, document) == ()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_break_is_not_frozen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`freeze` leaves the file as it is, and the check prints the sentence; an addition is written."""
    assert openapi.main(["write", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["wrote openapi.yaml", "wrote openapi.html"]
    promised = changed(lambda it: it["paths"].update({"/v1/shifts": it["paths"]["/v1/tasks"]}))
    file = tmp_path / "openapi.yaml"
    file.write_text(plain_yaml.text_of(promised), encoding="utf-8")

    assert openapi.write(tmp_path) == ()
    assert openapi.main(["check", "--folder", str(tmp_path)]) == 1
    assert "GET /v1/shifts is gone" in capsys.readouterr().out
    file.write_text(plain_yaml.text_of(changed(lambda it: it["paths"].pop("/v1/witness"))), encoding="utf-8")

    assert openapi.main(["check", "--folder", str(tmp_path)]) == 1
    assert "v1~1witness is missing" in capsys.readouterr().out
    assert openapi.write(tmp_path) == ("openapi.yaml",)


def by_oasdiff(program: str, folder: Path, document: dict[str, Any]) -> list[str]:
    """Return the ids of the changes from the frozen document to *document* that oasdiff calls breaking."""
    for name, each in (("old", FROZEN), ("new", document)):
        (folder / f"{name}.json").write_text(json.dumps(each), encoding="utf-8")
    command = [program, "breaking", "old.json", "new.json", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode in {0, 1}, done.stderr
    return [each["id"] for each in json.loads(done.stdout or "[]")]


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("oasdiff", go_tools.found("oasdiff"))
def test_somebody_elses_judge_agrees(oasdiff: str, tmp_path: Path) -> None:
    """oasdiff allows each addition, and refuses each break of a kind known to it."""
    allowed = {what for what, each in ADDITIONS.items() if not by_oasdiff(oasdiff, tmp_path, changed(each))}
    refused = {what for what, (each, _) in BREAKS.items() if by_oasdiff(oasdiff, tmp_path, changed(each))}

    assert allowed == ADDITIONS.keys() - {"a version of an event"}, "an alternative beside what was the only form"
    assert refused == BREAKS.keys() - OURS_ALONE


def test_every_reference_leads_somewhere() -> None:
    """A generator follows each `$ref` within the file."""
    components = FROZEN["components"]
    for kind, name in re.findall(r"#/components/([a-zA-Z]+)/([A-Za-z0-9._-]+)", json.dumps(FROZEN)):
        assert name in components[kind]
