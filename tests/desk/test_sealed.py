"""What was said under seal stays sealed at the desk, and goes out as it was signed."""

from pathlib import Path

from desk.given import CANARY, REF, SIGNAL, desk_of
from nrmbus.wire.envelope import decode
from nrmbus.wire.letter import Container

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
    """No file of the ledger holds the canary."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


async def test_the_letter_that_is_sent_is_the_one_that_was_signed(tmp_path: Path) -> None:
    """The registrar's first check of a letter holds for what the desk sends, parts and sender's wrap included."""
    async with desk_of("ngo-a", tmp_path) as given:
        sent = decode(await given.said(**SAID))

        letter = sent.letter()
        assert isinstance(letter, Container)
        assert letter.digest == sent.sealeddigest
