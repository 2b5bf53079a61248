"""A reader at a desk's door has a number: a person's own, or for a system the number of the person responsible."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE
from desk.access.test_opening import readings, supplied
from desk.given import CANARY, desk_of
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskError
from nrmbus.desk.own_settings import settings_of
from nrmbus.wire import times

pytestmark = pytest.mark.usefixtures("kept")


async def test_p4_nobody_reads_unnamed(tmp_path: Path) -> None:
    """A reader without a number, or with a name, opens nothing, and no reading is recorded."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(supplied(given.registrar))
        unnamed = await given.door.get("/v1/inbox", params={"open": True})
        whole = await given.door.post(f"/v1/cases/{CASE}/reads", params={"what": "case"})
        names = [await given.door.get("/v1/inbox", params={"open": True, "actor": name}) for name in ("door", "leyla")]

        assert [(each.status_code, each.json()["code"]) for each in (unnamed, whole)] == [(422, "reader_unnamed")] * 2
        assert {each.json()["code"] for each in names} == {"unknown_field"}
        assert CANARY not in unnamed.text
        assert await readings(given) == [("desk", "receipt")]
        assert [row for row in await given.rows("outbox") if row.type == "access.granted"] == []
        assert (
            len((await given.door.get("/v1/inbox")).json()["events"]) == 1
        )  # a reader who opens nothing needs no number


async def test_an_agencys_system_reads_as_who_answers_for_it(tmp_path: Path) -> None:
    """A program that names no reader uses the number in agency.json; an explicit reader replaces it."""
    async with desk_of("vac", tmp_path) as given:
        given.desk.reader = "S-900"
        await given.hear(supplied(given.registrar))
        for named in ({}, {"actor": "S-17"}):
            asked = given.door.get("/v1/inbox", params={"open": True, **named})
            (event,) = (await given.during(asked)).json()["events"]
            assert event["letter"] == {"story": {"answer": CANARY}}

        assert await readings(given) == [
            ("desk", "receipt"),
            ("S-900", "case_work"),
            ("S-17", "case_work"),
        ]


async def test_an_opening_names_the_system_that_asked_for_it(tmp_path: Path) -> None:
    """Whoever finds a token copied sees what was opened with it; the reader stays the person."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(supplied(given.registrar))
        ends = times.write(wall_now() + timedelta(days=1))
        asked = {"name": "booking", "scopes": ["read", "open"], "ends": ends}
        token = (await given.door.post("/v1/tokens", json=asked)).json()["token"]
        params: dict[str, str | bool] = {"open": True, "actor": "S-17"}
        headers = {"authorization": f"Bearer {token}"}
        await given.during(given.door.get("/v1/inbox", params=params, headers=headers))
        await given.during(given.door.get("/v1/inbox", params=params))

        found = (await given.door.get("/v1/reads")).json()["reads"]
        assert [(each["who"], each.get("system")) for each in found] == [
            ("desk", None), ("S-17", "booking"), ("S-17", "door.json"),
        ]  # fmt: skip
        with_it = (await given.door.get("/v1/reads", params={"system": "booking"})).json()["reads"]
        assert with_it == [found[1]]
        whole = (await given.door.get(f"/v1/cases/{CASE}/reads")).json()["reads"]
        assert [each.get("system") for each in whole] == [None, "booking", "door.json"]


@pytest.mark.parametrize("reader", ["leyla", "desk", "by-itself", "S 1", "", 7, ["S-1"]], ids=repr)
def test_a_system_whose_reader_is_no_number_does_not_start(reader: object, tmp_path: Path) -> None:
    """The reader in agency.json is checked before any request uses it."""
    home = BusFolder(tmp_path).agency("vac")
    write_json(home.agency_json, {"agency": "vac", "role": "vac", "reader": reader})
    with pytest.raises(DeskError, match="reader_unfit"):
        settings_of(home)

    write_json(home.agency_json, {"agency": "vac", "role": "vac", "reader": "S-900"})
    assert settings_of(home).reader == "S-900"


@pytest.mark.parametrize(
    "capacity", [{"wemen": 4}, {"women": -1}, {"women": "four"}, {"women": 4.5}, {"women": True}, [4]], ids=repr
)
def test_places_that_are_no_numbers_of_beds_are_named(capacity: object, tmp_path: Path) -> None:
    """A slip in a shelter's places ends the start with a sentence; before, women were refused while beds were free."""
    home = BusFolder(tmp_path).agency("shelter")
    write_json(home.agency_json, {"agency": "shelter", "role": "shelter", "capacity": capacity})
    with pytest.raises(BusError, match="gives no places"):
        settings_of(home)

    write_json(home.agency_json, {"agency": "shelter", "role": "shelter", "capacity": {"women": 4, "children": 0}})
    assert settings_of(home).capacity == {"women": 4, "children": 0}


@pytest.mark.parametrize("text", ['{"reader": "S-900",}', '["S-900"]', ""])
def test_settings_that_are_no_json_object_are_named(text: str, tmp_path: Path) -> None:
    """A slip in agency.json ends the start with a sentence that names the file, and does not repeat it."""
    home = BusFolder(tmp_path).agency("vac")
    home.path.mkdir(parents=True)
    home.agency_json.write_text(text)

    with pytest.raises(NoBus, match=r"agency\.json is not a JSON object") as told:
        settings_of(home)
    assert "S-900" not in str(told.value)
