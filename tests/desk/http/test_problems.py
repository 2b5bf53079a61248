"""Errors in a request are reported by place, with the allowed values: one problem per fault, and no echo."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL
from desk.documented import operations
from desk.given import CANARY, desk_of

EVENT: dict[str, Any] = {"type": "case.signal_recorded", "case": CASE, "actor": "S-1", "data": SIGNAL}
CONSENT = {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual", "form": "written"}
URGENCIES = ["emergency", "urgent", "normal"]


def without(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return *mapping* without the members *names*."""
    return {name: value for name, value in mapping.items() if name not in names}


async def refused(home: Path, body: bytes) -> dict[str, Any]:
    """Return the problem object that the door of ngo-a answers to *body*."""
    async with desk_of("ngo-a", home) as here:
        answer = await here.door.post("/v1/events", content=body)
        assert "CANARY" not in answer.text
        return dict(answer.json())


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{"type": CANARY}', 1, 10),
        ('{\n  "type": "x",\n  "case" "y"\n}', 3, 10),
        ('{"type": "x"', 1, 13),
        ('{"notes": "é", ]', 1, 16),
    ],
)
async def test_a_syntax_error_has_line_and_column(text: str, line: int, column: int, tmp_path: Path) -> None:
    """Line and column are counted in characters from 1, as editors do; the sentence has them too."""
    found = await refused(tmp_path, text.encode())

    assert (found["code"], found["line"], found["column"]) == ("json_invalid", line, column)
    assert f"line {line}, column {column}" in found["detail"]
    assert "float" not in found["detail"]


async def test_bytes_that_are_no_text_have_their_place(tmp_path: Path) -> None:
    """A file in another encoding is found by the first byte that is not UTF-8."""
    found = await refused(tmp_path, b'{\n"notes": "\xff"}')

    assert (found["line"], found["column"]) == (2, 11)
    assert "UTF-8" in found["detail"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (json.dumps(EVENT | {"x": 1.5}), "fraction"),
        (json.dumps(EVENT | {"ref": None}), "null"),
        ('{"data": ' + "[" * 40 + "]" * 40 + "}", "16 levels"),
        ('["a list"]', "no object"),
        ('{"a": "\\ud800"}', "surrogate"),
        ("\ufeff{}", "byte order mark"),
    ],
)
async def test_json_that_is_well_formed_but_not_taken_says_why(body: str, word: str, tmp_path: Path) -> None:
    """Each reason has its own sentence, and none is called a syntax error."""
    found = await refused(tmp_path, body.encode())

    assert found["code"] == "json_invalid"
    assert word in found["detail"]
    assert "line" not in found


async def test_an_unknown_member_is_told_by_its_place_and_the_names_that_are_allowed(tmp_path: Path) -> None:
    """The unknown name is not repeated: it might be a person's name."""
    found = await refused(tmp_path, json.dumps(EVENT | {"data": SIGNAL | {CANARY: 1}}).encode())
    (problem,) = found["problems"]

    assert (problem["pointer"], problem["kind"]) == ("/data", "unknown_field")
    assert set(SIGNAL) <= set(problem["allowed"])
    assert "nearest" not in problem
    assert "urgency" in found["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "meant"),
    [
        (EVENT | {"data": without(SIGNAL, "urgency") | {"urgncy": "normal"}}, "/data", "urgency"),
        (without(EVENT, "actor") | {"actr": "S-1"}, "", "actor"),
        (EVENT | {"sealed": {"age_bnad": "25-34"}}, "/sealed", "age_band"),
    ],
)
async def test_a_misspelt_member_is_one_problem_with_the_name_that_was_meant(
    body: dict[str, Any], pointer: str, meant: str, tmp_path: Path
) -> None:
    """The member that is missing because of the typo is not reported as a second problem."""
    found = await refused(tmp_path, json.dumps(body).encode())
    (problem,) = found["problems"]

    assert (problem["pointer"], problem["kind"], problem["nearest"][0]) == (pointer, "unknown_field", meant)
    assert f"perhaps {meant}" in found["detail"]


async def test_a_member_that_is_missing_beside_an_unknown_one_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """Two faults are two problems."""
    found = await refused(tmp_path, json.dumps(EVENT | {"data": without(SIGNAL, "urgency") | {CANARY: 1}}).encode())

    assert {(each["pointer"], each["kind"]) for each in found["problems"]} == {
        ("/data", "unknown_field"),
        ("/data/urgency", "missing"),
    }


async def test_a_value_that_is_not_in_its_list_is_told_the_list(tmp_path: Path) -> None:
    """The problem lists all allowed values, in words and for a program."""
    found = await refused(tmp_path, json.dumps(EVENT | {"data": SIGNAL | {"urgency": CANARY}}).encode())
    (problem,) = found["problems"]

    assert (problem["pointer"], problem["kind"]) == ("/data/urgency", "literal_error")
    assert sorted(problem["allowed"]) == sorted(URGENCIES)
    assert all(each in found["detail"] for each in URGENCIES)


async def test_a_list_is_not_also_too_short_because_of_an_item(tmp_path: Path) -> None:
    """An invalid purpose is the only problem; an empty list is too short."""
    body = EVENT | {"type": "consent.given"}
    wrong = await refused(tmp_path / "a", json.dumps(body | {"data": CONSENT | {"purposes": [CANARY]}}).encode())
    empty = await refused(tmp_path / "b", json.dumps(body | {"data": CONSENT | {"purposes": []}}).encode())

    assert [(each["pointer"], each["kind"]) for each in wrong["problems"]] == [("/data/purposes/0", "literal_error")]
    assert [(each["pointer"], each["kind"]) for each in empty["problems"]] == [("/data/purposes", "too_short")]


@pytest.mark.parametrize(
    ("path", "pointer", "words"),
    [
        (f"/v1/inbox?after={CANARY}", "?after", "no whole number"),
        ("/v1/inbox?limit=100000", "?limit", "too large"),
        (f"/v1/inbox?open=true&purpose={CANARY}", "?purpose", "case_work"),
        (f"/v1/inbox?case={CANARY}", "?case", "form"),
        (f"/v1/cases?after={chr(120) * 40}", "?after", "too long"),
    ],
)
async def test_a_wrong_parameter_is_named(path: str, pointer: str, words: str, tmp_path: Path) -> None:
    """Parameters have names of ours; the value is not repeated."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get(path)

    assert [each["pointer"] for each in answer.json()["problems"]] == [pointer]
    assert pointer in answer.json()["detail"]
    assert words in answer.json()["detail"]
    assert answer.json()["title"] == "The request does not fit.", "nothing was published, and no type is wrong"
    assert "CANARY" not in answer.text


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "path"), [pytest.param(method, path, id=f"{method} {path}") for path, method, _ in operations()]
)
async def test_an_unknown_parameter_is_refused_with_those_that_are_allowed(
    method: str, path: str, tmp_path: Path
) -> None:
    """A misspelt filter would show everything, or change something else than was meant; no name that was sent is repeated."""
    asked = next(each for where, how, each in operations() if (where, how) == (path, method))
    allowed = [each["name"] for each in asked.get("parameters", ()) if each["in"] == "query"]
    async with desk_of("ngo-a", tmp_path) as here:
        at = re.sub("{[a-z]+}", "1" * 32, path)
        answer = await here.door.request(method, at, params={CANARY: "1"})
        body = answer.json()

    assert (answer.status_code, body["code"]) == (422, "unknown_field")
    (problem,) = [each for each in body["problems"] if each["kind"] == "unknown_parameter"]
    assert problem["pointer"] == "?"
    assert sorted(problem.get("allowed", [])) == sorted(allowed)
    assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    ("path", "pointer", "kind", "nearest"),
    [
        ("/v1/inbox?cases=" + "ab" * 16, "?", "unknown_parameter", ["case"]),
        ("/v1/reads?purpse=court", "?", "unknown_parameter", ["purpose"]),
        ("/v1/inbox/stream?sorce=police", "?", "unknown_parameter", ["source"]),
        (f"/v1/inbox?case={'ab' * 16}&case={'cd' * 16}", "?case", "twice", None),
    ],
)
async def test_a_misspelt_or_repeated_filter_is_refused_with_the_name_that_was_meant(
    path: str, pointer: str, kind: str, nearest: list[str] | None, tmp_path: Path
) -> None:
    """Given a filter that no route has, or two of one, then nothing is shown; a list of versions may be as long as it is."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get(path)
        (problem,) = answer.json()["problems"]
        spoken = await here.door.get("/v1/inbox?speaks=referral.submitted:2&speaks=case.closed:1")

    assert (answer.status_code, problem["pointer"], problem["kind"]) == (422, pointer, kind)
    assert problem.get("nearest", [])[:1] == (nearest or [])
    assert spoken.status_code == 200


TIMES: dict[str, bool] = {
    "2026-03-02T05:00:00Z": True,
    "2026-03-02t05:00:00z": True,
    "2026-03-02T09:00:00%2B04:00": True,
    "2026-03-02T05:00:00.25Z": True,
    "0001-01-01T00:00:00%2B14:00": True,
    "2026-03-02T05:00:00": False,
    "2026-03-02": False,
    "2026-02-30T05:00:00Z": False,
    "1772427600": False,
    "yesterday": False,
    "": False,
}


@pytest.mark.thorough
@pytest.mark.parametrize(("text", "is_taken"), TIMES.items())
async def test_a_time_has_one_form_at_every_route(text: str, is_taken: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a row of the table
    """Given a time by RFC 3339, then every route takes it; given a day, a number or no zone, then every route refuses it alike."""
    timed = [
        (method, re.sub("{[a-z]+}", "1" * 16, path), name["name"], asked)
        for path, method, asked in operations()
        for name in asked.get("parameters", ())
        if name["schema"].get("format") == "date-time"
    ]
    async with desk_of("ngo-a", tmp_path) as here:
        for method, path, name, asked in timed:
            needed = {each["name"] for each in asked["parameters"] if each["in"] == "query" and each.get("required")}
            if is_taken and "text/event-stream" in asked["responses"]["200"]["content"]:  # it would have no end
                continue
            rest = "".join(f"&{each}=2026-01-01T00:00:00Z" for each in needed - {name})
            answer = await here.door.request(method, f"{path}?{name}={text}{rest}")
            told = answer.json().get("problems", [])
            assert (told == []) is is_taken, f"{method} {path} {name}"
            assert is_taken or [(each["pointer"], each["kind"]) for each in told] == [(f"?{name}", "datetime_parsing")]
            assert is_taken or "RFC 3339" in answer.json()["detail"]

    assert {name for _, _, name, _ in timed} == {"since", "until"}


async def test_many_problems_are_counted_and_not_told_one_by_one(tmp_path: Path) -> None:
    """Of a thousand problems, five are put into words, and only the first few list the allowed values."""
    found = await refused(tmp_path, json.dumps(EVENT | {f"m{turn}": 1 for turn in range(1000)}).encode())

    assert found["detail"].endswith("and 995 more.")
    assert sum("allowed" in each for each in found["problems"]) < 20
