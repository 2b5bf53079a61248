"""Another's cluster is reached over TLS, or in plain text where somebody said so: never by accident."""

from pathlib import Path

import pytest

from nrmbus.bus.authority import Authority
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.up import introduced, reached_by_tls


@pytest.mark.parametrize(
    ("bootstrap", "tls", "plaintext", "is_new", "sentence"),
    [
        ("kafka.example:9093", False, False, True, "Say how kafka.example:9093 is reached"),
        ("kafka.example:9093", True, True, True, "A cluster is reached over TLS or in plain text"),
        (None, True, False, True, "Our own Kafka is always reached over TLS"),
        (None, False, True, True, "Our own Kafka is always reached over TLS"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    bootstrap: str | None, *, tls: bool, plaintext: bool, is_new: bool, sentence: str
) -> None:
    """A new bus on another's cluster is told how to say it; our own has no plain text to choose."""
    with pytest.raises(NoBus, match=sentence):
        reached_by_tls(bootstrap, Path() if tls else None, plaintext=plaintext, is_new=is_new)


def test_what_was_said_holds() -> None:
    """TLS, plain text, or what was decided when the bus was made."""
    assert reached_by_tls("kafka.example:9093", Path(), plaintext=False, is_new=True) is True
    assert reached_by_tls("kafka.example:9092", None, plaintext=True, is_new=True) is False
    assert reached_by_tls("kafka.example:9093", None, plaintext=False, is_new=False) is None
    assert reached_by_tls(None, None, plaintext=False, is_new=True) is None


def test_a_bus_is_closed_unless_it_was_said(tmp_path: Path) -> None:
    """By default, also on another's cluster; a bus that was made there before there was a choice stays as it was."""
    assert BusFolder(tmp_path / "own").create().tls
    assert BusFolder(tmp_path / "other").create(bootstrap="kafka.example:9093").tls
    older = tmp_path / "older"
    older.mkdir()
    (older / "bus.json").write_text(
        '{"bus": "0123456789abcdef", "created": "2026-01-01T00:00:00Z", "bootstrap": "a:1"}'
    )
    assert not BusFolder(older).settings.tls
    (older / "bus.json").write_text('{"bus": "0123456789abcdef", "created": "2026-01-01T00:00:00Z"}')
    assert BusFolder(older).settings.tls


def test_holders_trust_the_cluster_and_the_cluster_is_told_whom_to_trust(tmp_path: Path) -> None:
    """Everybody's ``ca.pem`` is the cluster's; what the cluster needs is printed, and has no default."""
    cluster = BusFolder(tmp_path / "cluster")
    cluster.create()
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "ca.pem").write_bytes(Authority(cluster).ca)
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="kafka.example:9093", tls=True)

    lines = introduced(folder, tmp_path / "dir")
    Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)

    assert (folder.agency("ngo-a").path / "tls" / "ca.pem").read_bytes() == Authority(cluster).ca
    assert "  super.users=User:operator" in lines, "our own broker's name is nobody's there"
    assert "  allow.everyone.if.no.acl.found=false" in lines
    assert "  listener.name.nrmbus.ssl.client.auth=required" in lines
    assert f"  listener.name.nrmbus.ssl.truststore.location={folder.keys / 'authority' / 'cert.pem'}" in lines
    assert not any("DEFAULT" in line for line in lines)
    (tmp_path / "dir" / "ca.pem").write_text("no certificate")
    with pytest.raises(BusError):
        introduced(folder, tmp_path / "dir")
    with pytest.raises(NoBus):
        introduced(folder, tmp_path / "nowhere")
