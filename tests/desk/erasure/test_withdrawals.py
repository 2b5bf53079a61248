"""A desk destroys the letters that its agency confirms as deleted, so that the signed statement is true and stays true."""

from pathlib import Path

import pytest

from agencies import BUS, CASE, SIGNAL
from desk.access.test_opening import consented, supplied, withdrawn
from desk.given import CANARY, desk_of
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.wire.envelope import decode
from nrmbus.wire.letter import Place

pytestmark = pytest.mark.usefixtures("kept")


async def test_p7_what_an_agency_says_that_it_deleted_is_gone_from_its_desk(tmp_path: Path) -> None:
    """No file of the folder opens the letter, and a new consent restores nothing; the agency's own letters stay."""
    async with desk_of("vac", tmp_path) as given:
        await given.hear(consented(given.registrar))
        await given.hear(supplied(given.registrar))
        await given.settle()
        own = await given.registered(
            type="case.signal_recorded", data=SIGNAL | {"detector": "vac"}, sealed={"notes": CANARY}
        )
        await given.read(actor="S-17")
        secrets = [row.sealed for row in await given.rows("letter_keys") if row.source == "ngo-a"]
        secrets += [row.sealed for row in await given.rows("case_keys")]
        secrets += [row.letter[100:400] for row in await given.rows("events") if row.source == "ngo-a" and row.letter]
        assert len(secrets) == 3
        await given.hear(withdrawn(given.registrar))
        assert await rounds.delete_stopped(given.desk) == ()
        await given.registered(type="consent.stop_confirmed", data={"answer": "deleted"})

        assert await rounds.delete_stopped(given.desk) == (CASE,)
        assert await rounds.delete_stopped(given.desk) == ()
        await given.hear(consented(given.registrar))
        await given.hear(supplied(given.registrar))
        assert await rounds.delete_stopped(given.desk) == ()
        shown = [each for each in await given.read(actor="S-17") if each["type"] == "referral.info_supplied"]
        place = case_keys.place_of(given.desk.seat, decode(own))
        gone = next(
            Place(BUS, "ngo-a", row.id, CASE) for row in await given.rows("events") if row.type == shown[0]["type"]
        )
        with given.desk.seat.ledger.read() as tx:
            opens = case_keys.secrets_of(given.desk.seat, tx, place)
            assert case_keys.secrets_of(given.desk.seat, tx, gone) == {}, "its inbox, or a backup, has the letter still"

    assert [each.get("shut") for each in shown] == ["erased", None]
    assert shown[1]["letter"] == {"story": {"answer": CANARY}}
    assert "story" in opens
    content = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert not any(secret in content for secret in secrets)


async def test_what_comes_after_its_word_stays(tmp_path: Path) -> None:
    """A late deletion spares the letters that came after the confirmation, under a new consent."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)):
            await given.hear(record)
        await given.settle()
        await given.registered(type="consent.stop_confirmed", data={"answer": "deleted"})
        await given.hear(consented(given.registrar))
        await given.hear(supplied(given.registrar))

        assert await rounds.delete_stopped(given.desk) == (CASE,)
        shown = [each for each in await given.read(actor="S-17") if each["type"] == "referral.info_supplied"]
        assert [each.get("shut") for each in shown] == ["erased", None]


async def test_what_it_has_to_retain_stays(tmp_path: Path) -> None:
    """The answer `must_retain` destroys nothing."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)):
            await given.hear(record)
        answer = {"type": "consent.stop_confirmed", "data": {"answer": "must_retain"}, "legal_basis": "Law 958-IIQ"}
        await given.settle()
        await given.registered(**answer)

        assert await rounds.delete_stopped(given.desk) == ()
        assert await given.rows("letter_keys")


async def test_the_tasks_about_what_it_deleted_end(tmp_path: Path) -> None:
    """Given tasks about what came before and after a confirmed deletion, then the earlier ones are done and say nothing."""
    async with desk_of("vac", tmp_path) as given:
        for record in (consented(given.registrar), supplied(given.registrar), withdrawn(given.registrar)):
            await given.hear(record)
        before = {row.id for row in await given.rows("tasks")}
        await given.settle()
        await given.registered(type="consent.stop_confirmed", data={"answer": "deleted"})
        await given.hear(consented(given.registrar))
        await given.hear(supplied(given.registrar))
        await rounds.delete_stopped(given.desk)

        tasks = await given.rows("tasks")
        assert {row.id for row in tasks if row.done is not None} == before
        assert {row.about for row in tasks if row.id in before} == {"{}"}
        assert any("sentence" in row.about for row in tasks if row.id not in before)
