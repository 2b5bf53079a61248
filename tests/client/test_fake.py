"""The fake desk beyond the promises of every desk: what a test can make it do."""

import httpx
import pytest

from client.given import LETTER, REFERRAL, SIGNAL
from nrmbus.client import AsyncDesk, Pending, Received, Refused, Registered, Unreachable, new_ref
from nrmbus.client.testing import FakeDesk, Reading
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmittedV2, ReferralSubmittedV3, ServiceAsked

NEWER = ReferralSubmittedV3(
    to=("ngo-a",), mode="referral", reason="LegalAid", urgency="normal",
    services=(ServiceAsked(code="legal", time_frame="24_hours"),),
)  # fmt: skip


async def heard(desk: AsyncDesk, *, opened: bool = False) -> list[Received[Data | None]]:
    """Everything in the inbox."""
    return [event async for event in desk.inbox(follow=False, opened=opened)]


async def test_a_test_says_what_is_refused_once() -> None:
    """Given one refusal, then the next event of that type is refused, the one after is registered, and only this one is kept."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    fake.refuse(type(REFERRAL), "consent_required", "Ask first.", rule="G-32", article="RULES.md#g-32")
    async with fake.desk() as desk:
        signal = await desk.publish(SIGNAL, actor="S-1", sealed=LETTER)
        refused, registered = [
            await desk.publish(REFERRAL, case=signal.case, ref=new_ref(), actor="S-1") for _ in range(2)
        ]

    assert isinstance(refused, Refused)
    assert (refused.code, refused.sentence, refused.rule, refused.article) == (
        "consent_required", "Ask first.", "G-32", "RULES.md#g-32",
    )  # fmt: skip
    assert isinstance(registered, Registered)
    assert [(each.id, each.data, each.letter) for each in fake.published] == [
        (signal.id, SIGNAL, LETTER),
        (registered.id, REFERRAL, None),
    ]


async def test_a_verdict_can_wait() -> None:
    """Given `pending`, then no verdict comes; after it, the same event has one, and is published once."""
    fake = FakeDesk()
    fake.pending = True
    async with fake.desk() as desk:
        said = await desk.publish(SIGNAL, actor="S-1")
        assert isinstance(said, Pending)
        assert fake.published == []
        fake.pending = False
        assert isinstance(await desk.verdict(said.id), Registered)
        assert isinstance(await desk.verdict(said.id), Registered)
    assert len(fake.published) == 1


async def test_a_desk_can_be_away() -> None:
    """Given a desk that nobody reaches, then the error says that another attempt can help."""
    fake = FakeDesk()
    fake.away = True
    async with fake.desk(patience=0) as desk:
        with pytest.raises(Unreachable) as raised:
            await desk.publish(SIGNAL, actor="S-1")
    assert raised.value.retryable


async def test_events_are_cast_to_the_version_that_the_program_speaks() -> None:
    """Given an event of version 3, then version 2 comes to a program that speaks it, and version 1 with its losses to another."""
    fake = FakeDesk("ngo-a")
    fake.receive(NEWER, ref=new_ref())
    async with fake.desk(speaks=[ReferralSubmittedV2]) as desk:
        (second,) = await heard(desk)
    async with fake.desk() as desk:
        (first,) = await heard(desk)

    assert isinstance(second.data, ReferralSubmittedV2)
    assert type(first.data) is type(REFERRAL)
    assert (first.published, first.row["lost"]) == (3, [{"version": 2, "pointer": "/data/services/0/time_frame"}])


async def test_each_opened_letter_is_a_reading() -> None:
    """Given a reader in the settings, then a program opens letters without naming one, and the fake lists who read what."""
    fake = FakeDesk("special-unit", agencies=["ngo-a"])
    id = fake.receive(SIGNAL, source="ngo-a", sealed=LETTER)
    fake.receive(SIGNAL, source="ngo-a")
    fake.reader = "SYS-1"
    async with fake.desk() as desk:
        await heard(desk)
        assert fake.readings == []
        opened, without = await heard(desk, opened=True)

    assert (opened.letter, without.letter) == (LETTER, None)
    assert fake.readings == [Reading(actor="SYS-1", event=id, parts=("coded", "story"))]


async def test_a_lost_ledger_numbers_rows_again() -> None:
    """Given a program behind a row, when the ledger is replaced, then the program is told and hears every event again."""
    fake, told = FakeDesk(), list[str]()
    fake.receive(SIGNAL, source="special-unit")
    async with fake.desk() as desk:
        (event,) = await heard(desk)
        fake.lose_ledger()
        inbox = desk.inbox(after=event.cursor, follow=False, waiting=lambda error: told.append(error.code))
        assert [each.id async for each in inbox] == [event.id]
    assert told == ["inbox_restarted"]


async def test_a_program_that_follows_keeps_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a program that follows, then one request brings all events; after a lost ledger, a second one begins again."""
    fake, paths, told = FakeDesk(), list[str](), list[str]()
    answer = fake.handle_async_request

    async def counted(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return await answer(request)

    monkeypatch.setattr(fake, "handle_async_request", counted)
    async with fake.desk() as desk:
        ids, inbox = [], desk.inbox(waiting=lambda error: told.append(error.code))
        for _ in range(3):
            ids.append(fake.receive(SIGNAL, source="special-unit"))
            assert (await anext(inbox)).id == ids[-1]
        assert paths == ["/v1/inbox/stream"]
        fake.lose_ledger()
        assert [(await anext(inbox)).id for _ in ids] == ids
        await inbox.aclose()
    assert set(paths) == {"/v1/inbox/stream"}
    assert told == ["inbox_restarted"]
