"""A desk on a bus for real cases, with keys and a directory that a test edits, for behaviour that takes months."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from agencies import CASE, JOINED, NOW, Town
from agencies import home as keys
from desk.given import CANARY, REF, FakeRegistrar, Given, desk_of
from nrmbus.desk.erasure import rounds
from nrmbus.desk.letters import case_keys
from nrmbus.directory import Identity, joining
from nrmbus.directory.operator import Admitter
from nrmbus.wire.envelope import decode
from nrmbus.wire.letter import Container, Place

BUS = "0123456789abcdef"
DAY = timedelta(days=1)


@dataclass
class OwnBus:
    """A town for one test, and the desk of vac, whose keys lie in *home*."""

    town: Town
    given: Given
    home: Path

    @property
    def identity(self) -> Identity:
        """Return the identity whose keys the desk uses."""
        return self.given.desk.seat.identity

    def at(self, day: float) -> None:
        """Set the clocks to *day* days after the agencies were admitted, to the second."""
        now = JOINED + timedelta(seconds=round(day * 86400))
        self.given.clock.time = self.given.registrar.time = now

    async def round(self, day: float) -> tuple[str, ...]:
        """Run the desk's periodic work on that day; return the kids of the destroyed keys."""
        self.at(day)
        destroyed = await rounds.end_epochs(self.given.desk.seat, self.home)
        await rounds.erase_due(self.given.desk)
        return destroyed

    async def hear_a_letter(self, case: str = CASE) -> tuple[Container, Place]:
        """Have an NGO answer a question under seal; return the whole letter as it travelled, and its place."""
        said = self.given.registrar.event(
            "ngo-a", "referral.info_supplied", {"question": "language"}, case=case, referral=REF,
            parts={"story": {"answer": CANARY}}, opens=["vac"],
        )  # fmt: skip
        await self.given.hear(self.given.registrar.register(said, to="vac"))
        signed = decode(said)
        letter = signed.letter()
        assert letter is not None
        return letter, Place(BUS, "ngo-a", signed.id, case)

    def asked(self) -> Any:
        """Return the request of `nrmbus agency rotate` at this moment."""
        seat, directory = self.given.desk.seat, self.town.directory
        coming, last = Identity.next_at(self.home, "vac"), directory.entries["vac"]
        public = (coming.signing.public, coming.sealing.public, coming.witness.public)
        wanted = joining.Wanted("vac", last.role, *public)
        entry = joining.proposed(directory, wanted, "rotated", made=seat.now(), until=seat.now() + 3 * DAY)
        return joining.asked_by(entry, [coming.signing, coming.witness, seat.identity.signing])

    def admit(self, asked: Any) -> None:
        """Have admitters, operator and agency complete the request, and the desk take its new keys."""
        directory, operator = self.town.directory, self.town.operator
        signed = joining.challenged(joining.holding_from(directory, asked, self.given.clock.time))
        for admitter in Admitter.here(self.town.operator.home):
            signed = joining.admitted_by(signed, admitter.key)
        directory.add(operator.number(signed, directory))
        here = Identity.at(self.home, "vac")
        secret = joining.opened(directory.entries["vac"], here.opening.values())
        done = joining.repeated(directory, "vac", "confirmed", made=self.given.clock.time, opened=secret)
        key = Identity.next_at(self.home, "vac").signing
        directory.add(operator.number(joining.asked_by(done, [key]), directory))
        here.promote(self.home)
        self.given.desk.seat.identity = self.town.identities["vac"] = Identity.at(self.home, "vac")

    def held(self) -> set[str]:
        """Return the kids of the sealing keys whose private halves are in the folder."""
        return set(Identity.at(self.home, "vac").opening)


@asynccontextmanager
async def own_bus(tmp_path: Path) -> AsyncIterator[OwnBus]:
    """Yield the desk of vac on a separate bus."""
    here, home = Town(BUS), tmp_path / "vac"
    copytree(keys() / "vac", home)
    async with desk_of("vac", home, registrar=FakeRegistrar(here)) as given:
        bus = OwnBus(here, given, home)
        assert given.clock.time == NOW
        yield bus


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[OwnBus]:
    """Yield a separate bus with the desk of vac."""
    async with own_bus(tmp_path) as found:
        yield found


async def read(bus: OwnBus, place: Place) -> bool:
    """Return whether the desk itself still opens the letter."""
    with bus.given.desk.seat.ledger.read() as tx:
        return bool(case_keys.secrets_of(bus.given.desk.seat, tx, place))
