"""Private keys of an agency on disk, made on first use."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nrmbus.bus.errors import KeysSealed
from nrmbus.bus.private_files import locked_folder
from nrmbus.directory import Identity, operator
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SigningKey
from patience import until


def kids(identity: Identity) -> tuple[str, str, str]:
    """Return the kids of an agency's three keys."""
    return identity.signing.kid, identity.sealing.kid, identity.witness.kid


def test_two_that_make_keys_at_once_have_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an agency without keys, when two commands ask for them at once, then both have those that are on disk."""
    made, waiting = list[Identity](), list[Path]()
    other = threading.Thread(target=lambda: made.append(Identity.at(tmp_path, "ngo-b")))
    generate = SigningKey.generate

    @contextmanager
    def watched(path: Path) -> Iterator[None]:
        waiting.append(path)
        with locked_folder(path):
            yield

    def meanwhile() -> SigningKey:
        monkeypatch.setattr(SigningKey, "generate", generate)
        other.start()
        until("the other command has made its keys, or waits", lambda: len(waiting) > 1 or not other.is_alive())
        return generate()

    monkeypatch.setattr(operator, "locked_folder", watched, raising=False)
    monkeypatch.setattr(SigningKey, "generate", meanwhile)
    made.append(Identity.at(tmp_path, "ngo-b"))
    other.join()

    assert [kids(each) for each in made] == [kids(Identity.at(tmp_path, "ngo-b"))] * 2


def test_a_lost_signing_key_is_not_made_where_it_is_only_read(tmp_path: Path) -> None:
    """Given an agency that lost a file of its keys, when a backup asks for the signing key, then none is made, and a damaged key is found."""
    own, keys = Identity.at(tmp_path, "ngo-b"), tmp_path / "keys"
    (keys / "witness.seed").unlink()
    found = Identity.signing_at(tmp_path)
    assert found is not None
    assert (found.kid, (keys / "witness.seed").exists()) == (own.signing.kid, False)

    (keys / "signing.seed").unlink()
    assert Identity.signing_at(tmp_path) is None
    assert [each.name for each in keys.glob("*.seed")] == ["sealing.seed"]
    (keys / "sealing.seed").write_bytes(b"damaged")
    with pytest.raises(KeysSealed):
        Identity.signing_at(tmp_path)


def test_waiting_keys_that_were_replaced_leave_their_sealing_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given waiting keys that others have replaced, when they are destroyed, then letters to them open and other keys can wait, also where the first attempt was cut."""
    own, ended = Identity.at(tmp_path, "ngo-a"), Identity.next_at(tmp_path, "ngo-a")

    waiting = tmp_path / "keys" / "next"

    def is_cut(_path: Path) -> None:
        raise OSError(errno.EIO, "cut")

    with monkeypatch.context() as patch:
        patch.setattr(keyfile, "destroy", is_cut)
        with pytest.raises(OSError, match="cut"):
            Identity.at(tmp_path, "ngo-a").end_next(tmp_path)
    assert Identity.kids_in(waiting)["signing"] == ended.signing.kid
    Identity.at(tmp_path, "ngo-a").end_next(tmp_path)

    assert Identity.kids_in(waiting) == {}
    left = Identity.at(tmp_path, "ngo-a")
    assert kids(left) == kids(own)
    assert left.opening.keys() == {own.sealing.kid, ended.sealing.kid}
    assert left.kids == own.kids | ended.kids
