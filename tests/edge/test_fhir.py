"""A FHIR client reads the referrals of an agency, and answers one by the status of its Task."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given
from edge.fhir_judge import judged
from edge.given import SUBMITTED, edge_of, hear_referral, own_and_received
from nrmbus.desk.access import opening
from nrmbus.desk.inbox.release import release_by_itself
from nrmbus.desk.state import beginnings
from nrmbus.edge.door import Answer, OwnDoor
from patience import eventually

TASK = f"/Task/{REF}.vac"
PATCH = {"content-type": "application/json-patch+json"}


def to(status: str, **members: Any) -> bytes:
    """Return the JSON Patch that sets the status of a Task, and other members."""
    operations = [{"op": "add", "path": f"/{name}", "value": value} for name, value in members.items()]
    return json.dumps([*operations, {"op": "replace", "path": "/status", "value": status}]).encode()


def coded(listed: str, code: str) -> dict[str, Any]:
    """Return a concept with a code of the bus."""
    return {"coding": [{"system": f"urn:nrmbus:code:{listed}", "code": code}]}


ACCEPT = to("accepted", businessStatus=coded("next-step", "plan"))


async def test_a_receiver_answers_a_referral_by_its_task(tmp_path: Path) -> None:
    """Acknowledged, accepted, completed: each change is one registered event, and the Task shows it; every answer is valid R4."""
    done = [{"type": coded("x", "y"), "valueCodeableConcept": coded("service-outcome", "provided_by_own_agency")}]
    receipt = [{"system": "urn:nrmbus:receipt", "value": "V-1"}]
    duty = [{"url": "urn:nrmbus:fhir:duty-role", "valueCode": "other"}]
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        first = await fhir.get(TASK)
        assert judged(first.json())["status"] == "requested"
        assert first.headers["content-type"] == "application/fhir+json"
        for content, status, kind in (
            (to("requested", identifier=receipt, extension=duty), "requested", "referral.acknowledged"),
            (ACCEPT, "accepted", "referral.accepted"),
            (to("completed", output=done), "completed", "referral.completed"),
        ):
            answer = await here.during(fhir.patch(TASK, content=content, headers=PATCH, params={"actor": "V-7"}))
            assert (answer.status_code, judged(answer.json())["status"]) == (200, status)
            row = (await here.rows("outbox"))[-1]
            assert (row.type, row.verdict) == (kind, "registered")
            assert json.loads(row.clear)["actor"] == "V-7"
            assert answer.headers["etag"] != first.headers["etag"]
        last = await fhir.get(TASK)
        again = await fhir.put(TASK, json=last.json(), params={"actor": "V-7"})
        assert (again.status_code, again.json()) == (200, last.json()), "nothing changes, and nothing is published"
        request = judged((await fhir.get(f"/ServiceRequest/{REF}")).json())
        assert (request["status"], request["subject"]["identifier"]["value"]) == ("completed", CASE)
        assert "CANARY" not in f"{last.text}{request}"


async def test_a_sender_sees_each_answer_and_takes_a_referral_back(tmp_path: Path) -> None:
    """The sender's Tasks, one for each receiver, follow the answers; a cancelled Task revokes the referral."""
    async with edge_of("ngo-a", tmp_path, "fhir") as (here, fhir):
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        for receiver in ("vac", "shelter"):
            consent = {
                "purposes": ["services", "information_sharing"],
                "receivers": [receiver],
                "given_by": "individual",
                "form": "written",
            }
            await here.registered(type="consent.given", data=consent)
        await here.registered(type="referral.submitted", ref=REF, data={**SUBMITTED, "to": ["shelter", "vac"]})
        declined = here.registrar.event(
            "vac", "referral.declined", {"reason": "no_capacity", "declined_by": "provider"}, referral=REF
        )
        await here.hear(here.registrar.register(declined, to="ngo-a"))
        await here.settle()
        found = judged(
            (await fhir.get("/Task", params={"requester": "Organization/ngo-a", "_include": "Task:focus"})).json()
        )
        back = to("cancelled", statusReason=coded("revocation-reason", "sent_in_error"))
        answer = await here.during(
            fhir.patch(f"/Task/{REF}.shelter", content=back, headers=PATCH, params={"actor": "S-1"})
        )

        entries = [
            (
                each["resource"]["resourceType"],
                each["resource"].get("owner", {}).get("identifier", {}).get("value"),
                each["resource"]["status"],
            )
            for each in found["entry"]
        ]
        assert entries == [
            ("Task", "shelter", "requested"),
            ("Task", "vac", "rejected"),
            ("ServiceRequest", None, "active"),
        ]
        assert found["entry"][1]["resource"]["statusReason"]["text"] == "no capacity"
        assert (answer.status_code, judged(answer.json())["status"]) == (200, "cancelled")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (f"{CANARY}: we have a place from the first of the month.", 2),
        ("Yer və ya imkan yoxdur", 1),
        ("Нет мест или возможностей", 1),
        ("No capacity", 1),
    ],
)
async def test_a_receiver_declines_in_its_own_words(text: str, version: int, tmp_path: Path) -> None:
    """The words of a worker reach the sender in a sealed letter, and the label of a code needs none.

    Given: a receiver that declines with a code, and a text of its own or the words of the code in a language of the pages.
    When: the Task is changed.
    Then: the answer is registered, with a letter for own words alone; the text is neither in the clear nor in the Task.
    """
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        reason = {**coded("decline-reason", "no_capacity"), "text": text}
        content = to("rejected", statusReason=reason)
        answer = await here.during(fhir.patch(TASK, content=content, headers=PATCH, params={"actor": "V-7"}))

        assert (answer.status_code, judged(answer.json())["statusReason"]["text"]) == (200, "no capacity")
        row = (await here.rows("outbox"))[-1]
        assert (row.type, row.verdict) == ("referral.declined", "registered")
        timeline = (await here.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]
        assert (timeline[-1]["type"], timeline[-1]["published"]) == ("referral.declined", version)
        assert "CANARY" not in f"{answer.text}{row.clear}"


async def test_words_that_are_too_long_are_refused_by_their_place(tmp_path: Path) -> None:
    """Given an answer with more words than a letter takes, then its outcome names the text of the Task, and nothing is published."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        before = len(await here.rows("outbox"))
        for status, member, code in (
            ("rejected", "statusReason", coded("decline-reason", "no_capacity")),
            ("accepted", "businessStatus", coded("next-step", "plan")),
        ):
            content = to(status, **{member: {**code, "text": CANARY * 1000}})
            answer = await fhir.patch(TASK, content=content, headers=PATCH, params={"actor": "V-7"})

            (issue,) = judged(answer.json())["issue"]
            assert (answer.status_code, issue["expression"]) == (422, [f"Task.{member}.text"])
            assert "CANARY" not in answer.text
        assert len(await here.rows("outbox")) == before


async def test_a_sender_learns_that_an_answer_has_words(tmp_path: Path) -> None:
    """A sender that follows by FHIR knows that more than a code was answered, and where.

    Given: a receiver that declines with a code and a sealed sentence.
    When: the sender reads the Task, and opens the letter of the event that it names at the door.
    Then: the sentence is there, and not in the Task.
    """
    async with edge_of("ngo-a", tmp_path, "fhir") as (here, fhir):
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="referral.submitted", ref=REF, data=SUBMITTED)
        declined = here.registrar.event(
            "vac", "referral.declined", {"reason": "no_capacity", "declined_by": "provider"},
            version=2, parts={"story": {"notes": CANARY}}, opens=["ngo-a"], referral=REF,
        )  # fmt: skip
        await here.hear(here.registrar.register(declined, to="ngo-a"))
        await here.settle()
        task = await fhir.get(TASK)
        about = {"case": CASE, "ref": REF, "open": "true", "actor": "S-1", "purpose": "case_work"}
        inbox = await here.during(here.door.get("/v1/inbox", params={**about, "speaks": "referral.declined:2"}))

        (sign,) = judged(task.json())["extension"][1:]
        assert sign["url"] == "urn:nrmbus:fhir:letter"
        (event,) = [each for each in inbox.json()["events"] if each["id"] == sign["valueId"]]
        assert event["letter"] == {"story": {"notes": CANARY}}
        assert "CANARY" not in task.text


async def test_one_receiver_of_two_is_not_cancelled_alone(tmp_path: Path) -> None:
    """Given two receivers without an answer, when the Task of one is cancelled, then nothing is published: it would end both."""
    async with edge_of("ngo-a", tmp_path, "fhir") as (here, fhir):
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="referral.submitted", ref=REF, data={**SUBMITTED, "to": ["shelter", "vac"]})
        before = len(await here.rows("outbox"))
        back = to("cancelled", statusReason=coded("revocation-reason", "sent_in_error"))
        answer = await fhir.patch(f"/Task/{REF}.shelter", content=back, headers=PATCH, params={"actor": "S-1"})

        (issue,) = judged(answer.json())["issue"]
        assert (answer.status_code, issue["expression"]) == (422, ["Task.status"])
        assert "cancelled" not in issue["diagnostics"]
        assert len(await here.rows("outbox")) == before
        assert (await fhir.get(f"/Task/{REF}.vac")).json()["status"] == "requested"


async def hear_expiry(here: Given, me: str) -> None:
    """Let the desk of *me* hear of a referral to vac and special-unit, and that its time is over."""
    registrar, data = here.registrar, {**SUBMITTED, "to": ["special-unit", "vac"]}
    if me == "ngo-a":
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="referral.submitted", ref=REF, data=data)
    else:
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to=me))
        await here.hear(registrar.register(registrar.event("ngo-a", "referral.submitted", data, referral=REF), to=me))
    over = registrar.event("timekeeper", "referral.expired", {"reason": "no_answer"}, referral=REF)
    await here.hear(registrar.register(over, to=me))
    await here.settle()


@pytest.mark.parametrize(
    ("me", "statuses"),
    [
        ("ngo-a", {"special-unit": "requested", "vac": "cancelled"}),
        ("special-unit", {"special-unit": "requested"}),
        ("vac", {"vac": "cancelled"}),
    ],
)
async def test_the_deciding_body_goes_on_owing_its_answer_when_the_others_time_is_over(
    me: str, statuses: dict[str, str], tmp_path: Path
) -> None:
    """Given a referral to the special unit and to vac that expires, then vac's Task alone is cancelled, as by the Rules."""
    async with edge_of(me, tmp_path, "fhir") as (here, fhir):
        await hear_expiry(here, me)
        found = [each["resource"] for each in judged((await fhir.get("/Task")).json())["entry"]]
        waiting = judged((await fhir.get("/Task", params={"status": "requested"})).json()).get("entry", ())
        request = judged((await fhir.get(f"/ServiceRequest/{REF}")).json())

        assert {each["owner"]["identifier"]["value"]: each["status"] for each in found} == statuses
        assert [each["resource"]["id"] for each in waiting] == [
            f"{REF}.{agency}" for agency, status in statuses.items() if status == "requested"
        ]
        assert request["status"] == ("active" if "special-unit" in statuses else "revoked")


async def test_a_case_with_a_lost_beginning_is_answered_without_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger, then a Task has no ETag, `If-Match` is refused with a sentence, and without it the Task is answered."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        monkeypatch.setattr(beginnings, "is_incomplete", lambda *_: True)
        task = await fhir.get(TASK)
        before = len(await here.rows("outbox"))
        refused = await fhir.patch(TASK, content=ACCEPT, headers=PATCH | {"if-match": 'W/"0"'}, params={"actor": "V-7"})
        assert len(await here.rows("outbox")) == before
        answer = await here.during(fhir.patch(TASK, content=ACCEPT, headers=PATCH, params={"actor": "V-7"}))

        assert "etag" not in task.headers
        assert "versionId" not in judged(task.json())["meta"]
        (issue,) = judged(refused.json())["issue"]
        assert refused.status_code == 422
        assert issue["details"]["text"].endswith("send the change without If-Match.")
        assert (answer.status_code, judged(answer.json())["status"]) == (200, "accepted")
        assert "expectedversion" not in json.loads((await here.rows("outbox"))[-1].clear)


async def test_the_version_of_a_task_is_never_newer_than_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a revocation that comes while a Task is read, then no Task without it has the version that counts it."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        ask, revoked = OwnDoor.ask, list[str]()

        async def slowly(self: OwnDoor, caller: Request, method: str, path: str, **how: Any) -> Answer:
            answer = await ask(self, caller, method, path, **how)
            if path.startswith("/v1/cases/") and not revoked:
                revoked.append(path)
                back = here.registrar.event("ngo-a", "referral.revoked", {"reason": "sent_in_error"}, referral=REF)
                await here.hear(here.registrar.register(back, to="vac"))
                await here.settle()
            return answer

        monkeypatch.setattr(OwnDoor, "ask", slowly)
        during, after = await fhir.get(TASK), await fhir.get(TASK)

        assert (len(revoked), after.json()["status"]) == (1, "cancelled")
        assert (during.json()["status"], during.headers["etag"]) in {
            ("cancelled", 'W/"2"'),
            ("requested", 'W/"2"'),
            ("cancelled", after.headers["etag"]),
        }


async def test_a_refusal_of_the_rules_is_an_outcome_with_its_rule(tmp_path: Path) -> None:
    """A change that the registrar refuses has status 422, one that overlooks newer events 412; both name rule and sentence."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        for code, rule, status in (("not_open", "G-51", 422), ("version_passed", "G-02", 412)):
            before = len(here.sent)
            asking = asyncio.create_task(
                fhir.patch(TASK, content=ACCEPT, headers=PATCH | {"if-match": 'W/"2"'}, params={"actor": "V-7"})
            )
            await eventually("something is sent", here.out)
            await here.hear(here.registrar.refuse(here.sent[before], code, rule))
            answer = await asking
            (issue,) = judged(answer.json())["issue"]

            assert answer.status_code == status
            assert issue["details"]["coding"][0]["code"] == code
            assert json.loads((await here.rows("outbox"))[-1].clear)["expectedversion"] == 2


async def test_a_verdict_that_does_not_come_is_no_success(tmp_path: Path) -> None:
    """Without an answer of the registrar the status is 202, and the Task is as it was."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        answer = await fhir.patch(TASK, content=ACCEPT, headers=PATCH, params={"actor": "V-7", "wait": "0"})

        assert (answer.status_code, judged(answer.json())["issue"][0]["severity"]) == (202, "information")
        assert (await fhir.get(TASK)).json()["status"] == "requested"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/Task", {"GET", "HEAD"}),
        ("DELETE", TASK, {"GET", "HEAD", "PATCH", "PUT"}),
        ("PUT", f"/ServiceRequest/{REF}", {"GET", "HEAD"}),
    ],
)
async def test_refused_method_is_answered_with_those_of_the_address(
    method: str, path: str, allowed: set[str], tmp_path: Path
) -> None:
    """Given an address that does not take a method, then the answer names each method that the address takes (RFC 9110, 15.5.6)."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        answer = await fhir.request(method, path)

        assert (answer.status_code, judged(answer.json())["issue"][0]["code"]) == (405, "not-supported")
        assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code"),
    [
        ("GET", f"/Task/{REF}.shelter", {}, 404, "not-found"),
        ("GET", f"/Task/{CANARY}", {}, 404, "not-found"),
        ("GET", f"/ServiceRequest/{'0' * 32}", {}, 404, "not-found"),
        ("GET", "/Patient", {}, 404, "not-found"),
        ("DELETE", TASK, {}, 405, "not-supported"),
        ("GET", "/Task", {"params": {"patient.name": CANARY}}, 422, "value"),
        ("GET", "/Task", {"params": {"_count": CANARY}}, 422, "value"),
        ("GET", "/Task", {"params": {"_lastUpdated": f"ge{CANARY}"}}, 422, "value"),
        ("PUT", TASK, {"content": b'{"CANARY'}, 400, "structure"),
        ("PUT", TASK, {"content": b'{"status": "x", "status": "y"}'}, 400, "structure"),
        ("PUT", TASK, {"json": {"resourceType": "Task", "status": CANARY}}, 422, "value"),
        ("PATCH", TASK, {"content": b"[]"}, 422, "value"),
        ("PATCH", TASK, {"content": b'{"x": 1}', "headers": PATCH}, 422, "value"),
        ("PATCH", TASK, {"content": b'[{"op": "move", "path": "/status"}]', "headers": PATCH}, 422, "value"),
        (
            "PATCH",
            TASK,
            {"content": b'[{"op": "add", "path": "/for/display", "value": "CANARY"}]', "headers": PATCH},
            422,
            "value",
        ),
        ("PATCH", TASK, {"content": ACCEPT, "headers": PATCH}, 422, "value"),
        ("PATCH", TASK, {"content": ACCEPT, "headers": PATCH | {"if-match": CANARY}}, 422, "value"),
    ],
)
async def test_what_does_not_fit_is_an_outcome_that_repeats_nothing(
    method: str, path: str, given: dict[str, Any], status: int, code: str, tmp_path: Path
) -> None:
    """Every error is a valid OperationOutcome with its type; nothing of the request is in it, and nothing is published."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        before = len(await here.rows("outbox"))
        answer = await fhir.request(method, path, **given)

        assert (answer.status_code, judged(answer.json())["issue"][0]["code"]) == (status, code)
        assert "CANARY" not in answer.text
        assert len(await here.rows("outbox")) == before


async def test_a_letter_is_opened_for_a_named_person_and_on_record(tmp_path: Path) -> None:
    """The operation `$letter` opens the letter of this one referral, after the registrar has recorded the reading; no Patient has it."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        unnamed = await fhir.get(f"/ServiceRequest/{REF}/$letter")
        answer = await here.during(
            fhir.get(f"/ServiceRequest/{REF}/$letter", params={"actor": "V-7", "purpose": "case_work"})
        )

        assert (unnamed.status_code, judged(unnamed.json())["issue"][0]["code"]) == (422, "required")
        letter = judged(answer.json())
        assert {"name": "identity", "part": [{"name": "name", "valueString": CANARY}]} in letter["parameter"]
        assert {row.who for row in await here.rows("reads")} == {"desk", "V-7"}
        read_only = await fhir.get(
            f"/ServiceRequest/{REF}/$letter",
            params={"actor": "V-7"},
            headers={"authorization": "Bearer a-token-to-read"},
        )
        assert (read_only.status_code, judged(read_only.json())["issue"][0]["code"]) == (403, "forbidden")


async def test_a_letter_that_is_not_open_yet_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a referral before a record that the desk has not read, then its letter is no 404: it comes once the desk has read on."""
    monkeypatch.setattr(opening, "READ_ON_SECONDS", 0.0, raising=False)
    about = {"actor": "V-7", "purpose": "case_work"}
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        here.desk.end_of = lambda partition: 4
        await hear_referral(here, settled=False)
        early = await fhir.get(f"/ServiceRequest/{REF}/$letter", params=about)
        await here.hear(
            here.registrar.register(here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
        )
        await release_by_itself(here.desk, here.inbox)
        late = await here.during(fhir.get(f"/ServiceRequest/{REF}/$letter", params=about))

    assert (early.status_code, judged(early.json())["resourceType"]) == (503, "OperationOutcome")
    assert {"name": "identity", "part": [{"name": "name", "valueString": CANARY}]} in judged(late.json())["parameter"]


async def test_the_letter_of_an_own_referral_opens_no_other(tmp_path: Path) -> None:
    """Given a referral of the agency's own, when somebody asks for its letter, then the next one, about another person, stays closed."""
    async with edge_of("ngo-a", tmp_path, "fhir") as (here, fhir):
        await own_and_received(here)
        answer = await here.during(fhir.get(f"/ServiceRequest/{REF}/$letter", params={"actor": "V-7"}))

        assert (answer.status_code, judged(answer.json())["issue"][0]["code"]) == (404, "not-found")
        assert {row.who for row in await here.rows("reads")} == {"desk"}
        assert "access.granted" not in {row.type for row in await here.rows("outbox")}


async def test_the_server_says_what_it_can_do(tmp_path: Path) -> None:
    """The CapabilityStatement is valid, and names resources, interactions and parameters."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        found = judged((await fhir.get("/metadata")).json())

        assert found["fhirVersion"] == "4.0.1"
        task, request = found["rest"][0]["resource"]
        assert (task["type"], request["type"]) == ("Task", "ServiceRequest")
        definitions = [
            next(each["definition"] for each in resource["searchParam"] if each["name"] == "patient")
            for resource in (task, request)
        ]
        assert definitions == [f"http://hl7.org/fhir/SearchParameter/{name}-patient" for name in ("Task", "clinical")]


@pytest.mark.parametrize(
    ("accept", "address", "status"),
    [
        ("application/fhir+xml", "/metadata", 406),
        ("text/turtle, application/xml;q=0.5", "/metadata", 406),
        ("application/fhir+xml, application/fhir+json;q=0.9", "/metadata", 200),
        ("application/fhir+json; fhirVersion=4.0", "/metadata", 200),
        ("text/html,*/*;q=0.8", "/metadata", 200),
        ("", "/metadata", 200),
        ("*/*", "/metadata?_format=xml", 406),
        ("application/fhir+xml", "/metadata?_format=application/fhir+json", 200),
        ("application/fhir+xml", TASK, 406),
    ],
)
async def test_client_that_takes_no_json_is_told_so(accept: str, address: str, status: int, tmp_path: Path) -> None:
    """Given a client that asks for another format, by header or address, then it gets 406 and no JSON that it cannot read."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        answer = await fhir.get(address, headers={"accept": accept})

        assert answer.status_code == status
        if status == 406:
            assert judged(answer.json())["issue"][0]["details"]["text"].startswith("This server answers in JSON alone")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (["application/fhir+xml", "application/fhir+json;q=0.9"], 200),
        (["application/fhir+json", "application/fhir+xml"], 200),
        (["application/fhir+xml", "text/turtle"], 406),
    ],
)
async def test_several_lines_of_accept_are_one_list(accept: list[str], status: int, tmp_path: Path) -> None:
    """Given a client or proxy that writes each format in a line of its own, then JSON in any line is taken (RFC 9110, 5.3)."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        answer = await fhir.get("/metadata", headers=[("accept", each) for each in accept])

        assert answer.status_code == status


@pytest.mark.parametrize(
    ("form", "accept", "status"),
    [
        ({"_format": "json"}, "application/fhir+xml", 200),
        ({"_format": "application/fhir+xml"}, "application/fhir+json", 406),
        ({"status": "requested"}, "application/fhir+xml", 406),
        ({}, "application/fhir+xml", 406),
        ({}, "application/fhir+json", 200),
    ],
)
async def test_format_in_a_form_goes_before_the_header(
    form: dict[str, str], accept: str, status: int, tmp_path: Path
) -> None:
    """Given a search that is posted, then its form names the format as an address does, and an empty form leaves it to Accept."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        for path in ("/Task/_search", "/ServiceRequest/_search"):
            answer = await fhir.post(path, data=form, headers={"accept": accept})

            assert answer.status_code == status


async def test_change_by_a_client_that_takes_no_json_is_not_published(tmp_path: Path) -> None:
    """Given a client that takes XML alone, when it accepts a referral or posts a search, then the answer is 406 and nothing is published."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        before = len(await here.rows("outbox"))
        changed = await fhir.patch(TASK, content=ACCEPT, headers=PATCH | {"accept": "application/xml"})
        searched = await fhir.post("/Task/_search", data={"_format": "xml"})

        assert (changed.status_code, searched.status_code) == (406, 406)
        assert len(await here.rows("outbox")) == before
