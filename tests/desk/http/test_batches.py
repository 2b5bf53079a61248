"""Several events in one request are all taken, in their order, or none; and headers may say what parameters say."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, Given, desk_of
from nrmbus.wire.envelope import decode

CONSENT = {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual", "form": "written"}
SAID: dict[str, Any] = {"type": "case.signal_recorded", "actor": "S-1", "data": SIGNAL}
AGREED: dict[str, Any] = {"type": "consent.given", "actor": "S-1", "data": CONSENT}
IDS = [f"01890000-0000-7000-8000-00000000000{number}" for number in range(4)]


async def batch(here: Given, *events: dict[str, Any], **params: Any) -> Any:
    """Publish *events* together; return status and answer."""
    answer = await here.door.post("/v1/batches", json={"events": list(events)}, params=params)
    return answer.status_code, answer.json()


async def test_events_are_taken_together_and_published_in_their_order(tmp_path: Path) -> None:
    """An event without `case` belongs to the case of the event before it; each has a verdict of its own."""
    async with desk_of("ngo-a", tmp_path) as here:
        status, answer = await batch(here, SAID, AGREED, SAID, AGREED, {**SAID, "case": CASE})
        rows = await here.rows("outbox")

        cases = [each["case"] for each in answer["published"]]
        assert (status, answer["verdict"]) == (202, "pending")
        assert (cases[0] == cases[1], cases[2] == cases[3], len(set(cases)), cases[4]) == (True, True, 3, CASE)
        assert [row.subject for row in rows] == cases
        assert [row.id for row in rows] == [each["id"] for each in answer["published"]]


async def test_an_event_of_a_case_is_sent_when_the_one_before_has_its_verdict(tmp_path: Path) -> None:
    """One that the registrar refuses does not hold up those behind it, and the answer has a verdict for each."""
    async with desk_of("ngo-a", tmp_path) as here:
        await batch(here, {**SAID, "id": IDS[0]}, {**AGREED, "id": IDS[1]}, {**AGREED, "id": IDS[2]})
        (first,) = await here.out()
        await here.hear(here.registrar.register(first, to="ngo-a"))
        (second,) = await here.out()
        await here.hear(here.registrar.refuse(second, "consent_missing"))
        (third,) = await here.out()
        await here.hear(here.registrar.register(third, to="ngo-a"))
        status, answer = await batch(here, {**SAID, "id": IDS[0]}, {**AGREED, "id": IDS[1]}, {**AGREED, "id": IDS[2]})

        assert [decode(each).id for each in (first, second, third)] == IDS[:3]
        assert (status, answer["verdict"]) == (200, "refused")
        assert [each["verdict"] for each in answer["published"]] == ["registered", "refused", "registered"]
        assert answer["published"][1]["code"] == "consent_missing"


BAD: dict[str, tuple[list[Any], int, dict[str, Any]]] = {
    "an event that does not fit": (
        [SAID, {**AGREED, "data": {**CONSENT, "form": CANARY}}, SAID], 422, {"code": "unknown_field", "event": 1},
    ),
    "a type that is none": ([SAID, {**AGREED, "type": CANARY}], 422, {"code": "unknown_type", "event": 1}),
    "no case to begin with": ([AGREED, SAID], 422, {"code": "unknown_field", "event": 0}),
    "an id twice": (
        [{**SAID, "id": IDS[0]}, {**SAID, "id": IDS[0], "data": {**SIGNAL, "urgency": "urgent"}}], 409,
        {"code": "id_reused", "event": 1},
    ),
    "a letter that is too large": (
        [SAID, {**SAID, "sealed": {"notes": "x" * 19_000}}, {**SAID, "sealed": {"notes": CANARY * 1_000}}], 422,
        {"code": "unknown_field", "event": 2},
    ),
    "a receiver that is not there": (
        [SAID, {**AGREED, "data": {**CONSENT, "receivers": ["nobody-here"]}}], 422, {"code": "unknown_recipient", "event": 1},
    ),
    "no list": ([], 422, {"code": "unknown_field"}),
    "too many": ([SAID] * 51, 422, {"code": "unknown_field"}),
    "no events": ([CANARY], 422, {"code": "unknown_field"}),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
async def test_one_event_that_does_not_fit_keeps_all_of_them_out(what: str, tmp_path: Path) -> None:
    """The problem names the event by its number; nothing is recorded, and nothing of the request is repeated."""
    events, status, said = BAD[what]
    async with desk_of("ngo-a", tmp_path) as here:
        found, answer = await batch(here, *events)

        assert (found, {name: answer.get(name) for name in said}) == (status, said)
        if "event" in said and "problems" in answer:
            assert all(each["pointer"].startswith(f"/events/{said['event']}/") for each in answer["problems"])
        assert "CANARY" not in str(answer)
        assert await here.rows("outbox") == []


async def test_a_batch_is_safe_to_repeat_by_the_ids_of_its_events(tmp_path: Path) -> None:
    """After a cut connection the same request has the same answer, also for an event that took its case from another."""
    events = [{**SAID, "id": IDS[0]}, {**AGREED, "id": IDS[1]}]
    async with desk_of("ngo-a", tmp_path) as here:
        first = await batch(here, *events)
        again = await batch(here, *events)

        assert again == first
        assert len(await here.rows("outbox")) == 2


async def test_an_idempotency_key_is_the_id_of_the_event(tmp_path: Path) -> None:
    """The same request is one event, whichever of the two says the id; two different ids are refused."""
    async with desk_of("ngo-a", tmp_path) as here:
        for headers, body in (
            ({"idempotency-key": f'"{IDS[0]}"'}, SAID),
            ({"idempotency-key": IDS[0]}, SAID),
            ({"idempotency-key": IDS[0]}, {**SAID, "id": IDS[0]}),
            ({}, {**SAID, "id": IDS[0]}),
        ):
            answer = await here.door.post("/v1/events", json=body, headers=headers)
            assert (answer.status_code, answer.json()["id"]) == (202, IDS[0])
        other = await here.door.post("/v1/events", json={**SAID, "id": IDS[1]}, headers={"idempotency-key": IDS[0]})
        none = await here.door.post("/v1/events", json=SAID, headers={"idempotency-key": CANARY})
        changed = await here.door.post("/v1/events", json={**SAID, "actor": "S-2"}, headers={"idempotency-key": IDS[0]})

        assert len(await here.rows("outbox")) == 1
        assert [(each.status_code, each.json()["code"]) for each in (other, none, changed)] == [
            (422, "unknown_field"), (422, "unknown_field"), (409, "id_reused"),
        ]  # fmt: skip
        assert other.json()["problems"] == [{"pointer": "/id", "kind": "twice"}]
        assert none.json()["problems"][0]["pointer"] == "idempotency-key:"
        assert "CANARY" not in none.text


@pytest.mark.parametrize(
    ("prefer", "params", "applied"),
    [
        ("wait=0", {}, "wait=0"),
        ("respond-async, wait=0", {}, "wait=0"),
        ('foo; bar="wait=9", WAIT = "0"', {}, "wait=0"),
        ("wait=0", {"wait": 0}, None),
        ("wait=soon", {}, None),
        ("respond-async", {}, None),
    ],
)
async def test_a_preference_says_how_long_to_wait(
    prefer: str, params: dict[str, Any], applied: str | None, tmp_path: Path
) -> None:
    """`Prefer: wait=` does what the parameter does, and the answer says so; the parameter goes first, and nonsense is left alone."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/events", json=SAID, params=params, headers={"prefer": prefer})

        assert (answer.status_code, answer.headers.get("preference-applied")) == (202, applied)


async def test_a_preference_is_waited_for(tmp_path: Path) -> None:
    """The answer has the verdict that came meanwhile; a longer wait than the door's is cut to it."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.during(here.door.post("/v1/events", json=SAID, headers={"prefer": "wait=9999"}))

        assert (answer.status_code, answer.json()["verdict"]) == (200, "registered")
        assert answer.headers["preference-applied"] == "wait=60"


@pytest.mark.parametrize("wrong", [[], {}, 7], ids=repr)
@pytest.mark.parametrize("number", [0, 1])
async def test_a_type_that_is_no_text_is_refused_with_its_place(tmp_path: Path, number: int, wrong: Any) -> None:
    """A program must not take its own mistake for a desk that is away, and try again for ever."""
    events: list[dict[str, Any]] = [SAID, AGREED]
    events[number] = {**events[number], "type": wrong}
    async with desk_of("ngo-a", tmp_path) as here:
        status, answer = await batch(here, *events)
        checked = await here.door.post("/v1/checks", json={"events": events})

    assert (status, answer["problems"][0]["pointer"]) == (422, f"/events/{number}/type")
    assert checked.status_code == 200
    assert checked.json()["checks"][number]["verdict"] == "refused"
