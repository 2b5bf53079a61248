"""What happened in a case, as one list of the agency's own events and those that it received."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from agencies import CASE, SIGNAL
from desk.documents.test_reading import received
from desk.given import CANARY, REF, desk_of
from desk.store.given import bed_request
from nrmbus.desk.http import courses, forms, timelines
from nrmbus.desk.state.cases import Cases
from nrmbus.rules.records import PartState

REFERRAL: dict[str, Any] = {
    "to": ["vac"], "mode": "referral", "reason": "LegalAid", "urgency": "normal", "services": ["legal"],
}  # fmt: skip


async def test_a_timeline_has_what_was_said_and_what_was_heard_in_the_order_of_registration(tmp_path: Path) -> None:
    """Own and received events stand in one list, in the version that the reader speaks, page by page and without letters."""
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        sent = registrar.event(
            "ngo-a", "referral.submitted", REFERRAL, parts={"identity": {"name": CANARY}}, opens=["vac"], referral=REF
        )
        await here.hear(registrar.register(sent, to="vac"))
        await here.settle()
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        first = (await here.door.get(f"/v1/cases/{CASE}/timeline", params={"limit": 2})).json()
        rest = await here.door.get(
            f"/v1/cases/{CASE}/timeline", params={"after": first["next"], "speaks": "referral.submitted:2"}
        )
        whole = await here.door.get(
            f"/v1/cases/{CASE}/timeline", params={"technical": True, "speaks": "referral.submitted:2"}
        )

        assert [(each["source"], each["type"]) for each in (*first["events"], *rest.json()["events"])] == [
            ("ngo-a", "case.signal_recorded"), ("ngo-a", "referral.submitted"), ("vac", "referral.accepted"),
        ]  # fmt: skip
        assert rest.json()["next"] is None
        assert {each["type"] for each in whole.json()["events"]} > {"letter.opened"}
        assert [
            each["data"]["services"] for each in whole.json()["events"] if each["type"] == "referral.submitted"
        ] == [[{"code": "legal"}]]
        numbers = [each["number"] for each in whole.json()["events"]]
        assert numbers == sorted(numbers)
        assert "CANARY" not in whole.text
        assert "original" not in whole.text
        assert (await here.door.get(f"/v1/cases/{'0' * 32}/timeline")).status_code == 404


async def test_an_event_that_the_agency_hears_of_later_stands_at_its_number(tmp_path: Path) -> None:
    """Given an early event that is delivered after a later one, then a new reading has both in order, and the door's page says to begin again."""
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        consents = {"purposes": ["services"], "receivers": ["vac"], "given_by": "individual"}
        early = registrar.event("ngo-a", "consent.refused", consents)
        registration = registrar._registration(early)
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        before = (await here.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]
        await here.hear(registrar._deliver("vac", registration, early))
        after = (await here.door.get(f"/v1/cases/{CASE}/timeline")).json()["events"]
        page = (await here.door.get("/openapi.json")).json()["paths"]["/v1/cases/{ref}/timeline"]["get"]
        (cursor,) = [each["description"] for each in page["parameters"] if each["name"] == "after"]

    assert [each["number"] for each in before] == [2]
    assert [each["number"] for each in after] == [1, 2]
    assert "may have an earlier number" in cursor


async def test_referrals_are_listed_with_their_answers(tmp_path: Path) -> None:
    """A referral is found by its reference, with each receiver and what it answered."""
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac"))
        await here.hear(
            registrar.register(registrar.event("ngo-a", "referral.submitted", REFERRAL, referral=REF), to="vac")
        )
        before = (await here.door.get("/v1/referrals", params={"ref": REF})).json()
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        (after,) = (await here.door.get("/v1/referrals", params={"case": CASE})).json()["referrals"]

        assert before["next"] is None
        (found,) = before["referrals"]
        assert (found["ref"], found["case"], found["source"]) == (REF, CASE, "ngo-a")
        assert found["receivers"] == [{"agency": "vac", "state": "submitted", "acknowledged": False, "asked": False}]
        assert after["receivers"][0]["state"] == "accepted"
        assert (await here.door.get("/v1/referrals", params={"ref": "0" * 32})).json()["referrals"] == []
        assert (await here.door.get("/v1/referrals", params={"after": found["row"]})).json()["referrals"] == []


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield the statements about referrals that any ledger runs within the block."""
    found = list[str]()

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "referral.submitted" in str(parameters):
            found.append(" ".join(statement.split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_page_of_referrals_reads_a_few_rows_at_a_time_and_no_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter that few referrals fit keeps nobody else waiting: others have their turn between the readings."""
    monkeypatch.setattr(timelines, "AT_A_TIME", 1)
    turns, told, real = 0, list[int](), courses._referral

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def noted(*args: Any) -> Any:
        told.append(turns)
        return real(*args)

    monkeypatch.setattr(courses, "_referral", noted)
    async with desk_of("vac", tmp_path) as here:
        registrar = here.registrar
        for case in ("0a" * 16, "0b" * 16, "0c" * 16):
            await here.hear(
                registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL, case=case), to="vac")
            )
            sent = registrar.event("ngo-a", "referral.submitted", REFERRAL, case=case, referral=case)
            await here.hear(registrar.register(sent, to="vac"))
        others_work = asyncio.create_task(others())
        with statements() as asked:
            none = (await here.door.get("/v1/referrals", params={"state": "revoked"})).json()
        assert none == {"referrals": [], "next": None}
        assert len(set(told)) == len(told) == 3
        assert all("LIMIT" in each and "NULL AS letter" in each for each in asked), asked
        pages = [(await here.door.get("/v1/referrals", params={"limit": 2})).json()]
        pages.append((await here.door.get("/v1/referrals", params={"limit": 2, "after": pages[0]["next"]})).json())
        assert [each["ref"][:2] for page in pages for each in page["referrals"]] == ["0a", "0b", "0c"]
        assert pages[1]["next"] is None
        others_work.cancel()


def test_the_fake_desk_knows_the_states_of_a_referral_that_the_rules_know() -> None:
    """Given the list of states that a plain install has, then that list is the one of the Rules."""
    assert forms.State == PartState


async def test_a_page_with_several_records_of_a_case_folds_the_case_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two documents, two referrals and two requests for beds in a case, the case's events are read once for each page.

    The desk does nothing else meanwhile, and a case that has long been quiet is not in memory.
    """
    folded, real = list[str](), Cases.view

    def noted(cases: Cases, tx: Any, subject: str, *args: Any, **more: Any) -> Any:
        folded.append(subject)
        return real(cases, tx, subject, *args, **more)

    monkeypatch.setattr(Cases, "view", noted)
    found = dict[str, tuple[int, int]]()
    for agency, pages in {
        "vac": {f"/v1/cases/{CASE}/timeline": "events", "/v1/inbox": "events", "/v1/referrals": "referrals"},
        "shelter": {"/v1/beds": "beds"},
    }.items():
        async with desk_of(agency, tmp_path / agency) as here:
            registrar = here.registrar
            for ref in (REF, "ce" * 16):
                if agency == "vac":
                    await received(here)
                    sent = registrar.event("ngo-a", "referral.submitted", REFERRAL, referral=ref)
                else:
                    sent = bed_request(registrar, ref=ref)
                await here.hear(registrar.register(sent, to=agency))
            for path, name in pages.items():
                folded.clear()
                rows = (await here.door.get(path)).json()[name]
                found[path] = len(rows), len(folded)

    assert found == {
        f"/v1/cases/{CASE}/timeline": (4, 1), "/v1/inbox": (4, 1), "/v1/referrals": (2, 1), "/v1/beds": (2, 1),
    }  # fmt: skip
