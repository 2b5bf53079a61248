"""A procedure releases a reservation whose purpose failed; a person is told."""

from pathlib import Path

import pytest

from desk.given import BED, REF, Given, desk_of
from nrmbus.desk.outbox import queue
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

pytestmark = pytest.mark.usefixtures("kept")


async def asked_for_a_bed(given: Given) -> None:
    """Have the special unit ask for a bed, the shelter hold one, and the letter's receipt be answered."""
    asked = given.registrar.event(
        "special-unit",
        "shelter.bed_requested",
        BED,
        referral=REF,
        parts={"coded": {"category": "women"}},
        opens=["shelter"],
    )
    await given.hear(given.registrar.register(asked, to="shelter"))
    assert len(beds(given)) == 1
    (receipt,) = await given.out()
    await given.hear(given.registrar.register(receipt, to="shelter"))


def beds(given: Given) -> tuple[object, ...]:
    """Return the beds that are held or taken."""
    found: tuple[object, ...] = getattr(given.desk.book, "beds", ())
    return found


async def offered(given: Given) -> Record:
    """Return the offer that the procedure sends automatically."""
    (offer,) = await given.out()
    assert decode(offer).type == "shelter.bed_offered"
    return offer


async def test_a_refused_offer_frees_the_bed_it_held(tmp_path: Path) -> None:
    """The registrar refuses the offer: the bed is free again, also after a restart."""
    async with desk_of("shelter", tmp_path) as given:
        await asked_for_a_bed(given)
        await given.hear(given.registrar.refuse(await offered(given), "not_on_case", rule="G-05"))

        assert beds(given) == ()
        assert [row.kind for row in await given.rows("tasks")] == ["refused"]
    async with desk_of("shelter", tmp_path) as given:
        assert beds(given) == ()


async def test_an_offer_that_could_not_be_read_frees_the_bed_it_held(tmp_path: Path) -> None:
    """The unreadable offer never became an event, so no bed may wait for it."""
    async with desk_of("shelter", tmp_path) as given:
        await asked_for_a_bed(given)
        await given.hear(given.registrar.answer(await offered(given), "signature_profile"))

        assert beds(given) == ()
        assert sorted(row.kind for row in await given.rows("tasks")) == ["not_sent", "refused"]


async def test_an_offer_that_could_not_be_signed_frees_the_bed_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bed is freed also where the desk finds that it cannot send the offer."""

    def unsignable(*_: object) -> queue.Refused:
        return queue.Refused("too_large")

    async with desk_of("shelter", tmp_path) as given:
        await asked_for_a_bed(given)
        monkeypatch.setattr(queue, "sign", unsignable)
        assert await given.out() == []

        assert beds(given) == ()
        assert [row.verdict for row in await given.rows("outbox")] == ["registered", "failed"]


async def test_an_offer_sealed_again_keeps_its_bed(tmp_path: Path) -> None:
    """`audience_changed` is no refusal: the same offer goes out again, and the bed stays held."""
    async with desk_of("shelter", tmp_path) as given:
        await asked_for_a_bed(given)
        await given.hear(given.registrar.refuse(await offered(given), "audience_changed", rule="W9", seal_to={}))

        assert len(beds(given)) == 1
        assert decode(await offered(given)).sequence == 3
