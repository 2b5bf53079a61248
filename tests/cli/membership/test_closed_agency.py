"""`nrmbus agency` at a closed broker: clients with access, their certificates, and the end of both."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.protocol.offset import OffsetRequest

from bus.closed import speaking
from cli.own_machine import until_over
from nrmbus.bus.clock import BEFORE_ANY_TICK
from nrmbus.bus.embedded.embedded import EmbeddedKafka
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership import agency
from nrmbus.directory import fold, joining
from nrmbus.directory.admission import Newcomer, admit, read_directory
from nrmbus.directory.invitation import Invitation
from nrmbus.directory.operator import Identity
from nrmbus.directory.requests import Request
from patience import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]

US, GONE, DEAD, OLD, OUT = "ngo-a", "ngo-g", "ngo-d", "ngo-r", "ngo-o"
A, B = "admitter-a", "admitter-b"


@pytest.fixture(name="bus", scope="module")
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """Yield a closed bus, as `nrmbus up` makes it, with agencies."""
    folder = BusFolder(tmp_path_factory.mktemp("bus"))
    folder.create(play=False)
    kafka = EmbeddedKafka(folder)
    kafka.fetch()
    kafka.start()
    try:
        asyncio.run(
            admit(folder, {each: Newcomer("ngo_outreach") for each in (US, GONE, DEAD, OLD, OUT)}, BEFORE_ANY_TICK)
        )
        yield folder
    finally:
        kafka.stop()


def entered(bus: BusFolder, file: Path) -> Request:
    """Have two admitters sign *file*, and enter it."""
    for name in (A, B):
        agency.admit(file, name, data=bus.path, keys_unprotected=True)
    return Request.read(file)


def machine(bus: BusFolder, home: Path) -> BusFolder:
    """Return a machine without any files of the agency, which knows the bus's address and its trusted keys."""
    folder = BusFolder(home)
    Invitation.to(bus).accept(folder)
    return folder


def others_keys(bus: BusFolder, home: Path, who: str = US, *, has_earlier: bool = False) -> tuple[BusFolder, Request]:
    """Ask for foreign keys in an agency's name, signed by two admitters who believe that the old keys are lost.

    *has_earlier*: the machine has the agency's keys but for the signing key, so that the directory knows some of them.
    """
    here, known, file = machine(bus, home), home / "directory", home / "file"
    if has_earlier:
        shutil.copytree(bus.agency(who).path / "keys", here.agency(who).path / "keys")
        (here.agency(who).path / "keys" / "signing.seed").unlink()
    agency.list_(known, data=bus.path)
    agency.lost(who, file, directory=known, data=here.path, keys_unprotected=True)
    return here, entered(bus, file)


async def _asked(send: Any, agency: str) -> bool:
    answer = await send(OffsetRequest(-1, 0, [(f"nrm.inbox.{agency}", [(0, -1)])]))
    return bool(answer.topics[0][1][0][1] == 0)


def is_served(folder: BusFolder, who: str = US) -> bool:
    """Return whether the broker serves the agency, by its certificate in *folder*, the end of its own inbox."""

    async def asks() -> bool:
        async with speaking(folder.reach(folder.agency(who).path)) as send:
            return await _asked(send, who)

    return asyncio.run(asks())


def test_suspend_resume_and_retire_are_kept_by_the_broker(bus: BusFolder, tmp_path: Path) -> None:
    """The broker applies the second admitter's command to open connections too, without a further command."""
    file = tmp_path / "file"
    typed: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}

    def signed(command: str) -> None:
        if command == "retire":
            agency.retire(GONE, out=file, **typed)
            agency.admit(file, A, **typed)
        else:
            getattr(agency, command)(GONE, name=A, out=file, **typed)
        agency.admit(file, B, **typed)

    async def found() -> list[bool]:
        async with speaking(bus.reach(bus.agency(GONE).path)) as send:
            served = [await _asked(send, GONE)]
            for command in ("suspend", "resume", "retire"):
                await asyncio.to_thread(signed, command)
                served.append(await _asked(send, GONE))
        return served

    assert asyncio.run(found()) == [True, False, True, False]


def test_a_restored_folder_gives_a_suspended_agency_nothing(bus: BusFolder, tmp_path: Path) -> None:
    """P2: given a suspension after the last backup, when the bus starts with the restored folder, then the broker denies everything to the agency.

    A certificate that was issued since the backup has no rights, and no other certificate gets its number.
    """
    register, authority = bus.keys / "authority" / "issued.json", Authority(bus)
    assert is_served(bus, OUT)
    backup = register.read_bytes()
    since = bus.agency(OUT).path.with_name("since")
    authority.issue(OUT, certificate.request(Tls(since)))
    there: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}
    agency.suspend(OUT, name=A, out=tmp_path / "file", **there)
    agency.admit(tmp_path / "file", B, **there)
    assert authority.standing(certificate.now())[OUT] == (f"{OUT}.1", f"{OUT}.2")

    register.write_bytes(backup)
    asyncio.run(admit(bus, {}, BEFORE_ANY_TICK))

    assert not is_served(bus, OUT)
    authority.issue(OUT, certificate.request(Tls(since)))
    assert authority.standing(certificate.now())[OUT] == (f"{OUT}.1", f"{OUT}.3")


def test_the_owner_of_the_old_key_is_there_and_may_object(bus: BusFolder, tmp_path: Path) -> None:
    """For 72 hours only the agency's own certificate is valid; with a `rotate` the agency keeps its keys."""
    now = wall_now()
    _, came_back = others_keys(bus, tmp_path / "theirs")

    assert (came_back.certificate, came_back.ca) == (None, None)
    assert came_back.entry.valid_from >= now + timedelta(hours=72)
    assert is_served(bus)
    ends = Authority(bus).standing(came_back.entry.valid_from + timedelta(hours=1))
    assert ends.get(US, ()) == ()

    agency.rotate(US, out=tmp_path / "ours", overlap=72, data=bus.path, keys_unprotected=True)
    entered(bus, tmp_path / "ours")
    agency.check(US, tmp_path / "ours", data=bus.path, keys_unprotected=True)
    directory, ours = asyncio.run(read_directory(bus)), Identity.at(bus.agency(US).path, US)
    for at in (wall_now(), came_back.entry.valid_from + timedelta(hours=1)):
        assert directory.signing_kid(US, at) == ours.signing.kid
    assert Authority(bus).standing(came_back.entry.valid_from + timedelta(hours=1))[US]


@pytest.mark.slow
def test_when_they_hold_every_certificate_before_them_ends(bus: BusFolder, tmp_path: Path) -> None:
    """The access ends automatically, on open connections too, and also for a certificate renewed meanwhile with the old key."""
    since = others_keys(bus, tmp_path / "theirs")[1].entry.valid_from
    authority = Authority(bus)
    authority.issue(US, certificate.request(Tls(bus.agency(US).path)))
    assert len(authority.standing(certificate.now())[US]) > 1
    assert authority.standing(since + timedelta(seconds=1))[US] == ()

    gate = Gate(bus)
    ends = certificate.now() + timedelta(seconds=10)
    authority.end(US, ends)  # as if the four days were nearly over
    assert is_served(bus)
    until("the four days are over", lambda: certificate.now() > ends)
    gate.keep({})  # as `nrmbus up` does at each look
    assert not is_served(bus)


@pytest.mark.slow
@pytest.mark.parametrize("has_earlier", [False, True])
def test_an_agency_whose_disk_is_gone_comes_back(
    bus: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_earlier: bool
) -> None:
    """After a suspension, a new machine asks by files, as deploy/RUNBOOK.md says.

    The machine has access once its keys hold and the agency may speak again. The same goes for a machine with earlier keys
    of the agency, as from a backup.
    """
    who = OLD if has_earlier else DEAD
    monkeypatch.chdir(tmp_path)
    for where, name, seconds in (
        (fold, "WITHOUT_OLD_KEY", 2),
        (joining, "WITHOUT_OLD_KEY", 2),
        (joining, "TO_AGREE", 1),
    ):
        monkeypatch.setattr(where, name, timedelta(seconds=seconds))
    there: dict[str, Any] = {"data": bus.path, "keys_unprotected": True}
    assert is_served(bus, who)
    agency.suspend(who, name=A, **there)
    agency.admit(Path(f"{who}.request.json"), B, **there)
    assert not is_served(bus, who)

    with pytest.raises(
        BusError, match=r"nrmbus agency list --signed FILE; then nrmbus agency lost ngo-. --directory FILE"
    ):
        agency.lost(who, data=machine(bus, tmp_path / "before").path, keys_unprotected=True)
    new, asked = others_keys(bus, tmp_path / "new", who, has_earlier=has_earlier)
    here: dict[str, Any] = {"data": new.path, "keys_unprotected": True}
    until_over(asked.entry.valid_from)

    agency.list_(tmp_path / "known", data=bus.path)
    agency.renew(who, directory=tmp_path / "known", **here)
    with pytest.raises(BusError, match=r"is suspended: .* after nrmbus agency resume"):
        agency.renew(who, Path(f"{who}.renewal.json"), **there)
    agency.resume(who, name=A, **there)
    agency.admit(Path(f"{who}.request.json"), B, **there)
    for place in (there, here):
        agency.renew(who, Path(f"{who}.renewal.json"), **place)
    agency.check(who, **here)
    agency.admit(Path(f"{who}.request.json"), **there)
    agency.check(who, **here)

    assert new.agency(who).agency_json.exists()
    assert (is_served(new, who), is_served(bus, who)) == (True, False)
    sealed_to = asyncio.run(read_directory(bus)).seal_to(who, wall_now())
    assert sealed_to is not None
    assert sealed_to.kid == Identity.at(new.agency(who).path, who).sealing.kid
