"""The door at which the auditor answers `nrmbus replay`, `why` and `reads`: on record first, from its verified history."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from auditor.web.given import LATER
from auditor.web.test_questions import Door
from copies import NAME, REFER_IN_36_HOURS, copied
from nrmbus.auditor.reports.holders import access_records
from nrmbus.auditor.web import questions
from nrmbus.auditor.web.access_log import AccessLog, OnRecord, Question
from nrmbus.auditor.web.queries import find, finished, read_query
from nrmbus.events.policy import MOST_CHARACTERS


@pytest.fixture(name="door")
def _door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door = Door(tmp_path, monkeypatch)
    door.open()
    yield door
    door.listening.socket.close()


def inquiry(door: Door, query: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an inquiry that is answered, but for *more*."""
    return {"actor": door.account, "purpose": "audit", "query": query} | more


def of_case(door: Door) -> dict[str, Any]:
    """Return the query of a replay of the story's case."""
    return {"kind": "replay", "case": door.hall.case[:8]}


async def test_p4_each_answer_is_recorded_with_its_subject(door: Door) -> None:
    """A case by its whole reference, an event by its id, all cases as a search; a case that there is not is a search too."""
    event = door.hall.event("referral.submitted")[8:44]
    queries: list[dict[str, Any]] = [
        of_case(door), {"kind": "replay"}, {"kind": "replay", "case": door.hall.case, "html": True},
        {"kind": "why", "event": event}, {"kind": "reads", "case": door.hall.case},
        {"kind": "reads", "case": "00000000"}, {"kind": "why", "event": "9000"},
    ]  # fmt: skip
    async with door.asked() as client:
        answers = [(await client.post("/answers", json=inquiry(door, each))).json() for each in queries]
    entries = {each.registration.number: each for each in door.hall.audited().history.entries}
    found = access_records(entries[each["number"]] for each in answers)

    assert [(each.what, each.event) for each in found] == [
        ("case", None), ("search", None), ("case", None), ("event", event), ("case", None), ("search", None),
        ("search", None),
    ]  # fmt: skip
    assert [each["what"] for each in answers] == [each.what for each in found]
    assert {each.actor for each in found} == {door.account}
    assert ["answer" in each for each in answers] == [True] * 5 + [False] * 2
    assert [each["problem"][:16] for each in answers[5:]] == ["Nothing here has", "The history has "]


async def test_p4_nothing_leaves_before_its_record(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is sent once the question is registered, and shows the history before its own record."""
    steps: list[str] = []
    record = AccessLog.record

    async def recorded(log: AccessLog, question: Question) -> OnRecord:
        found = await record(log, question)
        steps.append("registered")
        return found

    def written(*arguments: Any) -> bytes:
        steps.append("answered")
        return json.dumps(arguments[1]).encode()

    monkeypatch.setattr(AccessLog, "record", recorded)
    monkeypatch.setattr(JSONResponse, "render", written)
    async with door.asked() as client:
        answer = (await client.post("/answers", json=inquiry(door, of_case(door)))).json()
    (case,) = answer["answer"]["replay"]["cases"]

    assert steps == ["registered", "answered"]
    assert max(row["number"] for row in case["history"]) < answer["number"]


@pytest.mark.parametrize("registrar", ["away", "refuses"])
async def test_p4_without_a_record_there_is_no_answer(door: Door, registrar: str) -> None:
    """Sabotage: the registrar is away, or refuses. The answer is a code, and no word of the history."""
    async with door.asked() as client:
        door.hall.away()
        if registrar == "refuses":
            door.hall.registrar = "refuses"
        for query in (of_case(door), {"kind": "reads", "case": "00000000"}):
            answer = await client.post("/answers", json=inquiry(door, query))
            code = "unanswered" if registrar == "away" else "wrong_state"
            assert (answer.status_code, answer.json()) == (503, {"code": code})


async def test_without_the_token_nothing_is_answered(door: Door) -> None:
    """The token is in a file that only the auditor's account can read."""
    async with door.asked("x") as client:
        assert (await client.post("/answers", json=inquiry(door, of_case(door)))).status_code == 401
    assert door.hall.sent == []


@pytest.mark.parametrize(
    "more",
    [
        {"actor": "999999"}, {"actor": "S-17"}, {"actor": None}, {"purpose": "curiosity"}, {"purpose": "case_work"},
        {"query": None}, {"query": []}, {"note": "x"}, {"query": {"kind": "replay", "type": "x" * 20_000}},
    ],
    ids=lambda more: str(more)[:40],
)  # fmt: skip
async def test_an_invalid_inquiry_is_refused_by_a_code(door: Door, more: dict[str, Any]) -> None:
    """Nobody whom the auditor does not know is answered; nothing of the inquiry is repeated."""
    async with door.asked() as client:
        answer = await client.post("/answers", json=inquiry(door, of_case(door)) | more)
    assert (answer.status_code, answer.json()) == (422, {"code": "not_a_question"})
    assert door.hall.sent == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"kind": "replay", "as_of": "canary"}, "--as-of wants a day"),
        ({"kind": "replay", "number": "canary"}, "--number wants"),
        ({"kind": "replay", "agency": "canary"}, "The directory never had an agency with this name"),
        ({"kind": "why", "event": "12", "as_of": "canary"}, "--as-of wants a day"),
        ({"kind": "canary"}, "The auditor cannot read these options"),
        ({"kind": "why"}, "The auditor cannot read these options"),
        ({"kind": "reads", "case": 12}, "The auditor cannot read these options"),
        ({"kind": "reads", "case": "0", "agency": "canary"}, "The directory never had an agency with this name"),
        ({"kind": "replay", "html": True, "as_of": "9999-12-31T23:59:59Z"}, "--as-of wants a day"),
        ({"kind": "what_if", "profile": "canary"}, "This release has no such profile"),
        ({"kind": "what_if", "profile": "own", "text": "canary: ["}, "The profile does not read at the auditor"),
    ],
    ids=str,
)
async def test_a_mistyped_query_is_refused_and_not_recorded(door: Door, query: dict[str, Any], words: str) -> None:
    """Nothing was looked up. The sentence says what is wanted, and repeats nothing of the query."""
    async with door.asked() as client:
        answer = await client.post("/answers", json=inquiry(door, query))
    assert (answer.status_code, answer.json()["code"]) == (422, "mistyped")
    assert words in answer.json()["sentence"]
    assert "canary" not in answer.text
    assert door.hall.sent == []


async def test_the_longest_profile_is_answered_in_any_script(door: Door) -> None:
    """Given a profile as long as one may be, with remarks in Russian, then the auditor answers what the command line sends."""
    draft = copied(REFER_IN_36_HOURS) + "# "
    draft += "я" * (MOST_CHARACTERS - len(draft))
    query = {"kind": "what_if", "profile": NAME, "text": draft}
    async with door.asked() as client:
        answer = await client.post("/answers", content=json.dumps(inquiry(door, query)).encode())

    assert answer.json()["answer"]["what_if"]["totals"]["clock_moved"] == 1


async def test_a_long_draft_is_answered_and_a_long_option_is_not(door: Door) -> None:
    """A profile of its own comes with the question, whatever its remarks; every other option has its bound."""
    draft = copied(REFER_IN_36_HOURS) + "# a remark\n" * questions.QUERY_LIMIT
    async with door.asked() as client:
        query = {"kind": "what_if", "profile": NAME, "text": draft}
        answer = await client.post("/answers", json=inquiry(door, query))
        too_long = await client.post("/answers", json=inquiry(door, query | {"case": "0" * questions.QUERY_LIMIT}))

    assert answer.json()["answer"]["what_if"]["totals"]["clock_moved"] == 1
    assert (too_long.status_code, too_long.json()) == (422, {"code": "not_a_question"})


async def test_of_a_history_that_does_not_verify_nothing_is_answered(door: Door) -> None:
    """Later registrations could never be seen, and the code says so."""
    query, altered = of_case(door), door.hall.written.records[60]
    door.hall.written.records[60] = type(altered)(altered.key, b"{}", altered.headers)
    async with door.asked() as client:
        answer = await client.post("/answers", json=inquiry(door, query))
    assert (answer.status_code, answer.json()) == (503, {"code": "not_verified"})
    assert door.hall.sent == []


async def test_a_long_answer_lets_others_have_their_turn(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The auditor goes on with its logs, and answers its health, while it makes an answer; the history stands still meanwhile."""
    turns: list[bool] = []
    sleep = asyncio.sleep

    async def slept(seconds: float) -> None:
        turns.append(door.hall.seen._turn.locked())
        await sleep(seconds)

    monkeypatch.setattr(questions, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(asyncio, "sleep", slept)
    async with door.asked() as client:
        answer = (await client.post("/answers", json=inquiry(door, {"kind": "replay", "html": True}))).json()

    assert "<html" in answer["answer"]["html"]
    assert len(turns) > 1
    assert turns[0]


async def test_an_answer_is_plain_json(door: Door) -> None:
    """A command off the record makes the same answer from the same history, byte for byte."""
    queries = ({"kind": "replay"}, {"kind": "why", "event": "12"}, {"kind": "reads", "case": door.hall.case})
    for query in queries:
        own = finished(find(read_query(query), door.hall.audited(), LATER).steps)
        async with door.asked() as client:
            answer = (await client.post("/answers", json=inquiry(door, query))).json()["answer"]
        assert answer == json.loads(json.dumps(own))
