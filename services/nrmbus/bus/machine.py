"""The machine of this process, told apart from others without its name.

macOS names a machine after the person who set it up, and many administrators do the same, so a host's name may be the name
of a worker. The bus and servers get a short digest of the machine's boot instead.
"""

import os
import re
import socket
import sys
import uuid
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_CARDS: Final = Path("/sys/class/net")
_MARK: Final = re.compile("[0-9a-f]{8}")
_RANDOM: Final = 1 << 40
"""Bit of a number that `uuid.getnode` invented, for want of a network card; the next process invents another."""


def boot() -> str:
    """Return the id of this machine's boot, or the host's name and network cards if the system hides the id."""
    with suppress(OSError):
        return _boot_of_macos() if sys.platform == "darwin" else _BOOT.read_text()
    cards = sorted(each.read_text() for each in _CARDS.glob("*/address"))
    if not cards and not (card := uuid.getnode()) & _RANDOM:  # macOS has no such folder
        cards = [f"{card:012x}"]
    return " ".join((socket.gethostname(), *cards))


def _boot_of_macos() -> str:
    """Return the id of this boot from sysctl(3); raise OSError if the system has none."""
    import ctypes  # noqa: PLC0415 - 5 ms, and only here

    asks = ctypes.CDLL(None, use_errno=True).sysctlbyname
    asks.argtypes = (
        ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_void_p, ctypes.c_size_t,
    )  # fmt: skip
    answer = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(answer))
    if asks(b"kern.bootsessionuuid", answer, ctypes.byref(size), None, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer.value.decode()


def mark() -> str:
    """Return 8 hex digits that all processes of this machine share until its next start."""
    return sha256(f"machine {boot()}".encode()).hexdigest()[:8]


def where(host: object) -> str:
    """Return in words which machine wrote the mark *host*; an earlier release wrote the host's name."""
    if host == mark():
        return "this machine"
    return "another machine" if _MARK.fullmatch(str(host)) else f"host {host}"
