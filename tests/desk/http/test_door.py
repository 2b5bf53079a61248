"""The door takes plain JSON, says what is wrong without repeating it, and lets nobody in without the token."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agencies import CASE, SIGNAL, town
from desk.given import BED, CANARY, REF, TOKEN, Given, StandingClock, desk_of
from nrmbus.desk.errors import DeskError, problem
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http import views
from nrmbus.desk.state.context import Seat
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record
from patience import eventually

EVENT: dict[str, Any] = {"type": "case.signal_recorded", "case": CASE, "actor": "S-1", "data": SIGNAL}
CONSENT = {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual", "form": "written"}


def bent(**more: Any) -> bytes:
    """Return a good event with a fault, as bytes."""
    return json.dumps(EVENT | more).encode()


BAD: dict[str, tuple[bytes, int, str]] = {
    "not JSON": (f'{{"type": {CANARY}'.encode(), 400, "json_invalid"),
    "not an object": (json.dumps([CANARY]).encode(), 400, "json_invalid"),
    "not UTF-8": (b'{"type": "\xff' + CANARY.encode() + b'"}', 400, "json_invalid"),
    "with a BOM": (b"\xef\xbb\xbf" + bent(), 400, "json_invalid"),
    "a float": (bent(x=1.5), 400, "json_invalid"),
    "a null": (bent(ref=None), 400, "json_invalid"),
    "too deep": (b'{"data":' + b"[" * 40 + b"]" * 40 + b"}", 400, "json_invalid"),
    "a member twice": (f'{{"type": "{CANARY}", "type": "x"}}'.encode(), 400, "json_duplicate"),
    "a member of the data twice": (b'{"data": {"a": 1, "a": 2}}', 400, "json_duplicate"),
    "an unknown member": (bent(**{CANARY: "x"}), 422, "unknown_field"),
    "an unknown type": (bent(type=CANARY), 422, "unknown_type"),
    "a type that only desks say": (bent(type="letter.opened", data={}), 422, "unknown_type"),
    "an unknown version": (bent(version=99), 422, "unknown_version"),
    "an unknown field of the data": (bent(data=SIGNAL | {CANARY: 1}), 422, "unknown_field"),
    "a value that the field may not have": (bent(data=SIGNAL | {"urgency": CANARY}), 422, "unknown_field"),
    "an unknown field of the letter": (bent(sealed={CANARY: CANARY}), 422, "unknown_field"),
    "a letter where the type has none": (
        bent(type="consent.given", data=CONSENT, sealed={"notes": CANARY}), 422, "unknown_field",
    ),
    "recipients where the type has none": (bent(to=["vac"]), 422, "unknown_field"),
    "recipients in two places": (bent(type="shelter.bed_requested", data=BED, to=["vac"]), 422, "unknown_field"),
    "a case that is none": (bent(case=CANARY), 422, "unknown_field"),
    "no case for a type that begins none": (
        json.dumps({"type": "consent.given", "actor": "S-1", "data": CONSENT}).encode(), 422, "unknown_field",
    ),
    "an actor with a name": (bent(actor=CANARY), 422, "unknown_field"),
    "an actor with a first name alone": (bent(actor="CANARY-Alina"), 422, "unknown_field"),
    "the desk as an actor": (bent(actor="by-itself"), 422, "unknown_field"),
    "the desk as the second one": (bent(approver="desk"), 422, "unknown_field"),
    "a name as a legal basis": (bent(legal_basis="CANARY-Alina Example"), 422, "unknown_field"),
    "a telephone number as a legal basis": (bent(legal_basis="CANARY-call 050 123 45 67"), 422, "unknown_field"),
    "no actor": (json.dumps({name: EVENT[name] for name in ("type", "case", "data")}).encode(), 422, "unknown_field"),
    "two times": (bent(time="2026-03-02T05:00:00Z", occurred="2026-03-02T05:00:00Z"), 422, "unknown_field"),
    "a time with an offset": (bent(time="2026-03-02T05:00:00+04:00"), 422, "unknown_field"),
    "an id that is none": (bent(id=CANARY), 422, "unknown_field"),
    "a legal basis that no header may hold": (bent(legal_basis="§ 5 " + CANARY), 422, "unknown_field"),
    "a legal basis in the data that no header may hold": (bent(data=SIGNAL | {"legal_basis": "\u0259" + CANARY}), 422, "unknown_field"),
    "two legal bases": (bent(legal_basis="a", data=SIGNAL | {"legal_basis": CANARY}), 422, "unknown_field"),
    "too large": (b'{"x": "' + CANARY.encode() * 20_000 + b'"}', 413, "too_large"),
    "a part of the letter that is too large": (bent(sealed={"notes": CANARY * 1_000}), 422, "unknown_field"),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("what", BAD)
async def test_bad_input_gets_a_code_and_a_sentence_and_never_itself(what: str, tmp_path: Path) -> None:
    """Bad input gets its status, code and RFC 9457 problem; the answer repeats nothing, and nothing is stored."""
    body, status, code = BAD[what]
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/events", content=body)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert len({"", answer.json()["title"], answer.json()["detail"]}) == 3, "the kind, and this occurrence"
        assert answer.json()["sentence"].startswith(answer.json()["title"].removesuffix("."))
        assert "CANARY" not in answer.text
        assert await here.rows("outbox") == []


async def test_a_body_without_an_end_is_cut_off(tmp_path: Path) -> None:
    """A body without a declared length is read up to the limit and no further."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 65_536
            yield b"x" * 65_536

    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/events", content=endless())

        assert answer.json()["code"] == "too_large"
        assert taken <= event_request.BODY_LIMIT + 2 * 65_536


@pytest.mark.thorough
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/inbox", "/v1/events", "/openapi.json", "/nowhere"])
async def test_without_the_token_every_door_is_shut(headers: dict[str, str], path: str, tmp_path: Path) -> None:
    """A caller without the token learns only that one is required, even of the health page and unknown paths."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get(path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "token_required")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
async def test_the_scheme_of_the_token_is_written_in_any_case(header: str, tmp_path: Path) -> None:
    """Libraries write `bearer` too, and HTTP reads both alike (RFC 9110, section 11.1)."""
    async with desk_of("ngo-a", tmp_path) as here:
        assert (await here.door.get("/health", headers={"authorization": header})).status_code == 200


async def test_a_method_that_is_not_there_is_told_which_are(tmp_path: Path) -> None:
    """`Allow` names the methods of the address, as HTTP demands of a 405."""
    async with desk_of("ngo-a", tmp_path) as here:
        assert (await here.door.delete("/v1/events")).headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/reads"])
async def test_the_ends_of_the_calendar_are_times_like_others(path: str, tmp_path: Path) -> None:
    """Given a time that UTC cannot write, since its zone moves it out of the calendar, then the answer is a page."""
    async with desk_of("ngo-a", tmp_path) as here:
        ends = {"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-12:00"}
        assert (await here.door.get(path, params=ends)).status_code == 200


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", "Bearer a-token-to-read"], ids=["of the machine", "of a system"])
async def test_no_cache_keeps_an_answer(header: str, tmp_path: Path) -> None:
    """P9: An answer may have an opened letter: neither a proxy nor a browser stores it, nor a refusal; the public page may be kept."""
    async with desk_of("vac", tmp_path) as given:
        for path in ("/v1/inbox", "/v1/cases", "/v1/nowhere", "/v1/inbox?limit=x"):
            answer = await given.door.get(path, headers={"authorization": header})
            assert answer.headers["cache-control"] == "no-store"
        visited = await given.door.get("/docs", headers={"authorization": ""})

    assert "cache-control" not in visited.headers


async def test_two_tokens_are_none(tmp_path: Path) -> None:
    """A request with two authorization headers is refused, even if one of them is right."""
    async with desk_of("ngo-a", tmp_path) as here:
        request = here.door.build_request("GET", "/health")
        request.headers = type(request.headers)([(b"authorization", f"Bearer {TOKEN}".encode())] * 2)

        assert (await here.door.send(request)).status_code == 401


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/events/none-of-ours", 404, "not_found"),
        ("POST", "/v1/events/none-of-ours/again", 404, "not_found"),
        ("GET", f"/v1/cases/{'0' * 32}", 404, "not_found"),
        ("GET", f"/v1/cases/{'0' * 32}/timeline", 404, "not_found"),
        ("GET", f"/v1/cases/{'0' * 32}/reads", 404, "not_found"),
        ("GET", f"/nowhere/{CANARY}", 404, "not_found"),
        ("GET", "/v1/inbox/", 404, "not_found"),
        ("POST", "/v1/events/", 404, "not_found"),
        ("DELETE", "/v1/events", 405, "method_not_allowed"),
        ("GET", f"/v1/inbox?after={CANARY}", 422, "unknown_field"),
        ("GET", f"/v1/inbox?case={CANARY}", 422, "unknown_field"),
        ("GET", "/v1/inbox?limit=100000", 422, "unknown_field"),
        ("POST", "/v1/events?wait=nan", 422, "unknown_field"),
        ("POST", "/v1/tasks/7/done", 404, "not_found"),
        ("POST", f"/v1/tasks/{CANARY}/done", 422, "unknown_field"),
        ("POST", f"/v1/cases/{CASE}/release", 409, "not_parked"),
    ],
)
async def test_a_question_that_has_no_answer_is_told_so(
    method: str, path: str, status: int, code: str, tmp_path: Path
) -> None:
    """The answer does not repeat addresses and parameters."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.request(method, path)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "CANARY" not in answer.text


async def test_an_error_of_ours_shows_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the desk is a 503 with a sentence, never its text."""

    def mistaken(*_: Any, **__: Any) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr(views.Shown, "position", mistaken)
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.get("/health")

        assert (answer.status_code, answer.json()["code"]) == (503, "not_available")
        assert "CANARY" not in answer.text


async def soon(here: Given) -> list[Record]:
    """Return the records that the relay sends after the pending request is accepted."""
    sent: list[Record] = []

    async def some() -> list[Record]:
        sent.extend(await here.out())
        return sent

    await eventually("something is sent", some)
    return sent


async def test_who_waits_gets_the_verdict_when_it_comes(tmp_path: Path) -> None:
    """The door answers with the registrar's verdict, number and receipt."""
    async with desk_of("ngo-a", tmp_path) as here:
        waiting = asyncio.create_task(here.door.post("/v1/events", json=EVENT, params={"wait": 20}))
        (sent,) = await soon(here)
        await here.hear(here.registrar.register(sent, to="ngo-a"))
        answer = await waiting

        assert answer.status_code == 200
        assert (answer.json()["verdict"], answer.json()["number"]) == ("registered", 1)
        (row,) = await here.rows("outbox")
        assert answer.json()["receipt"] == row.receipt


async def test_who_does_not_wait_long_enough_is_told_that_it_is_pending(tmp_path: Path) -> None:
    """The answer is 202, with the id for a later request."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/events", json=EVENT, params={"wait": 0.05})

        assert (answer.status_code, answer.json()["verdict"]) == (202, "pending")
        later = (await here.door.get(f"/v1/events/{answer.json()['id']}")).json()
        assert (later["state"], later["verdict"]) == ("waiting", "pending")


async def test_the_state_of_a_request_with_several_receivers_is_that_of_all(tmp_path: Path) -> None:
    """Given a consent for two agencies, then its id has no verdict until both have one, and a refusal of one is its verdict."""
    async with desk_of("ngo-a", tmp_path) as here:
        many = {"type": "consent.given", "case": CASE, "actor": "S-1", "data": CONSENT | {"receivers": ["vac", "fund"]}}
        asked = (await here.door.post("/v1/events", json=many)).json()
        address = f"/v1/events/{asked['id']}"
        (first,) = await soon(here)
        await here.hear(here.registrar.register(first, to="ngo-a"))
        (second,) = await soon(here)
        half = (await here.door.get(address)).json()
        await here.hear(here.registrar.refuse(second, "not_open", "G-51"))
        whole = (await here.door.get(address)).json()
        other = (await here.door.get(f"/v1/events/{decode(second).id}")).json()

    assert asked["id"] == decode(first).id
    assert [(each["id"], each["verdict"]) for each in (half, whole)] == [
        (asked["id"], "pending"),
        (asked["id"], "refused"),
    ]
    assert [each["verdict"] for each in whole["events"]] == ["registered", "refused"]
    assert whole["code"] == "not_open"
    assert other == whole["events"][1]


async def test_the_same_request_twice_is_one_event(tmp_path: Path) -> None:
    """A system may repeat a request with its own id after a cut connection; different content under that id is refused."""
    async with desk_of("ngo-a", tmp_path) as here:
        id = "01890000-0000-7000-8000-000000000001"
        many = {"type": "consent.given", "data": CONSENT | {"receivers": ["vac", "fund"]}}
        first = await here.ask(**many, id=id)
        again = await here.ask(**many, id=id)
        other = await here.door.post("/v1/events", json=EVENT | {"id": id})

        assert again == first
        assert len(await here.rows("outbox")) == 2
        assert (other.status_code, other.json()["code"]) == (409, "id_reused")


async def test_a_signal_without_a_case_begins_one(tmp_path: Path) -> None:
    """The desk gives the reference: 128 random bits, derived from nothing."""
    async with desk_of("ngo-a", tmp_path) as here:
        answers = [
            (await here.door.post("/v1/events", json={key: EVENT[key] for key in ("type", "actor", "data")})).json()
            for _ in range(2)
        ]

        assert len({answer["case"] for answer in answers}) == 2
        assert all(len(answer["case"]) == 32 for answer in answers)


async def test_an_incident_is_keyed_by_itself(tmp_path: Path) -> None:
    """An incident is no case: its reference is the event's subject."""
    async with desk_of("ngo-a", tmp_path) as here:
        body = {
            "type": "incident.opened",
            "actor": "S-1",
            "incident": REF,
            "data": {"place_type": "dwelling", "head_count": 3},
        }
        answer = await here.door.post("/v1/events", json=body)

        assert answer.json()["case"] == REF


async def test_what_belongs_to_the_envelope_is_lifted_out_of_the_data(tmp_path: Path) -> None:
    """Legal basis, decision and cause go to their places on the wire, wherever the form has them."""
    async with desk_of("ngo-a", tmp_path) as here:
        cause = "01890000-0000-7000-8000-000000000009"
        sent = await here.said(
            type="shelter.bed_requested", ref=REF, to=["shelter"], cause=cause, occurred="2026-03-01T05:00:00Z",
            data={"urgency": "emergency", "legal_basis": "CoM 21/2008 art. 7"}, approver="S-2", expected_version=0,
        )  # fmt: skip

        event = decode(sent).event()
        assert (event.legalbasis, event.causationid, event.referral) == ("CoM 21/2008 art. 7", cause, REF)
        assert (event.data.recipients, event.approver, event.expectedversion) == (("shelter",), "S-2", 0)
        assert (event.time.isoformat(), event.recordedtime.isoformat()) == (
            "2026-03-01T05:00:00+00:00",
            "2026-03-02T05:00:00+00:00",
        )


async def test_the_very_same_bytes_again_bring_the_same_receipt(tmp_path: Path) -> None:
    """`again` sends an answered event once more and waits for its receipt; before it is answered there is nothing to repeat."""
    async with desk_of("ngo-a", tmp_path) as here:
        asked_for = await here.ask(**{name: EVENT[name] for name in ("type", "data")})
        path = f"/v1/events/{asked_for['id']}/again"
        assert (await here.door.post(path)).json()["code"] == "not_sent_yet"
        (sent,) = await here.out()
        assert (await here.door.post(path)).json()["code"] == "still_open"
        receipt = here.registrar.register(sent, to="ngo-a")
        await here.hear(receipt)
        waiting = asyncio.create_task(here.door.post(path, params={"wait": 20}))
        again = await soon(here)
        assert (await here.door.get("/health")).json()["outbox_open"] == 1, "the barrier waits for the repeated receipt"
        await here.hear(receipt)
        answer = (await waiting).json()

        assert again == [sent]
        assert (answer["verdict"], answer["events"][0]["receipts"]) == ("registered", 2)
        assert (await here.door.get("/health")).json()["outbox_open"] == 0
        assert await here.out() == []


async def hear_beds(here: Given, *cases: str) -> None:
    """Let the shelter be asked for a bed in each case."""
    for case in cases:
        event = here.registrar.event("special-unit", "shelter.bed_requested", BED, case=case, referral=REF)
        await here.hear(here.registrar.register(event, to="shelter"))


async def test_the_inbox_is_read_in_order_page_by_page(tmp_path: Path) -> None:
    """Row numbers continue over the pages; one case can be asked for, and technical events are left out unless asked for."""
    async with desk_of("shelter", tmp_path) as here:
        await hear_beds(here, CASE, "ef" * 16, "01" * 16)
        opened = here.registrar.event("special-unit", "letter.opened", {}, case="01" * 16)
        await here.hear(here.registrar.register(opened, to="shelter"))
        first = (await here.door.get("/v1/inbox", params={"limit": 2})).json()["events"]
        rest = (await here.door.get("/v1/inbox", params={"after": first[-1]["row"]})).json()["events"]
        one = (await here.door.get("/v1/inbox", params={"case": CASE})).json()["events"]
        technical = (await here.door.get("/v1/inbox", params={"technical": True})).json()["events"]

        assert [event["case"] for event in first + rest] == [CASE, "ef" * 16, "01" * 16]
        assert [event["number"] for event in first + rest] == [1, 2, 3]
        assert [event["case"] for event in one] == [CASE]
        assert [event["type"] for event in technical][-1] == "letter.opened"
        assert (one[0]["type"], one[0]["source"], one[0]["ref"]) == ("shelter.bed_requested", "special-unit", REF)
        assert one[0]["data"] == BED


async def test_a_case_is_shown_as_this_desk_sees_it(tmp_path: Path) -> None:
    """Status, duties and version are folded from sent and received events; unheard events do not count."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(**{name: EVENT[name] for name in ("type", "data")})
        case = (await here.door.get(f"/v1/cases/{CASE}")).json()

        assert (case["status"], case["version"], case["on_case"]) == ("SUSPECTED", 1, True)
        assert case["open_deadlines"] == [{"code": "D-REFER", "agency": "ngo-a", "due": "2026-03-03T05:00:00Z"}]
        assert (await here.door.get("/v1/cases")).json() == {
            "cases": [{"case": CASE, "events": 1, "last": "2026-03-02T05:00:00Z"}],
            "next": None,
        }


async def test_a_pending_event_is_no_part_of_the_case(tmp_path: Path) -> None:
    """An own event changes no view, not even this agency's own, until its receipt comes."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.said(**{name: EVENT[name] for name in ("type", "data")})

        assert (await here.door.get(f"/v1/cases/{CASE}")).status_code == 404


async def test_what_nobody_handles_waits_for_a_person(tmp_path: Path) -> None:
    """A desk without a procedure makes a task of each heard event; a task that is done is gone; own events and receipts make none."""
    async with desk_of("vac", tmp_path) as here:
        event = here.registrar.event("ngo-a", "consent.given", CONSENT)
        await here.hear(here.registrar.register(event, to="vac"))
        await here.hear(here.registrar.register(here.registrar.event("ngo-a", "letter.opened", {}), to="vac"))
        (task,) = (await here.door.get("/v1/tasks")).json()["tasks"]
        for only, count in (({"case": CASE, "kind": "read"}, 1), ({"case": "0" * 32}, 0), ({"kind": "refused"}, 0)):
            assert len((await here.door.get("/v1/tasks", params=only)).json()["tasks"]) == count, only
        done = await here.door.post(f"/v1/tasks/{task['task']}/done")

        assert (task["kind"], task["case"], task["event"]) == ("read", CASE, decode(event).id)
        assert done.json() == {"task": task["task"], "done": True}
        again = await here.door.post(f"/v1/tasks/{task['task']}/done")
        assert (again.status_code, again.json()) == (200, done.json()), "a program whose answer was lost asks again"
        assert (await here.door.get("/v1/tasks")).json()["tasks"] == []


async def test_health_is_one_snapshot_of_what_was_read_and_what_is_unanswered(tmp_path: Path) -> None:
    """The barrier of a play depends on this: if a bed request counts as read, its offer counts as open."""
    async with desk_of("shelter", tmp_path) as here:
        before = (await here.door.get("/health")).json()
        await hear_beds(here, CASE)
        body = here.registrar.event(
            "special-unit",
            "shelter.bed_requested",
            BED,
            case="ef" * 16,
            referral=REF,
            parts={"coded": {"category": "women"}},
            opens=["shelter"],
        )
        await here.hear(here.registrar.register(body, to="shelter"))
        after = (await here.door.get("/health")).json()

        assert (before["inbox"], before["outbox_open"]) == ({}, 0)
        assert (after["inbox"], after["outbox_open"]) == ({"0": 2}, 2)
        assert {"service": "shelter", "live": True, "ready": True, "tick": 7, "lag": 0}.items() <= after.items()
        assert {"parked", "set_aside", "tasks", "trouble"} <= after.keys()


async def test_a_desk_serves_no_page_with_scripts_from_elsewhere(tmp_path: Path) -> None:
    """The page of the document loads nothing and runs nothing; a browser of this machine needs no token for it."""
    async with desk_of("ngo-a", tmp_path) as here:
        page = await here.door.get("/docs", headers={"authorization": ""})
        assert page.status_code == 401, "a wrong token is none"
        del here.door.headers["authorization"]
        page = await here.door.get("/docs")
        elsewhere = await here.door.get("https://desk/docs")
        others = [(await here.door.get(path)).status_code for path in ("/redoc", "/docs/", "/openapi.json")]
        written = (await here.door.post("/docs")).status_code

    assert (page.status_code, elsewhere.status_code, others, written) == (200, 401, [401] * 3, 401)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert b64encode(sha256(style.encode()).digest()).decode() in policy
    assert "<script" not in page.text
    assert re.findall(r'(?:src|href)="(?!#)', page.text) == []
    assert all(
        route in page.text for route in ("Publish an event", "shelter.<wbr>bed_<wbr>requested", "id_<wbr>reused")
    )


@given(text=st.text(min_size=3, max_size=30).filter(lambda text: text.strip() and text.isprintable()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_error_of_the_door_holds_what_came_in(text: str) -> None:
    """An error never repeats a value or a member name of the request."""
    marked, here = f"\u2042{text}\u2042", town()
    seat = Seat("play-0", here.identities["ngo-a"], None, here.directory, here.rules, here.agencies, StandingClock())  # type: ignore[arg-type]  # no ledger is asked
    for body in (
        EVENT | {"type": marked}, EVENT | {"actor": marked}, EVENT | {marked: 1}, EVENT | {"data": {marked: marked}},
        EVENT | {"sealed": {marked: marked}}, EVENT | {"case": marked}, EVENT | {"consent": [marked]},
    ):  # fmt: skip
        with pytest.raises(DeskError) as caught:
            event_request.drafts_of(seat, event_request.read(json.dumps(body).encode())[0], {})
        said = json.dumps(problem(caught.value), ensure_ascii=False) + str(caught.value)
        assert marked not in said
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or marked not in str(caught.value.__context__)


async def test_rows_of_a_ledger_that_was_lost_are_refused(tmp_path: Path) -> None:
    """A program that knows more rows than exist, or rows of another ledger, is told to begin again."""
    async with desk_of("shelter", tmp_path / "before") as here:
        await hear_beds(here, CASE, "ef" * 16)
        before = (await here.door.get("/v1/inbox")).json()
        row = before["events"][-1]["row"]
        known = {"after": row, "ledger": before["ledger"]}
        assert (await here.door.get("/v1/inbox", params=known)).json()["events"] == []
    async with desk_of("shelter", tmp_path / "before") as here:
        assert (await here.door.get("/v1/inbox")).json()["ledger"] == before["ledger"], "a restart keeps it"

    async with desk_of("shelter", tmp_path / "after") as here:
        beyond = await here.door.get("/v1/inbox", params={"after": row})
        await hear_beds(here, CASE, "ef" * 16)
        replaced = await here.door.get("/v1/inbox", params=known)
        from_the_first = await here.door.get("/v1/inbox", params={"ledger": before["ledger"]})

    for refused in (beyond, replaced):
        assert (refused.status_code, refused.json()["code"]) == (409, "inbox_restarted")
        assert "after=0" in refused.json()["sentence"]
    assert len(from_the_first.json()["events"]) == 2
