"""Durable writing on a system whose fsync stops at the drive's cache, as that of macOS does."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nrmbus.bus.private_files import write_private
from nrmbus.wire import disk
from nrmbus.wire.keys import keyfile

COMMAND = 51
"""F_FULLFSYNC of macOS, which no other system has."""


@pytest.fixture
def emptied(monkeypatch: pytest.MonkeyPatch) -> list[os.stat_result]:
    """Stand in for macOS: the files and folders whose bytes left the drive's cache, each as it was then."""
    found = list[os.stat_result]()

    def noted(descriptor: int, command: int) -> int:
        assert command == COMMAND
        found.append(os.fstat(descriptor))
        return 0

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", COMMAND, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", noted)
    return found


def test_on_macos_a_private_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, emptied: list[os.stat_result]
) -> None:
    """Given macOS, when a private file is written, then the whole of it has left the drive's cache before it is renamed."""
    write_private(tmp_path / "seed", b"content")

    (there,) = emptied
    assert os.path.samestat(there, (tmp_path / "seed").stat())
    assert there.st_size == len(b"content")


def test_on_macos_a_private_key_is_on_the_disk_with_its_name(tmp_path: Path, emptied: list[os.stat_result]) -> None:
    """Given macOS, when a private key is written, then its content and its name have left the drive's cache."""
    keyfile.write(tmp_path / "a.seed", bytes(32))

    content, names = emptied
    assert os.path.samestat(content, (tmp_path / "a.seed").stat())
    assert os.path.samestat(names, tmp_path.stat())


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_a_share_without_the_command_is_flushed_as_far_as_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Given macOS and a folder of a file server that refuses the command, then the file is written, flushed by fsync."""
    flushed = list[int]()
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", COMMAND, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", _refusing(code))
    monkeypatch.setattr(os, "fsync", flushed.append)
    write_private(tmp_path / "seed", b"content")

    assert len(flushed) == 1
    assert (tmp_path / "seed").read_bytes() == b"content"


def test_a_drive_that_fails_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given macOS and a drive that cannot empty its cache, then nothing counts as written, and the old file stays."""
    write_private(tmp_path / "seed", b"old")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", COMMAND, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", _refusing(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_private(tmp_path / "seed", b"new")
    assert (tmp_path / "seed").read_bytes() == b"old"


def test_elsewhere_fsync_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a system without the command, as Linux is, then none is given."""
    monkeypatch.delattr(fcntl, "F_FULLFSYNC", raising=False)
    monkeypatch.setattr(fcntl, "fcntl", _refusing(errno.EIO))
    (tmp_path / "file").write_bytes(b"content")

    disk.sync(tmp_path / "file")
    disk.sync(tmp_path)


def test_a_system_without_fcntl_can_import_the_client_and_flush(tmp_path: Path) -> None:
    """Given a system whose Python has no fcntl, as Windows has none, then the client is imported, and fsync is enough."""
    (tmp_path / "file").write_bytes(b"content")
    steps = (
        "import os, sys", "sys.modules['fcntl'] = None", "import nrmbus.client", "from nrmbus.wire import disk",
        "disk.flush(os.open(sys.argv[1], os.O_RDWR))",
    )  # fmt: skip

    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(steps), tmp_path / "file"], check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def _refusing(code: int) -> object:
    def refuses(_descriptor: int, _command: int) -> int:
        raise OSError(code, os.strerror(code))

    return refuses
