"""The fake desk beyond the promises of every desk: what a test can make it do."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import CASE, ROLES
from client.given import LETTER, REFERRAL, SIGNAL
from desk.documented import operations
from desk.given import desk_of
from nrmbus.client import AsyncDesk, Pending, Received, Refused, Registered, RequestRefused, Unreachable, new_ref
from nrmbus.client.door import _SPEAKING
from nrmbus.client.fake_questions import TAKES
from nrmbus.client.testing import TOKEN, FakeDesk, Reading
from nrmbus.events.consent import ConsentWithdrawn
from nrmbus.events.document import DocumentShared
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmittedV2, ReferralSubmittedV3, ServiceAsked

OTHER = "cd" * 16
ID = "01930000-0000-7000-8000-000000000001"
NEWER = ReferralSubmittedV3(
    to=("ngo-a",), mode="referral", reason="LegalAid", urgency="normal",
    services=(ServiceAsked(code="legal", time_frame="24_hours"),),
)  # fmt: skip


async def heard(desk: AsyncDesk, *, opened: bool = False) -> list[Received[Data | None]]:
    """Everything in the inbox."""
    return [event async for event in desk.inbox(follow=False, opened=opened)]


async def test_a_test_says_what_is_refused_once() -> None:
    """Given one refusal, then the next event of the type is refused, and a second event is registered and kept."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    fake.refuse(type(REFERRAL), "consent_required", "Ask first.", rule="G-32", article="RULES.md#g-32")
    async with fake.desk() as desk:
        signal = await desk.publish(SIGNAL, actor="S-1", sealed=LETTER)
        refused, registered = [
            await desk.publish(REFERRAL, case=signal.case, ref=new_ref(), actor="S-1") for _ in range(2)
        ]

    assert isinstance(refused, Refused)
    assert (refused.code, refused.sentence, refused.rule, refused.article) == (
        "consent_required", "Ask first.", "G-32", "RULES.md#g-32",
    )  # fmt: skip
    assert isinstance(registered, Registered)
    assert [(each.id, each.data, each.letter) for each in fake.published] == [
        (signal.id, SIGNAL, LETTER),
        (registered.id, REFERRAL, None),
    ]


async def test_a_verdict_can_wait() -> None:
    """Given `pending`, then no verdict comes; after it, the same event has one, and is published once."""
    fake = FakeDesk()
    fake.pending = True
    async with fake.desk() as desk:
        said = await desk.publish(SIGNAL, actor="S-1")
        assert isinstance(said, Pending)
        assert fake.published == []
        fake.pending = False
        assert isinstance(await desk.verdict(said.id), Registered)
        assert isinstance(await desk.verdict(said.id), Registered)
    assert len(fake.published) == 1


async def test_a_verdict_is_that_of_every_receiver() -> None:
    """Given a withdrawal for two agencies that waits, then the verdict that is asked for later has the state of each."""
    fake = FakeDesk()
    fake.pending = True
    withdrawn = {
        "type": "consent.withdrawn",
        "data": {"purposes": ["services"], "receivers": ["special-unit", "shelter"]},
    }
    async with fake.desk() as desk:
        said = await desk.publish(withdrawn, case=CASE, actor="S-1")
        assert len((await desk.verdict(said.id)).answer["events"]) == 2
        fake.pending = False
        fake.refuse(ConsentWithdrawn, "not_open", "No consent stands.")
        verdict = await desk.verdict(said.id)

    assert isinstance(verdict, Refused)
    states = [(each["receivers"], each["verdict"]) for each in verdict.answer["events"]]
    assert sorted(states, key=str) == [(list(verdict.registered_for), "registered"), (["special-unit"], "refused")]


def test_the_fake_takes_the_parameters_of_the_document() -> None:
    """Given the routes of the fake, then each takes those of the real door, and the SDK sends `speaks` where it is taken."""
    real = {
        f"{method.upper()} {path}": {each["name"] for each in asked.get("parameters", ()) if each["in"] == "query"}
        for path, method, asked in operations()
    }

    assert {route: set(names) for route, names in TAKES.items()} == {route: real[route] for route in TAKES}
    assert {route for route, names in real.items() if "speaks" in names} == {
        route for route in real if _SPEAKING.fullmatch(route.partition(" ")[2])
    }


async def test_the_fake_takes_the_methods_of_a_desk(tmp_path: Path) -> None:
    """Given any method at an address of the fake, then the fake refuses as a desk does, with the same code.

    A foreign token is refused too.
    """
    paths = sorted({re.sub("{[a-z]+}", "0", route.partition(" ")[2]) for route in TAKES})
    fake, said = FakeDesk("special-unit"), list[list[Any]]()
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        for path in [*paths, "/v1/nothing"]:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                if (method, path) != ("GET", "/v1/inbox/stream"):
                    answers = [await http.request(method, path) for http in (real.door, desk.door._http)]
                    assert len({each.status_code == 405 for each in answers}) == 1, f"{method} {path}"
                    said += [[each.json()["code"] for each in answers if each.is_error]]
                    assert len({each.headers.get("allow") for each in answers}) == 1, f"{method} {path}"
        foreign = {"authorization": "Bearer another"}
        for method in ("GET", "PUT"):
            answers = [
                await http.request(method, "/v1/tasks?x=1", headers=foreign) for http in (real.door, desk.door._http)
            ]
            said += [[each.json()["code"] for each in answers]]

    assert all(codes in ([], codes[:1] * 2) for codes in said)
    assert {code for codes in said for code in codes} >= {
        "method_not_allowed",
        "not_found",
        "token_required",
        "unknown_field",
    }


async def test_lists_that_a_test_fills_come_in_pages_and_are_selected_from() -> None:
    """Given tasks and referrals of a test, then a page leads on by its last row, and only what is asked for comes."""
    fake = FakeDesk()
    fake.tasks = [{"task": number, "kind": "read" if number % 2 else "refused", "case": CASE} for number in (1, 2, 3)]
    fake.referrals = [
        {"row": 4, "case": CASE, "receivers": [{"agency": "vac", "state": "declined"}]},
        {"row": 9, "case": OTHER},
    ]
    async with fake.desk() as desk:
        first = await desk.door.get("/v1/tasks", limit="2")
        assert [each["task"] for each in first["tasks"]] == [1, 2]
        assert await desk.door.get("/v1/tasks", limit="2", after=str(first["next"])) == {
            "tasks": fake.tasks[2:],
            "next": None,
        }
        assert (await desk.door.get("/v1/tasks", kind="read", case=CASE))["tasks"] == fake.tasks[::2]
        assert (await desk.door.get("/v1/tasks", task="2"))["tasks"] == fake.tasks[1:2]
        assert await desk.referrals(state="declined") == fake.referrals[:1]
        assert await desk.referrals(case=OTHER) == fake.referrals[1:]
        assert await desk.tasks() == fake.tasks


async def test_a_desk_can_be_away() -> None:
    """Given a desk that nobody reaches, then the error says that another attempt can help."""
    fake = FakeDesk()
    fake.away = True
    async with fake.desk(patience=0) as desk:
        with pytest.raises(Unreachable) as raised:
            await desk.publish(SIGNAL, actor="S-1")
    assert raised.value.retryable


async def test_events_are_cast_to_the_version_that_the_program_speaks() -> None:
    """Given an event of version 3, then a program of version 2 gets version 2; another gets version 1 with losses."""
    fake = FakeDesk("ngo-a")
    fake.receive(NEWER, ref=new_ref())
    async with fake.desk(speaks=[ReferralSubmittedV2]) as desk:
        (second,) = await heard(desk)
    async with fake.desk() as desk:
        (first,) = await heard(desk)

    assert isinstance(second.data, ReferralSubmittedV2)
    assert type(first.data) is type(REFERRAL)
    assert (first.published, first.row["lost"]) == (3, [{"version": 2, "pointer": "/data/services/0/time_frame"}])


async def test_each_opened_letter_is_a_reading() -> None:
    """Given a reader in the settings, then a program opens letters without a name, and the fake lists the readings."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    id = fake.receive(SIGNAL, source="ngo-a", sealed=LETTER)
    fake.receive(SIGNAL, source="ngo-a")
    fake.reader = "SYS-1"
    async with fake.desk() as desk:
        await heard(desk)
        assert fake.readings == []
        opened, without = await heard(desk, opened=True)

    assert (opened.letter, without.letter) == (LETTER, None)
    assert fake.readings == [Reading(actor="SYS-1", event=id, parts=("coded", "story"))]


async def test_a_lost_ledger_numbers_rows_again() -> None:
    """Given a program behind a row, when the ledger is replaced, then the program is told and hears every event again."""
    fake, told = FakeDesk(), list[str]()
    fake.receive(SIGNAL, source="special-unit")
    async with fake.desk() as desk:
        (event,) = await heard(desk)
        fake.lose_ledger()
        inbox = desk.inbox(after=event.cursor, follow=False, waiting=lambda error: told.append(error.code))
        assert [each.id async for each in inbox] == [event.id]
    assert told == ["inbox_restarted"]


async def test_a_row_of_a_lost_ledger_becomes_no_cursor() -> None:
    """Given a replaced ledger of the same length, when a program keeps a row of the former one, the row is refused."""
    fake = FakeDesk()
    fake.receive(SIGNAL, source="special-unit")
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=fake, base_url="http://desk", headers=headers) as door:
        ledger = (await door.get("/v1/inbox")).json()["ledger"]
        row = {"after": 1, "ledger": ledger}
        assert (await door.put("/v1/cursors/booking", params=row)).json()["after"] == 1
        fake.lose_ledger()
        again = await door.put("/v1/cursors/booking", params=row)

        assert (again.status_code, again.json()["code"]) == (409, "inbox_restarted")
        assert (await door.get("/v1/cursors/booking")).status_code == 404


async def test_a_program_that_follows_keeps_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a program that follows, then one request brings all events. After a lost ledger a second begins again."""
    fake, paths, told = FakeDesk(), list[str](), list[str]()
    answer = fake.handle_async_request

    async def counted(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return await answer(request)

    monkeypatch.setattr(fake, "handle_async_request", counted)
    async with fake.desk() as desk:
        ids, inbox = [], desk.inbox(waiting=lambda error: told.append(error.code))
        for _ in range(3):
            ids.append(fake.receive(SIGNAL, source="special-unit"))
            assert (await anext(inbox)).id == ids[-1]
        assert paths == ["/v1/inbox/stream"]
        fake.lose_ledger()
        assert [(await anext(inbox)).id for _ in ids] == ids
        await inbox.aclose()
    assert set(paths) == {"/v1/inbox/stream"}
    assert told == ["inbox_restarted"]


DATA = SIGNAL.to_mapping()
REFER = REFERRAL.to_mapping()
GIVEN = {
    "purposes": ["services"], "receivers": ["ngo-a", "vac"], "given_by": "individual", "form": "written",
}  # fmt: skip
ALIKE: dict[str, tuple[Any, ...]] = {
    "no JSON": (b"{",),
    "a member twice": (b'{"type": "x", "type": "y"}',),
    "a list": (b"[]",),
    "too large": (b'{"type": "' + b"x" * 600_000 + b'"}',),
    "nothing": (b"{}",),
    "null": ({"case": None},),
    "an unknown member": ({"Leyla": 1},),
    "a wrong id": ({"id": "1"},),
    "an id of the desk's own": ({"id": "01930000-0000-8000-8000-000000000001"},),
    "a name as staff number": ({"actor": "Leyla"},),
    "a telephone number as a basis": ({"legal_basis": "call 012 345 67 89"},),
    "two times": ({"time": "2026-03-02T05:00:00Z", "occurred": "2026-03-02T05:00:00Z"},),
    "no case": ({"type": "referral.submitted", "data": REFER},),
    "data that do not fit": ({"data": {**DATA, "urgncy": 1, "urgency": "now"}},),
    "a letter that does not fit": ({"sealed": {"age": 3, "sex": "F"}},),
    "a letter where there is none": ({"type": "referral.accepted", "case": CASE, "data": {}, "sealed": {}},),
    "a technical type": ({"type": "letter.opened", "case": CASE},),
    "an unknown type": ({"type": "case.imagined"},),
    "an unknown version": ({"version": 9},),
    "an unknown receiver": ({"type": "referral.submitted", "case": CASE, "data": {**REFER, "to": ["ngo-b"]}},),
    "an unknown receiver beside the data": (
        {
            "type": "referral.submitted",
            "case": CASE,
            "to": ["vac", "x-y"],
            "data": {name: value for name, value in REFER.items() if name != "to"},
        },
    ),
    "an unknown second receiver of a consent": (
        {"type": "consent.given", "case": CASE, "data": {**GIVEN, "receivers": ["vac", "x-y"]}},
    ),
    "a receiver twice": ({"type": "consent.given", "case": CASE, "data": {**GIVEN, "receivers": ["vac", "vac"]}},),
    "a signal": ({},),
    "the same id": ({"id": ID}, {"id": ID}),
    "the same id in the case": ({"id": ID}, {"id": ID, "case": CASE}),
    "another event under the id": ({"id": ID}, {"id": ID, "actor": "S-2"}),
    "a consent for two": ({"type": "consent.given", "case": CASE, "data": GIVEN},),
}


def told(answer: httpx.Response) -> dict[str, Any]:
    """Return every part of an answer that is not random."""
    body = answer.json()
    kept = {
        name: body[name]
        for name in ("code", "event", "title", "detail", "problems", "accepts", "verdict", "type")
        if name in body
    }
    return {"status": answer.status_code, "members": sorted(body), "events": len(body.get("events", ())), **kept}


@pytest.mark.thorough
@pytest.mark.parametrize("bodies", ALIKE.values(), ids=ALIKE)
async def test_the_fake_refuses_what_a_desk_refuses(bodies: tuple[Any, ...], tmp_path: Path) -> None:
    """Given any request, then the fake answers with status, code, places and hints of a real desk."""
    fake = FakeDesk("special-unit", agencies=ROLES)
    fake.pending = True  # in this test nobody registers what the real desk sends
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        for each in bodies:
            base = {"type": SIGNAL.type, "actor": "S-1", "data": DATA}
            raw = each if isinstance(each, bytes) else json.dumps({**base, **each}).encode()
            there, here = [await http.post("/v1/events", content=raw) for http in (real.door, desk.door._http)]

            assert told(here) == told(there)


BASE = {"type": SIGNAL.type, "actor": "S-1", "data": DATA}
DISMISSED = {"type": "case.signal_dismissed", "actor": "S-1", "data": {"reason": "no_indicator"}}
BULLETIN = {"type": "provider.capacity_changed", "actor": "S-1", "data": {"support": "none"}}
BATCHES: dict[str, Any] = {
    "no list": {"events": {}},
    "another member": {"events": [BASE], "Leyla": 1},
    "none": {"events": []},
    "no object": {"events": [1]},
    "too many": {"events": [BASE] * 5000},
    "no case to follow": {"events": [DISMISSED]},
    "a fault in the second": {"events": [BASE, {**DISMISSED, "data": {"reason": "Leyla"}}]},
    "an unknown receiver in the third": {"events": [BASE, DISMISSED, {**BASE, "type": "referral.submitted", "data": {**REFER, "to": ["x-y"]}}]},
    "after an event about no case": {"events": [BASE, BULLETIN, DISMISSED]},
    "no case before but a bulletin": {"events": [BULLETIN, DISMISSED]},
    "a type that is no text": {"events": [BASE, {"type": ["x"], "actor": "S-1"}]},
    "one after the other": {"events": [{**BASE, "id": ID}, DISMISSED, BASE]},
    "one id for two": {"events": [{**BASE, "id": ID}, {**BASE, "id": ID, "actor": "S-2"}]},
}  # fmt: skip


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_the_fake_refuses_a_batch_as_a_desk_does(batch: Any, tmp_path: Path) -> None:
    """Given several events in one request, then the fake answers with code, number and places of a real desk."""
    fake = FakeDesk("special-unit", agencies=ROLES)
    fake.pending = True
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        there, here = [await http.post("/v1/batches", json=batch) for http in (real.door, desk.door._http)]

    assert told(here) == told(there)
    alike = []
    for answer in (here, there):
        cases = [each["case"] for each in answer.json().get("published", ())]
        alike.append([cases.index(case) for case in cases])
    assert alike[0] == alike[1]


QUESTIONS: dict[str, str] = {
    "a name as reader": "/v1/inbox?open=true&actor=Leyla%20Example",
    "an unknown purpose": "/v1/inbox?open=true&actor=S-1&purpose=curiosity",
    "no type": "/v1/inbox?type=Referral%20Submitted",
    "no case": "/v1/inbox?case=CASE-1",
    "no referral": "/v1/referrals?ref=R-1",
    "no source": "/v1/inbox?source=NGO%20A",
    "no ledger": "/v1/inbox?ledger=1",
    "a case for tasks": "/v1/tasks?case=CASE-1",
    "a name as reader of a document": f"/v1/documents/{ID}?actor=Leyla%20Example",
    "no version that a program speaks": "/v1/inbox?speaks=referral.submitted",
    "no version in a stream": "/v1/inbox/stream?speaks=referral.submitted:two",
    "no type that a program speaks": f"/v1/inbox?speaks=Referral:2&speaks=referral.submitted:0&speaks={SIGNAL.type}:1",
    "too many versions": f"/v1/inbox?{'&'.join(['speaks=referral.submitted:1'] * 257)}",
    "no number of a task": "/v1/tasks?task=0",
    "a task by a name": "/v1/tasks?task=first",
    "nothing wrong with a task": "/v1/tasks?task=1",
    "a long kind of tasks": f"/v1/tasks?kind={'x' * 65}",
    "no state of a referral": "/v1/referrals?state=open",
    "no direction of a referral": "/v1/referrals?direction=both",
    "no case as cursor": f"/v1/cases?after={'0' * 33}",
    "nothing wrong with tasks": f"/v1/tasks?kind={'x' * 64}",
    "nothing wrong with referrals": "/v1/referrals?state=revoked&direction=sent",
    "nothing wrong": f"/v1/inbox?type={SIGNAL.type}&case={CASE}&source=ngo-a&purpose=audit",
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_the_fake_refuses_a_question_as_a_desk_does(question: str, tmp_path: Path) -> None:
    """Given a question whose reader, purpose or filter has another form, then the fake answers with code and places of a real desk."""
    async with desk_of("special-unit", tmp_path) as real, FakeDesk("special-unit").desk() as desk:
        there, here = [await http.get(question) for http in (real.door, desk.door._http)]

    assert (here.status_code, here.json().get("code"), here.json().get("problems")) == (
        there.status_code,
        there.json().get("code"),
        there.json().get("problems"),
    )


@pytest.mark.parametrize("actor", ["leyla", "by-itself"])
async def test_a_letter_is_opened_to_a_persons_number_alone(actor: str) -> None:
    """Given a reader without a digit, then the fake opens nothing and lists no reading, as a desk does."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    fake.receive(SIGNAL, source="ngo-a", sealed=LETTER)
    async with fake.desk() as desk:
        with pytest.raises(RequestRefused) as raised:
            _ = [event async for event in desk.inbox(follow=False, opened=True, actor=actor)]

    assert [each.pointer for each in raised.value.problems] == ["?actor"]
    assert fake.readings == []


async def test_an_id_may_come_in_the_header(tmp_path: Path) -> None:
    """Given an `Idempotency-Key`, then the same request again is the same event, another one is refused, and so is no id."""
    fake, event = (
        FakeDesk("special-unit", agencies=ROLES),
        {"type": SIGNAL.type, "actor": "S-1", "data": DATA, "case": CASE},
    )
    fake.pending = True
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        for key, more in ((f'"{ID}"', {}), (ID, {}), (ID, {"actor": "S-2"}), ("Leyla", {})):
            there, here = [
                await http.post("/v1/events", json={**event, **more}, headers={"idempotency-key": key})
                for http in (real.door, desk.door._http)
            ]
            assert told(here) == told(there)
            assert here.json().get("id") == there.json().get("id")


async def uploaded(http: httpx.AsyncClient) -> dict[str, Any]:
    """Upload a text; return the event that announces it."""
    upload = (await http.post(f"/v1/documents?case={CASE}", content=b"an invented text")).json()
    return {
        "type": "document.shared", "case": CASE, "to": ["vac"], "actor": "S-1", "document": upload["document"],
        "data": {"document_type": "medical_report", "chunks": upload["chunks"]},
        "sealed": {"health_file": {"name": "a.txt", **upload["file"]}},
    }  # fmt: skip


async def test_an_upload_is_announced_once(tmp_path: Path) -> None:
    """Given an upload, when a second event announces it, then the upload is unknown, at the fake as at a desk."""
    fake = FakeDesk("special-unit", agencies=ROLES)
    fake.pending = True
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        for http in (real.door, desk.door._http):
            announced = await uploaded(http)
            first, second = [told(await http.post("/v1/events", json=announced)) for _ in range(2)]

            assert (first["verdict"], second["code"]) == ("pending", "document_unknown")


async def test_an_upload_of_a_refused_announcement_is_announced_again() -> None:
    """Given an announcement that is refused, then another event may announce the same upload."""
    fake = FakeDesk("special-unit", agencies=ROLES)
    fake.refuse(DocumentShared, "consent_required", "Ask first.")
    async with fake.desk() as desk:
        announced = await uploaded(desk.door._http)
        answers = [(await desk.door._http.post("/v1/events", json=announced)).json() for _ in range(2)]

    assert [each["verdict"] for each in answers] == ["refused", "registered"]


async def test_an_id_without_a_case_is_known_in_its_case(tmp_path: Path) -> None:
    """Given an event that began a case, when the event comes again with its new case, then it is the same event."""
    fake = FakeDesk("special-unit", agencies=ROLES)
    async with desk_of("special-unit", tmp_path) as real, fake.desk() as desk:
        for http in (real.door, desk.door._http):
            event = {"type": SIGNAL.type, "actor": "S-1", "data": DATA, "id": ID}
            first = (await http.post("/v1/events", json=event)).json()
            again = await http.post("/v1/events", json={**event, "case": first["case"]})
            other = await http.post("/v1/events", json={**event, "case": OTHER})

            assert (again.json()["id"], again.json()["case"]) == (ID, first["case"])
            assert other.json()["code"] == "id_reused"
