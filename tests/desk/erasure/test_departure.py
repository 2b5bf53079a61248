"""A departing agency signs for each case that it is deleted; by then the letters' keys are gone from the ledger."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from agencies import BUS, CASE, SIGNAL
from desk.erasure.test_cases import OTHER, hear_a_letter, secrets_of
from desk.given import CANARY, desk_of
from nrmbus.desk.erasure.departure import delete, part_in
from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import documents, drafts
from nrmbus.desk.state import labels


async def of_a_paper() -> AsyncIterator[bytes]:
    """Yield the content of an upload."""
    yield b"%PDF-1.7\n" + CANARY.encode()


async def test_what_it_signs_as_deleted_opens_no_more(tmp_path: Path) -> None:
    """No file of the folder opens the deleted case's letter; the case that is handed over opens as before."""
    async with desk_of("vac", tmp_path) as given:
        _, place = await hear_a_letter(given)
        _, other = await hear_a_letter(given, OTHER)
        secrets = [row.sealed for row in await given.rows("case_keys") if row.subject == CASE]
        secrets += [row.sealed for row in await given.rows("letter_keys") if row.subject == CASE]
    assert len(secrets) == 2

    assert await delete(tmp_path / "ledger.sqlite", bus=BUS, agency="vac", cases=[CASE])

    assert not [each for each in secrets for path in tmp_path.iterdir() if each in path.read_bytes()]
    async with desk_of("vac", tmp_path) as given:
        assert await secrets_of(given, place) == {}
        assert await secrets_of(given, other)
        assert {row.subject: row.about == "{}" for row in await given.rows("tasks")} == {CASE: True, OTHER: False}


async def test_what_was_typed_and_never_sent_goes_as_well(tmp_path: Path) -> None:
    """Given a case that was only typed, when the agency leaves, then its drafts, uploads and label are gone; those of a handed-over case stay."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        seat = given.desk.seat
        for case in (CASE, OTHER):
            async with seat.ledger.write() as tx:
                typed = {"name": (CANARY,)}
                drafts.begin(
                    seat, tx, owner="S-1", type="case.signal_recorded", subject=case, ref=None, page="/", typed=typed
                )
                labels.keep(seat, tx, case, CANARY)
                labels.assign(tx, case, "S-1", seat.stamp())
            await documents.upload(seat, case, of_a_paper())
    assert await part_in(tmp_path / "ledger.sqlite", bus=BUS, agency="vac") == (CASE,)

    assert await delete(tmp_path / "ledger.sqlite", bus=BUS, agency="vac", cases=[])

    async with desk_of("vac", tmp_path) as given:
        for table in ("drafts", "case_labels", "assignments", "documents"):
            assert [row.subject for row in await given.rows(table)] == [CASE]
        (document,) = await given.rows("documents")
        assert {row.document for row in await given.rows("document_pieces")} == {document.document}


async def test_what_is_not_answered_yet_is_waited_for(tmp_path: Path) -> None:
    """A letter under way cannot be called deleted; without a ledger nothing is destroyed, and the command says so."""
    async with desk_of("vac", tmp_path) as given:
        await given.ask(type="case.signal_recorded", data=SIGNAL | {"detector": "vac"}, sealed={"notes": "CANARY"})
    with pytest.raises(DeskError) as caught:
        await delete(tmp_path / "ledger.sqlite", bus=BUS, agency="vac", cases=[CASE])

    assert caught.value.code == "still_open"
    assert not await delete(tmp_path / "no.sqlite", bus=BUS, agency="vac", cases=[CASE])


async def test_while_a_backup_reads_it_nothing_is_called_deleted(tmp_path: Path) -> None:
    """The agency would sign for keys that are still in a file; repeated after the backup, the deletion succeeds."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        secrets = [row.sealed for table in ("case_keys", "letter_keys") for row in await given.rows(table)]

    def left() -> int:
        return sum(any(each in path.read_bytes() for path in tmp_path.iterdir()) for each in secrets)

    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(DeskError) as caught:
            await delete(tmp_path / "ledger.sqlite", bus=BUS, agency="vac", cases=[CASE])
        assert (caught.value.code, left()) == ("ledger_in_use", 2)
        backup.execute("COMMIT")
        assert await delete(tmp_path / "ledger.sqlite", bus=BUS, agency="vac", cases=[CASE])
        assert left() == 0


async def test_it_is_told_which_cases_it_has_to_say_something_of(tmp_path: Path) -> None:
    """The list has the cases that the agency heard of or spoke of; the admitters sign for all cases and learn of none."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given, OTHER)
        await given.ask(type="case.signal_recorded", data=SIGNAL | {"detector": "vac"}, sealed={"notes": "CANARY"})

    assert await part_in(tmp_path / "ledger.sqlite", bus=BUS, agency="vac") == tuple(sorted((OTHER, CASE)))
    assert await part_in(tmp_path / "no.sqlite", bus=BUS, agency="vac") == ()
