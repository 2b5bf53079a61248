"""A client of GovStack's information mediator publishes, subscribes, pulls and confirms, as the API's own document says."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given
from edge.given import edge_of, examples
from nrmbus.edge.govstack import mapping
from nrmbus.edge.misfit import Misfit

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "govstack_pubsub.json").read_bytes())
"""The operations of the API, as GovStack published them."""
CLIENT = {"x-govstack-client": "neverland/GOV/city/casework"}
ROOM = "/r1/neverland/NRM/{}/nrm"
KIND = "referral.submitted"
SUBSCRIPTION = {"eventType": KIND, "delivery": "PULL"}
SAID = {"to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"]}


def judged(operation: str, answer: httpx.Response) -> httpx.Response:
    """Return *answer*, whose status and body are among those that the document has for *operation*."""
    (found,) = (each for each in DOCUMENT["operations"].values() if each["operationId"] == operation)
    assert str(answer.status_code) in found["responses"], f"{operation}: {answer.status_code}"
    schema = found["responses"][str(answer.status_code)]
    if schema:
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(answer.json())
    return answer


class Mediator:
    """A client of the API at one desk."""

    def __init__(self, here: Given, client: httpx.AsyncClient) -> None:
        self._here, self._client = here, client
        self.room = ROOM.format(here.desk.seat.me)

    async def __call__(self, operation: str, method: str, path: str, **how: Any) -> httpx.Response:
        """Return the answer of *operation*, as the document has it, while the registrar registers all that the desk sends."""
        headers = CLIENT | how.pop("headers", {})
        asking = self._client.request(method, f"{self.room}{path}", headers=headers, **how)
        return judged(operation, await self._here.during(asking))


@pytest.mark.thorough
@given(name=st.sampled_from(sorted(examples())))
def test_every_published_event_goes_through_the_api_unchanged(name: str) -> None:
    """What a client publishes is the request at the door, and what it pulls has the data as published."""
    signed, kind = examples()[name]["event"], name.split(maxsplit=1)[0]
    event = {"case": signed["subject"], "actor": signed["actor"], "data": signed["data"]}
    row = {
        "id": signed["id"],
        "row": 7,
        "source": "example-ngo",
        "type": kind,
        "case": signed["subject"],
        "data": signed["data"],
    }
    pulled = mapping.item(row, "neverland")

    assert mapping.asked(kind, {"eventType": kind, "event": event}) == {**event, "type": kind}
    assert pulled["event"]["data"] == signed["data"]
    Draft202012Validator({"$ref": "#/components/schemas/EventItem", "components": DOCUMENT["components"]}).validate(
        pulled
    )
    found = mapping.event_type(kind)
    assert found is not None
    Draft202012Validator.check_schema(found["schema"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"event": {}}, "/eventType"),
        ({"eventType": "case.closed", "event": {}}, "/eventType"),
        ({"eventType": KIND}, "/event"),
        ({"eventType": KIND, "event": []}, "/event"),
        ({"eventType": KIND, "event": {"type": "case.closed"}}, "/event"),
        ({"eventType": KIND, "event": {}, CANARY: 1}, ""),
    ],
)
def test_a_body_that_is_no_event_is_refused_by_its_place(body: Any, pointer: str) -> None:
    """The type stands in the address and in the body, and nowhere else."""
    with pytest.raises(Misfit) as caught:
        mapping.asked(KIND, body)

    assert [each.pointer for each in caught.value.problems] == [pointer]


async def test_a_subscriber_pulls_each_event_once_it_confirmed_the_one_before(tmp_path: Path) -> None:
    """Subscribed, pulled, pulled again, confirmed, and no other; a subscription begins with what comes after it."""
    async with edge_of("vac", tmp_path, "govstack") as (here, client):
        ask = Mediator(here, client)
        registrar = here.registrar

        async def referred(ref: str) -> None:
            await here.hear(registrar.register(registrar.event("ngo-a", KIND, SAID, referral=ref), to="vac"))

        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        await referred("ee" * 16)
        assert (await ask("pullEvent", "GET", f"/pull/v1/{KIND}")).status_code == 409
        assert (await ask("getSub", "GET", f"/api/v1/subs/{KIND}")).status_code == 404
        assert (await ask("addSub", "POST", f"/api/v1/subs/{KIND}", json={"eventType": KIND})).status_code == 400
        assert (await ask("addSub", "POST", f"/api/v1/subs/{KIND}", json=SUBSCRIPTION)).status_code == 200
        assert (await ask("addSub", "POST", f"/api/v1/subs/{KIND}", json=SUBSCRIPTION)).status_code == 409
        assert (await ask("pullEvent", "GET", f"/pull/v1/{KIND}")).status_code == 404
        await referred(REF)
        await referred("ef" * 16)
        first = (await ask("pullEvent", "GET", f"/pull/v1/{KIND}")).json()
        again = (await ask("pullEvent", "GET", f"/pull/v1/{KIND}")).json()
        assert first == again
        assert (first["event"]["ref"], first["publisherId"]["memberCode"]) == (REF, "ngo-a")
        assert (await ask("confirmEvent", "DELETE", f"/pull/v1/{KIND}/{CASE}")).status_code == 409
        assert (await ask("confirmEvent", "DELETE", f"/pull/v1/{KIND}/{first['id']}")).status_code == 204
        second = (await ask("pullEvent", "GET", f"/pull/v1/{KIND}")).json()
        assert second["event"]["ref"] == "ef" * 16
        assert (await ask("confirmEvent", "DELETE", f"/pull/v1/{KIND}/{first['id']}")).status_code == 409
        assert (await ask("confirmEvent", "DELETE", f"/pull/v1/{KIND}/{second['id']}")).status_code == 204
        assert (await ask("confirmEvent", "DELETE", f"/pull/v1/{KIND}/{second['id']}")).status_code == 404
        assert [each["eventType"] for each in (await ask("listSub", "GET", "/api/v1/subs")).json()] == [KIND]
        assert (await ask("getSub", "GET", f"/api/v1/subs/{KIND}")).json()["delivery"] == "PULL"
        assert (await ask("patchSub", "PATCH", f"/api/v1/subs/{KIND}", json=SUBSCRIPTION)).status_code == 201
        assert (await ask("deleteSub", "DELETE", f"/api/v1/subs/{KIND}")).status_code == 204
        assert (await ask("deleteSub", "DELETE", f"/api/v1/subs/{KIND}")).status_code == 404
        assert (await ask("listSub", "GET", "/api/v1/subs")).json() == []


async def test_a_publisher_gets_an_id_and_the_verdict(tmp_path: Path) -> None:
    """An event is published with an id, and its status has the registrar's verdict; what the Rules or the reading refuse is 400."""
    kind = "case.signal_recorded"
    body = {"eventType": kind, "event": {"actor": "S-1", "case": CASE, "data": SIGNAL}}
    async with edge_of("ngo-a", tmp_path, "govstack") as (here, client):
        ask = Mediator(here, client)
        id = (await ask("publishEvent", "POST", f"/pub/v1/{kind}", json=body)).json()["id"]
        state = (await ask("getStatus", "GET", f"/pub/v1/{kind}/{id}")).json()
        assert (state["event"]["verdict"], state["eventType"]) == ("registered", kind)
        assert (await ask("getStatus", "GET", f"/pub/v1/{KIND}/{id}")).status_code == 404
        assert (await ask("getStatus", "GET", f"/pub/v1/{kind}/none")).status_code == 404
        bent = {"eventType": kind, "event": {**body["event"], "data": {**SIGNAL, "urgency": CANARY}}}  # type: ignore[dict-item]
        refused = await ask("publishEvent", "POST", f"/pub/v1/{kind}", json=bent)
        assert (refused.status_code, refused.json()["problems"][0]["pointer"]) == (400, "/event/data/urgency")
        assert (await ask("publishEvent", "POST", f"/pub/v1/{kind}", content=b"{CANARY")).status_code == 400
        assert (await ask("publishEvent", "POST", f"/pub/v1/{CANARY}", json=body)).status_code == 404
        assert "CANARY" not in refused.text


async def test_the_types_of_the_room_are_those_of_the_bus(tmp_path: Path) -> None:
    """Every type that a person publishes is there with its schema; none is made or removed through the API."""
    async with edge_of("ngo-a", tmp_path, "govstack") as (here, client):
        ask = Mediator(here, client)
        names = (await ask("getEventTypeList", "GET", "/api/v1/eventType")).json()
        assert KIND in names
        assert "letter.opened" not in names
        assert (await ask("getEventType", "GET", f"/api/v1/eventType/{KIND}")).json()["eventType"] == KIND
        assert (await ask("getEventType", "GET", "/api/v1/eventType/newBirth")).status_code == 204
        new = {"eventType": "newBirth", "schema": {}}
        assert (await ask("createEventType", "POST", "/api/v1/eventType", json=new)).status_code == 400
        assert (
            await ask("createEventType", "POST", "/api/v1/eventType", json={**new, "eventType": KIND})
        ).status_code == 409
        removed = await client.delete(f"{ask.room}/api/v1/eventType/{KIND}", headers=CLIENT)
        assert (removed.status_code, removed.headers["allow"]) == (405, "GET, HEAD")
        put = await client.put(f"{ask.room}/api/v1/subs/{KIND}", headers=CLIENT)
        assert (put.status_code, put.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, POST")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/r1/neverland/NRM/shelter/nrm/api/v1/subs", CLIENT, 404),
        ("/r1/neverland/NRM/vac/other/api/v1/subs", CLIENT, 404),
        ("/r1/neverland/NRM/vac/nrm/api/v1/subs", {}, 400),
        ("/r1/neverland/NRM/vac/nrm/api/v1/subs", CLIENT | {"authorization": "Bearer none"}, 401),
        ("/r1/neverland/NRM/vac/nrm/api/v1/subs", CLIENT | {"authorization": "Bearer a-token-to-publish"}, 403),
    ],
)
async def test_another_room_or_caller_finds_nothing(
    path: str, headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    """Only this agency's room answers, and only a token that may read."""
    async with edge_of("vac", tmp_path, "govstack") as (_, client):
        answer = await client.get(path, headers=headers)

    assert answer.status_code == status
    if status == 400:
        assert answer.json()["problems"] == [{"pointer": "x-govstack-client:", "kind": "missing"}]
