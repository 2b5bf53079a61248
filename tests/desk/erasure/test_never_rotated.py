"""An agency that never changes its sealing key is warned, then nobody seals to it, then its key is destroyed.

The bus is for real cases; agencies are admitted on day 0, so their keys end on day 90 and are destroyed on day 120.
"""

import dataclasses
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE, JOINED, SIGNAL
from desk.given import CANARY
from desk.own_bus import BUS, OwnBus, read
from desk.own_bus import bus as bus  # noqa: PLC0414 - a fixture
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.desk.store.ledger import Ledger
from nrmbus.directory import Identity
from nrmbus.directory.own_entry_watch import Own
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys import keyfile
from nrmbus.wire.letter import Container, Place

STORY = {"story": {"answer": CANARY}}
OTHER = "ef" * 16


async def opened(bus: OwnBus, home: Path, letter: Container, place: Place) -> Any:
    """Return the letter as an attacker with the ledger and keys in *home* opens it, or None if it stays closed."""
    ledger = await Ledger.open(home / "ledger.sqlite", bus=BUS, agency="vac")
    try:
        seat = dataclasses.replace(bus.given.desk.seat, ledger=ledger, identity=Identity.at(home, "vac"))
        with ledger.read() as tx:
            secrets = case_keys.secrets_of(seat, tx, place)
        if secrets:
            return letter.open_with(secrets, place)
        return letter.open_with(letter.unwrap("vac", seat.identity.opening, place), place)
    except LetterClosed:
        return None
    finally:
        await ledger.close()


def backup(bus: OwnBus, to: Path, *, keys: bool = False) -> Path:
    """Copy the ledger as a backup does; with *keys*, copy the private keys too, against the instructions."""
    to.mkdir(parents=True)
    with (
        closing(sqlite3.connect(bus.home / "ledger.sqlite")) as now,
        closing(sqlite3.connect(to / "ledger.sqlite")) as then,
    ):
        now.backup(then)
    if keys:
        shutil.copytree(bus.home / "keys", to / "keys")
    return to


def with_keys_of_today(bus: OwnBus, old: Path, to: Path) -> Path:
    """Restore a backup's ledger beside the current keys of the agency's folder."""
    shutil.copytree(old, to)
    shutil.rmtree(to / "keys", ignore_errors=True)
    shutil.copytree(bus.home / "keys", to / "keys")
    return to


class TestItsKeys:
    async def test_30_days_after_its_end_the_key_is_gone_and_what_it_opened_still_opens(self, bus: OwnBus) -> None:
        """The desk continues under its own interim key, unknown to the directory."""
        bus.at(60)
        _, place = await bus.hear_a_letter()
        old = bus.identity.sealing
        assert await bus.round(90 - 1e-5) == ()
        assert bus.identity.sealing.kid == old.kid
        assert await bus.round(90) == ()
        assert bus.identity.sealing.kid in bus.identity.interim
        (row,) = await bus.given.rows("case_keys")
        assert row.kid == bus.identity.sealing.kid
        assert await bus.round(120 - 1e-5) == ()
        assert old.kid in bus.held()
        assert await bus.round(120) == (old.kid,)

        assert bus.held() == {bus.identity.sealing.kid}
        assert old.kid in Identity.at(bus.home, "vac").kids
        assert not any(old.seed in path.read_bytes() for path in bus.home.rglob("*") if path.is_file())
        assert await read(bus, place)

    @pytest.mark.thorough
    async def test_an_interim_key_ends_like_any_other(self, bus: OwnBus) -> None:
        """After a year there were four interim keys, and none older than 120 days is left."""
        bus.at(60)
        _, place = await bus.hear_a_letter()
        for day in range(60, 460):
            await bus.round(day)
            interim = bus.identity.interim
            assert all(bus.given.clock.time < interim[kid] + timedelta(days=120) for kid in bus.held() & interim.keys())
        assert len(bus.identity.interim) == 5
        assert len(bus.held()) == 2
        assert await read(bus, place)

    async def test_the_old_key_is_overwritten_where_it_lay(self, bus: OwnBus, monkeypatch: pytest.MonkeyPatch) -> None:
        """The destroyed file is the one in which the key was first written, not a copy."""
        inode = (bus.home / "keys" / "sealing.seed").stat().st_ino
        destroyed = []
        destroy = keyfile.destroy

        def noted(path: Path) -> None:
            destroyed.append(path.stat().st_ino)
            destroy(path)

        monkeypatch.setattr(keyfile, "destroy", noted)
        await bus.round(90)
        await bus.round(120)
        assert destroyed == [inode]

    async def test_no_alarm_is_raised_about_an_interim_key(self, bus: OwnBus) -> None:
        """The destroyed key raises no alarm either: after a restart the directory's entries still name keys made here."""
        await bus.round(120)
        identity = Identity.at(bus.home, "vac")
        own = Own("vac", identity.kids, lambda: Identity.at(bus.home, "vac").kids)
        for entry in bus.town.directory.entries.values():
            own.take(entry, bus.town.directory.kids(entry))
        own.read_to_the_end(bus.town.directory.number)
        assert own.alarm is None

    async def test_where_somebody_else_put_an_entry_no_interim_key_is_made(self, bus: OwnBus) -> None:
        """A foreign entry is an alarm for a person: until then the keys stay as they are."""
        seat = bus.given.desk.seat
        seat.own = Own("vac", frozenset(), frozenset)
        seat.own.read_to_the_end(1)
        await bus.round(130)
        assert not Identity.at(bus.home, "vac").interim

    async def test_the_services_of_the_bus_make_none(self, bus: OwnBus, monkeypatch: pytest.MonkeyPatch) -> None:
        """The start of the bus changes the services' keys, and would not find interim keys."""
        monkeypatch.setattr(rounds, "SERVICES", {"vac": "vac"})
        assert await bus.round(130) == ()
        assert not bus.identity.interim


class TestWhatIsSealed:
    async def test_from_day_90_nobody_seals_to_it(self, bus: OwnBus) -> None:
        """The agency's desk reports the expired key, but seals to itself with the directory's key while that is there."""
        seat = bus.given.desk.seat
        bus.at(90 - 1e-5)
        assert not seat.is_shut_out("vac")
        await bus.round(90)
        assert seat.is_shut_out("vac")
        assert seat.seal_to("vac").kid == bus.town.directory.kids(bus.town.directory.entries["vac"]).sealing
        with pytest.raises(Exception, match="unknown_recipient"):
            seat.seal_to("ngo-a")

    async def test_a_letter_of_its_own_goes_out_until_its_key_is_gone_and_is_refused_then(self, bus: OwnBus) -> None:
        """The desk then refuses the letter, with a task; events without a letter go on, and a waiting draft survives the hand-over."""
        signal = {"type": "case.signal_recorded", "data": SIGNAL | {"detector": "vac"}, "sealed": {"notes": CANARY}}
        bus.at(89)
        await bus.given.ask(**signal)
        await bus.round(119)
        (sent,) = await bus.given.out()
        assert decode(sent).sealeddigest is not None
        await bus.round(120)
        await bus.given.ask(**{**signal, "case": OTHER})
        assert await bus.given.out() == []
        (row,) = [each for each in await bus.given.rows("outbox") if each.subject == OTHER]
        assert (row.state, row.verdict, row.code) == ("closed", "failed", "key_not_current")
        assert [each.kind for each in await bus.given.rows("tasks") if each.subject == OTHER] == ["not_sent"]

    async def test_a_person_is_told_whom_a_letter_did_not_reach(self, bus: OwnBus) -> None:
        """If the unit's key has ended too, the signal goes, and its sender must notify the unit in another way."""
        bus.at(100)
        await bus.given.ask(
            type="case.signal_recorded", data=SIGNAL | {"detector": "vac", "child": True}, sealed={"notes": CANARY}
        )
        (sent,) = await bus.given.out()
        letter = decode(sent).letter()
        assert letter is not None
        assert {agency for part in letter.parts for agency in letter.wraps(part)} == {"vac"}
        (task,) = [each for each in await bus.given.rows("tasks") if each.kind == "not_sealed"]
        assert json.loads(task.about)["agencies"] == ["special-unit"]


class TestWhoeverReadsItsBackups:
    async def test_before_the_horizon_they_open_and_after_it_no_more(self, bus: OwnBus, tmp_path: Path) -> None:
        """Ledgers of days 60, 89 and 119, each with the keys of its day, open only before their horizon."""
        letters, backups = {}, {}
        for number, then in enumerate((60, 89, 119)):
            await bus.round(min(then, 90))
            await bus.round(then)
            letters[then] = await bus.hear_a_letter(CASE)
            backups[then] = backup(bus, tmp_path / f"backup-{number}")
        order = bus.given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        await bus.given.hear(bus.given.registrar.register(order, to="vac"))
        await bus.round(119)
        (done,) = await bus.given.rows("erasures")
        horizon = times.read(done.horizon)
        assert horizon is not None
        days = (horizon - JOINED) / timedelta(days=1)
        assert days == 90 + 90 + 30

        for day, expected in ((119.0, {60, 89, 119}), (120, {119}), (days - 1e-5, {119}), (days, set())):
            await bus.round(day)
            for number, old in enumerate(backups):
                home = with_keys_of_today(bus, backups[old], tmp_path / f"back-{day}-{number}")
                found = await opened(bus, home, *letters[old])
                assert found == (STORY if old in expected else None), (day, old)

    async def test_a_backup_of_the_private_keys_is_not_covered(self, bus: OwnBus, tmp_path: Path) -> None:
        """SECURITY.md forbids keys in a backup: a backup with the keys opens letters even after the horizon."""
        bus.at(60)
        letter = await bus.hear_a_letter()
        old = backup(bus, tmp_path / "whole", keys=True)
        await bus.round(90)
        await bus.round(999)
        assert await opened(bus, old, *letter) == STORY

    async def test_an_old_ledger_put_back_goes_on(self, bus: OwnBus, tmp_path: Path) -> None:
        """Letters from before the key's destruction stay closed; later letters of the same case are kept."""
        bus.at(60)
        letter, place = await bus.hear_a_letter()
        await bus.given.ask(
            type="case.signal_recorded", data=SIGNAL | {"detector": "vac"}, sealed={"notes": CANARY}, case=OTHER
        )
        old = backup(bus, tmp_path / "old")
        await bus.round(90)
        await bus.round(120)
        home = with_keys_of_today(bus, old, tmp_path / "back")
        ledger = await Ledger.open(home / "ledger.sqlite", bus=BUS, agency="vac")
        try:
            seat = dataclasses.replace(
                bus.given.desk.seat, ledger=ledger, identity=Identity.at(home, "vac"), handed_to=None
            )
            assert await rounds.end_epochs(seat, home) == ()
            # As before a key is destroyed: drafts that open no more are passed over.
            await rounds._hand_over(seat, whole=True)
            said = bus.given.registrar.event(
                "ngo-a",
                "referral.info_supplied",
                {"question": "language"},
                referral="cd" * 16,
                parts=STORY,
                opens=["vac"],
            )
            bus.town.identities["vac"] = Identity.at(home, "vac")
            said = bus.given.registrar.event(
                "ngo-a",
                "referral.info_supplied",
                {"question": "language"},
                referral="cd" * 16,
                parts=STORY,
                opens=["vac"],
            )
            later = Place(BUS, "ngo-a", decode(said).id, CASE)
            async with ledger.write() as tx:
                case_keys.keep(seat, tx, decode(said))
            with ledger.read() as tx:
                assert case_keys.secrets_of(seat, tx, place) == {}
                assert case_keys.secrets_of(seat, tx, later)
        finally:
            await ledger.close()
        assert await opened(bus, home, letter, place) is None

    async def test_nothing_is_erased_while_nobody_could_say_until_when(self, bus: OwnBus) -> None:
        """A machine whose keys are not yet in the directory confirms no erasure."""
        bus.at(60)
        await bus.hear_a_letter()
        order = bus.given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        await bus.given.hear(bus.given.registrar.register(order, to="vac"))
        seat = bus.given.desk.seat
        ours, seat.identity = seat.identity, Identity.at(bus.home / "another", "vac")
        assert await rounds.erase_due(bus.given.desk) == ()
        seat.identity = ours
        assert await rounds.erase_due(bus.given.desk) == (CASE,)


class TestWhenAnotherIsAdmittedLater:
    @pytest.mark.parametrize("asked_on", [80, 130])
    async def test_everything_goes_on(self, asked_on: int, bus: OwnBus) -> None:
        """A late request, also after the old key's destruction, works. A request ends with its overlap: the next names the same key."""
        bus.at(60)
        _, place = await bus.hear_a_letter()
        first = None
        for day in range(60, 140):
            await bus.round(day)
            if day == asked_on:
                first = bus.asked()
        (interim,) = bus.identity.interim
        asked = bus.asked()
        assert first is not None
        assert asked.sealing == first.sealing
        bus.admit(asked)

        current = bus.town.directory.seal_to("vac", bus.given.clock.time)
        assert current is not None
        assert current.kid == bus.identity.sealing.kid
        _, later = await bus.hear_a_letter()
        await bus.round(140)
        assert {row.kid for row in await bus.given.rows("case_keys")} == {bus.identity.sealing.kid}
        assert await bus.round(169 + 1) == (interim,)
        assert await read(bus, place)
        assert await read(bus, later)
        assert len(bus.held()) == 1

    async def test_a_request_for_lost_keys_names_no_interim_one(self, bus: OwnBus) -> None:
        """An interim key is replaced first, since a request would give it another end than the certificates name."""
        await bus.round(100)
        here = Identity.at(bus.home, "vac")
        asked = here.to_ask_for(bus.home)
        assert asked.sealing.kid not in asked.interim
        assert here.sealing.kid in asked.opening
        assert asked.to_ask_for(bus.home).sealing.kid == asked.sealing.kid


class TestADeskThatWasOff:
    async def test_for_200_days_does_everything_in_its_first_round(self, bus: OwnBus) -> None:
        """Kept letters open, the overdue key is destroyed, and an erasure names a horizon after today."""
        bus.at(60)
        _, place = await bus.hear_a_letter()
        old = bus.identity.sealing.kid
        assert await bus.round(260) == (old,)
        assert await read(bus, place)
        order = bus.given.registrar.event("timekeeper", "access.erasure_due", {"ground": "decision"})
        await bus.given.hear(bus.given.registrar.register(order, to="vac"))
        await bus.round(260)
        (done,) = await bus.given.rows("erasures")
        assert times.read(done.horizon) == JOINED + timedelta(days=260 + 120)

    async def test_a_directory_that_may_be_behind_keeps_no_key_alive(self, bus: OwnBus) -> None:
        """Otherwise the broker's operator could keep a backup readable by withholding heads; the desk's own clock decides."""
        bus.given.desk.seat.stale = lambda: True
        old = bus.identity.sealing.kid
        await bus.round(90)
        assert await bus.round(120) == (old,)
