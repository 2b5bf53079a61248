"""Private keys of an agency on disk, made on first use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nrmbus.bus.private_files import locked_folder
from nrmbus.directory import Identity, operator
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
