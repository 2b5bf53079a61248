"""Looking for words that may stand nowhere: in the clear, in UTF-16, in hex, in base64, or packed."""

import os
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

GZIP: Final = b"\x1f\x8b\x08"
UNPACKED: Final = 4 << 20
"""How much of a packed stream is looked at."""


def spellings(text: str) -> tuple[bytes, ...]:
    """How *text* may stand in bytes: plainly, as other programs write it, or in base64 after any number of bytes.

    Of base64 the digits that it shares with what stands before and after it are left out.
    """
    raw = text.encode()
    encoded = [
        b64encode(bytes(before) + each + bytes(3))[(before * 8 + 5) // 6 : (before + len(each)) * 8 // 6]
        for each in (raw, text.encode("utf-16-le"))
        for before in range(3)
    ]
    return (
        raw, text.encode("utf-16-le"), text.encode("utf-16-be"), raw.hex().encode(), raw.hex().upper().encode(), *encoded,
    )  # fmt: skip


def holds(content: bytes, text: str) -> bool:
    """Whether *content* has *text* in any spelling, packed streams in it included."""
    forms = spellings(text)
    return any(form in each for each in (content, *_unpacked(content)) for form in forms)


def _unpacked(content: bytes) -> Iterator[bytes]:
    """What is packed by gzip anywhere in *content*."""
    at = content.find(GZIP)
    while at >= 0:
        with suppress(zlib.error):  # three bytes that only look like it
            yield zlib.decompressobj(wbits=31).decompress(content[at:], UNPACKED)
        at = content.find(GZIP, at + 1)


def files_with(folder: Path, text: str) -> list[str]:
    """Every file below *folder* that has *text*, logs, ledgers and what SQLite keeps beside them included."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if holds(_content(path), text)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # rolled away, or checkpointed, while we looked
        return b""


def processes_with(named: str, text: str) -> tuple[int, int]:
    """Of the processes in whose command, or as whose working folder, *named* stands: how many there are, and how many were told *text*.

    Looked at are their arguments and their environment, as whoever is on the machine may see them.
    """
    told = [each for each in _told() if named.encode() in each]
    return len(told), sum(holds(each, text) for each in told)


def _told() -> Iterator[bytes]:
    if not Path("/proc/self/environ").exists():  # not Linux: what its own command shows
        yield from subprocess.run(
            ["ps", "-axwwE", "-o", "command"], capture_output=True, check=True
        ).stdout.splitlines()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is another's
            where = os.fsencode((process / "cwd").readlink())
            yield b"\0".join([where, (process / "cmdline").read_bytes(), (process / "environ").read_bytes()])
