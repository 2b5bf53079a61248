"""High-water mark: it only rises, many marks cost one writing, and a damaged file is never taken for none."""

from pathlib import Path

import pytest

from nrmbus.bus import high_water
from nrmbus.bus.errors import MarkDamaged
from nrmbus.bus.high_water import HighWater, Mark

LOW, HIGH = Mark(7, "ab" * 32), Mark(49, "cd" * 32)


def test_a_missing_file_is_no_mark(tmp_path: Path) -> None:
    """A machine that never read the topic has nothing to hold it against."""
    assert HighWater(tmp_path / "0").read() is None


@pytest.mark.parametrize("order", [(LOW, HIGH), (HIGH, LOW)], ids=["rising", "falling"])
def test_a_mark_only_rises(order: tuple[Mark, Mark], tmp_path: Path) -> None:
    """Two processes may share the file; the one that read less does not take the mark back."""
    for mark in order:
        HighWater(tmp_path / "0").raise_to(mark)

    assert HighWater(tmp_path / "0").read() == HIGH
    assert (tmp_path / "0").stat().st_mode & 0o077 == 0


async def test_many_marks_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registrar commits many times a second: the newest mark is written, by a timer or at the end."""
    written: list[bytes] = []
    monkeypatch.setattr(high_water, "write_private", lambda _path, content: written.append(content))
    mark = HighWater(tmp_path / "0")
    for number in range(1, 50):
        mark.raise_soon(Mark(number, HIGH.digest))
    assert written == []

    mark.flush()
    mark.flush()
    assert written == [f"49 {HIGH.digest}\n".encode()]


@pytest.mark.parametrize(
    "content", [b"", b"half a no", b"12", b"-1 " + b"ab" * 32, b"7 " + b"AB" * 32, b"7 " + b"ab" * 31, b"\xff\n"]
)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """Nobody can tell what was there: reading fails with what to do, and writing leaves the file for a person to see."""
    (tmp_path / "0").write_bytes(content)

    for use in (HighWater.read, lambda mark: mark.raise_to(HIGH)):
        with pytest.raises(MarkDamaged, match="remove the file, and start again"):
            use(HighWater(tmp_path / "0"))
    assert (tmp_path / "0").read_bytes() == content


def test_a_full_disk_leaves_the_mark_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old mark is still true, and serving goes on."""
    HighWater(tmp_path / "0").raise_to(LOW)

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(high_water, "write_private", full)
    HighWater(tmp_path / "0").raise_to(HIGH)

    assert HighWater(tmp_path / "0").read() == LOW
