"""The agency's own label of a case: sealed, handed over to the next key, and destroyed with its case."""

from pathlib import Path

import pytest
from sqlalchemy import update

from agencies import CASE, NOW
from desk.erasure.test_cases import hear_a_letter, hear_that_it_is_due
from desk.given import Given, desk_of
from desk.kept import kept, postgresql, server
from desk.letters.test_case_keys import DAY, desk_with_keys
from nrmbus.desk.erasure import rounds
from nrmbus.desk.state import labels
from nrmbus.desk.store import tables

__all__ = ("kept", "postgresql", "server")

LABEL = "CANARY-file 12"
OTHER = "ef" * 16


async def keep(given: Given, subject: str, label: str) -> None:
    """Have the desk keep a label, and a colleague for the case."""
    async with given.desk.seat.ledger.write() as tx:
        labels.keep(given.desk.seat, tx, subject, label)
        labels.assign(tx, subject, "4711", given.desk.seat.stamp())


async def label_of(given: Given, subject: str = CASE) -> str:
    """Return the label of a case."""
    with given.desk.seat.ledger.read() as tx:
        return labels.of(given.desk.seat, tx, subject)


@pytest.mark.usefixtures("kept")
async def test_a_label_is_tidied_sealed_and_replaced(tmp_path: Path) -> None:
    """Labels of different lengths have one sealed size; a long label is cut, an empty one removed."""
    async with desk_of("vac", tmp_path) as given:
        await keep(given, CASE, f"  {LABEL}\n again ")
        await keep(given, OTHER, "x")
        first, second = await given.rows("case_labels")
        assert len(first.sealed) == len(second.sealed)
        assert b"CANARY" not in first.sealed + second.sealed
        assert await label_of(given) == f"{LABEL} again"
        await keep(given, CASE, "y" * 300)
        assert await label_of(given) == "y" * labels.LONGEST
        await keep(given, CASE, " ")
        assert await label_of(given) == ""
        assert len(await given.rows("case_labels")) == 1


async def test_a_label_goes_with_its_case_and_comes_back_with_nobody(tmp_path: Path) -> None:
    """An erasure destroys label and colleague, one that is kept afterwards too; other cases keep theirs."""
    async with desk_of("vac", tmp_path) as given:
        await hear_a_letter(given)
        await keep(given, CASE, LABEL)
        await keep(given, OTHER, LABEL)
        await hear_that_it_is_due(given)
        assert await rounds.erase_due(given.desk) == (CASE,)
        left = await label_of(given), await label_of(given, OTHER)
        await keep(given, CASE, LABEL)
        await rounds.erase_due(given.desk)

        assert left == ("", LABEL)
        assert await label_of(given) == ""
        assert [row.subject for row in await given.rows("assignments")] == [OTHER]


async def test_labels_are_handed_over_before_their_key_is_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of keys the label opens by the new key alone; one from an old backup is empty."""
    async with desk_with_keys(tmp_path, monkeypatch) as desk:
        seat = desk.given.desk.seat
        await keep(desk.given, CASE, LABEL)
        (before,) = await desk.given.rows("case_labels")
        desk.rotate(NOW + DAY)
        desk.given.clock.time = NOW + 2 * DAY
        await rounds.end_epochs(seat, tmp_path)
        (after,) = await desk.given.rows("case_labels")
        desk.given.clock.time = NOW + 32 * DAY
        await rounds.end_epochs(seat, tmp_path)

        assert after.kid == seat.identity.sealing.kid != before.kid
        assert await label_of(desk.given) == LABEL
        async with seat.ledger.write() as tx:
            tx.execute(update(tables.case_labels).values(kid=before.kid, sealed=before.sealed))
        assert await label_of(desk.given) == ""
