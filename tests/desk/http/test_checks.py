"""An agency's system may ask what would become of its events before anything is published."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, desk_of

OPENING: dict[str, Any] = {"type": "case.signal_recorded", "actor": "S-1", "data": SIGNAL}
CONSENT: dict[str, Any] = {
    "type": "consent.given", "actor": "S-1",
    "data": {"purposes": ["services", "information_sharing"], "receivers": ["special-unit"], "given_by": "individual", "form": "written"},
}  # fmt: skip
REFERRAL: dict[str, Any] = {
    "type": "referral.submitted", "actor": "S-1", "to": ["special-unit"], "ref": REF, "legal_basis": "CoM 21/2008 art. 7",
    "data": {"mode": "referral", "reason": "FormalIdentification", "urgency": "normal", "services": []},
}  # fmt: skip


async def test_each_event_is_judged_as_if_those_before_it_were_registered(tmp_path: Path) -> None:
    """A referral fits behind its consent, and is refused by the rule without it; nothing is stored or sent."""
    async with desk_of("ngo-a", tmp_path) as here:
        whole = await here.door.post("/v1/checks", json={"events": [OPENING, CONSENT, REFERRAL]})
        bare = await here.door.post("/v1/checks", json={"events": [OPENING, REFERRAL, CONSENT]})

        assert [each["verdict"] for each in whole.json()["checks"]] == ["fits", "fits", "fits"]
        _, refused, later = bare.json()["checks"]
        assert (refused["verdict"], refused["code"], refused["rule"]) == ("refused", "consent_required", "G-32")
        assert refused["sentence"]
        assert refused["article"]
        assert later["verdict"] == "not_judged"
        assert await here.rows("outbox") == []
        assert await here.out() == []


async def test_a_check_and_the_publication_agree(tmp_path: Path) -> None:
    """An event that was published before under its id has its verdict, and the next one is judged by the case as it is."""
    async with desk_of("ngo-a", tmp_path) as here:
        opening = {**OPENING, "id": "01930000-0000-7000-8000-000000000001"}
        await here.registered(**opening, case=CASE)
        again = await here.door.post("/v1/checks", json={"events": [opening, {**CONSENT, "case": CASE}]})
        other = await here.door.post("/v1/checks", json={"events": [{**opening, "actor": "S-2"}]})

        first, second = again.json()["checks"]
        assert (first["verdict"], first["number"], first["case"]) == ("registered", 1, CASE)
        assert (second["verdict"], second["case"]) == ("fits", CASE)
        assert other.json()["checks"][0]["code"] == "id_reused"


async def test_every_fault_of_every_event_is_shown_at_once(tmp_path: Path) -> None:
    """An event behind a faulty one is still read, so that one check finds all that is to be corrected."""
    async with desk_of("ngo-a", tmp_path) as here:
        bent = {**OPENING, "data": {**SIGNAL, "urgency": CANARY}}
        nobody = {**REFERRAL, "to": ["special-unti"]}
        answer = await here.door.post("/v1/checks", json={"events": [bent, CONSENT, nobody]})

        first, second, third = answer.json()["checks"]
        assert [each["pointer"] for each in first["problems"]] == ["/data/urgency"]
        assert "emergency" in first["problems"][0]["allowed"]
        assert second["verdict"] == "not_judged"
        assert (third["code"], third["problems"][0]["nearest"]) == ("unknown_recipient", ["special-unit"])
        assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "unknown_field"),
        ({"events": []}, "unknown_field"),
        ({"events": [7]}, "unknown_field"),
        ({"events": [OPENING] * 51}, "unknown_field"),
        ({"events": [OPENING], CANARY: 1}, "unknown_field"),
        ({"events": "x" * 600_000}, "too_large"),
    ],
)
async def test_a_request_that_is_no_list_of_events_is_refused(body: Any, code: str, tmp_path: Path) -> None:
    """The list has between one and fifty events."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post("/v1/checks", json=body)

        assert answer.json()["code"] == code
        assert "CANARY" not in answer.text


async def test_checking_needs_the_scope_of_publishing(tmp_path: Path) -> None:
    """A token that may only read learns nothing from a check."""
    async with desk_of("ngo-a", tmp_path) as here:
        answer = await here.door.post(
            "/v1/checks", json={"events": [OPENING]}, headers={"authorization": "Bearer a-token-to-read"}
        )

        assert (answer.status_code, answer.json()["scope"]) == (403, "publish")
