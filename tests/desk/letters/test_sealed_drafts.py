"""A sealed draft stays sealed at the desk, and goes out as it was signed."""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from agencies import BUS, CASE, NOW, SIGNAL
from desk.given import CANARY, REF, desk_of
from desk.letters.test_case_keys import desk_with_keys
from nrmbus.desk.erasure import rounds
from nrmbus.wire import json
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.letter import Container

ID = "01930000-0000-7000-8000-000000000000"
SAID = {"type": "case.signal_recorded", "data": SIGNAL, "sealed": {"age_band": "25-34", "notes": CANARY}}


async def test_no_word_of_a_letter_stands_readable_in_the_ledger(tmp_path: Path) -> None:
    """Drafts, sent letters and received ones are sealed from the first moment: the canary is in no file of the ledger."""
    async with desk_of("ngo-a", tmp_path) as given:
        await given.ask(**SAID)
        holds_none(tmp_path)
        (sent,) = await given.out()
        holds_none(tmp_path)
        await given.hear(given.registrar.register(sent, to="ngo-a"))
        parts = {"story": {"answer": CANARY}}
        supplied = given.registrar.event(
            "vac", "referral.info_supplied", {"question": "language"}, referral=REF, parts=parts, opens=["ngo-a"]
        )
        await given.hear(given.registrar.register(supplied, to="ngo-a"))
        opened = await given.read()
        assert opened[0]["letter"]["story"] == {"answer": CANARY}
    holds_none(tmp_path)


def holds_none(home: Path) -> None:
    """Assert that no file of the ledger holds the canary."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


async def test_the_ledger_has_nothing_by_which_a_letter_could_be_guessed(tmp_path: Path) -> None:
    """The digest that recognizes a repeated request is keyed; a plain digest would confirm every guessed age and language."""
    request = {**SAID, "id": ID, "case": CASE, "actor": "S-1"}
    async with desk_of("ngo-a", tmp_path) as given:
        first, again = [(await given.door.post("/v1/events", json=request)).json() for _ in range(2)]
        other = await given.door.post("/v1/events", json=request | {"sealed": {"age_band": "18-24", "notes": CANARY}})
        assert (first["events"][0]["id"], again) == (ID, first)
        assert other.json()["code"] == "id_reused"
        (row,) = await given.rows("outbox")
        guessed = sha256(json.dumps(request)).hexdigest()
        assert row.asked != guessed
        assert guessed.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_a_request_is_known_again_as_long_as_the_key_in_whose_time_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request is recognized also after a key rotation, until the old key ends and its letters close."""
    signal = SIGNAL | {"detector": "vac"}
    request = {
        "type": "case.signal_recorded",
        "data": signal,
        "sealed": {"notes": CANARY},
        "id": ID,
        "case": CASE,
        "actor": "S-1",
    }
    async with desk_with_keys(tmp_path, monkeypatch) as desk:
        codes = []
        first = (await desk.given.door.post("/v1/events", json=request)).json()
        desk.rotate(NOW + timedelta(days=1))
        for day in (30, 31):
            desk.given.clock.time = NOW + timedelta(days=day)
            await rounds.end_epochs(desk.given.desk.seat, tmp_path)
            answer = (await desk.given.door.post("/v1/events", json=request)).json()
            codes.append("the same" if answer == first else answer["code"])

    assert codes == ["the same", "id_reused"]


async def test_the_letter_that_is_sent_is_the_one_that_was_signed(tmp_path: Path) -> None:
    """The registrar's first check of a letter holds for what the desk sends, parts and sender's wrap included."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = decode(await given.said(**SAID))

        letter = sent.letter()
        assert isinstance(letter, Container)
        assert letter.digest == sent.sealeddigest


async def test_what_was_refused_ends_with_the_key_that_it_was_sealed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused letter belongs to no case, so no erasure would cover it: its key is not kept."""
    asked = {"type": "case.signal_recorded", "data": SIGNAL | {"detector": "vac"}, "sealed": {"notes": CANARY}}
    async with desk_with_keys(tmp_path, monkeypatch) as desk:
        given = desk.given
        refused = await given.said(**asked, case=CASE)
        await given.hear(given.registrar.refuse(refused, "wrong_state"))
        registered = await given.registered(**asked, case="ef" * 16)
        desk.rotate(NOW + timedelta(days=1))
        for day in (2, 32):
            given.clock.time = NOW + timedelta(days=day)
            await rounds.end_epochs(given.desk.seat, tmp_path)

        assert {row.event for row in await given.rows("letter_keys")} == {decode(registered).id}
        (row, _) = await given.rows("outbox")
        with pytest.raises(LetterClosed):
            Container.parse(row.letter).open(
                "vac", given.desk.seat.identity.opening, bus=BUS, source="vac", id=row.id, subject=row.subject
            )
