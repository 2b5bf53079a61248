"""CloudEvents over HTTP: what a sender says reaches the desk as it was meant, and what the desk has heard fits the standard."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import http as judge
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given
from hypothesis import strategies as st

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, FakeRegistrar
from desk.given import Given as Desk
from edge.given import edge_of, examples, own_and_received
from nrmbus.desk.http import request as door_request
from nrmbus.edge.cloud_events import mapping
from nrmbus.edge.misfit import Misfit
from nrmbus.events.registry import data_type
from nrmbus.wire import base64
from patience import eventually

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
OPTIONAL = ("time", "dataschema", *(set(mapping.MEMBERS) - {"id", "actor", "time"}))
"""Attributes that a sender may leave out."""


def event(**more: Any) -> dict[str, Any]:
    """Return a signal as a CloudEvent of ngo-a."""
    return {
        "specversion": "1.0", "id": "01930000-0000-7000-8000-000000000001", "source": "/agency/ngo-a",
        "type": "nrm.case.signal_recorded", "subject": CASE, "actor": "S-1", "data": SIGNAL, **more,
    }  # fmt: skip


def row_of(example: dict[str, Any]) -> dict[str, Any]:
    """Return the inbox row in which a desk shows the published *example*, its letter opened."""
    signed = example["event"]
    headers = {f"ce_{name}": str(value) for name, value in signed.items() if name not in {"data", "datacontenttype"}}
    name, _, version = signed["dataschema"].removeprefix("urn:nrmbus:nrm.").partition(":")
    letter = data_type(name, int(version)).letter
    parts: dict[str, dict[str, Any]] = {}
    for field, value in example.get("letter", {}).items():
        assert letter is not None
        parts.setdefault(letter.part_of(field), {})[field] = value
    return {
        "row": 7, "number": 12, "registered": "2026-03-02T05:02:00Z", "published": int(version), "version": int(version),
        "data": signed["data"], "original": {"headers": headers, "value": base64.encode(json.dumps(signed["data"]).encode())},
        **({"letter": parts} if parts else {}),
    }  # fmt: skip


@example(name="incident.opened v1 full", left_out=set())
@given(name=st.sampled_from(sorted(examples())), left_out=st.sets(st.sampled_from(OPTIONAL)))
def test_every_published_event_goes_out_and_comes_in_again_unchanged(name: str, left_out: set[str]) -> None:
    """An event with its letter, shown as a CloudEvent and posted again, is the same request at the door, in every mode."""
    example = examples()[name]
    out = mapping.cloud_event(row_of(example))
    headers, body = mapping.to_headers(out)
    assert mapping.from_headers(headers.items(), body) == {
        each: value if each == "data" else str(value) for each, value in out.items()
    }
    sent = {each: value for each, value in out.items() if each in mapping.ACCEPTED and each not in left_out}
    asked = mapping.asked(sent, "example-ngo")
    headers, body = mapping.to_headers({"datacontenttype": "application/json", **sent})
    assert mapping.asked(mapping.from_headers(headers.items(), body), "example-ngo") == asked

    signed = example["event"]
    assert f"nrm.{asked['type']}" == signed["type"]
    assert asked["data"] == signed["data"]
    assert asked.get("sealed", {}) == example.get("letter", {})
    assert signed["subject"] in {asked.get("case"), asked.get("incident")}
    for attribute, member in mapping.MEMBERS.items():
        there = attribute in signed and attribute not in left_out
        assert (member in asked) == (there or (member == "incident" and "case" not in asked)), attribute
    wanted, _ = door_request.read(json.dumps(asked).encode())
    model = data_type(wanted.type, wanted.version or 1)
    if "dataschema" not in left_out:
        door_request.parts_of(wanted, model)  # the door takes data and letter as published


def test_an_event_of_a_newer_release_goes_out_as_published() -> None:
    """An event that the desk does not know yet has its data as its source signed them, and no letter."""
    known = row_of(examples()["referral.submitted v2 full"])
    unknown = {name: value for name, value in known.items() if name not in {"data", "version", "letter"}}

    out = mapping.cloud_event(unknown)

    assert out["data"] == known["data"]
    assert out["dataschema"] == "urn:nrmbus:nrm.referral.submitted:2"


@given(name=st.sampled_from(sorted(examples())))
def test_the_standards_own_library_reads_and_writes_the_same_event(name: str) -> None:
    """The CloudEvents SDK reads what goes out in both modes, and what it writes is taken in as the same request."""
    out = mapping.cloud_event(row_of(examples()[name]))
    headers, body = mapping.to_headers(out)
    binary = judge.from_http_event(judge.HTTPMessage(headers, body))
    structured = judge.from_http_event(judge.HTTPMessage({"content-type": ONE}, json.dumps(out).encode()))
    assert isinstance(binary, CloudEvent)
    assert isinstance(structured, CloudEvent)
    assert binary.get_data() == structured.get_data() == out["data"]
    for attribute, value in structured.get_attributes().items():
        assert str(binary.get_attributes()[attribute]) == str(value), attribute

    sent = {each: value for each, value in structured.get_attributes().items() if each in mapping.ACCEPTED}
    again = CloudEvent(sent, structured.get_data())
    written = judge.to_binary_event(again)
    theirs = mapping.from_headers(((name.lower(), value) for name, value in written.headers.items()), written.body)
    ours = mapping.asked({each: out[each] for each in out if each in mapping.ACCEPTED}, "example-ngo")
    assert mapping.asked(theirs, "example-ngo") == ours
    assert mapping.asked(json.loads(judge.to_structured_event(again).body), "example-ngo") == ours


@pytest.mark.parametrize(
    ("bent", "pointer"),
    [
        ({"source": "/agency/vac"}, "/source"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"type": f"com.example.{CANARY}"}, "/type"),
        ({"datacontenttype": "text/xml"}, "/datacontenttype"),
        ({"dataschema": "urn:nrmbus:nrm.referral.submitted:1"}, "/dataschema"),
        ({"case": CASE}, ""),
        ({CANARY: CANARY}, ""),
        ({"sequence": 7}, ""),
    ],
)
def test_an_event_that_does_not_fit_is_refused_by_its_place(bent: dict[str, Any], pointer: str) -> None:
    """Another agency's source, an unknown attribute, another schema: each is a problem with its place, without its value."""
    with pytest.raises(Misfit) as caught:
        mapping.asked(event(**bent), "ngo-a")

    assert [each.pointer for each in caught.value.problems] == [pointer]
    assert "CANARY" not in repr(caught.value.problems)


@pytest.mark.parametrize("left_out", ["id", "source", "type", "specversion"])
def test_an_event_without_a_required_attribute_is_none(left_out: str) -> None:
    """The four required attributes are required."""
    with pytest.raises(Misfit) as caught:
        mapping.asked({name: value for name, value in event().items() if name != left_out}, "ngo-a")

    assert [tuple(each) for each in caught.value.problems] == [(f"/{left_out}", "missing")]


def test_a_place_in_the_request_is_a_place_in_the_event() -> None:
    """The door's pointers lead into the CloudEvent that was sent."""
    places = {"/case": "/subject", "/version": "/dataschema", "/legal_basis": "/legalbasis", "/ref": "/referral"}
    places |= {"/data/urgency": "/data/urgency", "/sealed/name": "/data/sealed/name", "": "", "?wait": "?wait"}

    assert {each: mapping.place(each) for each in places} == places


async def test_an_event_is_published_in_each_mode(tmp_path: Path) -> None:
    """Structured, binary and in a batch: the desk publishes it, and the verdict is the answer."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (here, edge):
        binary, body = mapping.to_headers({"datacontenttype": "application/json", **event(id=_id(2))})
        for content, headers in (
            (json.dumps(event()).encode(), {"content-type": f"{ONE}; charset=utf-8"}),
            (body, binary),
        ):
            answer = await here.during(edge.post("/events", content=content, headers=headers))
            assert (answer.status_code, answer.json()["verdict"]) == (200, "registered")
        batch = json.dumps([event(id=_id(3)), event(id=_id(4), data={"urgency": CANARY}), event(id=_id(5))])
        answer = await here.during(edge.post("/events", content=batch, headers={"content-type": BATCH}))

        assert answer.status_code == 422
        assert [each["status"] for each in answer.json()] == [200, 422], "the rest waits for a corrected event"
        assert "/data/urgency" in [each["pointer"] for each in answer.json()[1]["problems"]]
        assert "CANARY" not in answer.text
        assert [row.id for row in await here.rows("outbox")] == [_id(1), _id(2), _id(3)]


async def test_a_structured_message_may_repeat_its_attributes_as_headers(tmp_path: Path) -> None:
    """Given a sender that copies the attributes into headers for those on the way, then the message is what its content type says."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (here, edge):
        copied, _ = mapping.to_headers({"datacontenttype": ONE, **event(id=_id(2))})
        batch, _ = mapping.to_headers({"datacontenttype": BATCH, **event(id=_id(3))})

        one = await here.during(edge.post("/events", content=json.dumps(event(id=_id(2))), headers=copied))
        several = await here.during(edge.post("/events", content=json.dumps([event(id=_id(3))]), headers=batch))

        assert (one.status_code, several.status_code) == (200, 200), one.text
        assert [row.id for row in await here.rows("outbox")] == [_id(2), _id(3)]


async def test_an_attribute_that_is_null_counts_as_left_out(tmp_path: Path) -> None:
    """Given optional attributes that are null, as in examples of the JSON format, then each event is published without them; null data are refused."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (here, edge):
        unset = {"consent": None, "time": None, "unsetextension": None}
        batch = json.dumps([event(id=_id(2), **unset), event(id=_id(3), **unset)])

        one = await here.during(edge.post("/events", json=event(**unset), headers={"content-type": ONE}))
        several = await here.during(edge.post("/events", content=batch, headers={"content-type": BATCH}))

        assert (one.status_code, several.status_code) == (200, 200), one.text
        assert [row.id for row in await here.rows("outbox")] == [_id(1), _id(2), _id(3)]
        for no in (event(data=None), event(data={**SIGNAL, "child": None})):
            answer = await edge.post("/events", json=no, headers={"content-type": ONE})
            assert (answer.status_code, answer.json()["code"]) == (400, "json_invalid")
        for none in (b"null", b"[null]", b"7", b'[],"events":null'):
            answer = await edge.post("/events", content=none, headers={"content-type": BATCH})
            assert answer.status_code in {400, 422}


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("N%2D7", "N-7"), ('"N-7"', "N-7"), (r'"N\-7"', "N-7"), ('"CoM 21/2008"', "CoM 21/2008"), (r'"a \"b\" \\ c"', 'a "b" \\ c'),
        ("%22N-7%22", '"N-7"'), ('"%22N-7%22"', '"N-7"'), ('N "7"', 'N "7"'), ('"', '"'), ("%e2%82%ac", "€"),
    ],
)  # fmt: skip
def test_a_header_is_decoded_as_the_binding_says(sent: str, meant: str) -> None:
    """Given a value that an older sender quotes, or any sender percent-encodes, then the attribute is what was meant."""
    assert mapping.from_headers([("ce-legalbasis", sent)], b"") == {"legalbasis": meant}


@pytest.mark.parametrize(("header", "place"), [("ce-actor", "/actor"), (f"ce-{CANARY.lower()}", "")])
def test_a_header_that_is_no_utf8_is_refused(header: str, place: str) -> None:
    """Given an overlong encoding, then the header is refused by its place, and nothing of it is repeated."""
    with pytest.raises(Misfit) as caught:
        mapping.from_headers([(header, f"%c0%a0{CANARY}")], b"")

    assert [each.pointer for each in caught.value.problems] == [place]
    assert caught.value.__context__ is None


async def test_a_refusal_has_a_status_of_its_own(tmp_path: Path) -> None:
    """A sender that knows only the status of an answer learns that the registrar refused the event, with the rule."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (here, edge):
        asking = asyncio.create_task(edge.post("/events", json=event(), headers={"content-type": ONE}))
        await eventually("something is sent", here.out)
        await here.hear(here.registrar.refuse(here.sent[0], "consent_required", "G-32"))
        answer = await asking

        assert (answer.status_code, answer.json()["code"], answer.json()["rule"]) == (422, "consent_required", "G-32")


async def test_the_inbox_is_a_batch_that_continues(tmp_path: Path) -> None:
    """A page of the inbox is a batch; the link leads to the next one; a single row comes in either mode."""
    async with edge_of("vac", tmp_path, "cloudevents") as (here, edge):
        await _hear_referral(here)
        page = await edge.get("/inbox", params={"limit": 1})
        (signal,) = page.json()
        following = await edge.get(page.links["next"]["url"].removeprefix("/cloudevents"))
        (referral,) = following.json()

        assert page.headers["content-type"] == BATCH
        assert (signal["type"], referral["type"]) == ("nrm.case.signal_recorded", "nrm.referral.submitted")
        assert referral["referral"] == REF
        assert "sealed" not in referral["data"], "a letter stays closed unless it is asked for"
        assert (await edge.get(following.links["next"]["url"].removeprefix("/cloudevents"))).json() == []
        for each in (signal, referral):
            judge.from_http_event(judge.HTTPMessage({"content-type": ONE}, json.dumps(each).encode()))
            structured = await edge.get(f"/inbox/{each['nrmrow']}", headers={"accept": ONE})
            binary = await edge.get(f"/inbox/{each['nrmrow']}", headers={"accept": "application/json"})
            assert structured.json() == each
            assert binary.headers["ce-id"] == each["id"]
            assert binary.json() == each["data"]
        assert (await edge.get("/inbox/999")).status_code == 409, "rows that this ledger never had"
        for none in ("9" * 5_000, "9" * 20, "x", "-1", "%D9%A3"):
            assert (await edge.get(f"/inbox/{none}")).json()["code"] == "not_found"
        assert (await edge.get(f"/inbox/{'9' * 19}")).json()["code"] == "unknown_field", "larger than any row"


async def test_a_letter_opens_for_a_named_person_and_on_record(tmp_path: Path) -> None:
    """The reading is registered before the letter is part of the batch; without a person nothing opens."""
    async with edge_of("vac", tmp_path, "cloudevents") as (here, edge):
        await _hear_referral(here)
        unnamed = await edge.get("/inbox", params={"open": "true"})
        opened = await here.during(edge.get("/inbox", params={"open": "true", "actor": "S-1"}))

        assert (unnamed.status_code, unnamed.json()["code"]) == (422, "reader_unnamed")
        assert opened.json()[-1]["data"]["sealed"] == {"name": CANARY}
        assert {row.who for row in await here.rows("reads")} == {"desk", "S-1"}


async def test_a_row_that_is_not_in_the_inbox_opens_no_other_letter(tmp_path: Path) -> None:
    """Given a row of the agency's own, when somebody asks to open it, then the letter behind it, another person's, stays closed."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (here, edge):
        row = await own_and_received(here)
        answer = await here.during(edge.get(f"/inbox/{row}", params={"open": "true", "actor": "V-7"}))
        opened = await here.during(edge.get(f"/inbox/{row + 1}", params={"open": "true", "actor": "V-8"}))

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert opened.json()["data"]["sealed"] == {"name": CANARY}
        assert {row.who for row in await here.rows("reads")} == {"desk", "V-8"}
        granted = [json.loads(row.clear) for row in await here.rows("outbox") if row.type == "access.granted"]
        assert [each["actor"] for each in granted] == ["V-8"]


async def test_a_sender_may_ask_first(tmp_path: Path) -> None:
    """The validation request of the webhook specification is answered."""
    async with edge_of("ngo-a", tmp_path, "cloudevents") as (_, edge):
        answer = await edge.options("/events", headers={"webhook-request-origin": "eventemitter.example"})

        assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, "*")
        assert answer.headers["webhook-allowed-rate"] == "*"
        refused = await edge.get("/events")
        assert refused.status_code == 405
        assert answer.headers["allow"].split(", ") == ["POST", "OPTIONS"]
        assert set(refused.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


def _id(turn: int) -> str:
    return f"01930000-0000-7000-8000-{turn:012}"


async def _hear_referral(here: Desk) -> None:
    """Let the desk of vac hear of a case: the signal and a referral with a letter that it can open."""
    registrar: FakeRegistrar = here.registrar
    await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
    said = {
        "to": ["vac"],
        "mode": "referral",
        "reason": "AdditionalServicesRequired",
        "urgency": "normal",
        "services": ["legal"],
    }
    record = registrar.event(
        "ngo-a", "referral.submitted", said, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
    )
    await here.hear(registrar.register(record, to="vac"))
