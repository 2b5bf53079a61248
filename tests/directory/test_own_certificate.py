"""A desk asks for its next certificate in time, and restarts with the new certificate."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.directory import own_certificate
from nrmbus.directory.own_certificate import Renewing
from nrmbus.wire.keys.keys import SigningKey


class Watched(Renewing):
    """One whose asking and reading is counted, and goes nowhere."""

    asked = read = 0

    async def _ask(self) -> None:
        self.asked += 1
        self._asked = time.monotonic()

    async def _takes_answer(self) -> bool:
        self.read += 1
        return False


class There:
    """A desk at home in *folder*, with a certificate."""

    def __init__(self, home: Path) -> None:
        self.folder = BusFolder(home / "bus")
        self.folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
        self.authority, self.tls = Authority(self.folder), Tls(self.folder.agency("ngo-a").path)
        self.holds(timedelta(days=30))

    def holds(self, life: timedelta) -> None:
        """Give the desk a certificate with such a *life*."""
        issued = self.authority.issue("ngo-a", certificate.request(self.tls), life=life)
        certificate.keep(self.tls, issued, self.authority.ca)

    def begins(self) -> Watched:
        """Return the desk's watch over its present certificate."""
        return Watched(self.folder, "ngo-a", SigningKey.generate)


@pytest.fixture(name="there")
def _there(tmp_path: Path) -> There:
    return There(tmp_path)


async def test_as_long_as_it_is_good_nothing_is_asked_or_read(there: There) -> None:
    """The desk makes no client while its certificate is good."""
    found = there.begins()

    assert [await found.look() for _ in range(3)] == [False] * 3
    assert (found.asked, found.read) == (0, 0)


async def test_one_that_is_due_is_asked_for_at_the_second_look_and_once(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first look an operator's `nrmbus up` may be about to renew; the desk asks again after a day."""
    there.holds(timedelta(seconds=1))
    found = there.begins()

    assert [(await found.look(), found.asked) for _ in range(4)] == [(False, 0), (False, 1), (False, 1), (False, 1)]
    monkeypatch.setattr(own_certificate, "AGAIN_SECONDS", -1.0)
    await found.look()
    assert (found.asked, found.read) == (2, 4)


async def test_another_one_that_can_be_used_begins_the_desk_anew(there: There) -> None:
    """The source of a certificate does not matter; a certificate that fits no key of the desk does not count."""
    found = there.begins()
    there.tls.certificate.write_bytes(b"CANARY")
    assert not await found.look()
    other = Tls(there.folder.agency("ngo-b").path)
    there.tls.certificate.write_bytes(there.authority.issue("ngo-b", certificate.request(other)))
    assert not await found.look()

    there.holds(timedelta(days=30))
    assert await found.look()
