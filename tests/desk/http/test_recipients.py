"""An agency that the directory does not have is refused at the door, with the ids that were probably meant."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE
from desk.given import REF, desk_of
from nrmbus.directory import Directory
from nrmbus.events.nearest import distance, nearest

GIVEN = {"purposes": ["services"], "given_by": "individual", "form": "written"}
REFUSED = {"purposes": ["services"], "given_by": "individual"}


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("consent.given", GIVEN),
        ("consent.refused", REFUSED),
        ("consent.withdrawn", {"purposes": ["services"]}),
        ("consent.overridden", {"ground": "legal_duty", "approver_role": "duty_officer"}),
    ],
)
async def test_a_consent_about_an_agency_that_nobody_knows_is_refused_at_once(
    type_: str, data: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing goes into the outbox; the answer names the place and the nearest ids, and does not repeat the wrong id."""
    async with desk_of("ngo-a", tmp_path) as here:
        body = {"type": type_, "case": CASE, "actor": "S-1", "data": data | {"receivers": ["vac", "speciel-unit"]}}
        answer = await here.door.post("/v1/events", json=body)

        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_recipient")
        problem = {"pointer": "/data/receivers/1", "kind": "unknown_recipient", "nearest": ["special-unit"]}
        assert answer.json()["problems"] == [problem]
        assert "speciel-unit" not in answer.text
        assert await here.rows("outbox") == []


@pytest.mark.parametrize("pointer", ["/to/0", "/data/to/0"])
async def test_a_chosen_recipient_that_nobody_knows_is_refused_at_once(pointer: str, tmp_path: Path) -> None:
    """The recipient is checked wherever the request names it."""
    async with desk_of("ngo-a", tmp_path) as here:
        to = {"to": ["sheltr"]}
        body = {"type": "shelter.bed_requested", "case": CASE, "ref": REF, "actor": "S-1"}
        data = {"data": {"urgency": "emergency"} | (to if pointer.startswith("/data") else {})}
        answer = await here.door.post("/v1/events", json=body | data | ({} if pointer.startswith("/data") else to))

        found = {"pointer": pointer, "kind": "unknown_recipient", "nearest": ["shelter", "ngo-shelter"]}
        assert (answer.status_code, answer.json()["problems"]) == (422, [found])


async def test_who_was_admitted_a_moment_ago_is_no_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is read to its end before an agency is called unknown."""
    async with desk_of("ngo-a", tmp_path) as here:
        read, state = list[str](), Directory.state

        async def catch_up() -> None:
            read.append("to the end")

        monkeypatch.setattr(
            Directory,
            "state",
            lambda self, agency, at: None if agency == "vac" and not read else state(self, agency, at),
        )
        here.desk.seat.catch_up = catch_up
        answer = await here.ask(type="consent.given", data=GIVEN | {"receivers": ["vac"]})

        assert (read, answer["verdict"]) == (["to the end"], "pending")


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [("", "", 0), ("vac", "", 3), ("vac", "vax", 1), ("ngo-a", "nog-a", 2), ("unit", "special-unit", 8)],
)
def test_a_slip_is_counted_by_letter(one: str, other: str, far: int) -> None:
    """Each inserted, missing or different letter counts as one slip, in both directions."""
    assert distance(one, other) == distance(other, one) == far


def test_only_what_may_have_been_meant_is_named() -> None:
    """At most three ids are named, nearest first; a word unlike all ids has none."""
    known = ["ngo-a", "ngo-b", "ngo-c", "ngo-legal", "fund"]

    assert nearest("ngo-aa", known) == ("ngo-a", "ngo-b", "ngo-c")
    assert nearest("fond", known) == ("fund",)
    assert nearest("zeppelin", known) == ()
