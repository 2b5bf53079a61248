"""A FHIR client finds the Tasks and ServiceRequests of an agency by search, whether it asks by address or by form."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE, NOW
from desk.given import CANARY, REF
from edge.fhir_judge import judged
from edge.given import edge_of, hear_referral


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 1),
        ({"status": "requested,accepted"}, 1),
        ({"status": "completed"}, 0),
        ({"status": "http://hl7.org/fhir/task-status|requested"}, 1),
        ({"status": "completed,http://hl7.org/fhir/task-status|requested"}, 1),
        ({"status": "|requested"}, 1),
        ({"status": "http://hl7.org/fhir/task-status|completed"}, 0),
        ({"owner": "Organization/vac"}, 1),
        ({"owner:identifier": "urn:nrmbus:agency|vac"}, 1),
        ({"owner": "Organization/shelter"}, 0),
        ({"patient:identifier": f"urn:nrmbus:case|{CASE}"}, 1),
        ({"patient:identifier": f"urn:nrmbus:case|{'0' * 32}"}, 0),
        ({"focus": f"ServiceRequest/{REF}"}, 1),
        ({"_id": f"{REF}.vac"}, 1),
        ({"_id": f"{REF}.shelter"}, 0),
        ({"code": "http://hl7.org/fhir/CodeSystem/task-code|fulfill"}, 1),
        ({"code": "fulfill"}, 1),
        ({"code": "http://hl7.org/fhir/CodeSystem/task-code|abort"}, 0),
        ({"_lastUpdated": "ge2026-03-02"}, 1),
        ({"_lastUpdated": "gt2026-03-03T00:00:00Z"}, 0),
        ({"_lastUpdated": "ge2026-03-02T05:00:00Z"}, 1),
        ({"_lastUpdated": "le2026-03-02"}, 1),
        ({"_lastUpdated": "gt2026-03-02"}, 0),
        ({"_lastUpdated": "lt2026-03-02"}, 0),
        ({"_lastUpdated": "gt2026-03-01"}, 1),
        ({"_lastUpdated": "le2026-03-01"}, 0),
        ({"_lastUpdated": "2026-03-02"}, 1),
        ({"_lastUpdated": "eq2026-03-01"}, 0),
        ({"_lastUpdated": "2026-03-02T05:00:00Z"}, 1),
        ({"_lastUpdated": "eq2026-03-02T05:00:01Z"}, 0),
        ({"_lastUpdated": "eq2026-03-02T05:00"}, 1),
        ({"_lastUpdated": "2026-03-02T04:59Z"}, 0),
        ({"_lastUpdated": "eq2026-03-02T09:00:00.000+04:00"}, 1),
        ({"status": ["requested", "completed"]}, 0),
        ({"status": ["requested", "requested,completed"]}, 1),
        ({"owner": ["Organization/vac", "Organization/ngo-a"]}, 0),
        ({"patient": [CASE, "0" * 32]}, 0),
        ({"_id": f"{REF}.vac", "focus": "0" * 32}, 0),
    ],
)
async def test_tasks_are_found_by_the_parameters_of_the_guide(
    query: dict[str, str | list[str]], count: int, tmp_path: Path
) -> None:
    """Each parameter that a referral target must have filters the Tasks."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        found = judged((await fhir.get("/Task", params=query)).json())

        assert len(found.get("entry", ())) == count
        assert found["link"][0]["relation"] == "self"


async def test_search_that_is_posted_finds_what_a_get_finds(tmp_path: Path) -> None:
    """A client that keeps references out of addresses searches by a form, and follows the links of the answer by GET.

    Given: the parameters of a search in a form, and one in the address.
    When: the form is posted.
    Then: the answer is that of the GET with all of them; a body of another type is refused.
    """
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        for path in ("/Task", "/ServiceRequest"):
            form = {"patient:identifier": f"urn:nrmbus:case|{CASE}", "_count": "1"}
            posted = await fhir.post(f"{path}/_search", data=form, params={"_lastUpdated": "ge2026-03-02"})
            got = await fhir.get(path, params={"_lastUpdated": "ge2026-03-02", **form})

            assert judged(posted.json())["entry"] == got.json()["entry"]
            assert (await fhir.get(posted.json()["link"][0]["url"])).json() == got.json()
        refused = await fhir.post("/Task/_search", json={"status": CANARY})
        assert (refused.status_code, judged(refused.json())["issue"][0]["code"]) == (422, "value")
        assert "CANARY" not in refused.text


async def test_client_that_polls_finds_a_referral_that_came_late(tmp_path: Path) -> None:
    """A referral that the desk receives late is new to a client that asks since its last request.

    Given: a line to Kafka that was cut, and a referral registered at 05:00.
    When: the desk receives the referral at 05:11.
    Then: a search since 05:10 finds Task and ServiceRequest, and one since 05:12 finds neither.
    """
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        here.clock.time = NOW + timedelta(minutes=11)
        await hear_referral(here)
        for since, count in (("05:10", 1), ("05:12", 0)):
            for path in ("/Task", "/ServiceRequest"):
                found = (await fhir.get(path, params={"_lastUpdated": f"ge2026-03-02T{since}:00Z"})).json()
                assert len(found.get("entry", ())) == count


async def test_the_address_of_an_entry_leads_to_its_resource(tmp_path: Path) -> None:
    """A client follows `fullUrl` and `next`, and resolves references by the base that the server names."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        found = (await fhir.get("/Task", params={"_include": "Task:focus"})).json()
        base = (await fhir.get("/metadata")).json()["implementation"]["url"]

        assert [each["resource"]["resourceType"] for each in found["entry"]] == ["Task", "ServiceRequest"]
        for entry in found["entry"]:
            assert (await fhir.get(entry["fullUrl"])).json() == entry["resource"]
            assert entry["fullUrl"] == f"{base}/{entry['resource']['resourceType']}/{entry['resource']['id']}"


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/Task", "status", "http://hl7.org/fhir/request-status|active"),
        ("/Task", "status", "http://hl7.org/fhir/task-status|"),
        ("/Task", "code", "http://example.org|CANARY"),
        ("/ServiceRequest", "status", "http://hl7.org/fhir/task-status|requested"),
    ],
)
async def test_a_code_of_another_system_is_refused(path: str, parameter: str, value: str, tmp_path: Path) -> None:
    """Given a code that no resource here can have, then the search is refused and does not look like an empty work list."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        answer = await fhir.get(path, params={parameter: value})

        assert answer.status_code == 422
        assert judged(answer.json())["issue"][0]["diagnostics"].startswith(f"{parameter}: ")
        assert "CANARY" not in answer.text


async def test_a_service_request_is_found_by_the_system_of_its_status(tmp_path: Path) -> None:
    """Given a client that names the system of each code, as R4 has it, then it finds the ServiceRequest."""
    async with edge_of("vac", tmp_path, "fhir") as (here, fhir):
        await hear_referral(here)
        for status, count in (("active", 1), ("revoked", 0)):
            params = {"status": f"http://hl7.org/fhir/request-status|{status}"}
            found = judged((await fhir.get("/ServiceRequest", params=params)).json())
            assert len(found.get("entry", ())) == count


@pytest.mark.parametrize(
    "value",
    [
        "ge",
        "2026-03",
        "ne2026-03-02",
        "geCANARY",
        "le2026-02-30",
        "ge2026-03-02,le2026-03-04",
        "ge2026-03-02T050030",
        "ge2026-03-02T05",
        "ge20260302T05:00:30",
        "ge2026-W10-1",
        "ge2026-03-02T05:00:30+0400",
    ],
)
async def test_a_search_by_a_malformed_time_is_refused_even_if_there_is_nothing_to_find(
    value: str, tmp_path: Path
) -> None:
    """Given an agency without referrals, then a time that this server cannot read is refused as it is with referrals."""
    async with edge_of("vac", tmp_path, "fhir") as (_, fhir):
        for path in ("/Task", "/ServiceRequest"):
            answer = await fhir.get(path, params={"_lastUpdated": value})
            assert answer.status_code == 422
            assert judged(answer.json())["issue"][0]["diagnostics"].startswith("_lastUpdated")
