"""A record that cannot be handled stops its own case only; a person releases the case, in order."""

from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, town
from desk.given import BED, REF, FakeRegistrar, Given, desk_of
from generations import before_type
from nrmbus.desk.inbox import settle
from nrmbus.shelter import procedure
from nrmbus.wire.record import Record

OTHER = "ef" * 16


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "FIRST_WAIT", 0.0)


def bed(registrar: FakeRegistrar, case: str, ref: str = REF) -> Record:
    """Return the special unit's request for a bed."""
    parts = {"coded": {"category": "women"}}
    return registrar.event(
        "special-unit", "shelter.bed_requested", BED, case=case, referral=ref, parts=parts, opens=["shelter"]
    )


class Broken(Exception):
    """A procedure's mistake; its text must be seen nowhere."""


def break_for(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shelter's procedure fail about *case*."""
    whole = procedure._asked

    def broken(heard: Any) -> Any:
        if heard.event.subject == case:
            raise Broken("CANARY-what the mistake says")
        return whole(heard)

    monkeypatch.setattr(procedure, "_asked", broken)


async def until_parked(given: Given, record: Any) -> None:
    """Read *record* as often as a real broker would give it, until it is acknowledged."""
    for _ in range(settle.TRIES):
        try:
            await given.hear(record)
        except Broken:
            continue
        return
    raise AssertionError("the record was never dealt with")


async def test_a_record_that_fails_is_tried_again_and_then_its_case_is_parked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few tries, then the event is stored and waits for a person; nothing of the error's text is kept or logged."""
    async with desk_of("shelter", tmp_path) as given:
        break_for(CASE, monkeypatch)
        record = given.registrar.register(bed(given.registrar, CASE), to="shelter")
        await until_parked(given, record)

        assert record.consumer.again == [record.offset] * (settle.TRIES - 1)
        assert record.consumer.committed == 1
        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASE, "Broken")]
        assert [row.kind for row in await given.rows("tasks")] == ["parked"]
        assert [row.type for row in await given.rows("outbox")] == ["letter.opened"], "the letter did open"
    assert "CANARY" not in capsys.readouterr().out
    assert b"CANARY" not in (tmp_path / "ledger.sqlite").read_bytes()


async def test_a_record_that_fails_only_at_its_end_is_tried_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is written but cannot be kept is not acknowledged, and is neither lost nor skipped."""
    async with desk_of("shelter", tmp_path) as given:
        first, second = (given.registrar.register(bed(given.registrar, case), to="shelter") for case in (CASE, OTHER))
        with monkeypatch.context() as patch:
            patch.setattr(procedure, "keep", _broken)
            with pytest.raises(Broken):
                await given.hear(first)
        assert (first.consumer.committed, first.consumer.again) == (0, [first.offset])
        assert await given.rows("events") == []

        await given.hear(first)
        await given.hear(second)
        assert [row.subject for row in await given.rows("events")] == [CASE, OTHER]
        assert await given.rows("parked") == []


async def test_what_fails_at_its_end_again_and_again_parks_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that fails at the end parks its case too; released while it still fails, it stays parked, without a loop."""
    async with desk_of("shelter", tmp_path) as given:
        monkeypatch.setattr(procedure, "keep", _broken)
        record = given.registrar.register(bed(given.registrar, CASE), to="shelter")
        await until_parked(given, record)
        answer = await given.door.post(f"/v1/cases/{CASE}/release")

        assert record.consumer.committed == 1
        assert answer.json() == {"case": CASE, "left": 1}
        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASE, "Broken")]


def _broken(*_: Any) -> Any:
    raise Broken


async def test_later_records_of_the_case_wait_behind_it_and_other_cases_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record of the case overtakes another; another case is answered in between, also after a restart."""
    registrar = FakeRegistrar(town())
    async with desk_of("shelter", tmp_path, registrar=registrar) as given:
        break_for(CASE, monkeypatch)
        await until_parked(given, registrar.register(bed(registrar, CASE), to="shelter"))
    async with desk_of("shelter", tmp_path, registrar=registrar) as given:
        discharge = registrar.event("special-unit", "shelter.bed_requested", BED, case=CASE, referral="01" * 16)
        await given.hear(registrar.register(discharge, to="shelter"))
        await given.hear(registrar.register(bed(registrar, OTHER), to="shelter"))

        assert [(row.subject, row.error) for row in await given.rows("parked")] == [(CASE, "Broken"), (CASE, "Behind")]
        assert [row.subject for row in await given.rows("outbox") if row.origin == "procedure"] == [OTHER]
        assert (await given.door.get(f"/v1/cases/{CASE}")).json()["parked"] is True
        assert len(await given.rows("tasks")) == 1, "one task a case, not one a record"


async def test_a_person_lets_parked_records_through_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the fault is fixed, the usual handlers process each record in order; then the case is free."""
    async with desk_of("shelter", tmp_path) as given:
        with monkeypatch.context() as patch:
            break_for(CASE, patch)
            await until_parked(given, given.registrar.register(bed(given.registrar, CASE), to="shelter"))
        await given.hear(given.registrar.register(bed(given.registrar, CASE, "01" * 16), to="shelter"))
        answer = await given.door.post(f"/v1/cases/{CASE}/release")

        assert answer.json() == {"case": CASE, "left": 0}
        said = [(row.type, row.origin) for row in await given.rows("outbox") if row.origin == "procedure"]
        assert said == [("shelter.bed_offered", "procedure"), ("shelter.bed_refused", "procedure")]
        assert await given.rows("parked") == []
        reads = [(row.purpose, row.part) for row in await given.rows("reads")]
        assert reads[-4:] == [("release", "coded"), ("release", "story")] * 2, (
            "each opening is on record, also this one"
        )
        await given.hear(given.registrar.register(bed(given.registrar, CASE, "02" * 16), to="shelter"))
        assert await given.rows("parked") == []
        assert (await given.door.post(f"/v1/cases/{CASE}/release")).json()["code"] == "not_parked"


async def test_what_fails_again_stays_parked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releasing a record that still fails changes nothing; the person is told how many records are left."""
    async with desk_of("shelter", tmp_path) as given:
        break_for(CASE, monkeypatch)
        await until_parked(given, given.registrar.register(bed(given.registrar, CASE), to="shelter"))
        await given.hear(given.registrar.register(bed(given.registrar, CASE, "01" * 16), to="shelter"))
        before = await given.rows("parked")
        answer = await given.door.post(f"/v1/cases/{CASE}/release")

        assert answer.json() == {"case": CASE, "left": 2}
        assert await given.rows("parked") == before
        assert [row.type for row in await given.rows("outbox")] == ["letter.opened", "letter.opened"]


async def test_an_event_of_a_type_that_this_release_lacks_parks_its_case(tmp_path: Path) -> None:
    """A record of an unknown type is stored whole and waits for a newer release, which then handles it."""
    async with desk_of("shelter", tmp_path) as given:
        record = given.registrar.register(bed(given.registrar, CASE), to="shelter")
        with before_type("shelter.bed_requested"):
            await given.hear(record)
        assert [row.error for row in await given.rows("parked")] == ["UnknownType"]
        assert (await given.door.post(f"/v1/cases/{CASE}/release")).json()["left"] == 0

        assert [row.type for row in await given.rows("outbox")] == ["letter.opened", "shelter.bed_offered"]


async def test_own_receipts_close_rows_of_a_parked_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agency's own events are answered while the case waits for a person, so nothing is sent for ever."""
    async with desk_of("shelter", tmp_path) as given:
        break_for(CASE, monkeypatch)
        await until_parked(given, given.registrar.register(bed(given.registrar, CASE), to="shelter"))
        (receipt,) = await given.out()
        await given.hear(given.registrar.register(receipt, to="shelter"))

        assert [row.state for row in await given.rows("outbox")] == ["closed"]
        assert [row.error for row in await given.rows("parked")] == ["Broken", "Behind"]
