"""What `nrmbus agency` does at a closed broker: who is served, by which certificate, and until when."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.offset import OffsetRequest

from bus.closed import speaking
from nrmbus.bus import certificate
from nrmbus.bus.authority import Authority
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.embedded import EmbeddedKafka
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.gate import Gate
from nrmbus.bus.reach import Tls
from nrmbus.cli import agency
from nrmbus.directory import changes, joining
from nrmbus.directory.admission import Newcomer, admit, read_directory
from nrmbus.directory.heads import utc_time
from nrmbus.directory.operator import Identity
from nrmbus.directory.requests import Request

pytestmark = pytest.mark.broker

US, GONE = "ngo-a", "ngo-g"
A, B = "admitter-a", "admitter-b"


@pytest.fixture(name="bus", scope="module")
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """A closed bus, as `nrmbus up` makes it, with one agency."""
    folder = BusFolder(tmp_path_factory.mktemp("bus"))
    folder.create(play=False)
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        asyncio.run(admit(folder, {each: Newcomer("ngo_outreach") for each in (US, GONE)}, BEFORE_ANY_TICK))
        yield folder
    finally:
        kafka.stop()


def entered(bus: BusFolder, file: Path) -> Request:
    """Two admitters sign *file*, and it is entered."""
    for name in (A, B):
        agency.admit(file, name, data=bus.path, keys_unprotected=True)
    return Request.read(file)


def others_keys(bus: BusFolder, home: Path) -> Request:
    """Somebody else asks for keys of their own in the agency's name, and two admitters believe that the old ones are gone."""
    theirs = BusFolder(home)
    theirs.path.mkdir(parents=True, exist_ok=True)
    (home / "bus.json").write_bytes((bus.path / "bus.json").read_bytes())
    (home / "keys").mkdir()
    (home / "keys" / "operator.pub").write_bytes((bus.keys / "operator.pub").read_bytes())
    identity = Identity.at(theirs.agency(US).path, US)
    csr = certificate.request(Tls(theirs.agency(US).path)).decode()
    directory = asyncio.run(read_directory(bus))
    wanted = changes._wanted(identity, "ngo_outreach", None, csr)
    asked = joining.proposed(directory, wanted, "lost", made=utc_time())
    Request(entry=joining.asked_by(asked, [identity.signing, identity.witness]), csr=csr).write(home / "file")
    return entered(bus, home / "file")


async def _asked(send: Any, agency: str) -> bool:
    answer = await send(OffsetRequest(-1, 0, [(f"nrm.inbox.{agency}", [(0, -1)])]))
    return bool(answer.topics[0][1][0][1] == 0)


def is_served(bus: BusFolder) -> bool:
    """Whether the broker tells the agency, by its certificate, how far its own inbox is."""

    async def asks() -> bool:
        async with speaking(bus.reach(bus.agency(US).path)) as send:
            return await _asked(send, US)

    return asyncio.run(asks())


def test_suspend_resume_and_retire_are_kept_by_the_broker(bus: BusFolder, tmp_path: Path) -> None:
    """On a connection that was opened before, from the second admitter's command on; nobody runs anything besides."""
    file = tmp_path / "file"
    typed: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}

    def signed(command: str) -> None:
        if command == "retire":
            agency.retire(GONE, out=file, **typed)
            agency.admit(file, A, **typed)
        else:
            getattr(agency, command)(GONE, A, file, **typed)
        agency.admit(file, B, **typed)

    async def found() -> list[bool]:
        async with speaking(bus.reach(bus.agency(GONE).path)) as send:
            served = [await _asked(send, GONE)]
            for command in ("suspend", "resume", "retire"):
                await asyncio.to_thread(signed, command)
                served.append(await _asked(send, GONE))
        return served

    assert asyncio.run(found()) == [True, False, True, False]


def test_the_owner_of_the_old_key_is_there_and_may_object(bus: BusFolder, tmp_path: Path) -> None:
    """For 72 hours nobody else has a certificate, and the agency's own is good; with a `rotate` its keys stay its own."""
    came_back, now = others_keys(bus, tmp_path / "theirs"), utc_time()

    assert (came_back.certificate, came_back.ca) == (None, None)
    assert came_back.entry.valid_from >= now + timedelta(hours=72)
    assert is_served(bus)
    ends = Authority(bus).standing(came_back.entry.valid_from + timedelta(hours=1))
    assert ends.get(US, ()) == ()

    agency.rotate(US, out=tmp_path / "ours", overlap=72, data=bus.path, keys_unprotected=True)
    entered(bus, tmp_path / "ours")
    agency.check(US, tmp_path / "ours", data=bus.path, keys_unprotected=True)
    directory, ours = asyncio.run(read_directory(bus)), Identity.at(bus.agency(US).path, US)
    for at in (utc_time(), came_back.entry.valid_from + timedelta(hours=1)):
        assert directory.signing_kid(US, at) == ours.signing.kid
    assert Authority(bus).standing(came_back.entry.valid_from + timedelta(hours=1))[US]


def test_when_they_hold_every_certificate_before_them_ends(bus: BusFolder, tmp_path: Path) -> None:
    """By itself, on open connections too; also one that was renewed meanwhile, with the old key."""
    since = others_keys(bus, tmp_path / "theirs").entry.valid_from
    authority = Authority(bus)
    authority.issue(US, certificate.request(Tls(bus.agency(US).path)))
    assert len(authority.standing(certificate.now())[US]) > 1
    assert authority.standing(since + timedelta(seconds=1))[US] == ()

    gate = Gate(bus)
    authority.end(US, certificate.now() + timedelta(seconds=1))  # as if the four days were nearly over
    assert is_served(bus)
    time.sleep(1.1)
    gate.keep({})  # as `nrmbus up` does at each look
    assert not is_served(bus)
