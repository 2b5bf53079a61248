"""Admission of a standby host taken back: the broker hears of it even if the first command was cut."""

from pathlib import Path

import pytest

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.directory import DirectoryError, standby


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
