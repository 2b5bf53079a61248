"""What agencies say about no case: a desk publishes it without a case, keeps it, shows it, and counts it as no case."""

from pathlib import Path
from typing import Any, Final

from agencies import CASE, SIGNAL
from desk.given import desk_of
from desk.http.test_resources import get
from nrmbus.events import bulletin
from nrmbus.wire.names import TIMEKEEPER

PLACES: Final = {"type": "provider.capacity_changed", "actor": "S-1", "data": {"women": "few", "children": "none"}}
SILENT: Final = {"agency": "vac", "listening": False, "since": "2026-03-02T05:00:00Z"}


async def test_a_provider_says_what_is_free_without_a_case(tmp_path: Path) -> None:
    """The desk puts it into the agency's bulletin; a case is neither needed nor taken."""
    async with desk_of("shelter", tmp_path) as here:
        answer = await here.door.post("/v1/events", json=PLACES)
        wrong = await here.door.post("/v1/events", json=PLACES | {"case": "ab" * 16})
        own = await here.door.post("/v1/events", json=PLACES | {"case": bulletin.of("shelter")})

    assert answer.json()["case"] == own.json()["case"] == bulletin.of("shelter")
    assert (wrong.status_code, wrong.json()["problems"][0]["pointer"]) == (422, "/case")


async def test_a_desk_shows_the_latest_of_each_agency_and_no_case_of_it(tmp_path: Path) -> None:
    """What was heard is there by type and agency; lists of cases, the case and its course know nothing of it, and nobody has a task."""
    shelter, clock = bulletin.of("shelter"), bulletin.of(TIMEKEEPER)
    async with desk_of("ngo-a", tmp_path) as here:
        for source, type_, data, subject in (
            ("shelter", "provider.capacity_changed", {"women": "free"}, shelter),
            ("shelter", "provider.capacity_changed", {"women": "few", "children": "none"}, shelter),
            (TIMEKEEPER, "agency.listening_changed", SILENT, clock),
        ):
            event = here.registrar.event(source, type_, data, case=subject)
            await here.hear(here.registrar.register(event, to="ngo-a"))

        found: dict[str, Any] = await get(here, "/v1/bulletins")
        of_vac = await get(here, "/v1/bulletins", agency="vac")
        cases = await get(here, "/v1/cases")
        tasks = await get(here, "/v1/tasks")
        missing = [(await here.door.get(f"/v1/cases/{shelter}{rest}")).status_code for rest in ("", "/timeline")]

    told = {(each["type"], each["agency"]): (each["source"], each["data"]) for each in found["announcements"]}
    assert told == {
        ("provider.capacity_changed", "shelter"): ("shelter", {"women": "few", "children": "none"}),
        ("agency.listening_changed", "vac"): (TIMEKEEPER, SILENT),
    }
    assert [each["agency"] for each in of_vac["announcements"]] == ["vac"]
    assert cases["cases"] == []
    assert tasks["tasks"] == []
    assert missing == [404, 404]


async def test_an_agency_that_a_breach_affects_has_something_to_read(tmp_path: Path) -> None:
    """Who is named in `to` gets a task; who is told besides has it in the bulletin alone."""
    data = {
        "to": ["ngo-a"],
        "kind": "lost",
        "classes": ["DC3"],
        "persons": "1-10",
        "measures": ["none_yet"],
        "ended": False,
    }
    async with desk_of("ngo-a", tmp_path) as here:
        event = here.registrar.event("vac", "data.breach_reported", data, case=bulletin.of("vac"))
        await here.hear(here.registrar.register(event, to="ngo-a"))
        tasks = await get(here, "/v1/tasks")

    assert [each["kind"] for each in tasks["tasks"]] == ["read"]


async def test_in_a_request_for_several_what_is_about_no_case_stands_alone(tmp_path: Path) -> None:
    """An event without a case follows the case before, not the bulletin between them."""
    signal = {
        "detector": "ngo_outreach",
        "child": False,
        "urgency": "emergency",
        "detected_abroad": False,
        "basis": ["indicators"],
    }
    events = [
        {"type": "case.signal_recorded", "actor": "S-1", "data": signal},
        {"type": "data.breach_reported", "actor": "S-1", "data": {
            "kind": "lost", "classes": ["DC3"], "persons": "1-10", "measures": ["none_yet"], "ended": False,
        }},
        {"type": "case.signal_dismissed", "actor": "S-1", "approver": "S-2", "data": {"reason": "no_indicator"}},
    ]  # fmt: skip
    async with desk_of("ngo-a", tmp_path) as here:
        checked = (await here.door.post("/v1/checks", json={"events": events})).json()
        answer = (await here.door.post("/v1/batches", json={"events": events})).json()

    first, breach, last = (each["case"] for each in answer["published"])
    assert breach == bulletin.of("ngo-a")
    assert first == last != breach
    assert checked["checks"][1]["case"] == breach


async def test_what_is_known_of_an_agency_is_shown_before_somebody_turns_to_it(tmp_path: Path) -> None:
    """The list of agencies and the steps of a case have its places with their age, and since when it does not read."""
    async with desk_of("ngo-a", tmp_path) as here:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        for source, type_, data in (
            ("shelter", "provider.capacity_changed", {"women": "few", "children": "none"}),
            (TIMEKEEPER, "agency.listening_changed", SILENT),
        ):
            event = here.registrar.event(source, type_, data, case=bulletin.of(source))
            await here.hear(here.registrar.register(event, to="ngo-a"))
        silent = {each["agency"]: each for each in (await get(here, "/v1/directory"))["agencies"]}
        steps = {each["agency"]: each for each in (await get(here, "/v1/steps", case=CASE))["receivers"]}
        back = here.registrar.event(
            TIMEKEEPER, "agency.listening_changed", SILENT | {"listening": True}, case=bulletin.of(TIMEKEEPER)
        )
        await here.hear(here.registrar.register(back, to="ngo-a"))
        again = {each["agency"]: each for each in (await get(here, "/v1/directory"))["agencies"]}

    assert silent["shelter"]["places"] == steps["shelter"]["places"] == {"women": "few", "children": "none"}
    assert silent["shelter"]["places_at"] == steps["shelter"]["places_at"] == "2026-03-02T05:00:00Z"
    assert silent["vac"]["silent_since"] == steps["vac"]["silent_since"] == SILENT["since"]
    assert "silent_since" not in again["vac"]
    assert "places" not in silent["ngo-l"]
