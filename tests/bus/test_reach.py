"""A holder's private key goes from its sealed file into memory, and past any other file."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nrmbus.bus.errors import KeysSealed, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach, Tls, is_address, piped
from nrmbus.wire.keys import keyfile


@pytest.fixture(autouse=True)
def _held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A passphrase for the test, and nobody to ask for another."""
    monkeypatch.delenv(keyfile.SETTING, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    keyfile.hold(keyfile.Passphrase(b"of the example"))
    yield
    keyfile.hold(None)


@pytest.fixture
def where(tmp_path: Path) -> Reach:
    """Return the holder of a certificate on a bus that does not run."""
    folder = BusFolder(tmp_path / "bus")
    folder.create(bootstrap="127.0.0.1:1", tls=True)
    Authority(folder).equip("ngo-a", folder.agency("ngo-a").path)
    return folder.reach(folder.agency("ngo-a").path)


def test_both_clients_have_the_key_and_no_file_has(where: Reach) -> None:
    """aiokafka's context is made through a pipe, librdkafka is told it in memory; on disk it stays sealed."""
    assert where.tls
    pem = where.tls.private_key()

    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert keyfile.is_sealed(where.tls.key)
    assert where.context() is not None
    assert where.confluent()["ssl.key.pem"] == pem.decode()
    assert pem.decode() not in repr(where)


def test_without_the_passphrase_the_message_names_the_remedy(where: Reach) -> None:
    """A holder of another key file gets a sentence too, without any part of the key."""
    for passphrase, sentence in (
        (None, f"{keyfile.SETTING}=FILE"),
        (keyfile.Passphrase(b"another passphrase"), "does not open"),
    ):
        for ask in (where.context, where.confluent, where.settings):
            keyfile.hold(passphrase)
            with pytest.raises(KeysSealed, match=sentence):
                ask()


def test_without_a_key_the_message_names_the_command(tmp_path: Path) -> None:
    """By either client."""
    nobody = Reach("127.0.0.1:1", Tls(tmp_path))
    for ask in (nobody.context, nobody.confluent):
        with pytest.raises(NoBus, match="nrmbus up makes one"):
            ask()


def test_a_pipe_is_read_once_and_gone() -> None:
    """The pipe is read by its path, as a library reads a file; no descriptor is left, and no child process inherits it."""
    before = {each.name for each in Path("/dev/fd").iterdir()}
    with piped(b"content") as pipe:
        assert not os.get_inheritable(pipe)
        assert Path(f"/dev/fd/{pipe}").read_bytes() == b"content"
        assert Path(f"/dev/fd/{pipe}").read_bytes() == b""
    assert {each.name for each in Path("/dev/fd").iterdir()} == before


def test_a_text_larger_than_a_pipe_is_refused_at_once() -> None:
    """Nobody reads yet: it would wait for ever."""
    with pytest.raises(OSError, match="too large"), piped(bytes(4097)):
        pass
    with piped(bytes(4096)) as pipe:
        assert len(os.read(pipe, 8192)) == 4096


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("bus.example.org", True),
        ("bus.example.org.", True),
        (f"{'a' * 63}.{'b' * 63}", True),
        ("[2001:db8::1]", True),
        ("bus..example.org", False),
        (f"bus.{'b' * 64}", False),
        ("a" * 64, False),
        (".example.org", False),
    ],
)
def test_a_name_that_stops_a_client_is_no_address(host: str, taken: bool) -> None:  # noqa: FBT001 - a column of the table
    """A label has 1 to 63 characters; a client that meets another tries none of the addresses beside it."""
    assert is_address(f"{host}:9093") == is_address(f"good.example.org:9093,{host}:9093") == taken
