"""A draft: its owner's alone, sealed, never overwritten by another tab, and gone when its time is over."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE, NOW, SIGNAL
from desk.given import CANARY, Given, desk_of
from desk.letters.test_sealed_drafts import holds_none
from desk.own_bus import OwnBus
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from nrmbus.desk.erasure import rounds
from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept
from nrmbus.desk.state.context import Seat

TYPED = {"data.child": ("no",), "sealed.notes": (CANARY,)}


async def begun(seat: Seat, *, owner: str = "S-1", another: bool = False) -> Kept:
    """Begin a draft of a signal in `CASE`."""
    async with seat.ledger.write() as tx:
        return drafts.begin(
            seat, tx, owner=owner, type="case.signal_recorded", subject=CASE, ref=None, page="what", typed=TYPED,
            is_another=another,
        )  # fmt: skip


async def kept(seat: Seat, draft: Kept, *, seen: int) -> Kept:
    """Save *draft* as somebody who has seen that version."""
    async with seat.ledger.write() as tx:
        return drafts.keep(seat, tx, draft, seen=seen)


def there(seat: Seat, draft: Kept, owner: str | None = None) -> Kept | None:
    """Return the draft as it stands in the ledger."""
    with seat.ledger.read() as tx:
        return drafts.of(seat, tx, draft.id, owner)


async def test_a_draft_is_sealed_and_its_owners_alone(tmp_path: Path) -> None:
    """Given a draft, then no file of the ledger holds what was typed, and nobody else gets it by its id."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)

        holds_none(tmp_path)
        assert there(seat, draft, "S-1") == draft
        assert there(seat, draft, "S-2") is None
        assert CANARY not in repr(draft)
    holds_none(tmp_path)


async def test_its_size_does_not_show_how_much_was_typed(tmp_path: Path) -> None:
    """Given a word more, then the sealed bytes are as many as before."""
    async with desk_of("ngo-a", tmp_path) as given:
        draft = await begun(given.desk.seat)
        (before,) = await given.rows("drafts")
        await kept(given.desk.seat, replace(draft, typed={"sealed.notes": (CANARY + " and a word more",)}), seen=1)
        (after,) = await given.rows("drafts")
        assert len(after.sealed) == len(before.sealed)


async def test_the_same_step_has_one_draft_until_a_second_is_wanted(tmp_path: Path) -> None:
    """Given a double click on a step, then there is one draft; a colleague, and a wish to keep both, get their own."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        first, again, other, both = (
            await begun(seat), await begun(seat), await begun(seat, owner="S-2"), await begun(seat, another=True),
        )  # fmt: skip
        assert first.id == again.id
        assert len({first.id, other.id, both.id}) == 3
        with seat.ledger.read() as tx:
            assert {each.id for each in drafts.listed(seat, tx, owner="S-1")} == {first.id, both.id}


async def test_a_second_tab_does_not_overwrite_the_first(tmp_path: Path) -> None:
    """Given two tabs, when both save, then the second is told what is there now; saving the same again is no conflict."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)
        mine = await kept(seat, replace(draft, typed={"data.child": ("yes",)}), seen=1)

        with pytest.raises(drafts.PassedError) as passed:
            await kept(seat, replace(draft, typed={"data.child": ("no",)}), seen=1)

        assert passed.value.now == mine
        assert await kept(seat, replace(draft, typed={"data.child": ("yes",)}), seen=1) == mine
        assert there(seat, draft) == mine


async def test_a_draft_of_an_earlier_release_is_the_same_as_it_comes_now(tmp_path: Path) -> None:
    """Given a text whose line breaks were kept as a browser sends them, when its page sends it once more, then it is no conflict."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)
        before = await kept(seat, replace(draft, typed={"sealed.notes": ("one\r\ntwo",)}), seen=1)

        after = await kept(seat, replace(draft, typed={"sealed.notes": ("one\ntwo",)}), seen=1)

        assert after.typed == {"sealed.notes": ("one\ntwo",)}
        assert after.version == before.version


async def test_a_late_save_takes_nothing_back_that_was_sent(tmp_path: Path) -> None:
    """Given a draft that was sent, then no tab that saw it open saves it, or asks a second person, and it stays sent."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)
        sent = await kept(seat, replace(draft, state="sent", request=b'{"events":[]}'), seen=1)

        for late in (
            draft, replace(draft, typed={"data.child": ("yes",)}), replace(draft, state="waits", request=b'{"events":[]}'),
        ):  # fmt: skip
            with pytest.raises(LookupError):
                await kept(seat, late, seen=1)
        assert there(seat, draft) == sent


async def test_a_second_person_is_asked_once(tmp_path: Path) -> None:
    """Given a double click, then the draft waits once, no tab that saw it open saves it, and its owner may take it back."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)
        asks = replace(draft, state="waits", request=b'{"events":[]}')
        waits = await kept(seat, asks, seen=1)

        assert await kept(seat, asks, seen=1) == waits
        with pytest.raises(LookupError):
            await kept(seat, replace(draft, typed={"data.child": ("yes",)}), seen=1)
        async with seat.ledger.write() as tx:
            back = drafts.take_back(seat, tx, draft)
        assert back is not None
        assert (back.state, back.typed) == ("open", draft.typed)


async def test_more_than_an_event_holds_is_refused(tmp_path: Path) -> None:
    """Given more text than any letter takes, then nothing is saved, and what was there stays."""
    async with desk_of("ngo-a", tmp_path) as given:
        draft = await begun(given.desk.seat)
        with pytest.raises(drafts.TooLongError):
            await kept(given.desk.seat, replace(draft, typed={"sealed.notes": ("x" * drafts.LARGEST,)}), seen=1)
        assert there(given.desk.seat, draft) == draft


async def test_a_draft_ends_after_30_days_without_a_change(tmp_path: Path) -> None:
    """Given a draft, then it is there on the thirtieth day and gone after it; one that was saved meanwhile stays."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft, other = await begun(seat), await begun(seat, owner="S-2")
        given.clock.time = NOW + timedelta(days=29)
        await kept(seat, replace(other, page="letter"), seen=1)
        await rounds.end_drafts(seat)
        assert there(seat, draft) is not None

        given.clock.time = NOW + drafts.KEPT
        await rounds.end_drafts(seat)

        assert there(seat, draft) is None
        assert there(seat, other) is not None


async def test_a_draft_ends_when_its_event_is_registered(tmp_path: Path) -> None:
    """Given an event under the draft's id, then a refusal leaves the draft, and a registration ends it."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        refused, registered = await begun(seat), await begun(seat, another=True)
        record = await given.said(type="case.signal_recorded", data=SIGNAL, id=refused.id)
        await given.hear(given.registrar.refuse(record, "wrong_state"))
        await given.registered(type="case.signal_recorded", data=SIGNAL, id=registered.id)

        await rounds.end_drafts(seat)

        assert there(seat, refused) is not None
        assert there(seat, registered) is None


async def test_a_draft_for_several_receivers_ends_when_the_event_for_each_is_registered(tmp_path: Path) -> None:
    """Given a withdrawal for two agencies, then the first registration leaves the draft, and so does a refusal of the second."""
    said = {"purposes": ["information_sharing"], "receivers": ["vac", "fund"]}
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        await given.registered(type="case.signal_recorded", data=SIGNAL)
        refused, registered = await begun(seat), await begun(seat, another=True)
        for draft in (refused, registered):
            await given.registered(type="consent.withdrawn", data=said, id=draft.id)
            await rounds.end_drafts(seat)
            assert there(seat, draft) == draft

            (second,) = await given.out()
            answer = given.registrar.refuse(second, "wrong_state") if draft is refused else None
            await given.hear(answer or given.registrar.register(second, to="ngo-a"))
        await rounds.end_drafts(seat)

        assert there(seat, refused) == refused
        assert there(seat, registered) is None


async def test_a_draft_ends_when_its_event_is_registered_after_it_was_sealed_again(tmp_path: Path) -> None:
    """Given an event whose audience had changed, when the desk has sealed it again, then the draft ends with the registration."""
    async with desk_of("ngo-a", tmp_path) as given:
        seat = given.desk.seat
        draft = await begun(seat)
        record = await given.said(type="case.signal_recorded", data=SIGNAL, id=draft.id)
        await given.hear(given.registrar.refuse(record, "audience_changed", seal_to={}))
        await rounds.end_drafts(seat)
        assert there(seat, draft) == draft
        (again,) = await given.out()
        await given.hear(given.registrar.register(again, to="ngo-a"))
        await rounds.end_drafts(seat)

        assert there(seat, draft) is None


async def test_an_erasure_destroys_the_drafts_of_its_case(tmp_path: Path) -> None:
    """Given a case that is to be erased, then its drafts go with it, and so does one that is typed later."""
    async with desk_of("ngo-a", tmp_path) as given:
        await _due(given)
        draft = await begun(given.desk.seat)
        await rounds.erase_due(given.desk)
        assert there(given.desk.seat, draft) is None

        late = await begun(given.desk.seat)
        await rounds.erase_due(given.desk)
        assert there(given.desk.seat, late) is None


async def _due(given: Given) -> None:
    said = given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
    await given.hear(given.registrar.register(said, to="ngo-a"))


async def test_a_draft_outlives_a_change_of_the_agencys_keys(bus: OwnBus) -> None:
    """Given a draft, when its sealing key is destroyed, then the desk still opens it, with the next key."""
    bus.at(88)
    seat = bus.given.desk.seat
    draft = await begun(seat)
    bus.admit(bus.asked())

    destroyed = await bus.round(120)

    assert destroyed
    assert there(bus.given.desk.seat, draft) == draft
