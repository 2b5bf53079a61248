"""A desk whose release lacks the profile that is in force: it seals nothing by another profile, and says what to do."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import CASE, NOW, POLICY, SIGNAL, Town
from desk.given import FakeRegistrar, desk_of
from nrmbus.desk.outbox import queue
from nrmbus.desk.outbox.rehearsal import Rehearsal
from nrmbus.events import bulletin
from nrmbus.events.model import Fact
from nrmbus.rules import load_profile
from nrmbus.wire.errors import sentence_of
from registrar.given import Bus
from timekeeper.given import watching

ANOTHER = "cd" * 16
GENERIC = "osce-generic@2022-01-01"


def activation(profile: str, digest: str) -> Fact:
    """An activation from yesterday on, as the coordinator's office had it registered; open cases keep their profile."""
    data = {
        "profile": profile,
        "digest": digest,
        "valid_from": "2026-03-01",
        "open_cases": "keep",
        "acts": ["CoM 1/2026"],
    }
    said = Bus().event("coordinator", "policy.profile_activated", data, case=bulletin.of("coordinator"), approver="S-2")
    return Fact.of(said, (), NOW, 1, POLICY)


@pytest.mark.parametrize(
    ("profile", "digest"),
    [("xa@2026-01-01", "e" * 64), (GENERIC, "0" * 64)],
    ids=["it has no such profile", "it has other values"],
)
async def test_nothing_is_sealed_by_another_profile(tmp_path: Path, profile: str, digest: str) -> None:
    """A new case is not opened, and its people are told to have the desk upgraded; a case of before goes on."""
    async with desk_of("ngo-a", tmp_path, registrar=FakeRegistrar(Town())) as given:
        before = await given.registered(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34"})
        given.desk.seat.rules.activate(activation(profile, digest))

        opening = {"type": "case.signal_recorded", "data": SIGNAL, "actor": "S-1", "case": ANOTHER}
        checks = (await given.door.post("/v1/checks", json={"events": [opening]})).json()["checks"]
        assert [(each["verdict"], each["code"]) for each in checks] == [("refused", "profile_missing")]
        assert "rule" not in checks[0]
        await given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "35-44"}, case=ANOTHER)
        assert await given.out() == []
        last = (await given.rows("outbox"))[-1]
        assert (last.verdict, last.code, last.letter) == ("failed", "profile_missing", None)
        assert [row.kind for row in await given.rows("tasks") if row.event == last.id] == ["not_sent"]
        assert "upgrade" in sentence_of(last.code)

        await given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "25-34"})
        assert [each.key for each in await given.out()] == [before.key] == [CASE.encode()]


async def test_without_a_letter_a_new_case_is_not_opened_either(tmp_path: Path) -> None:
    """The agency knows that the case would be under the profile in force, and its desk could not read the receipt."""
    async with desk_of("ngo-a", tmp_path, registrar=FakeRegistrar(Town())) as given:
        given.desk.seat.rules.activate(activation("xa@2026-01-01", "e" * 64))

        await given.ask(type="case.signal_recorded", data=SIGNAL, case=ANOTHER)
        assert await given.out() == []
        assert [row.code for row in await given.rows("outbox")] == ["profile_missing"]


async def test_the_timekeeper_publishes_in_a_case_of_before(tmp_path: Path) -> None:
    """No event of a case reaches the timekeeper's desk, so the desk cannot tell the case's profile, though its release has the profile."""
    bus = Bus()
    bus.signal(bus.shard())
    (breach,) = watching(bus).due(NOW + timedelta(hours=24))
    async with desk_of("timekeeper", tmp_path, registrar=FakeRegistrar(Town())) as given:
        given.desk.seat.rules.activate(activation("xa@2026-01-01", "e" * 64))
        with given.desk.seat.ledger.read() as tx:
            assert list(Rehearsal(given.desk.seat, given.desk.cases).of(tx, [breach])) == [None]
        async with given.desk.seat.ledger.write() as tx:
            queue.put(given.desk.seat, tx, breach, origin="procedure")

        assert [each.key for each in await given.out()] == [CASE.encode()]


async def test_a_profile_that_is_here_seals_as_always(tmp_path: Path) -> None:
    """With the values that were activated."""
    async with desk_of("ngo-a", tmp_path, registrar=FakeRegistrar(Town())) as given:
        given.desk.seat.rules.activate(activation(GENERIC, load_profile(GENERIC).digest))

        await given.ask(type="case.signal_recorded", data=SIGNAL, sealed={"age_band": "35-44"}, case=ANOTHER)
        assert len(await given.out()) == 1
