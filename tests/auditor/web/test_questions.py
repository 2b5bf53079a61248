"""HTTP for the command line's questions: who may ask, and in which form."""

import errno
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from auditor.web.given import LATER, NO_CASE, Hall
from nrmbus.auditor.reports.holders import access_records
from nrmbus.auditor.web.access_log import Question
from nrmbus.auditor.web.names import OFF_THE_RECORD
from nrmbus.auditor.web.offline_log import OffTheRecord
from nrmbus.auditor.web.pages.answers import Opened
from nrmbus.auditor.web.questions import Questions
from nrmbus.bus.http_server import Listening

READ = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
"""Before `LATER`."""


class Door:
    """The auditor's door, above the history of the page's tests."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hall = Hall(home, monkeypatch)
        self.account = self.hall.users.account("root")
        self.unrecorded = OffTheRecord(self.hall.home)
        self.questions = Questions(self.hall, self.hall.users, self.unrecorded)
        self.listening = Listening(self.hall.home)
        self.app = Starlette(routes=self.questions.routes(self.listening))

    def open(self) -> None:
        """Answer."""
        hall = self.hall
        self.questions.open(
            Opened(
                hall,
                hall.access_log,
                hall.seen,
                type("C", (), {"now": lambda _: LATER})(),
                hall.written.directory,
                lambda _: [],
            )
        )

    @asynccontextmanager
    async def asked(self, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A client that has the token, or another."""
        headers = {"authorization": f"Bearer {self.listening.token if token is None else token}"}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield client

    def question(self, **more: Any) -> dict[str, Any]:
        """A question that is answered, but for *more*; what is None is left out."""
        body = {"actor": self.account, "purpose": "audit", "what": "case", "case": self.hall.case} | more
        return {name: each for name, each in body.items() if each is not None}


@pytest.fixture(name="shut")
def _shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    door = Door(tmp_path, monkeypatch)
    yield door
    door.listening.socket.close()


@pytest.fixture(name="door")
def _door(shut: Door) -> Door:
    shut.open()
    return shut


async def test_p4_a_question_is_registered_and_then_answered(door: Door) -> None:
    """A case, an event, evidence, and a search, which is about the auditor's own number."""
    hall = door.hall
    event = hall.event("referral.submitted")[8:44]
    async with door.asked() as client:
        begun = await client.get("/questions")
        answers = [
            await client.post("/questions", json=door.question(**each))
            for each in (
                {}, {"what": "event", "event": event}, {"what": "figures", "case": None}, {"what": "export", "purpose": "court"},
                {"what": "search", "case": None}, {"what": "event", "event": event, "case": None},
                {"what": "person_report", "purpose": "person_request"},
            )
        ]  # fmt: skip
    assert begun.json() == {"trouble": None}
    numbers = [answer.json()["number"] for answer in answers]
    entries = {each.registration.number: each for each in hall.audited().history.entries}
    found = access_records(entries[number] for number in numbers)
    assert [(each.what, each.purpose, each.event) for each in found] == [
        ("case", "audit", None), ("event", "audit", event), ("figures", "audit", None), ("export", "court", None), ("search", "audit", None),
        ("event", "audit", event), ("person_report", "person_request", None),
    ]  # fmt: skip
    assert {each.actor for each in found} == {door.account}
    assert [each.off_record for each in found] == [None] * 7
    about, own = [entries[number].registration.subject for number in numbers], hall.users.own_number()
    assert about == [hall.case] * 2 + [own, hall.case] + [own] * 2 + [hall.case]


async def test_without_the_token_nothing_is_asked(door: Door) -> None:
    """Neither with another one, nor with none at all."""
    async with door.asked("x") as client:
        for headers in ({}, {"authorization": ""}, {"authorization": door.listening.token}):
            answers = [await client.get("/questions", headers=headers)]
            answers.append(await client.post("/questions", json=door.question(), headers=headers))
            assert [each.status_code for each in answers] == [401, 401]
            assert [each.headers["www-authenticate"] for each in answers] == ["Bearer", "Bearer"]
    assert door.hall.sent == []


HOSTILE: list[dict[str, Any]] = [
    {"actor": "999999"}, {"actor": "S-17"}, {"actor": None}, {"actor": 482911}, {"actor": "482911\n"},
    {"purpose": "curiosity"}, {"purpose": "case_work"}, {"purpose": ["audit"]}, {"purpose": None},
    {"what": "letter"}, {"what": "figures"}, {"what": "person_report"}, {"what": None},
    {"what": "person_report", "purpose": "person_request", "case": None},
    {"case": None}, {"case": "5f0c"}, {"case": "Z" * 32}, {"case": "0" * 31 + "\n"}, {"what": "export", "case": None},
    {"what": "search"}, {"what": "event"}, {"what": "event", "event": "12"}, {"event": "1" * 36},
    {"what": "search", "case": None, "event": "01930000-0000-7000-8000-000000000000"}, {"parts": ["story"]},
    {"subject": "0" * 32}, {"note": "x" * 2000},
]  # fmt: skip


@pytest.mark.parametrize("more", HOSTILE, ids=str)
async def test_an_invalid_question_is_refused_by_a_code(door: Door, more: dict[str, Any]) -> None:
    """A word of no list, a field too many or too few, somebody whom nobody knows; nothing of it is repeated."""
    async with door.asked() as client:
        answer = await client.post("/questions", json=door.question(**more))
    assert (answer.status_code, answer.json()) == (422, {"code": "not_a_question"})
    assert door.hall.sent == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"\xff", b"{" * 900, b"[" * 1000, b'{"actor":NaN}', b"x" * 100_000],
    ids=lambda raw: repr(raw[:8]),
)
async def test_invalid_json_is_refused_by_the_same_code(door: Door, raw: bytes) -> None:
    """However deep or long it is."""
    async with door.asked() as client:
        answer = await client.post("/questions", content=raw)
    assert (answer.status_code, answer.json()) == (422, {"code": "not_a_question"})


async def test_an_unknown_case_or_event_gets_no_number(door: Door) -> None:
    """A case that there is not, and an event that is not of this case: else the door would make cases."""
    async with door.asked() as client:
        for more in ({"case": NO_CASE}, {"what": "event", "event": "01930000-0000-7000-8000-000000000000"}):
            answer = await client.post("/questions", json=door.question(**more))
            assert (answer.status_code, answer.json()) == (404, {"code": "not_found"})
    assert door.hall.sent == []


def held(door: Door, **more: Any) -> dict[str, Any]:
    """A hold that is placed, but for *more*."""
    body = {"actor": door.account, "case": door.hall.case, "reasons": ["inspection"], "until": "2026-12-31"} | more
    return {name: each for name, each in body.items() if each is not None}


async def test_a_hold_is_published_by_the_running_auditor(door: Door) -> None:
    """Under the number of who decides it; behind the same token as questions, and in turn with them."""
    hall = door.hall
    async with door.asked() as client:
        assert (await client.post("/questions", json=door.question())).status_code == 200
        answer = await client.post("/holds", json=held(door))
        assert (await client.post("/questions", json=door.question())).status_code == 200
    async with door.asked("x") as client:
        assert (await client.post("/holds", json=held(door))).status_code == 401
    entry = next(each for each in hall.audited().history.entries if each.registration.id == answer.json()["id"])
    assert entry.event is not None
    assert (entry.event.type, entry.event.source, entry.event.actor) == ("access.hold_placed", "auditor", door.account)
    assert (entry.registration.subject, entry.registration.number) == (hall.case, answer.json()["number"])
    assert len(hall.sent) == 3


@pytest.mark.parametrize(
    "more",
    [
        {"actor": "999999"}, {"actor": "cli"}, {"actor": None}, {"case": None}, {"case": "5f0c"}, {"reasons": []},
        {"reasons": ["curiosity"]}, {"reasons": "inspection"}, {"until": "2026-02-30"}, {"until": "for ever"},
        {"until": None}, {"what": "case"}, {"reasons": ["inspection"] * 9},
    ],
    ids=str,
)  # fmt: skip
async def test_an_invalid_hold_is_refused_by_a_code(door: Door, more: dict[str, Any]) -> None:
    """And nothing of it is repeated."""
    async with door.asked() as client:
        answer = await client.post("/holds", json=held(door, **more))
        assert (answer.status_code, answer.json()) == (422, {"code": "not_a_hold"})
        answer = await client.post("/holds", json=held(door, case=NO_CASE))
        assert (answer.status_code, answer.json()) == (404, {"code": "not_found"})
    assert door.hall.sent == []


async def test_a_removed_user_asks_no_more(door: Door) -> None:
    """By his number, from his removal on."""
    async with door.asked() as client:
        assert (await client.post("/questions", json=door.question(actor=door.hall.actor))).status_code == 200
        door.hall.users.remove("leyla")
        assert (await client.post("/questions", json=door.question(actor=door.hall.actor))).status_code == 422


async def test_p4_what_the_registrar_does_not_register_is_not_answered(door: Door) -> None:
    """Sabotage: it is away, or refuses; each by its code."""
    async with door.asked() as client:
        door.hall.away()
        answer = await client.post("/questions", json=door.question())
        assert (answer.status_code, answer.json()) == (503, {"code": "unanswered"})
        door.hall.back()  # with the patience of before
        door.hall.registrar = "refuses"
        answer = await client.post("/questions", json=door.question())
        assert (answer.status_code, answer.json()) == (503, {"code": "wrong_state"})


async def test_of_a_history_that_does_not_verify_nothing_is_put_on_record(door: Door) -> None:
    """Later registrations could never be seen, and the code says so."""
    question, altered = door.question(), door.hall.written.records[60]
    door.hall.written.records[60] = type(altered)(altered.key, b"{}", altered.headers)
    async with door.asked() as client:
        answer = await client.post("/questions", json=question)
    assert (answer.status_code, answer.json()) == (503, {"code": "not_verified"})
    assert door.hall.sent == []


async def test_the_place_where_the_auditor_stopped_is_answered(door: Door) -> None:
    """The door stays open: a person who looks for the alteration is told the place, and recorded."""
    door.hall.stopped_at = "gap at number 9 of partition 0"
    async with door.asked() as client:
        assert (await client.get("/questions")).json() == {"trouble": "gap at number 9 of partition 0"}
        assert (await client.post("/questions", json=door.question())).status_code == 200


async def test_before_it_is_open_it_answers_not_ready(shut: Door) -> None:
    """The command line waits a little, and asks again."""
    async with shut.asked() as client:
        assert (await client.get("/questions")).json() == {"code": "not_ready"}


# -- off the record ---------------------------------------------------------------------------------------------------


async def test_p4_what_was_read_off_the_record_is_put_there_afterwards(door: Door) -> None:
    """A reading off the record is recorded once, under the time of the reading; while the registrar is away it waits."""
    hall = door.hall
    question = Question(door.account, "incident", "case", hall.case)
    door.unrecorded.note(question, READ, "unreachable")
    hall.away()
    for _ in range(3):
        await door.questions.look()
    assert [each.question for each in door.unrecorded.left().readings] == [question]
    assert len(hall.sent) == 1  # however long he is away, he finds one of it

    hall.back()
    await hall.register(hall.sent[0])
    for _ in range(2):
        await door.questions.look()
    (found,) = [each for each in access_records(hall.audited().history.about(hall.case)) if each.purpose == "incident"]
    assert (found.actor, found.what, found.off_record, found.at) == (door.account, "case", READ, LATER)
    assert door.unrecorded.left().readings == ()


async def test_a_reading_recorded_twice_is_registered_once(door: Door) -> None:
    """The auditor was killed after the registration and before writing the result."""
    question = Question(door.account, "incident", "case", door.hall.case)
    door.unrecorded.note(question, READ, "unreachable")
    (line,) = door.unrecorded.left().readings
    first, again = [await door.hall.access_log.record(question, earlier=(line.id, READ)) for _ in range(2)]
    assert first == again


async def test_a_time_to_come_is_a_time_before(door: Door) -> None:
    """A stepped clock may stand long before the machine's: what is afterwards is told as afterwards all the same."""
    question = Question(door.account, "incident", "case", door.hall.case)
    door.unrecorded.note(question, datetime(2030, 1, 1, tzinfo=UTC), "unreachable")
    await door.questions.look()
    (found,) = [each for each in access_records(door.hall.audited().history.about(door.hall.case)) if each.off_record]
    assert found.off_record is not None
    assert found.off_record < LATER


async def test_a_refused_question_is_asked_once(door: Door) -> None:
    """The code is in the file, and the reading stays in the list of unrecorded ones."""
    door.unrecorded.note(Question(door.account, "incident", "case", door.hall.case), READ, "unreachable")
    door.hall.registrar = "refuses"
    await door.questions.look()
    left = door.unrecorded.left()
    assert (left.readings, [each.purpose for each in left.refused]) == ((), ["incident"])
    assert '"code":"wrong_state"' in (door.hall.home / OFF_THE_RECORD).read_text()


async def test_p4_a_reading_waits_while_the_history_does_not_verify(door: Door) -> None:
    """Given a record that turns out to be altered, when a reading is to be recorded, then nothing is published and the reading is not settled."""
    hall, altered = door.hall, door.hall.written.records[60]
    question = Question(door.account, "incident", "case", hall.case)
    door.unrecorded.note(question, READ, "not_verified")
    hall.written.records[60] = type(altered)(altered.key, b"{}", altered.headers)
    for _ in range(2):
        await door.questions.look()

    left = door.unrecorded.left()
    assert ([each.question for each in left.readings], left.refused, hall.sent) == ([question], (), [])


async def test_p4_a_reading_refused_after_the_wait_stays_in_the_list(door: Door) -> None:
    """The registrar answers after the auditor has stopped waiting, and refuses: the next look does not take it for recorded."""
    door.unrecorded.note(Question(door.account, "incident", "case", door.hall.case), READ, "unreachable")
    door.hall.away()
    await door.questions.look()
    door.hall.back()
    door.hall.registrar = "refuses"
    await door.hall.register(door.hall.sent[0])

    await door.questions.look()

    left = door.unrecorded.left()
    assert (left.readings, [each.purpose for each in left.refused]) == ((), ["incident"])
    assert [each for each in access_records(door.hall.audited().history.about(door.hall.case)) if each.off_record] == []


def test_p4_nothing_is_shown_if_the_disk_takes_half_a_line(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes what fits, without an error: the rest is written too, or the reading fails."""
    write = os.write
    room = [100, 0]

    def full(descriptor: int, raw: bytes) -> int:
        if not (left := room.pop(0)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, raw[:left])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        door.unrecorded.note(Question(door.account, "incident", "case", door.hall.case), READ, "unreachable")


async def test_a_file_of_another_user_ends_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator read off the record as root: the auditor cannot open the file, and looks again later."""
    door.unrecorded.note(Question(door.account, "incident", "case", door.hall.case), READ, "unreachable")

    def closed(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as foreign:
        foreign.setattr(Path, "read_bytes", closed)
        await door.questions.look()
    assert len(door.unrecorded.left().readings) == 1

    await door.questions.look()
    assert door.unrecorded.left().readings == ()


def test_a_line_that_somebody_else_wrote_is_counted(door: Door) -> None:
    """Half a line of a power cut, junk, a field of a letter: none of it stops the auditor, and none goes on record."""
    question = Question(door.account, "incident", "case", door.hall.case)
    path = door.hall.home / OFF_THE_RECORD
    path.write_bytes(b'{"kind":"read","id":"x"}\n\xff\n{"half')
    path.chmod(0o600)
    door.unrecorded.note(question, READ, "unreachable")
    left = door.unrecorded.left()
    assert ([each.question for each in left.readings], left.unreadable) == ([question], 3)
    assert json.loads(path.read_bytes().splitlines()[-1])["why"] == "unreachable"


def test_the_file_is_for_its_owner_only(door: Door) -> None:
    """Like all of the auditor's."""
    door.unrecorded.note(Question(door.account, "audit", "search", door.hall.users.own_number()), READ, "unanswered")
    assert (door.hall.home / OFF_THE_RECORD).stat().st_mode & 0o777 == 0o600
