"""An event that ended without a registration is published under another id: no failure silences a clock for good."""

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from agencies import NOW, POLICY, Town
from desk.given import FakeRegistrar, Given, desk_of
from nrmbus.bus.folder import BusFolder
from nrmbus.events import bulletin
from nrmbus.events.model import Event, Fact
from nrmbus.timekeeper.app import Timekeeper
from nrmbus.timekeeper.silence import Silence
from nrmbus.wire.envelope import decode
from registrar.given import Bus
from timekeeper.given import watching

BREACH = NOW + timedelta(hours=24)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def keeping(given: Given, bus: Bus) -> Timekeeper:
    """Return a timekeeper just started, with the earlier outbox and the history of *bus* read."""
    process = SimpleNamespace(seat=given.desk.seat, desk=given.desk)
    keeper = Timekeeper(BusFolder(Path()), process)  # type: ignore[arg-type]  # a stand-in for the process
    keeper._watch = watching(bus)
    return keeper


async def published(given: Given, keeper: Timekeeper, now: datetime) -> list[Event]:
    """Return the events that leave the outbox at two looks at the clock, one right after the other."""
    given.clock.time = now
    sent = []
    for _ in range(2):
        await keeper._publish()
        sent += await given.out()
    return [decode(each).event() for each in sent]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_a_breach_is_published_again_after_a_passing_answer(tmp_path: Path, *, restarted: bool) -> None:
    """Given a registrar that was away while the timekeeper's keys changed, then the breach comes a minute after its answer, under another id."""
    bus, registrar = Bus(), FakeRegistrar(Town())
    bus.signal(bus.shard())
    async with desk_of("timekeeper", tmp_path, registrar=registrar) as given:
        keeper = keeping(given, bus)
        (first,) = await published(given, keeper, BREACH)
        await given.hear(registrar.answer(given.sent[-1], "signature_invalid"))
        if restarted:
            keeper = keeping(given, bus)

        assert await published(given, keeper, BREACH + MINUTE - SECOND) == []
        (again,) = await published(given, keeper, BREACH + MINUTE)
        assert again.id != first.id
        assert (again.type, again.time, again.data) == ("deadline.breached", first.time, first.data)
        assert await published(given, keeper, BREACH + 10 * MINUTE) == [], "it waits for the registrar"


async def test_a_breach_that_fails_again_and_again_is_published_more_and_more_seldom(tmp_path: Path) -> None:
    """A minute after the first failure, two after the second, four after the third; a restart shortens no pause."""
    bus, registrar = Bus(), FakeRegistrar(Town())
    bus.signal(bus.shard())
    async with desk_of("timekeeper", tmp_path, registrar=registrar) as given:
        keeper, now, ids = keeping(given, bus), BREACH, []
        for pause in (MINUTE, 2 * MINUTE, 4 * MINUTE):
            (said,) = await published(given, keeper, now)
            ids.append(said.id)
            await given.hear(registrar.answer(given.sent[-1], "signature_invalid"))
            keeper = keeping(given, bus)
            before = [await published(given, keeper, now + pause - SECOND) for _ in range(len(ids))]
            assert before == [[]] * len(ids)
            now += pause
        (said,) = await published(given, keeper, now)

    assert len({*ids, said.id}) == 4


async def test_a_silence_that_the_desk_could_not_sign_is_published_after_an_upgrade(tmp_path: Path) -> None:
    """Given a release without the profile in force, then the outbox refuses the event; the next release publishes the event."""
    bus, registrar = Bus(), FakeRegistrar(Town())
    silence, late = Silence(timedelta()), NOW + timedelta(hours=1)
    async with desk_of("timekeeper", tmp_path, registrar=registrar) as given:
        keeper = keeping(given, bus)
        assert keeper._watch is not None

        async def looked(now: datetime) -> list[Event]:
            given.clock.time = now
            watch = keeper._watch
            assert watch is not None
            drafts = list(silence.look({"shelter": False}, {}, now, (), lambda key, rule: watch.id_of(key, rule, now)))
            await keeper._put(watch, drafts)
            return [decode(each).event() for each in await given.out()]

        others = given.desk.seat.rules.afresh()
        data = {
            "profile": "xa@2026-01-01", "digest": "e" * 64, "valid_from": "2026-03-01", "open_cases": "keep",
            "acts": ["CoM 1/2026"],
        }  # fmt: skip
        said = Bus().event(
            "coordinator", "policy.profile_activated", data, case=bulletin.of("coordinator"), approver="S-2"
        )
        given.desk.seat.rules.activate(Fact.of(said, (), NOW, 1, POLICY))
        assert [await looked(NOW), await looked(late), await looked(late + SECOND)] == [[], [], []]
        (row,) = await given.rows("outbox")
        assert (row.type, row.code) == ("agency.listening_changed", "profile_missing")

        given.desk.seat.rules = others
        assert await looked(late + MINUTE - SECOND) == []
        (event,) = await looked(late + MINUTE)
        assert (event.type, event.id == row.id) == ("agency.listening_changed", False)
