"""A machine is told from others, without its name, on Linux and macOS."""

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nrmbus.bus import machine
from nrmbus.bus.kafka import lease

SESSION = b"0F5A3B1C-9D2E-4F60-8A7B-1C2D3E4F5A6B"


class Libc:
    """The C library of macOS, which knows the id of the boot under a name of its own."""

    def __init__(self, session: bytes | None) -> None:
        self._session = session

    def __call__(self, _name: None, **_how: object) -> Any:
        """Stand in for `ctypes.CDLL`."""
        return SimpleNamespace(sysctlbyname=Asked(self._ask))

    def _ask(self, name: bytes, into: Any, _size: object, _new: None, _length: int) -> int:
        if name != b"kern.bootsessionuuid" or self._session is None:
            return -1
        into.value = self._session
        return 0


class Asked:
    """A function of C, whose arguments have types."""

    def __init__(self, how: Any) -> None:
        self._how = how
        self.argtypes: tuple[object, ...] = ()

    def __call__(self, *arguments: object) -> int:
        """Ask."""
        assert len(self.argtypes) == len(arguments)
        answer: int = self._how(*arguments)
        return answer


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Stand in for macOS: no /proc and no /sys; the name that two machines laid from one image share."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine, "_BOOT", tmp_path / "none")
    monkeypatch.setattr(machine, "_CARDS", tmp_path / "none")
    monkeypatch.setattr("socket.gethostname", lambda: "Mac.local")
    return monkeypatch


def test_two_macs_of_one_disk_image_are_two_places(macos: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Given the same name, and a lock file with the same number, then the boot tells one machine from the other."""
    places, marks = list[str](), list[str]()
    for session in (SESSION, SESSION[::-1], SESSION):
        macos.setattr(ctypes, "CDLL", Libc(session))
        places.append(lease.place_of(tmp_path / "ngo-a.lock"))
        marks.append(machine.mark())

    assert places[0] == places[2] != places[1]
    assert marks[0] == marks[2] != marks[1]


def test_a_mac_that_hides_its_boot_is_told_by_its_network_card(macos: pytest.MonkeyPatch) -> None:
    """Given no id of the boot, then the card tells machines apart; a number that Python invented for want of a card does not count."""
    macos.setattr(ctypes, "CDLL", Libc(None))
    found = list[str]()
    for card in (0x02ACDE480011, 0x02ACDE480022, 1 << 40 | 17, 1 << 40 | 18):
        macos.setattr("uuid.getnode", lambda card=card: card)
        found.append(machine.boot())

    assert found == ["Mac.local 02acde480011", "Mac.local 02acde480022", "Mac.local", "Mac.local"]


def test_only_the_mark_of_this_machine_is_this_machine() -> None:
    """Given the marks of this and of another machine, and a name from an earlier release, then each is told in words."""
    other = f"{int(machine.mark(), 16) ^ 1:08x}"

    assert [machine.where(each) for each in (machine.mark(), other, "host-b", 7)] == [
        "this machine", "another machine", "host host-b", "host 7",
    ]  # fmt: skip
