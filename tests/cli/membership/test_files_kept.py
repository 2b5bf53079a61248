"""Files that go to the operator and come back: none is written over while somebody needs its answer."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.cli.membership import standby
from nrmbus.cli.membership.renewal import renewed
from nrmbus.directory import renewal
from nrmbus.directory import standby as hosts
from nrmbus.directory.admission import home_of
from nrmbus.directory.directory import Directory
from nrmbus.directory.invitation import Invitation
from nrmbus.directory.operator import Identity, Operator, operator_key
from nrmbus.directory.standby import Standby

FILE, REQUEST = Path("ngo-a.renewal.json"), Path("host-b.standby.json")


@pytest.fixture(name="bus")
def _bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BusFolder:
    """Bus of an agency whose certificate ends soon; the broker does not run, and commands write where they are given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Gate, "apply", lambda _: None)
    folder = BusFolder(tmp_path / "bus")
    folder.create(play=True, bootstrap="127.0.0.1:1", tls=True)
    Operator(folder.path)
    Identity.at(folder.agency("ngo-a").path, "ngo-a")
    Authority(folder).equip("ngo-a", folder.agency("ngo-a").path, life=timedelta(days=9))
    return folder


def issued(bus: BusFolder) -> None:
    """Have the operator put the next certificate into the agency's file."""
    asked, authority = renewal.Renewal.read(FILE), Authority(bus)
    pem = authority.issue("ngo-a", certificate.request(Tls(bus.agency("ngo-a").path)))
    given, ca, word = Operator(bus.path).vouched(bus.settings.bus, "ngo-a", pem, authority.brokers_ca)
    answer = {"certificate": given, "ca": ca, "word": word, "authority": authority.ca.decode()}
    asked.model_copy(update=answer).write(FILE)


def test_a_certificate_that_is_not_stored_yet_is_not_written_over(bus: BusFolder) -> None:
    """Given the operator's answer in the agency's file, when the agency asks again, then the answer stays, and the message names the next command."""
    renewed(bus, "ngo-a", None)
    issued(bus)
    before = FILE.read_bytes()

    with pytest.raises(BusError, match=r"nrmbus agency renew ngo-a ngo-a\.renewal\.json stores"):
        renewed(bus, "ngo-a", None)

    assert FILE.read_bytes() == before


def test_a_file_that_is_no_renewal_is_not_written_over(bus: BusFolder) -> None:
    """Given something else under the name of the file, when the agency asks, then it stays."""
    FILE.write_text("mine")

    with pytest.raises(BusError, match="is there already"):
        renewed(bus, "ngo-a", None)

    assert FILE.read_text() == "mine"


def test_a_renewal_that_nobody_needs_is_written_over(bus: BusFolder) -> None:
    """Given a request without an answer, or with one that is stored, when the agency asks again, then the new request takes its place."""
    renewed(bus, "ngo-a", None)
    renewed(bus, "ngo-a", None)
    issued(bus)
    renewal.keep(bus, "ngo-a", renewal.Renewal.read(FILE))

    renewed(bus, "ngo-a", None)

    assert renewal.Renewal.read(FILE).certificate is None


@pytest.fixture(name="ask")
def _ask(bus: BusFolder, tmp_path: Path) -> Callable[[], None]:
    """Command of a machine that joined the bus and asks to be a standby host."""
    host = tmp_path / "host"
    for each in hosts.SERVED:
        Identity.at(home_of(bus, each), each)
    Invitation.to(bus).accept(BusFolder(host))
    return lambda: standby.request("host-b", data=host)


def answered(bus: BusFolder) -> None:
    """Have the operator admit the host of the request."""
    asked = Standby.read(REQUEST)
    hosts.admit(bus, asked, asked.fingerprint).write(REQUEST)


def test_keys_that_a_standby_host_has_not_taken_are_not_written_over(bus: BusFolder, ask: Callable[[], None]) -> None:
    """Given the operator's answer in the host's file, when the host asks again, then the answer stays and still opens there."""
    ask()
    answered(bus)
    before = REQUEST.read_bytes()

    with pytest.raises(BusError, match=r"nrmbus standby take host-b\.standby\.json keeps"):
        ask()

    assert REQUEST.read_bytes() == before
    assert hosts.is_untaken(BusFolder(REQUEST.absolute().parent / "host"), Standby.read(REQUEST))


def test_a_file_that_is_no_request_of_a_standby_host_is_not_written_over(ask: Callable[[], None]) -> None:
    """Given something else under the name of the file, when the host asks, then it stays."""
    REQUEST.write_text("mine")

    with pytest.raises(BusError, match="is there already"):
        ask()

    assert REQUEST.read_text() == "mine"


def test_a_request_of_a_standby_host_that_nobody_needs_is_written_over(
    bus: BusFolder, ask: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a request without an answer, or with one that the host took, when the host asks again, then the new request takes its place."""
    ask()
    ask()
    answered(bus)

    async def read(*_: object) -> Directory:
        return Directory(bus.settings.bus, operator_key(bus.path))

    monkeypatch.setattr(hosts, "read_as", read)
    monkeypatch.setattr(hosts, "_confirm", lambda *_: None)
    asyncio.run(hosts.take(BusFolder(tmp_path / "host"), Standby.read(REQUEST)))

    ask()

    assert Standby.read(REQUEST).keys is None
