"""Standby hosts: taken back although the first command was cut, and renewed although another request was refused."""

import shutil
from pathlib import Path

import pytest

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.private_files import make_private
from nrmbus.bus.reach import Reach, Tls
from nrmbus.directory import DirectoryError, renewal, standby
from nrmbus.directory.admission import home_of
from nrmbus.directory.operator import Identity
from nrmbus.directory.renewal import Asked
from nrmbus.wire import statement
from nrmbus.wire.names import REGISTRAR


def test_revoking_a_host_again_reaches_a_broker_that_was_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a revocation that the broker did not hear of, when the command is given again, then the host's rights end."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="127.0.0.1:1")
    Authority(folder).issue("registrar", certificate.request(Tls(tmp_path / "host")), host="host-b")
    away, applied = [True], list[int]()

    def apply(_: Gate) -> None:
        if away:
            raise KafkaFailed("The broker does not answer.")
        applied.append(1)

    monkeypatch.setattr(Gate, "apply", apply)
    with pytest.raises(KafkaFailed):
        standby.revoke(folder, "host-b")
    away.clear()

    with pytest.raises(DirectoryError, match="standby_unknown"):
        standby.revoke(folder, "host-b")

    assert applied


def machines(home: Path) -> tuple[Authority, BusFolder]:
    """Return the authority of a bus, and the folder of another machine that has the registrar's signing key."""
    operator, host = BusFolder(home / "bus"), BusFolder(home / "host")
    operator.create(bootstrap="127.0.0.1:1", tls=True)
    make_private(host.path)
    shutil.copy(operator.path / "bus.json", host.path)
    Identity.at(home_of(host, REGISTRAR), REGISTRAR)
    return Authority(operator), host


def test_a_host_whose_second_request_nobody_granted_renews_its_certificate(tmp_path: Path) -> None:
    """Given a host that works, and asked again for admission, when its certificate is due, then the operator knows the host by its request, and the answer is stored."""
    authority, host = machines(tmp_path)
    tls = Tls(home_of(host, REGISTRAR))
    first = standby.ask(host, "host-b").requests[REGISTRAR].encode()
    life = certificate.LIFE / 2
    certificate.keep(tls, authority.issue(REGISTRAR, first, life=life, host="host-b"), authority.brokers_ca)
    host.be_host("host-b")

    standby.ask(host, "host-b")
    asked = Asked.model_validate_json(statement.body_of("request", renewal.ask(host, REGISTRAR).asked.encode()))

    csr = asked.csr.encode()
    assert authority.host_of(REGISTRAR, csr, certificate.now()) == "host-b"
    issued = authority.issue(REGISTRAR, csr, host="host-b")
    came = renewal.Renewal(asked="", certificate=issued.decode(), authority=authority.ca.decode())
    renewal.take(host, REGISTRAR, came)
    assert tls.certificate.read_bytes() == issued
    Reach("kafka.example.org:9092", tls).context()


def test_a_host_that_is_admitted_again_uses_the_key_of_its_second_request(tmp_path: Path) -> None:
    """Given a host that was taken off and asked again, when the answer is stored, then its key is in use, and the next renewal is over it."""
    authority, host = machines(tmp_path)
    tls = Tls(home_of(host, REGISTRAR))
    for _ in range(2):
        authority.revoke_host("host-b")
        asked = standby.ask(host, "host-b").requests[REGISTRAR].encode()
        certificate.keep(tls, authority.issue(REGISTRAR, asked, host="host-b"), authority.brokers_ca)
        host.be_host("host-b")

    assert not tls.next_key.exists()
    assert authority.host_of(REGISTRAR, certificate.request(tls, present=True), certificate.now()) == "host-b"
