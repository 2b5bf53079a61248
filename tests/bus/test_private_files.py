"""Private files: written whole or not at all, and locked by one process at a time."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from nrmbus.bus.private_files import lock_file, locked, write_private, write_private_lines


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    """A reader finds the old or the new; nothing half-written stays."""
    write_private(tmp_path / "seed", b"old")
    write_private(tmp_path / "seed", b"new")

    assert (tmp_path / "seed").read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["seed"]


def test_a_file_whose_lines_cannot_all_be_made_stays_as_it_was(tmp_path: Path) -> None:
    """The lines are made while they are written; if one fails, the old file stands and no part of the new one lies beside it."""
    write_private(tmp_path / "export", b"old")

    def lines() -> Iterator[bytes]:
        yield b"new\n"
        raise RuntimeError("the broker has gone away")

    with pytest.raises(RuntimeError):
        write_private_lines(tmp_path / "export", lines())

    assert (tmp_path / "export").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["export"]


def test_a_lock_is_held_until_the_end_of_its_block(tmp_path: Path) -> None:
    """Nobody else gets it meanwhile, in the same process neither; afterwards the next one does."""
    with lock_file(tmp_path / "lock") as other:
        with locked(tmp_path / "lock"), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
