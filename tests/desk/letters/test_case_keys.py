"""Sealing keys live for an epoch; kept letters open by their case's key, and do not open once that key is gone."""

import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import BUS, CASE, NOW, SIGNAL, town
from desk.given import CANARY, REF, FakeRegistrar, Given, desk_of
from directory.given import Office
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.directory import Identity, epochs
from nrmbus.directory.epochs import GRACE, Epoch
from nrmbus.directory.fold import LIFE
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import LetterClosed
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SealingKey
from nrmbus.wire.letter import Container, Place

DAY = timedelta(days=1)
A, B, C = "xwing:" + "a" * 32, "xwing:" + "b" * 32, "xwing:" + "c" * 32
EPOCHS = (Epoch(A, NOW, NOW + 90 * DAY), Epoch(B, NOW + 87 * DAY, NOW + 170 * DAY), Epoch(C, NOW + 170 * DAY))


class TestTheRules:
    """Epochs of keys are computed from the directory alone, at a given time."""

    @pytest.mark.parametrize(
        ("day", "gone"), [(119, ()), (120, (A,)), (199, (A,)), (200, (A, B)), (289, (A, B)), (290, (A, B, C))]
    )
    def test_a_key_is_destroyed_30_days_after_its_epoch(self, day: int, gone: tuple[str, ...]) -> None:
        """The last key is destroyed too, 30 days after its 90, whether or not another was admitted."""
        assert epochs.to_destroy(EPOCHS, NOW + day * DAY) == gone

    @pytest.mark.parametrize(("day", "horizon"), [(0, 170 + 30), (180, 260 + 30), (280, 260 + 30), (300, 300)])
    def test_the_horizon_is_when_the_last_key_is_gone(self, day: int, horizon: int) -> None:
        """The horizon is the end of the current key's 90 days or of an earlier key's rest; without a rotation it does not move."""
        known = EPOCHS[:2] if day == 0 else EPOCHS
        assert epochs.horizon(known, NOW + day * DAY) == NOW + horizon * DAY

    def test_a_key_is_spent_after_90_days_whether_or_not_another_came(self) -> None:
        """A spent key seals nothing more: later letters are kept under another key."""
        assert [epochs.is_spent(EPOCHS, C, NOW + day * DAY) for day in (259, 260)] == [False, True]
        assert not epochs.is_spent(EPOCHS, "xwing:" + "d" * 32, NOW + 999 * DAY)

    def test_on_a_bus_for_playing_a_key_is_used_until_it_is_replaced(self) -> None:
        """Months pass in seconds there; the horizon assumes a change of the key in time."""
        played = (Epoch(A, NOW, NOW + DAY, None), Epoch(B, NOW + DAY, None, None))
        assert epochs.to_destroy(played, NOW + 9999 * DAY) == (A,)
        assert not epochs.is_spent(played, B, NOW + 9999 * DAY)
        assert epochs.horizon(played, NOW + 2 * DAY) == NOW + 121 * DAY
        assert epochs.horizon(played, NOW + 999 * DAY) == NOW + 1029 * DAY

    def test_an_interim_key_gives_way_to_the_next_that_holds(self) -> None:
        """An interim key, known only to the desk, ends like any other key."""
        interim = "xwing:" + "d" * 32
        alone = epochs.with_interim(EPOCHS[:1], [(interim, NOW + 90 * DAY)])
        assert alone[-1].destroyed_from == NOW + 210 * DAY
        followed = epochs.with_interim((*EPOCHS[:1], Epoch(B, NOW + 100 * DAY)), [(interim, NOW + 90 * DAY)])
        assert followed[-1] == Epoch(interim, NOW + 90 * DAY, NOW + 100 * DAY)

    def test_they_follow_from_the_directory(self) -> None:
        """The town's keys are current since its agencies were admitted; an agency that was never admitted has none."""
        (only,) = epochs.epochs_of(town().directory, "vac")
        assert only == Epoch(town().identities["vac"].sealing.kid, datetime(2026, 1, 1, tzinfo=UTC), None, None)
        assert epochs.epochs_of(town().directory, "nobody") == ()
        assert (LIFE, GRACE) == (90 * DAY, 30 * DAY)

    def test_keys_that_were_objected_to_end_no_epoch(self, tmp_path: Path) -> None:
        """The present key stays in use, although the new keys were confirmed and the agency's next key does not hold yet."""
        office = Office(tmp_path, "0123456789abcdef")
        old, theirs, ours = office.joins("vac"), office.identity("vac", 2), office.identity("vac", 3)
        office.enter(office.admitted(office.asked(theirs, "lost")))
        office.confirms(theirs)
        asked = office.asked(ours, "rotated", before=old, until=joined(office) + DAY)
        office.enter(office.admitted(asked, joined(office) + DAY))
        since = joined(office)
        known = {each.kid: each for each in epochs.epochs_of(office.directory, "vac")}
        assert known[old.sealing.kid] == Epoch(old.sealing.kid, since)
        assert known[ours.sealing.kid] == Epoch(ours.sealing.kid, since + DAY)


def joined(office: Office) -> datetime:
    """Return when vac was admitted."""
    return office.directory.roll.agencies["vac"].periods[0].since


@dataclass
class Desk:
    """A desk with a folder of its own keys, on which epochs go by."""

    given: Given
    home: Path
    known: list[Epoch]

    async def hear_a_letter(self, case: str = CASE) -> tuple[Any, Place]:
        """Have an NGO answer a question under seal; return the whole letter as it travelled, and its place."""
        parts, registrar = {"story": {"answer": CANARY}}, self.given.registrar
        said = registrar.event(
            "ngo-a",
            "referral.info_supplied",
            {"question": "language"},
            case=case,
            referral=REF,
            parts=parts,
            opens=["vac"],
        )
        await self.given.hear(registrar.register(said, to="vac"))
        signed = decode(said)
        return signed.letter(), Place(BUS, "ngo-a", signed.id, case)

    async def kept(self, place: Place) -> dict[Any, bytes]:
        """Return the letter's kept content keys that open."""
        with self.given.desk.seat.ledger.read() as tx:
            return dict(case_keys.secrets_of(self.given.desk.seat, tx, place))

    def rotate(self, at: datetime) -> None:
        """Replace the sealing key, as `nrmbus agency rotate` does."""
        seat = self.given.desk.seat
        keyfile.write(self.home / "keys" / "next" / "sealing.seed", SealingKey.generate().seed)
        seat.identity.promote(self.home)
        seat.identity = Identity.at(self.home, "vac")
        self.known[-1] = dataclasses.replace(self.known[-1], until=at)
        self.known.append(Epoch(seat.identity.sealing.kid, at))

    def files(self) -> Iterator[bytes]:
        """Yield the content of each file in the desk's folder."""
        for path in self.home.rglob("*"):
            if path.is_file():
                yield path.read_bytes()


@asynccontextmanager
async def desk_with_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Yield the desk of vac with its keys in *home*."""
    here = town()
    for purpose, key in (("signing", here.identities["vac"].signing), ("sealing", here.identities["vac"].sealing)):
        (home / "keys").mkdir(exist_ok=True)
        (home / "keys" / f"{purpose}.seed").write_bytes(key.seed)
    known = [Epoch(here.identities["vac"].sealing.kid, NOW)]
    monkeypatch.setattr(epochs, "epochs_of", lambda _directory, _agency: tuple(known))
    async with desk_of("vac", home, registrar=FakeRegistrar(here)) as given:
        given.desk.seat.identity = Identity.at(home, "vac")
        yield Desk(given, home, known)


class TestAKeptLetter:
    """A received letter, after its sealing key is destroyed."""

    async def test_its_key_is_kept_under_the_key_of_its_case(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The key is kept from the letter's arrival, and the ledger has neither key in readable form."""
        async with desk_with_keys(tmp_path, monkeypatch) as desk:
            letter, place = await desk.hear_a_letter()
            secrets = await desk.kept(place)
            assert letter.open_with(secrets, place) == {"story": {"answer": CANARY}}
            with desk.given.desk.seat.ledger.read() as tx:
                case_key = case_keys.case_key(desk.given.desk.seat, tx, CASE)
            assert case_key
            for content in desk.files():
                assert case_key not in content
                assert secrets["story"] not in content

    async def test_each_case_has_a_key_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a shared key, erasing one case would erase the other."""
        async with desk_with_keys(tmp_path, monkeypatch) as desk:
            await desk.hear_a_letter()
            await desk.hear_a_letter()
            await desk.hear_a_letter("ef" * 16)
            assert len(await desk.given.rows("case_keys")) == 2
            assert len(await desk.given.rows("letter_keys")) == 3

    async def test_it_opens_after_the_epochs_key_was_destroyed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The old key is in no file; this letter still opens, while a letter without kept keys is lost."""
        async with desk_with_keys(tmp_path, monkeypatch) as desk:
            _, place = await desk.hear_a_letter()
            seat, old = desk.given.desk.seat, desk.given.desk.seat.identity.sealing
            desk.rotate(NOW + DAY)
            desk.given.clock.time = NOW + 31 * DAY - timedelta(seconds=1)
            assert await rounds.end_epochs(seat, tmp_path) == ()
            desk.given.clock.time = NOW + 31 * DAY
            assert await rounds.end_epochs(seat, tmp_path) == (old.kid,)

            assert old.kid not in seat.identity.opening
            assert old.kid in seat.identity.kids
            assert not any(old.seed in content for content in desk.files())
            (row,) = await desk.given.rows("events")
            with pytest.raises(LetterClosed):
                Container.parse(row.letter).unwrap("vac", seat.identity.opening, place)
            (read,) = await desk.given.read()
            assert read["letter"] == {"story": {"answer": CANARY}}

    async def test_a_ledger_from_before_is_looked_after_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Letters that came before content keys were kept get kept keys before the key is destroyed; waiting drafts are sealed again."""
        async with desk_with_keys(tmp_path, monkeypatch) as desk:
            letter, place = await desk.hear_a_letter()
            signal = SIGNAL | {"detector": "vac"}
            await desk.given.ask(type="case.signal_recorded", data=signal, sealed={"notes": CANARY}, case="12" * 16)
            with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
                other.execute("DELETE FROM letter_keys")
                other.execute("DELETE FROM case_keys")
            other.close()
            desk.rotate(NOW + DAY)
            desk.given.clock.time = NOW + 31 * DAY
            assert await rounds.end_epochs(desk.given.desk.seat, tmp_path)

            assert letter.open_with(await desk.kept(place), place) == {"story": {"answer": CANARY}}
            (sent,) = [each for each in await desk.given.out() if decode(each).type == "case.signal_recorded"]
            assert decode(sent).sealeddigest is not None

    async def test_a_backup_of_the_ledger_ends_with_the_epoch(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Yesterday's ledger with today's keys opens in the days after the change, and no more from the horizon on."""
        async with desk_with_keys(tmp_path, monkeypatch) as desk:
            _, place = await desk.hear_a_letter()
            seat = desk.given.desk.seat
            (row,) = await desk.given.rows("case_keys")
            backup = (row.kid, row.sealed)
            horizon = epochs.horizon(tuple(desk.known), NOW)
            desk.rotate(NOW + LIFE)
            assert opens(seat.identity, backup)
            desk.given.clock.time = horizon - timedelta(seconds=1)
            await rounds.end_epochs(seat, tmp_path)
            assert opens(seat.identity, backup)
            desk.given.clock.time = horizon
            await rounds.end_epochs(seat, tmp_path)
            assert not opens(seat.identity, backup)
            assert await desk.kept(place)


def opens(identity: Identity, backup: tuple[str, bytes]) -> bool:
    """Return whether a backup's case key opens with the keys that exist."""
    kid, sealed = backup
    own = identity.opening.get(kid)
    info = case_keys._info  # the binding information, as in the ledger
    seat = dataclasses.make_dataclass("Seat", ["bus", "me"])(BUS, "vac")
    return own is not None and len(own.open(sealed, info(seat, CASE, kid))) == 32


def test_a_key_that_was_never_here_opens_nothing(tmp_path: Path) -> None:
    """`Identity.destroy` requires that the key exists."""
    Identity.at(tmp_path, "vac")
    with pytest.raises(FileNotFoundError):
        Identity.destroy(tmp_path, SealingKey.generate().kid)
