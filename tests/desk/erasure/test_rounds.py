"""A desk's rounds at the end of its sealing key: a person is told in time, and a desk that is killed anywhere loses nothing."""

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from agencies import SIGNAL
from desk.given import CANARY, killed_at_call
from desk.own_bus import OwnBus, read
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import case_keys
from nrmbus.desk.store.ledger import Ledger
from nrmbus.directory import Identity, operator
from nrmbus.intake.store import FILE, FOLDER, IntakeStore
from nrmbus.telemetry import log
from nrmbus.wire.keys import keyfile
from patience import eventually

ASKED_A_LOOK = 2
"""Maximum number of questions per look whether the inbox has been read."""

OTHER = "ef" * 16


class Inbox:
    """A fake inbox with a switch for its state and a count of calls."""

    is_read = False
    asked = 0

    def __call__(self) -> bool:
        """Return whether it has been read."""
        self.asked += 1
        return self.is_read

    async def is_looked_at(self) -> None:
        """Wait until a whole look has passed that began after now."""
        due = self.asked + 2 * ASKED_A_LOOK
        await eventually("the desk looks twice", lambda: self.asked > due)


CUTS: dict[str, tuple[Any, str]] = {
    "the list of made keys": (operator, "write_private"),
    "setting the old key aside": (keyfile, "set_aside"),
    "writing the new key": (keyfile, "write"),
    "sealing drafts anew": (rounds, "_seal_drafts_anew"),
    "keeping letters": (case_keys, "keep_all"),
    "handing over": (case_keys, "hand_over"),
    "emptying the write-ahead file": (Ledger, "off_the_disk"),
    "destroying": (keyfile, "destroy"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("where", CUTS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_cut_anywhere_the_next_round_does_what_is_left(
    where: str, when: str, bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A desk killed at any step of both rounds and restarted loses nothing, and in the end the key is destroyed."""
    bus.at(60)
    _, place = await bus.hear_a_letter()
    await bus.given.ask(
        type="case.signal_recorded", data=SIGNAL | {"detector": "vac"}, sealed={"notes": CANARY}, case=OTHER
    )
    old, seat = bus.identity.sealing.kid, bus.given.desk.seat
    module, name = CUTS[where]
    for day in (90, 120):
        step = getattr(module, name)
        for turn in range(3):  # a step that is done several times is cut each time
            cut = killed_at_call(step, turn, KeyboardInterrupt, after=when == "after")
            with monkeypatch.context() as patch:
                patch.setattr(module, name, cut)
                try:
                    await bus.round(day)
                except KeyboardInterrupt:
                    seat.identity, seat.handed_to = Identity.at(bus.home, "vac"), None
        await bus.round(day)
        assert await read(bus, place)
    assert old not in bus.held()
    assert not list(bus.home.rglob("*.gone"))
    assert len(list((bus.home / "keys").glob("past/*"))) == len(bus.held()) - 1


async def test_a_key_whose_destruction_failed_once_is_gone_after_the_next_round(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two expired keys, when the disk fails while the first one is destroyed, then the next round destroys what is left of both."""
    first = bus.identity.sealing.kid
    await bus.round(90)
    second = bus.identity.sealing.kid
    bus.at(119)
    bus.admit(bus.asked())
    due = {first, second}
    whole, cuts = keyfile.destroy, list[Path]()

    def fails_once(path: Path) -> None:
        if not cuts:
            cuts.append(path)
            raise OSError("disk")
        whole(path)

    monkeypatch.setattr(keyfile, "destroy", fails_once)
    with pytest.raises(OSError, match=r"^disk$"):
        await bus.round(160)
    await bus.round(160)

    assert len(cuts) == 1
    assert due.isdisjoint(bus.held())
    assert due.isdisjoint(bus.identity.opening)
    assert not list(bus.home.rglob("*.gone"))


async def test_a_key_file_that_can_never_be_overwritten_stops_no_other_key(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an expired key on a damaged place of the disk, when each round fails at its file, then all other keys end and are renewed in time."""
    first = bus.identity.sealing.kid
    await bus.round(90)
    second = bus.identity.sealing.kid
    bus.at(119)
    bus.admit(bus.asked())
    third = bus.identity.sealing.kid
    whole, damaged = keyfile.destroy, list[Path]()

    def fails_at_one(path: Path) -> None:
        damaged[:] = damaged or [path]
        if path == damaged[0]:
            raise OSError("bad sector")
        whole(path)

    monkeypatch.setattr(keyfile, "destroy", fails_at_one)
    held = []
    for day in (160, 240):
        with pytest.raises(OSError, match=r"^bad sector$"):
            await bus.round(day)
        held.append(bus.held())
    after = bus.identity.sealing.kid

    assert held == [{third}, {after}]
    assert after not in {first, second, third}
    assert [path.name for path in bus.home.rglob("*.gone")] == [damaged[0].name]


async def test_a_desk_that_runs_makes_its_rounds_by_itself(bus: OwnBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk waits until its inbox is read, makes the next key after 90 days, and destroys the old one after 30 more."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.02)
    first, inbox = bus.identity.sealing.kid, Inbox()
    bus.at(90)
    running = asyncio.create_task(rounds.run(bus.given.desk, bus.home, inbox))
    await inbox.is_looked_at()
    assert bus.identity.sealing.kid == first
    inbox.is_read = True
    await eventually("the next key is current", lambda: bus.identity.sealing.kid != first)
    assert first in bus.held()
    bus.at(121)
    await eventually("the first key is gone", lambda: first not in bus.held())
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_ledger_that_cannot_be_read_for_a_moment_ends_no_rounds(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks as well: what is due is erased at the next one."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.02)
    asked, until_asked = list[int](), rounds._until_asked

    async def held_once(ledger: Ledger, seen: int) -> int:
        asked.append(1)
        if len(asked) == 1:
            raise OperationalError("", {}, Exception("disk I/O error"))
        return await until_asked(ledger, seen)

    monkeypatch.setattr(rounds, "_until_asked", held_once)
    running = asyncio.create_task(rounds.run(bus.given.desk, bus.home, lambda: True))
    await eventually("it looks again, or has ended", lambda: len(asked) > 2 or running.done())

    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_ledger_that_another_program_reads_is_cleaned_less_and_less_often(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a report that reads the ledger for hours, when looks pass, then few of them try to remove deleted data, and the desk still counts them as not removed."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.02)
    ledger, tries, looks = bus.given.desk.seat.ledger, list[int](), list[int]()

    async def held() -> bool:
        tries.append(1)
        return False

    async def looked(*_: object) -> None:
        looks.append(1)

    monkeypatch.setattr(ledger._engine, "off_the_disk", held)
    monkeypatch.setattr(rounds, "remind", looked)
    running = asyncio.create_task(rounds.run(bus.given.desk, bus.home, lambda: True))
    await eventually("forty looks have passed", lambda: len(looks) >= 40 or running.done())

    assert not running.done()
    assert 1 < len(tries) < len(looks) / 2
    assert ledger.holds_deleted
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("how", ["is no database", "has a strange value"])
async def test_a_damaged_intake_file_keeps_no_erasure_from_being_done(
    bus: OwnBus, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Given a hotline whose intake file cannot be read, when a round comes, then all but the destruction of keys is done."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.02)
    done = list[str]()
    for step in ("erase_due", "delete_stopped", "end_uploads", "end_drafts", "remind"):

        async def note(*_: object, step: str = step) -> None:
            done.append(step)

        monkeypatch.setattr(rounds, step, note)
    bus.at(90)
    first = bus.identity.sealing.kid
    IntakeStore(bus.home).close()
    if how == "is no database":
        (bus.home / FOLDER / FILE).write_bytes(b"x" * 8192)
    else:
        with closing(sqlite3.connect(bus.home / FOLDER / FILE)) as file, file:
            file.execute("UPDATE about SET salt = 'x'")
    running = asyncio.create_task(rounds.run(bus.given.desk, bus.home, lambda: True))
    bus.at(121)
    await eventually("the round goes on to its end, twice", lambda: done.count("remind") > 1 or running.done())

    assert not running.done()
    assert done[:5] == ["erase_due", "delete_stopped", "end_uploads", "end_drafts", "remind"]
    assert first in bus.held()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_who_keeps_a_delivery_back_keeps_no_key_alive(bus: OwnBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A withheld delivery stops the inbox until a person looks; the key still ends, and the kept letters still open."""
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.02)
    bus.at(60)
    _, place = await bus.hear_a_letter()
    first = bus.identity.sealing.kid
    bus.given.registrar.register(bus.given.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="vac")
    with pytest.raises(DeskError, match="delivery is missing"):
        await bus.hear_a_letter()
    assert bus.given.desk.seat.trouble == "inbox_gap"

    inbox = Inbox()
    running = asyncio.create_task(rounds.run(bus.given.desk, bus.home, inbox))
    for day in (90, 121):
        bus.at(day)
        await inbox.is_looked_at()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert first not in bus.held()
    assert await read(bus, place)


class TestItIsTold:
    async def test_14_days_before_and_at_the_end_with_the_command(
        self, bus: OwnBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A task on each of the two days, `/health`, and a line a day in the log warn of the key's end."""
        lines: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(log, "report", lambda event, **fields: lines.append((event, fields)))
        seat, said = bus.given.desk.seat, None
        for day in (75.9, 76, 76.2, 77, 90, 91):
            bus.at(day)
            said = await rounds.remind(seat, said)
            found = (await bus.given.door.get("/health")).json()["sealing_key"]
            state = None if day < 76 else "sealing_key_old" if day < 90 else "sealing_key_over"
            assert (found and found["code"]) == state
            assert found is None or "nrmbus agency rotate vac" in found["sentence"]

        tasks = await bus.given.rows("tasks")
        assert [each.kind for each in tasks] == ["sealing_key_old", "sealing_key_over"]
        assert all("nrmbus agency rotate vac" in each.about for each in tasks)
        assert [event for event, _ in lines] == [
            *["sealing_key_old: nrmbus agency rotate"] * 2,
            *["sealing_key_over: nrmbus agency rotate"] * 2,
        ]
        assert lines[0][1] == {"agency": "vac", "seconds": 14 * 86400}

    async def test_no_more_once_another_is_admitted(self, bus: OwnBus) -> None:
        """The 90 days of the key start again."""
        bus.at(80)
        bus.admit(bus.asked())
        assert await rounds.remind(bus.given.desk.seat) is None
        assert bus.given.desk.health()["sealing_key"] is None


def test_a_key_that_was_admitted_and_never_used_is_destroyed_where_it_waits(tmp_path: Path) -> None:
    """The waiting key's 90 and 30 days count all the same; a later request makes another key."""
    here, coming = Identity.at(tmp_path, "vac"), Identity.next_at(tmp_path, "vac")
    Identity.destroy(tmp_path, coming.sealing.kid)
    assert Identity.at(tmp_path, "vac").opening.keys() == {here.sealing.kid}
    assert Identity.next_at(tmp_path, "vac").sealing.kid != coming.sealing.kid
    assert not list(tmp_path.rglob("*.gone"))


def test_a_file_that_cannot_be_overwritten_keeps_no_other_cut_destruction_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two keys whose destruction was cut, when the disk fails at the first file, then the second is destroyed, and the error is raised."""
    Identity.at(tmp_path, "vac").succeeded(tmp_path).succeeded(tmp_path)
    due = [path.rename(path.with_suffix(".gone")) for path in sorted(tmp_path.glob("keys/past/*.seed"))]
    whole = keyfile.destroy

    def fails_at_the_first(path: Path) -> None:
        if path == due[0]:
            raise OSError("bad sector")
        whole(path)

    monkeypatch.setattr(keyfile, "destroy", fails_at_the_first)
    with pytest.raises(OSError, match=r"^bad sector$"):
        Identity.finish_destroying(tmp_path)

    assert [path.exists() for path in due] == [True, False]
